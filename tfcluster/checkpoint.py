"""Files that are either whole or not there: atomic, checksummed, free of pickle.

A file is an ordinary `.npz` of arrays plus `__meta__`, a JSON text that also holds the SHA-256 of
everything else, so `numpy.load` opens it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcluster.errors import InputError
from tfcluster.files import atomic_write
from tfcluster.training import Phase, Record

Arrays = dict[str, np.ndarray]

_META = "__meta__"


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


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


class FitCheckpoint:
    """Keeps a fit in one file, so that it can go on after any end.

    Args:
      path: The file.
      identity: Plain values that say which run this is; a file of another run is refused.
      get_state: The model's own state, by name.
      set_state: Puts it back.
      every_seconds: Least time between two checkpoints within a phase.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        identity: Mapping[str, Any],
        get_state: Callable[[], Arrays],
        set_state: Callable[[Arrays], None],
        every_seconds: float = 60.0,
    ) -> None:
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity))
        self.get_state = get_state
        self.set_state = set_state
        self.every_seconds = every_seconds
        self._saved_at = time.monotonic()

    def due(self) -> bool:
        """Whether `every_seconds` have passed since the last one."""
        return time.monotonic() - self._saved_at >= self.every_seconds

    def save(self, phase: Phase, history: list[Record]) -> None:
        """Writes the model's state, the phase's and the history."""
        slots = {f"phase/{i}": v.numpy() for i, v in enumerate(phase.state)}
        meta = {"identity": self.identity, "history": history}
        save_arrays(self.path, {**self.get_state(), **slots}, meta)
        self._saved_at = time.monotonic()

    def restore(self, phases: Sequence[Phase]) -> list[Record]:
        """Reads the file, if there is one, and sets all it holds.

        Raises:
          InputError: If the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return []
        arrays, meta = load_arrays(self.path)
        differing = [k for k, v in self.identity.items() if meta["identity"].get(k) != v]
        if differing:
            raise InputError(
                f"{self.path} belongs to another run: {', '.join(differing)} differ. Repeat the "
                "call that began it, or start in another folder."
            )
        history: list[Record] = meta["history"]
        reached = history[-1]["phase"]
        phase = next((phase for phase in phases if phase.name == reached), None)
        if phase is None:
            raise InputError(
                f"{self.path} was written in phase {reached!r}, which this call does not have. "
                "Use a file of its own for `pretrain` and for `fit`."
            )
        for i, variable in enumerate(phase.state):
            variable.assign(arrays[f"phase/{i}"])
        self.set_state(arrays)
        return history
