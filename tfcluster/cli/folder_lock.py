"""A lock on a run's folder, which the kernel releases when its owner ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
from pathlib import Path

from tfcluster.errors import InputError

LOCK_NAME = ".lock"


class FolderLock:
    """Holds the lock on a folder until `release` or the end of the process.

    Args:
      folder: The folder, which exists.

    Raises:
      InputError: If another run holds the lock, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        try:
            self._file = self._lock(folder)
        except OSError as error:
            raise InputError(
                f"Cannot write {folder}: {error.strerror}. Choose another --out."
            ) from error
        os.ftruncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {platform.node()}".encode())

    def release(self) -> None:
        """Removes the lock; harmless if repeated."""
        if self._file < 0:
            return
        # removed while it is locked: whoever opened it before sees another file at its path
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._file)
        self._file = -1

    def _lock(self, folder: Path) -> int:
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_at_path(file):
                    return file
            except BlockingIOError:
                owner = os.pread(file, 200, 0).decode(errors="replace") or "another process"
                os.close(file)
                raise InputError(
                    f"{folder} belongs to a run that is still alive: {owner}. Wait for it, stop "
                    "it, or choose another --out."
                ) from None
            except OSError:
                os.close(file)
                raise
            os.close(file)

    def _is_at_path(self, file: int) -> bool:
        """Returns whether the lock was not removed by its last owner before it was locked."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        return False
