"""Adds a finished run to `benchmarks/results/`: `python -m benchmarks.record RUN`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def record(run: Path, note: str | None = None) -> Path:
    """Appends a run's `result.json` to the file of its algorithm.

    Args:
      run: Folder written by `tfcluster train`.
      note: Remark for readers of the line.

    Returns:
      The file to which the line was added.
    """
    result = json.loads((run / "result.json").read_text())
    if note:
        result["note"] = note
    return append(result)


def read_results(name: str) -> list[dict[str, Any]]:
    """Returns the lines of a file in `benchmarks/results/`, none if it does not exist."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(result: Mapping[str, Any]) -> Path:
    """Adds a line to the file of its algorithm and returns the file."""
    target = RESULTS / f"{result['algorithm']}.jsonl"
    target.parent.mkdir(exist_ok=True)
    with target.open("a") as file:
        file.write(json.dumps(result) + "\n")
    return target


def main() -> None:
    """Records the run named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--note")
    arguments = parser.parse_args()
    print(record(arguments.run, arguments.note))


if __name__ == "__main__":
    main()
