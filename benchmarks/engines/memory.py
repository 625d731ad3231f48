"""Memory of a run and of all processes its engine started."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from federated.backends.processes import MARK, marked_processes


def tree_bytes() -> int:
    """Proportional set size of this process and of those that carry its mark.

    Pages that several processes share count once.
    """
    return sum(map(_proportional, _tree()))


def tree_cpu_seconds() -> float:
    """Processor seconds of this process and of those that carry its mark and live."""
    return sum(map(_cpu_seconds, _tree()))


def _tree() -> set[int]:
    mark = os.environ.get(MARK)
    return {os.getpid(), *(marked_processes(mark) if mark else ())}


def _cpu_seconds(process: int) -> float:
    with contextlib.suppress(OSError):  # gone meanwhile
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _proportional(process: int) -> int:
    with contextlib.suppress(OSError):  # gone meanwhile
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


class MemoryWatch:
    """Samples `tree_bytes` in a thread, as a context manager.

    Args:
      every: Seconds between two samples.

    Attributes:
      samples: Pairs of seconds since the start, and bytes.
    """

    def __init__(self, every: float = 1.0) -> None:
        self._every, self._done = every, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._start = time.perf_counter()
        self.samples: list[tuple[float, int]] = []

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._done.wait(self._every):
            self._sample()

    def _sample(self) -> None:
        self.samples.append((time.perf_counter() - self._start, tree_bytes()))
