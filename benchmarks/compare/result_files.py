"""The files of result lines: one for each suite, which only grow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.compare.cases import Case, parse_case
from benchmarks.compare.suites import SUITES
from tfcluster.errors import InputError

Line = dict[str, Any]

_WORST = float("-inf")


class ResultFile:
    """The result lines of one suite; the last line of a case counts.

    Args:
      path: The file; it need not exist.

    Raises:
      InputError: If a line is not of a case with the current fields.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._lines: dict[str, Line] = {}
        for number, text in enumerate(lines, 1):
            line = _parse_line(text)
            if line is not None:
                self._lines[_read_key(line, f"line {number} of {path}")] = line

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def has_finished(self, case: Case) -> bool:
        """Returns whether the case finished; failed cases are run again."""
        return self._lines.get(case.key, {}).get("status") == "done"

    def get_score(self, case: Case) -> float:
        """Returns the NMI of a finished run; the worst for a failed one."""
        line = self._lines.get(case.key, {})
        return float(line["scores"]["nmi"]) if line.get("status") == "done" else _WORST

    def add(self, case: Case, line: Line) -> None:
        """Adds a line, in the file too."""
        self._lines[case.key] = line
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            end = b"" if file.read() in (b"", b"\n") else b"\n"  # ends a line that was cut off
            file.write(end + json.dumps(line).encode() + b"\n")


def _parse_line(text: str) -> Line | None:
    """Returns a line, or None if it was cut off because its writer was killed."""
    try:
        line: Line = json.loads(text)
    except json.JSONDecodeError:
        return None
    return line


def _read_key(line: Line, where: str) -> str:
    try:
        return parse_case(line["case"]).key
    except (KeyError, TypeError) as error:
        reason = "no `case`" if isinstance(error, KeyError) else str(error)
        raise InputError(
            "A result line must have a `case` with the current fields. "
            f"Received: {where}, {reason}. Remove the line, or choose another folder."
        ) from error


def make_path(folder: Path, suite: str) -> Path:
    """Returns the path of a suite's result lines."""
    return folder / f"compare_{suite.replace('-', '_')}.jsonl"


def read_suites(folder: Path) -> dict[str, list[Line]]:
    """Returns suite to its lines, for all suites that were run."""
    found = {name: list(ResultFile(make_path(folder, name))) for name in SUITES}
    return {name: lines for name, lines in found.items() if lines}
