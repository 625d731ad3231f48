"""Times our loops here and in the environment of TensorFlow Federated, whose TensorFlow is older.

`python -m benchmarks.speed.measure_environments` runs rounds of each case of `tfcluster bench` in
turn in two processes and adds a JSON line to `benchmarks/results/speed_environments.jsonl`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import append
from benchmarks.speed.processes import MODULE, read, request, start_process
from benchmarks.speed.timed_cases import CASES
from federated.backends.tff_environment import prepare_command
from tfcluster.runtime import collect_provenance

NAME = "speed_environments"


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES), help="Of `tfcluster bench`.")
    parser.add_argument("--rounds", type=int, default=9, help="Measurements in each environment.")
    asked = parser.parse_args()
    cases = {}
    for name in asked.cases:
        cases[name] = _measure(name, asked.rounds)
        print(name, {k: v for k, v in cases[name].items() if k != "ratios"}, flush=True)
    append({"algorithm": NAME, "rounds": asked.rounds, "cases": cases, **collect_provenance()})


def _measure(name: str, n_rounds: int) -> dict[str, Any]:
    """Returns milliseconds a unit in both, and the ratios here / there of neighbouring rounds."""
    packages = ("tfcluster", "federated", "benchmarks")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        there = prepare_command(MODULE, Path(folder), packages)
        here = [sys.executable, "-m", MODULE], dict(os.environ)
        processes = [
            stack.enter_context(start_process([*command, name, "ours"], variables))
            for command, variables in (here, there)
        ]
        for process in processes:
            read(process)
        seconds: list[list[float]] = [[], []]
        for number in range(n_rounds):
            for side in (0, 1) if number % 2 == 0 else (1, 0):
                seconds[side].append(request(processes[side])["seconds"])
    unit = CASES[name].n_units
    ratios = [a / b for a, b in zip(*seconds, strict=True)]
    return {
        "unit": CASES[name].unit,
        "here_ms": 1e3 * statistics.median(seconds[0]) / unit,
        "there_ms": 1e3 * statistics.median(seconds[1]) / unit,
        "here_least_ms": 1e3 * min(seconds[0]) / unit,
        "there_least_ms": 1e3 * min(seconds[1]) / unit,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


if __name__ == "__main__":
    main()
