"""Phases of a fit that can be interrupted and resumed, with records and checkpoints."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import tensorflow as tf

from tfcluster.errors import TrainingError
from tfcluster.training.optimizers import Optimizer

Record = dict[str, Any]
"""One line of a training history: `phase`, `step` (steps of the phase so far), `of` (steps of the
phase, at most), `loss`, `seconds` of the fit so far (without the time between an interrupt and
its resume), and the values that a phase adds."""

Callback = Callable[[Record], None]
"""Called with every record; may raise to stop the run, whose checkpoint is written first."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of training that can be resumed at any step it has recorded.

    Attributes:
      name: Name in the records.
      n_steps: Largest number of steps.
      run: Takes the number of steps already done; yields a record wherever a resume may start.
      optimizers: The optimizers of this phase; `run_phases` resets them at its start.
    """

    name: str
    n_steps: int
    run: Callable[[int], Iterator[Record]]
    optimizers: Sequence[Optimizer] = ()

    @property
    def state(self) -> list[tf.Variable]:
        """The variables of the optimizers, which a checkpoint holds beside the model's state."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    def is_finite(self) -> bool:
        """Returns whether all trained weights are finite."""
        trained = (variable for optimizer in self.optimizers for variable in optimizer.trainable)
        return all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in trained)


class Checkpoint(Protocol):
    """Keeps the progress of `run_phases`, so that it can resume."""

    def due(self) -> bool:
        """Returns whether enough time has passed since the last `save`."""
        ...

    def save(self, phase: Phase, history: list[Record]) -> None:
        """Keeps the state after the last record of `history`, a record of `phase`."""
        ...

    def restore(self, phases: Sequence[Phase]) -> list[Record]:
        """Sets the state of the last `save` and returns its history; empty without any."""
        ...


def run_phases(
    phases: Sequence[Phase],
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: Checkpoint | None = None,
) -> list[Record]:
    """Runs the phases, from the checkpoint on if there is one.

    Args:
      phases: The phases, in order.
      callbacks: Called with every record, in order; the first that raises stops the run.
      checkpoint: Saved when due, after each phase, and when a callback stops the run.

    Returns:
      All records, including those before a resume.

    Raises:
      TrainingError: If a loss is not finite; an earlier checkpoint stays.
    """
    history = checkpoint.restore(phases) if checkpoint else []
    reached: Record = history[-1] if history else {"phase": phases[0].name, "step": 0}
    for phase in phases[[phase.name for phase in phases].index(reached["phase"]) :]:
        start = reached["step"] if phase.name == reached["phase"] else 0
        if start < phase.n_steps and not (start and reached.get("converged")):
            _run_phase(phase, start, history, callbacks, checkpoint)
    return history


def _run_phase(
    phase: Phase,
    start: int,
    history: list[Record],
    callbacks: Sequence[Callback],
    checkpoint: Checkpoint | None,
) -> None:
    if start == 0:
        for optimizer in phase.optimizers:
            optimizer.reset()
    clock = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
    for record in phase.run(start):
        _check_finite(phase, record)
        seconds = round(time.perf_counter() - clock, 3)
        history.append({**record, "of": phase.n_steps, "seconds": seconds})
        _after_record(phase, history, callbacks, checkpoint)
    if checkpoint:
        checkpoint.save(phase, history)


def _after_record(
    phase: Phase,
    history: list[Record],
    callbacks: Sequence[Callback],
    checkpoint: Checkpoint | None,
) -> None:
    try:
        for callback in callbacks:
            callback(history[-1])
    except BaseException:
        if checkpoint:
            checkpoint.save(phase, history)
        raise
    if checkpoint and checkpoint.due():
        checkpoint.save(phase, history)


def _check_finite(phase: Phase, record: Record) -> None:
    # a loss is that before its step, so the last step shows only in the weights
    if not math.isfinite(record.get("loss", 0.0)) or not phase.is_finite():
        raise diverged(f"in phase {phase.name!r} by step {record['step']}")


def diverged(where: str) -> TrainingError:
    """Returns the error for numbers that are no longer finite.

    Args:
      where: The place in the run, e.g. "in phase 'cluster' by step 5".
    """
    return TrainingError(
        f"Training diverged {where}: a loss, a weight or an embedding is not finite. Lower the "
        "learning rate or scale the features; a checkpoint that was written before is kept."
    )
