"""The one training step, and the compiled loop around it.

A model supplies a loss function that maps a batch to one loss per sample. `train_step` turns it
into one optimizer step; `TrainingLoop` runs many steps per call on data that stays on the device.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfcluster.training.optimizers import Optimizer

# What TensorFlow writes to Python's log is as quiet as what it writes to the terminal.
if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3":
    tf.get_logger().setLevel("ERROR")

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
