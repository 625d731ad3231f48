"""The one training step, the compiled loop around it, and phases that can stop and resume.

A model supplies a loss function that maps a batch to one loss per row. `train_step` turns it into
one optimiser step, `TrainingLoop` runs many of them per call on data that stays on the device,
and `run_phases` walks through the phases of a fit with progress and checkpoints.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfcluster.errors import TrainingError
from tfcluster.optimizers import Optimizer

# What TensorFlow writes to Python's log is as quiet as what it writes to the terminal.
if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3":
    tf.get_logger().setLevel("ERROR")

Record = dict[str, Any]
"""One line of a training history: `phase`, `step` (steps of it done), `of` (steps it takes, at
most), `loss`, `seconds` of the fit by then (without the time between an interrupt and its
resume), and what a phase adds."""

Monitor = Callable[[Record], None]
"""Called after every record; may raise to stop the run, whose checkpoint is written first."""

RowLoss = Callable[..., tf.Tensor]
"""Maps a batch (tensors with one entry per row) and a seed of shape (2,) to `(rows,)` losses."""

STEPS_PER_CALL = 200
"""Steps between two records where a phase has no epochs: what an interrupt waits for, at most."""

_BRANCH_WEIGHTS = 500_000
"""From this many weights on, a batch is halved over two branches of the graph."""


def train_step(
    row_loss: RowLoss,
    optimizer: Optimizer,
    batch: Sequence[tf.Tensor],
    seed: tf.Tensor,
    *,
    divisible: bool = True,
) -> tf.Tensor:
    """One optimiser step along the gradient of the batch's mean loss.

    Args:
      row_loss: The loss of each row.
      optimizer: Holds the variables that are trained.
      batch: Tensors `(rows, ...)`.
      seed: `(2,)` integers for whatever `row_loss` draws.
      divisible: Whether a row's loss depends on that row alone, so that a batch may be divided.

    Returns:
      The mean loss before the step, a scalar.
    """
    n_rows = tf.cast(tf.shape(batch[0])[0], tf.float32)
    losses, gradients = [], []
    n_weights = sum(math.prod(v.shape) for v in optimizer.trainable)
    halve = divisible and n_weights >= _BRANCH_WEIGHTS
    for part, part_seed in _halves(batch, seed) if halve else [(batch, seed)]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(row_loss(*part, seed=part_seed)) / n_rows
        losses.append(loss)
        gradients.append(tape.gradient(loss, optimizer.trainable))
    optimizer.apply([tf.add_n(parts) for parts in zip(*gradients, strict=True)])
    return tf.add_n(losses)


def _halves(
    batch: Sequence[tf.Tensor], seed: tf.Tensor
) -> list[tuple[Sequence[tf.Tensor], tf.Tensor]]:
    """The batch in two halves, each with a seed of its own.

    A product of 256 rows gains nothing from a second thread, but two products of 128 rows run
    side by side: an epoch of the autoencoder of DEC takes 0.6 of the time on two cores (intra-op
    threads 1, inter-op threads 2). The sum of the halves' gradients is the whole batch's.
    """
    half = tf.shape(batch[0])[0] // 2
    return [
        ([tensor[:half] for tensor in batch], seed),
        ([tensor[half:] for tensor in batch], seed + [0, 1 << 30]),
    ]


@dataclasses.dataclass(frozen=True)
class BatchOrder:
    """Which rows make up which batch.

    Attributes:
      n_rows: Rows of the data.
      batch_size: Rows a batch.
      wrap: Whether a batch that reaches the end goes on with the first rows (Caffe) instead of
        being short (Keras).
    """

    n_rows: int
    batch_size: int
    wrap: bool = False

    @property
    def steps_per_pass(self) -> int:
        """Steps that touch every row; the last may be short. There are no empty batches."""
        return math.ceil(self.n_rows / self.batch_size)

    def rows(self, permutation: np.ndarray | None = None) -> np.ndarray:
        """Row numbers in the order they are visited, with those a wrapped batch needs twice."""
        order = np.arange(self.n_rows) if permutation is None else permutation
        if self.wrap:
            order = np.resize(order, self.n_rows + self.batch_size)
        return order.astype(np.int32)

    def starts(self, first_step: int, n_steps: int) -> np.ndarray:
        """Where in `rows` each batch begins, `(n_steps,)`."""
        steps = np.arange(first_step, first_step + n_steps, dtype=np.int64)
        if self.wrap:
            return (steps * self.batch_size % self.n_rows).astype(np.int32)
        return (steps % self.steps_per_pass * self.batch_size).astype(np.int32)


class TrainingLoop:
    """Runs many steps per call, on data that stays on the device.

    Args:
      row_loss: The loss of each row.
      optimizer: Holds the variables that are trained.
      divisible: See `train_step`.
    """

    def __init__(self, row_loss: RowLoss, optimizer: Optimizer, *, divisible: bool = True) -> None:
        self.row_loss = row_loss
        self.optimizer = optimizer
        self.divisible = divisible
        self._run = tf.function(self.steps, reduce_retracing=True)

    def run(
        self,
        data: Sequence[tf.Tensor],
        order: BatchOrder,
        first_step: int,
        n_steps: int,
        seed: int,
        permutation: np.ndarray | None = None,
    ) -> np.ndarray:
        """Takes steps `first_step` to `first_step + n_steps`.

        Args:
          data: Tensors `(n_rows, ...)`; a batch is the same rows of each.
          order: Which rows make up which batch.
          first_step: Steps taken before, which fixes the place in the data and the noise.
          n_steps: Steps to take.
          seed: Of whatever the loss draws.
          permutation: Order of the rows; as they stand when left out.

        Returns:
          `(n_steps,)` losses, each the one before its step.
        """
        losses = self._run(
            tuple(data),
            tf.constant(order.rows(permutation)),
            tf.constant(order.starts(first_step, n_steps)),
            tf.constant(order.batch_size),
            tf.constant([seed, first_step], tf.int32),
        )
        return losses.numpy()

    def steps(
        self,
        data: tuple[tf.Tensor, ...],
        rows: tf.Tensor,
        starts: tf.Tensor,
        batch_size: tf.Tensor,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """The loop itself, to be called inside a graph.

        Args:
          data: Tensors `(n_rows, ...)`.
          rows: Row numbers in the order they are visited.
          starts: Where in `rows` each batch begins.
          batch_size: Scalar.
          seed: `(2,)` integers; the step's number is added to the second.

        Returns:
          A loss per start.
        """
        n_steps = tf.shape(starts)[0]
        losses = tf.TensorArray(tf.float32, size=n_steps)
        for step in tf.range(n_steps):
            batch_rows = rows[starts[step] : starts[step] + batch_size]
            batch = [tf.gather(tensor, batch_rows) for tensor in data]
            step_seed = seed + tf.stack([0, step])
            loss = train_step(
                self.row_loss, self.optimizer, batch, step_seed, divisible=self.divisible
            )
            losses = losses.write(step, loss)
        return losses.stack()


_PART_ROWS = 1024


class Forward:
    """A function of rows, compiled, that is applied to many rows in parts of one fixed size.

    Every row passes through a product of the same shape whatever stands beside it, so that a
    row's result does not depend on how many rows it came with. Two parts run side by side.

    Args:
      fn: `(rows, ...)` to `(rows, ...)`, each row on its own.
    """

    def __init__(self, fn: Callable[[tf.Tensor], tf.Tensor]) -> None:
        self._fn = fn
        self._run = tf.function(self._parts, reduce_retracing=True)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Applies the function to `x`, `(rows, ...)`."""
        return self._run(x)

    def _parts(self, x: tf.Tensor) -> tf.Tensor:
        n_rows = tf.shape(x)[0]
        starts = tf.range(0, n_rows, _PART_ROWS)
        spec = tf.TensorSpec((_PART_ROWS, *self._fn(x[:1]).shape[1:]))
        parts = tf.map_fn(
            lambda start: self._part(x, start),
            starts,
            fn_output_signature=spec,
            parallel_iterations=2,
        )
        return tf.reshape(parts, (-1, *spec.shape[1:]))[:n_rows]

    def _part(self, x: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
        rows = x[start : start + _PART_ROWS]
        missing = _PART_ROWS - tf.shape(rows)[0]
        padded = tf.pad(rows, [[0, missing], [0, 0]])
        return self._fn(tf.ensure_shape(padded, (_PART_ROWS, x.shape[1])))


def derived_seed(seed: int, *path: int) -> int:
    """A seed of its own for a part of a run, in [0, 2^31 - 1)."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1)[0] % (2**31 - 1))


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of training that can be entered at any step it has recorded.

    Attributes:
      name: As it stands in the records.
      n_steps: Steps it takes, at most.
      run: Takes the steps already done and yields a record whenever a resume may start there.
      optimizers: What trains in this phase; `run_phases` resets them at its start.
    """

    name: str
    n_steps: int
    run: Callable[[int], Iterator[Record]]
    optimizers: Sequence[Optimizer] = ()

    @property
    def state(self) -> list[tf.Variable]:
        """What a checkpoint must hold beside the model's own state."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    def is_finite(self) -> bool:
        """Whether all weights that are trained are finite numbers."""
        trained = (variable for optimizer in self.optimizers for variable in optimizer.trainable)
        return all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in trained)


class Checkpoint(Protocol):
    """Where `run_phases` keeps what a resume needs."""

    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        ...

    def save(self, phase: Phase, history: list[Record]) -> None:
        """Keeps the state after the last record of `history`, which belongs to `phase`."""
        ...

    def restore(self, phases: Sequence[Phase]) -> list[Record]:
        """Sets the state kept last and returns its history, empty if there is none."""
        ...


def run_phases(
    phases: Sequence[Phase],
    *,
    monitor: Monitor | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[Record]:
    """Walks through the phases, from the checkpoint on if there is one.

    Args:
      phases: In order.
      monitor: Called with every record.
      checkpoint: Saved when due, after each phase, and when `monitor` stops the run.

    Returns:
      All records, those before a resume included.

    Raises:
      TrainingError: If a loss is not finite; a checkpoint that was written before is kept.
    """
    history = checkpoint.restore(phases) if checkpoint else []
    reached = history[-1] if history else {"phase": phases[0].name, "step": 0}
    for phase in phases[[phase.name for phase in phases].index(reached["phase"]) :]:
        start = reached["step"] if phase.name == reached["phase"] else 0
        if start < phase.n_steps and not (start and reached.get("converged")):
            _run_phase(phase, start, history, monitor, checkpoint)
    return history


def _run_phase(
    phase: Phase,
    start: int,
    history: list[Record],
    monitor: Monitor | None,
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
        _after_record(phase, history, monitor, checkpoint)
    if checkpoint:
        checkpoint.save(phase, history)


def _after_record(
    phase: Phase, history: list[Record], monitor: Monitor | None, checkpoint: Checkpoint | None
) -> None:
    try:
        if monitor:
            monitor(history[-1])
    except BaseException:
        if checkpoint:
            checkpoint.save(phase, history)
        raise
    if checkpoint and checkpoint.due():
        checkpoint.save(phase, history)


def _check_finite(phase: Phase, record: Record) -> None:
    # a loss is the one before its step, so the last step shows in the weights alone
    if not math.isfinite(record.get("loss", 0.0)) or not phase.is_finite():
        raise diverged(f"in phase {phase.name!r} by step {record['step']}")


def diverged(where: str) -> TrainingError:
    """The error for numbers that are not finite any more."""
    return TrainingError(
        f"Training diverged {where}: a loss, a weight or an embedding is not finite. Lower the "
        "learning rate or scale the features; a checkpoint that was written before is kept."
    )
