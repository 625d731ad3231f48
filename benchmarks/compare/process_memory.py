"""Measures memory and processor time of a run and of all processes its backend started."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from federated.backends.processes import MARK, marked_processes


def measure_bytes() -> int:
    """Returns the proportional set size in bytes of this process and of those with its mark.

    Pages that several processes share count once.
    """
    return sum(map(_measure_proportional_set, _list_processes()))


def measure_cpu_seconds() -> float:
    """Returns the processor seconds of this process and of running processes with its mark."""
    return sum(map(_measure_cpu_seconds, _list_processes()))


def _list_processes() -> set[int]:
    mark = os.environ.get(MARK)
    return {os.getpid(), *(marked_processes(mark) if mark else ())}


def _measure_cpu_seconds(process: int) -> float:
    with contextlib.suppress(OSError):  # the process may have ended
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _measure_proportional_set(process: int) -> int:
    with contextlib.suppress(OSError):  # the process may have ended
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


class MemoryWatch:
    """Context manager that calls `measure_bytes` regularly in a thread.

    Args:
      every: Seconds between two readings.

    Attributes:
      readings: Pairs of seconds since the start, and bytes.
    """

    def __init__(self, every: float = 1.0) -> None:
        self._every, self._done = every, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._start = time.perf_counter()
        self.readings: list[tuple[float, int]] = []

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._read()

    def _watch(self) -> None:
        while not self._done.wait(self._every):
            self._read()

    def _read(self) -> None:
        self.readings.append((time.perf_counter() - self._start, measure_bytes()))
