"""Runs a row by `tfcluster train`, in a folder from which it can be resumed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import record
from benchmarks.reproduce.table_rows import Row
from federated.backends.processes import backend_processes
from tfcluster.errors import TrainingError

_INTERRUPTED = (130, -signal.SIGINT)


def run_row(row: Row, seed: int, out: Path) -> Path:
    """Trains a row, or resumes its run, and records the result.

    Args:
      row: The row.
      seed: Seed of the run.
      out: Folder of all runs.

    Returns:
      The folder of the run.

    Raises:
      KeyboardInterrupt: If it was interrupted; the same call resumes it.
      TrainingError: If training failed.
    """
    folder = row.make_path(seed, out)
    if not (folder / "result.json").exists():
        begun = (folder / "config.json").exists()
        code = _train([*row.write_command(seed, folder), *(["--resume"] if begun else [])])
        if code in _INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise TrainingError(
                f"Training must end with code 0. Received: code {code} ({row.name}, seed {seed}). "
                "Its messages are printed above."
            )
    record(folder)
    return folder


def _train(words: Sequence[str]) -> int:
    """Runs `tfcluster` in a process of its own, since threads are set once per process.

    An interrupt is passed on once, so that the run stops at its next checkpoint.

    Returns:
      The exit code.
    """
    command = [sys.executable, "-m", "tfcluster", *words]
    # In its own session, so that a terminal does not interrupt it a second time.
    with backend_processes(), subprocess.Popen(command, start_new_session=True) as process:
        while process.poll() is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
    return process.returncode
