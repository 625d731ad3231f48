"""Runs a suite's cases in processes of their own, and keeps a line of every one.

Where seconds are compared every case has its process; elsewhere cases of the same clients share
one, which compiles what they have in common once.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from benchmarks.compare import cases
from benchmarks.compare.cases import SUITES, Case, Suite
from tfcluster.errors import InputError

Line = dict[str, Any]

_WORST = float("-inf")
_PATIENCE = 3_600  # seconds
_SHOWN = 2_000  # characters of an error, from its end


class Results:
    """The lines of one suite in a file that only grows; the last line of a case counts.

    Args:
      path: The file; need not be there.

    Raises:
      InputError: If a line is not of a case as it is run now.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._lines: dict[str, Line] = {}
        for number, text in enumerate(lines, 1):
            line = _parsed(text)
            if line is not None:
                self._lines[_key(line, f"line {number} of {path}")] = line

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


def _key(line: Line, where: str) -> str:
    """Of its case."""
    try:
        return cases.from_dict(line["case"]).key
    except (KeyError, TypeError) as error:
        reason = "no `case`" if isinstance(error, KeyError) else str(error)
        raise InputError(
            "A line of results must have a `case` with the fields cases have now. "
            f"Received: {where}, {reason}. Take the line out, or choose another folder."
        ) from error


def suite_file(folder: Path, suite: str) -> Path:
    """Where a suite's lines are."""
    return folder / f"compare_{suite.replace('-', '_')}.jsonl"


def read_lines(folder: Path) -> dict[str, list[Line]]:
    """Suite to its lines, of all that were run."""
    found = {name: list(Results(suite_file(folder, name))) for name in SUITES}
    return {name: lines for name, lines in found.items() if lines}


Tell = Callable[[Case, Line | None], None]


def run_suite(
    suite: Suite,
    seeds: Sequence[int],
    results: Results,
    tell: Tell,
    n_jobs: int = 1,
    is_wanted: Callable[[Case], bool] = lambda _: True,
) -> None:
    """Runs what is missing.

    Args:
      suite: The cases.
      seeds: Of the suite.
      results: Where lines are, and go.
      tell: Called before a run with None, and after it with its line.
      n_jobs: Processes at a time; more than one only where no time is compared.
      is_wanted: Leaves cases out.
    """
    lock = threading.Lock()

    def take(group: Sequence[Case]) -> None:
        for case, line in run_group(group, tell):
            with lock:
                results.add(case, line)
                tell(case, line)

    for stage in suite.stages:
        wanted = filter(is_wanted, stage(seeds, results.score))
        missing = [case for case in wanted if not results.has(case)]
        sharing = itertools.groupby(
            missing, key=lambda c: c.key if suite.is_timed else c.clients_key
        )
        groups = [list(group) for _, group in sharing]
        with ThreadPoolExecutor(n_jobs) as pool:
            try:
                list(pool.map(take, groups))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def run_group(group: Sequence[Case], tell: Tell) -> Iterator[tuple[Case, Line]]:
    """Cases one after the other in one process, and in a new one after each that failed.

    Args:
      group: Of the same clients on the same engine.
      tell: Called with None before each.
    """
    waiting = list(group)
    while waiting:
        with tempfile.TemporaryFile("w+") as errors, _worker(errors) as process:
            line: Line = {"status": "done"}
            while waiting and line["status"] == "done":
                case = waiting.pop(0)
                tell(case, None)
                line = {"case": json.loads(case.key), **_answer(process, case, errors)}
                yield case, line


@contextlib.contextmanager
def _worker(errors: IO[str]) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "benchmarks.compare.worker", repr(time.time())]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=errors, text=True) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _answer(process: subprocess.Popen[str], case: Case, errors: IO[str]) -> Line:
    """`status` "done" and what was found, or "failed" and an `error`."""
    assert process.stdin is not None
    assert process.stdout is not None
    clock = threading.Timer(_PATIENCE, process.kill)
    clock.start()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(case.key + "\n")
        process.stdin.flush()
    answer = process.stdout.readline()
    clock.cancel()
    if answer:
        return {"status": "done", **json.loads(answer)}
    code = process.wait()
    errors.seek(0)
    error = errors.read()[-_SHOWN:] or f"It ended with code {code}, within {_PATIENCE} seconds."
    return {"status": "failed", "error": error}
