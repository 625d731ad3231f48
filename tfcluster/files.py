"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tfcluster.errors import InputError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a file that replaces what stands at `path` when it was written to the end.

    A link is followed. Folders that are missing are made.

    Raises:
      InputError: If there is something else than an ordinary file, the folder cannot be written
        or the disk is full; what stood at `path` stays.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(f"Cannot write {os.fspath(path)!r}: it is no ordinary file. Name another.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise InputError(
            f"Cannot write {path}: {error.strerror}. Nothing was changed there; free some space or "
            "choose a folder that can be written."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
