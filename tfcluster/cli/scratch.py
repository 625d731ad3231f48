"""A folder for a command's temporary files, which goes when the command ends, however it ends.

TensorFlow leaves a file per traced function in the temporary folder if the process is killed, and
at some normal ends too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = "tfcluster-"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Makes the folder that this process and its children put temporary files into.

    First it removes such folders of processes that are dead. A folder is locked by its owner, for
    its number may have become another process's.
    """
    usual, chosen, variable = tempfile.gettempdir(), tempfile.tempdir, os.environ.get("TMPDIR")
    _remove_leftovers(Path(usual))
    folder = tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-", dir=usual)
    lock = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: the number has to do
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        yield Path(folder)
    finally:
        tempfile.tempdir = chosen
        os.environ.pop("TMPDIR")
        if variable is not None:
            os.environ["TMPDIR"] = variable
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_leftovers(usual: Path) -> None:
    for folder in usual.glob(f"{_NAME}*"):
        owner = re.fullmatch(rf"{_NAME}(\d+)-\w+", folder.name)
        if owner and not Path("/proc", owner[1]).exists():
            with contextlib.suppress(OSError):  # another user's, or removed by another process
                _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    """Removes a folder unless it is locked, or belongs to another user.

    Raises:
      OSError: If it cannot be locked.
    """
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(file).st_uid == os.getuid():
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(file)
