"""Runs the cases of a suite in processes of their own and records a line for each.

Where seconds are compared, every case has its own process. Elsewhere cases of the same clients
share a process, which compiles common functions only once.
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
from typing import IO

from benchmarks.compare.cases import Case
from benchmarks.compare.result_files import Line, ResultFile
from benchmarks.compare.suites import Suite
from federated.backends.piped.serve import INSECURE
from federated.backends.tff_environment import prepare_command

_PATIENCE = 3_600  # seconds
_SHOWN = 2_000  # characters of an error, from its end

Report = Callable[[Case, Line | None], None]
"""Called before a run with None and after it with its line."""


def run_suite(
    suite: Suite,
    seeds: Sequence[int],
    results: ResultFile,
    report: Report,
    n_jobs: int = 1,
    is_wanted: Callable[[Case], bool] = lambda _: True,
    insecure_worker: bool = False,
) -> None:
    """Runs the cases of a suite that have not finished yet.

    Args:
      suite: The cases.
      seeds: Seeds of the suite.
      results: Holds the lines that exist and takes new ones.
      report: Called before and after each run.
      n_jobs: Processes at a time; more than one only where no seconds are compared.
      is_wanted: Returns False for cases to leave out.
      insecure_worker: See `TFF`.
    """
    lock = threading.Lock()

    def take(group: Sequence[Case]) -> None:
        for case, line in run_group(group, report, insecure_worker):
            with lock:
                results.add(case, line)
                report(case, line)

    for stage in suite.stages:
        wanted = filter(is_wanted, stage(seeds, results.get_score))
        missing = [case for case in wanted if not results.has_finished(case)]
        shared = itertools.groupby(
            missing, key=lambda c: c.key if suite.is_timed else c.clients_key
        )
        groups = [list(group) for _, group in shared]
        with ThreadPoolExecutor(n_jobs) as pool:
            try:
                list(pool.map(take, groups))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def run_group(
    group: Sequence[Case], report: Report, insecure_worker: bool = False
) -> Iterator[tuple[Case, Line]]:
    """Runs cases one after the other in a process, and in a new one after each failure.

    Args:
      group: Cases of the same clients on the same backend.
      report: Called with None before each.
      insecure_worker: See `TFF`.

    Yields:
      Case and result line.
    """
    waiting = list(group)
    while waiting:
        with _start_process(waiting[0], insecure_worker) as (process, errors):
            line: Line = {"status": "done"}
            while waiting and line["status"] == "done":
                case = waiting.pop(0)
                report(case, None)
                line = {"case": json.loads(case.key), **_run_case(process, case, errors)}
                yield case, line


@contextlib.contextmanager
def _start_process(
    case: Case, insecure_worker: bool
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Yields a process in the environment of a case's backend, and its standard error."""
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryDirectory() as folder:
        words, variables = _find_command(case, Path(folder))
        with subprocess.Popen(
            [*words, repr(time.time()), *([INSECURE] if insecure_worker else [])],
            stdin=pipe, stdout=pipe, stderr=errors, text=True, env=variables,
        ) as process:  # fmt: skip
            try:
                yield process, errors
            except BaseException:
                process.kill()
                raise


def _find_command(case: Case, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Returns the command of a case's process, and its environment."""
    if not case.needs_tff:
        return [sys.executable, "-m", "benchmarks.compare.case_process"], dict(os.environ)
    packages = ("tfcluster", "federated", "benchmarks")
    return prepare_command("benchmarks.compare.isolated_case_process", folder, packages)


def _run_case(process: subprocess.Popen[str], case: Case, errors: IO[str]) -> Line:
    """Returns `status` "done" and the measurements, or "failed" and an `error`."""
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
