"""The training step, and the compiled loop around it.

A model supplies a loss function that maps a batch to one loss per sample. `train_step` turns it
into one optimizer step; `TrainingLoop` runs many steps per call on data that stay on the device.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfcluster.training.optimizers import Optimizer

# Quiets TensorFlow's messages in Python's log as those on the terminal.
if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3":
    tf.get_logger().setLevel("ERROR")

SampleLoss = Callable[..., tf.Tensor]
"""Maps a batch (tensors with an entry per sample) and a seed, `(2,)`, to `(batch_size,)` losses."""

STEPS_PER_CALL = 200
"""Steps between two records in phases without epochs; an interrupt waits for them at most."""

_BRANCH_WEIGHTS = 500_000
"""Number of weights from which a batch is halved over two branches of the graph."""


def train_step(
    sample_loss: SampleLoss,
    optimizer: Optimizer,
    batch: Sequence[tf.Tensor],
    seed: tf.Tensor,
    *,
    divisible: bool = True,
) -> tf.Tensor:
    """Takes one optimizer step along the gradient of the batch's mean loss.

    Args:
      sample_loss: The loss of each sample.
      optimizer: Holds the variables that are trained.
      batch: Tensors `(batch_size, ...)`.
      seed: `(2,)` integers for whatever `sample_loss` draws.
      divisible: Whether a sample's loss depends only on that sample, so that a batch may be
        divided.

    Returns:
      The mean loss before the step, a scalar.
    """
    n_samples = tf.cast(tf.shape(batch[0])[0], tf.float32)
    losses, gradients = [], []
    n_weights = sum(math.prod(v.shape) for v in optimizer.trainable)
    halve = divisible and n_weights >= _BRANCH_WEIGHTS
    for part, part_seed in _halve(batch, seed) if halve else [(batch, seed)]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(sample_loss(*part, seed=part_seed)) / n_samples
        losses.append(loss)
        gradients.append(tape.gradient(loss, optimizer.trainable))
    optimizer.apply([tf.add_n(parts) for parts in zip(*gradients, strict=True)])
    return tf.add_n(losses)


def _halve(
    batch: Sequence[tf.Tensor], seed: tf.Tensor
) -> list[tuple[Sequence[tf.Tensor], tf.Tensor]]:
    """Returns the batch in two halves, each with its own seed.

    A product of 256 samples gains nothing from a second thread, but two products of 128 samples
    run side by side: on two cores (intra-op threads 1, inter-op threads 2), an epoch of DEC's
    autoencoder took 60 % of the time. The sum of the halves' gradients is the whole batch's.
    """
    half = tf.shape(batch[0])[0] // 2
    return [
        ([tensor[:half] for tensor in batch], seed),
        ([tensor[half:] for tensor in batch], seed + [0, 1 << 30]),
    ]


@dataclasses.dataclass(frozen=True)
class BatchOrder:
    """The samples of each batch.

    Attributes:
      n_samples: Number of samples in the data.
      batch_size: Samples per batch.
      wrap: Whether a batch that reaches the end continues with the first samples (Caffe) instead
        of being short (Keras).
    """

    n_samples: int
    batch_size: int
    wrap: bool = False

    @property
    def steps_per_pass(self) -> int:
        """Steps that visit every sample; the last batch may be short, but none is empty."""
        return math.ceil(self.n_samples / self.batch_size)

    def list_samples(self, permutation: np.ndarray | None = None) -> np.ndarray:
        """Returns the numbers of samples in the order of their visits.

        Args:
          permutation: `(n_samples,)` order of the samples; that of the data if left out.

        Returns:
          `(n_samples,)` int32, or `(n_samples + batch_size,)` where batches wrap.
        """
        order = np.arange(self.n_samples) if permutation is None else permutation
        if self.wrap:
            order = np.resize(order, self.n_samples + self.batch_size)
        return order.astype(np.int32)

    def list_starts(self, first_step: int, n_steps: int) -> np.ndarray:
        """Returns where in `list_samples` the batches of these steps begin, `(n_steps,)` int32."""
        steps = np.arange(first_step, first_step + n_steps, dtype=np.int64)
        if self.wrap:
            return (steps * self.batch_size % self.n_samples).astype(np.int32)
        return (steps % self.steps_per_pass * self.batch_size).astype(np.int32)


class TrainingLoop:
    """Runs many steps per call, on data that stay on the device.

    Args:
      sample_loss: The loss of each sample.
      optimizer: Holds the variables that are trained.
      divisible: See `train_step`.
    """

    def __init__(
        self, sample_loss: SampleLoss, optimizer: Optimizer, *, divisible: bool = True
    ) -> None:
        self.sample_loss = sample_loss
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
          data: Tensors `(n_samples, ...)`; a batch takes the same samples of each.
          order: The samples of each batch.
          first_step: Number of steps taken before; decides the place in the data and the noise.
          n_steps: Number of steps to take.
          seed: Seed of whatever the loss draws.
          permutation: `(n_samples,)` order of the samples; that of the data if left out.

        Returns:
          `(n_steps,)` losses, each before its step.
        """
        losses = self._run(
            tuple(data),
            tf.constant(order.list_samples(permutation)),
            tf.constant(order.list_starts(first_step, n_steps)),
            tf.constant(order.batch_size),
            tf.constant([seed, first_step], tf.int32),
        )
        return losses.numpy()

    def steps(
        self,
        data: tuple[tf.Tensor, ...],
        samples: tf.Tensor,
        starts: tf.Tensor,
        batch_size: tf.Tensor,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """Takes one step per start; to be called inside a graph.

        Args:
          data: Tensors `(n_samples, ...)`.
          samples: Numbers of samples in the order of their visits, `BatchOrder.list_samples`.
          starts: `(n_steps,)`, where in `samples` each batch begins.
          batch_size: Scalar.
          seed: `(2,)` integers; the step's number is added to the second.

        Returns:
          `(n_steps,)` losses.
        """
        n_steps = tf.shape(starts)[0]
        losses = tf.TensorArray(tf.float32, size=n_steps)
        for step in tf.range(n_steps):
            numbers = samples[starts[step] : starts[step] + batch_size]
            batch = [tf.gather(tensor, numbers) for tensor in data]
            step_seed = seed + tf.stack([0, step])
            loss = train_step(
                self.sample_loss, self.optimizer, batch, step_seed, divisible=self.divisible
            )
            losses = losses.write(step, loss)
        return losses.stack()


_PART_SAMPLES = 1024


class Forward:
    """A compiled function of samples that takes them in parts of one fixed size.

    Every sample passes through products of the same shape, so that its result does not depend on
    how many samples come with it. Two parts run side by side.

    Args:
      fn: Maps `(n_samples, n_features)` to `(n_samples, ...)`, each sample by itself.
    """

    def __init__(self, fn: Callable[[tf.Tensor], tf.Tensor]) -> None:
        self._fn = fn
        self._run = tf.function(self._parts, reduce_retracing=True)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Applies the function to `x`, `(n_samples, n_features)`."""
        return self._run(x)

    def _parts(self, x: tf.Tensor) -> tf.Tensor:
        n_samples = tf.shape(x)[0]
        starts = tf.range(0, n_samples, _PART_SAMPLES)
        spec = tf.TensorSpec((_PART_SAMPLES, *self._fn(x[:1]).shape[1:]))
        parts = tf.map_fn(
            lambda start: self._apply(x, start),
            starts,
            fn_output_signature=spec,
            parallel_iterations=2,
        )
        return tf.reshape(parts, (-1, *spec.shape[1:]))[:n_samples]

    def _apply(self, x: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
        part = x[start : start + _PART_SAMPLES]
        missing = _PART_SAMPLES - tf.shape(part)[0]
        padded = tf.pad(part, [[0, missing], [0, 0]])
        return self._fn(tf.ensure_shape(padded, (_PART_SAMPLES, x.shape[1])))


def derive_seed(seed: int, *path: int) -> int:
    """Returns the seed of a part of a run, in [0, 2^31 - 1).

    Args:
      seed: Seed of the run.
      path: Numbers that tell the part from others.
    """
    return int(np.random.SeedSequence([seed, *path]).generate_state(1)[0] % (2**31 - 1))
