"""Checkpoints of a fit, from which it goes on after any end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfcluster.errors import InputError
from tfcluster.files import Arrays, check_identity, load_arrays, save_arrays
from tfcluster.training.phases import Phase, Record


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
        self.identity = dict(identity)
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
        check_identity(self.path, self.identity, meta.get("identity", {}))
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
