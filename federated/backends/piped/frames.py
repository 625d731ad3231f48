"""Frames on a pipe: plain values and arrays, for Python and NumPy of any version at either end.

A frame is the length of its header, the header in JSON and the bytes of each array.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from tfcluster.errors import InputError, TrainingError

_ERRORS = {kind.__name__: kind for kind in (InputError, TrainingError)}
_LENGTH = struct.Struct("<Q")


class Frame(NamedTuple):
    """What is sent at once.

    Attributes:
      facts: Plain values by name.
      arrays: Arrays of numbers.
    """

    facts: Mapping[str, Any]
    arrays: Sequence[np.ndarray] = ()


def write_frame(pipe: IO[bytes], frame: Frame) -> None:
    """Writes a frame.

    Raises:
      BrokenPipeError: If nobody reads.
    """
    shapes = [(array.dtype.str, array.shape) for array in frame.arrays]
    header = json.dumps({"facts": frame.facts, "arrays": shapes}).encode()
    pipe.write(_LENGTH.pack(len(header)) + header)
    for array in frame.arrays:
        pipe.write(array.tobytes())
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> Frame:
    """Reads a frame.

    Raises:
      EOFError: If the pipe ends before the frame does.
    """
    (length,) = _LENGTH.unpack(_read(pipe, _LENGTH.size))
    header = json.loads(_read(pipe, length))
    arrays = []
    for kind, shape in header["arrays"]:
        dtype = np.dtype(kind)
        n_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(_read(pipe, n_bytes), dtype).reshape(shape))
    return Frame(header["facts"], arrays)


def describe_error(error: Exception) -> Frame:
    """Returns a frame from which `raise_error` raises the error again."""
    if isinstance(error, tuple(_ERRORS.values())):
        return Frame({"error": type(error).__name__, "message": str(error)})
    name = TrainingError.__name__
    return Frame({"error": name, "message": f"{type(error).__name__}: {error}"})


def raise_error(frame: Frame) -> None:
    """Raises the error that a frame describes, if it does.

    Raises:
      InputError: As described.
      TrainingError: As described; also for errors of all other kinds.
    """
    if "error" in frame.facts:
        raise _ERRORS[frame.facts["error"]](frame.facts["message"])


def _read(pipe: IO[bytes], n_bytes: int) -> bytes:
    found = pipe.read(n_bytes)
    if len(found) < n_bytes:
        raise EOFError(f"The pipe ended after {len(found)} of {n_bytes} bytes.")
    return found
