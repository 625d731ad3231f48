"""Checkpoints from which an interrupted fit resumes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfcluster.errors import InputError
from tfcluster.files import Arrays, check_identity, load_arrays, refuse_wrong_inside, save_arrays
from tfcluster.training.phases import Phase, Record


class FitCheckpoint:
    """Keeps the progress of a fit in one file.

    Args:
      path: The file.
      identity: Values that JSON can hold and that tell this run from others, whose files are
        refused.
      get_state: Returns the model's state, by name.
      set_state: Restores it.
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
        """Returns whether `every_seconds` have passed since the last `save`."""
        return time.monotonic() - self._saved_at >= self.every_seconds

    def save(self, phase: Phase, history: list[Record]) -> None:
        """Writes the history and the states of model and phase."""
        slots = {f"phase/{i}": v.numpy() for i, v in enumerate(phase.state)}
        meta = {"identity": self.identity, "history": history}
        save_arrays(self.path, {**self.get_state(), **slots}, meta)
        self._saved_at = time.monotonic()

    def restore(self, phases: Sequence[Phase]) -> list[Record]:
        """Reads the file, if it exists, restores the states and returns the history.

        Raises:
          InputError: If the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return []
        arrays, meta = load_arrays(self.path)
        with refuse_wrong_inside(self.path, "checkpoint"):
            return self._restore(phases, arrays, meta)

    def _restore(self, phases: Sequence[Phase], arrays: Arrays, meta: Any) -> list[Record]:
        check_identity(self.path, self.identity, meta.get("identity", {}))
        history: list[Record] = meta["history"]
        reached = history[-1]["phase"]
        phase = next((phase for phase in phases if phase.name == reached), None)
        if phase is None:
            raise InputError(
                f"{self.path} was written in phase {reached!r}, which this call does not have. "
                "Give `pretrain` and `fit` separate files."
            )
        for i, variable in enumerate(phase.state):
            variable.assign(arrays[f"phase/{i}"])
        self.set_state(arrays)
        return history
