"""Runs a suite's cases, each in a process of its own, and keeps a line of every one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.compare import cases
from benchmarks.compare.cases import Case, Suite

Line = dict[str, Any]

_WORST = float("-inf")
_PATIENCE = 3_600  # seconds
_SHOWN = 2_000  # characters of an error, from its end


class Results:
    """The lines of one suite in a file that only grows; the last line of a case counts.

    Args:
      path: The file; need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._lines: dict[str, Line] = {}
        for line in map(_parsed, lines):
            if line is not None:
                self._lines[cases.from_dict(line["case"]).key] = line

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def has(self, case: Case) -> bool:
        """Whether the case ended well; what failed is run again."""
        return self._lines.get(case.key, {}).get("status") == "done"

    def score(self, case: Case) -> float:
        """NMI of a finished run; the worst for one that failed."""
        line = self._lines.get(case.key, {})
        return float(line["scores"]["nmi"]) if line.get("status") == "done" else _WORST

    def add(self, case: Case, line: Line) -> None:
        """Keeps a line, in the file too."""
        self._lines[case.key] = line
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            end = b"" if file.read() in (b"", b"\n") else b"\n"  # of a line that was cut off
            file.write(end + json.dumps(line).encode() + b"\n")


def _parsed(text: str) -> Line | None:
    """A line, or None for one that was cut off when its writer was killed."""
    try:
        line: Line = json.loads(text)
    except json.JSONDecodeError:
        return None
    return line


def run_suite(
    suite: Suite,
    seeds: Sequence[int],
    results: Results,
    tell: Callable[[Case, Line | None], None],
    n_jobs: int = 1,
) -> None:
    """Runs what is missing.

    Args:
      suite: The cases.
      seeds: Of the suite.
      results: Where lines are, and go.
      tell: Called before a run with None, and after it with its line.
      n_jobs: Runs at a time; more than one only where no time is compared.
    """
    for stage in suite.stages:
        missing = (case for case in stage(seeds, results.score) if not results.has(case))
        for case, line in _run_all(missing, tell, n_jobs):
            results.add(case, line)
            tell(case, line)


def _run_all(
    missing: Iterable[Case], tell: Callable[[Case, Line | None], None], n_jobs: int
) -> Iterator[tuple[Case, Line]]:
    def run(case: Case) -> tuple[Case, Line]:
        tell(case, None)
        return case, run_case(case)

    if n_jobs == 1:
        yield from map(run, missing)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        try:
            yield from pool.map(run, missing)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def run_case(case: Case) -> Line:
    """One case in its own process: its line, with `status` "done", or "failed" and an `error`."""
    words = [sys.executable, "-m", "benchmarks.compare.worker", repr(time.time())]
    line: Line = {"case": json.loads(case.key)}
    try:
        ended = subprocess.run(
            words, input=case.key, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return {**line, "status": "failed", "error": f"It took more than {_PATIENCE} seconds."}
    if ended.returncode:
        error = ended.stderr[-_SHOWN:] or f"It ended with code {ended.returncode}."
        return {**line, "status": "failed", "error": error}
    return {**line, "status": "done", **json.loads(ended.stdout.splitlines()[-1])}
