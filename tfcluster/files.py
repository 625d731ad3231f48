"""Files that are either complete or absent: atomic, checksummed, without pickle.

A file of arrays is an ordinary `.npz` that `numpy.load` opens. Its entry `__meta__` is a JSON text
with plain values and the SHA-256 of all arrays.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from tfcluster.errors import InputError

Arrays = dict[str, np.ndarray]

_META = "__meta__"


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a file that replaces `path` once it is complete.

    A link is followed. Missing folders are created.

    Raises:
      InputError: If `path` is not an ordinary file, the folder cannot be written or the disk is
        full; an earlier file at `path` stays.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(
            f"Cannot write {os.fspath(path)!r}: it is no ordinary file. Choose another."
        )
    temporary = _make_temporary(target)
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


def _make_temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")


def is_temporary(path: Path) -> bool:
    """Returns whether a file is what `atomic_write` has not finished, perhaps never will."""
    return re.fullmatch(r"\..+\.\d+\.\d+", path.name) is not None and not path.is_dir()


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Any) -> None:
    """Writes arrays and plain values to one file.

    Args:
      path: The file.
      arrays: Arrays by name.
      meta: Anything that JSON can hold.

    Raises:
      InputError: If the file cannot be written; an earlier file at `path` stays.
    """
    text = json.dumps({"sha256": _hash(arrays), "meta": meta})
    # in memory first: a zip file cannot be closed after the disk became full
    whole = io.BytesIO()
    content: dict[str, Any] = {**arrays, _META: np.array(text)}
    np.savez(whole, **content)
    with atomic_write(Path(path)) as file:
        file.write(whole.getbuffer())


def load_arrays(path: str | os.PathLike[str]) -> tuple[Arrays, Any]:
    """Returns what `save_arrays` wrote: the arrays by name, and the plain values.

    Raises:
      InputError: If the file is missing, damaged, holds pickled objects or is of another kind.
    """
    check_inflated_size(Path(path))
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        text = json.loads(str(arrays.pop(_META)))
        meta, checksum = text["meta"], text["sha256"]
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    # damaged files raise various errors of numpy, zipfile, zlib and json
    except Exception as error:
        raise InputError(
            f"{path} is not a whole tfcluster file: it is damaged, cut short, holds pickled "
            "objects or was written by another program. Use a copy of it, or write it anew."
        ) from error
    if checksum != _hash(arrays):
        raise InputError(
            f"{path} is damaged: its checksum is wrong. Use a copy of it, or write it anew."
        )
    return arrays, meta


def check_inflated_size(path: Path) -> None:
    """Raises `InputError` if an .npz file would take more memory than this machine can spare.

    The sizes stand in the directory of the file, from which zipfile reads no more than they say.
    A file of another kind is passed over.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except Exception:  # damaged files raise various errors, which the reader will report
        return
    if size > (limit := find_size_limit()):
        raise InputError(
            f"{path} must not hold more than {limit / 2**30:.1f} GiB, a quarter of this machine's "
            f"memory. Received: {path.stat().st_size / 2**20:,.0f} MiB that inflate to "
            f"{size / 2**30:,.1f} GiB. Give fewer samples, or use a larger machine."
        )


def check_dense_size(path: Path, n_samples: int, n_features: int) -> None:
    """Raises `InputError` if a table would take more memory than this machine can spare.

    Args:
      path: The file.
      n_samples: Number of its rows.
      n_features: Number of its columns.
    """
    size = n_samples * n_features * np.dtype(np.float64).itemsize
    if size > (limit := find_size_limit()):
        raise InputError(
            f"{path} becomes a dense matrix, which must not take more than {limit / 2**30:.1f} "
            f"GiB, a quarter of this machine's memory. Received: {n_samples:,} samples of "
            f"{n_features:,} features, which would take {size / 2**30:,.1f} GiB. Keep fewer "
            "features, e.g. the 2,000 most variable ones, or principal components."
        )


def find_size_limit() -> int:
    """Returns the bytes that a file may hold: copies of them have to fit beside them."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4


@contextlib.contextmanager
def refuse_wrong_inside(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Raises `InputError` for what reading a whole file with a wrong inside raises.

    Args:
      path: The file.
      what: What it should hold, e.g. "checkpoint".
    """
    try:
        yield
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
        raise InputError(
            f"{path} holds no {what} that this version of tfcluster can read. Use a copy of it, or "
            "start again without it."
        ) from error


def pack_arrays(prefix: str, arrays: Sequence[np.ndarray]) -> Arrays:
    """Returns a list of arrays by name: `prefix/0`, `prefix/1`, ..."""
    return {f"{prefix}/{i}": array for i, array in enumerate(arrays)}


def unpack_arrays(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Returns the list that `pack_arrays` named, from among other arrays."""
    count = sum(name.startswith(f"{prefix}/") for name in arrays)
    return [arrays[f"{prefix}/{i}"] for i in range(count)]


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


def _hash(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
