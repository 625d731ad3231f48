"""Runs a row by the ordinary command, in a folder that can be resumed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import record
from benchmarks.reproduce.rows import Row
from federated.backends.processes import backend_processes
from tfcluster.errors import TrainingError

_INTERRUPTED = (130, -signal.SIGINT)


def run(row: Row, seed: int, out: Path) -> Path:
    """Trains a row, or goes on where it was interrupted, and records the result.

    Args:
      row: What to train.
      seed: Of the run.
      out: The folder of all rows' runs.

    Returns:
      The run's folder.

    Raises:
      KeyboardInterrupt: If it was interrupted; the same call goes on.
      TrainingError: If it failed, having said why.
    """
    folder = row.folder(seed, out)
    if not (folder / "result.json").exists():
        begun = (folder / "config.json").exists()
        code = _train([*row.command(seed, folder), *(["--resume"] if begun else [])])
        if code in _INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise TrainingError(f"{row.name}, seed {seed}: training ended with code {code}.")
    record(folder)
    return folder


def _train(words: Sequence[str]) -> int:
    """`tfcluster` in a process of its own, since threads are set once in a process.

    An interrupt of this process is passed on, once: the run stops at its next checkpoint.
    """
    command = [sys.executable, "-m", "tfcluster", *words]
    # in a session of its own, or a terminal would interrupt it a second time
    with backend_processes(), subprocess.Popen(command, start_new_session=True) as process:
        while process.poll() is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
    return process.returncode
