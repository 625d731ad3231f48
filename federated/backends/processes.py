"""Ends a backend's processes with the run, however it ends.

Backends start workers, which start workers, and end them if all goes well. When the run is killed
they stay: they hold memory and cores, and keep pipes open that someone waits on. So every process
a backend starts inherits a mark, and a guardian outside the run ends all that carry it.

Linux only, where the environment of a process can be read; elsewhere nothing is found, and ending
processes is left to the backends.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

MARK = "TFCLUSTER_RUN"
"""The variable that marks the processes of a run: the marks of all runs they belong to."""

_PATIENCE = 20.0  # seconds until processes that no signal reaches are given up


@contextlib.contextmanager
def backend_processes(scratch: Path | None = None) -> Iterator[str]:
    """Ends every process started within, at the end of the block or of this process.

    Whatever starts while the block runs belongs to it: the mark is in the environment of this
    process. What is forked without a new program carries no mark. Blocks can be nested, also in
    processes that one of them started.

    Args:
      scratch: A folder to remove at the end.

    Yields:
      The mark.
    """
    mark = uuid.uuid4().hex
    guardian = _start_guardian(mark, scratch)
    # Ray's workers rename themselves, and would write over the mark without the second
    outer = os.environ.get(MARK)
    changed = {MARK: f"{outer} {mark}" if outer else mark, "SPT_NOENV": "1"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield mark
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        try:
            end_processes(mark)
        finally:
            guardian.communicate()  # closes the pipe, and waits
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)  # were the guardian killed


def end_processes(mark: str) -> None:
    """Kills the processes that carry a mark, and those they started, and waits until they end.

    Children are not reaped, so their PIDs cannot be reused while a caller may still signal them.
    """
    limit = time.monotonic() + _PATIENCE
    pause = 0.001
    while (found := marked_processes(mark)) and time.monotonic() < limit:
        for process in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(pause)  # and look again: one may have started another meanwhile
        pause = min(2 * pause, 0.1)


def marked_processes(mark: str) -> set[int]:
    """Returns the PIDs of living processes with a mark and of their children; not this one's."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            # the name, in brackets, may hold anything; state and parent follow it
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if state in "ZX":
                continue
            parents[int(folder.name)] = int(parent)
            if mark in _read_marks(folder):
                found.add(int(folder.name))
    found.discard(os.getpid())
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _read_marks(process: Path) -> list[str]:
    entry = f"{MARK}=".encode()
    variables = (process / "environ").read_bytes().split(b"\0")
    return next((v[len(entry) :].decode().split() for v in variables if v.startswith(entry)), [])


def _start_guardian(mark: str, scratch: Path | None) -> subprocess.Popen[bytes]:
    """Starts a process that waits for the end of this one; see `_guard`.

    It runs this file and nothing else, in a session of its own, where no signal of a terminal
    reaches it. The pipe is closed in all that this process starts, so that it ends with this one.
    """
    command = [sys.executable, "-I", "-S", __file__, mark, str(os.getpid())]
    command += [str(scratch.resolve())] if scratch else []
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=unmarked,
        start_new_session=True,
    )


def _guard(mark: str, guarded: int, scratch: str | None = None) -> None:
    """Waits until the pipe is closed or its parent is another, then ends what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the run may be sent to all of it
    # the number of the parent too, for a forked copy of it would keep the pipe open
    while os.getppid() == guarded:
        if select.select([0], [], [], 1.0)[0]:
            break
    end_processes(mark)
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    _guard(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
