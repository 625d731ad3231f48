"""Files that are either whole or not there: atomic, checksummed, free of pickle.

A file of arrays is an ordinary `.npz` plus `__meta__`, a JSON text that also holds the SHA-256 of
everything else, so `numpy.load` opens it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from tfcluster.errors import InputError

Arrays = dict[str, np.ndarray]

_META = "__meta__"


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


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Any) -> None:
    """Writes arrays and plain values to one file.

    Args:
      path: Where to.
      arrays: By name.
      meta: Anything JSON can hold.

    Raises:
      InputError: If the file cannot be written; what stood there before stays.
    """
    text = json.dumps({"sha256": _digest(arrays), "meta": meta})
    # first in memory: a zip file that meets a full disk half-way cannot be closed
    whole = io.BytesIO()
    np.savez(whole, **{**arrays, _META: np.array(text)})
    with atomic_write(Path(path)) as file:
        file.write(whole.getbuffer())


def load_arrays(path: str | os.PathLike[str]) -> tuple[Arrays, Any]:
    """Reads what `save_arrays` wrote.

    Returns:
      The arrays by name, and the plain values.

    Raises:
      InputError: If the file is missing, damaged, holds pickled objects or is of another kind.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        text = json.loads(str(arrays.pop(_META)))
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    # a damaged file fails in numpy, zipfile, zlib or json, each in its own way
    except Exception as error:
        raise InputError(
            f"{path} is not a whole tfcluster file: it is damaged, cut short, holds pickled "
            "objects or was written by another program. Take a copy of it or make it anew."
        ) from error
    if not isinstance(text, dict) or text.get("sha256") != _digest(arrays):
        raise InputError(
            f"{path} is damaged: its checksum does not hold. Take a copy of it or make it anew."
        )
    return arrays, text["meta"]


def check_identity(
    path: str | os.PathLike[str], identity: Mapping[str, Any], found: Mapping[str, Any]
) -> None:
    """Raises `InputError` if a checkpoint belongs to another run.

    Args:
      path: The checkpoint.
      identity: Values that JSON can hold and that tell this run from others.
      found: The identity in the checkpoint, read from JSON; it may hold more.
    """
    expected = json.loads(json.dumps(identity))
    differing = [name for name, value in expected.items() if found.get(name) != value]
    if differing:
        raise InputError(
            f"{path} belongs to another run: {', '.join(differing)} differ. Repeat the call that "
            "began it, or start in another folder."
        )


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
