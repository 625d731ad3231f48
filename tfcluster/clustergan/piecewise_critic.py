"""The critic's gradients where it is piecewise linear, in products of three batches at once.

A critic of dense and convolutional layers with leaky ReLUs is linear around each row. So the
gradient penalty, differentiated by a layer's weights, pairs what comes down to that layer at the
interpolated rows with one direction per row on its way up through the same linear map. Real,
generated and interpolated rows go up together and come down together, the directions go up, and
all three batches give a layer's gradient in one product. Automatic differentiation takes the
batches one by one, comes down twice at the interpolated rows and carries zeros through the second
derivative of every activation. (Critics that normalise have such a form too, by the directional
derivative of the normalisation; with one more batch to pass through it took 1.15 of the time on
Pendigits.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfcluster.clustergan import losses as gan_losses
from tfcluster.keras_versions import negative_slope

_PRODUCTS = (tf.keras.layers.Dense, tf.keras.layers.Conv2D)
_SHAPING = (tf.keras.layers.Reshape, tf.keras.layers.Flatten)


def is_piecewise_linear(critic: tf.keras.Model) -> bool:
    """Whether every layer is linear, reshapes, or is a leaky ReLU: see `losses_and_gradients`."""
    return all(
        layer.activation is tf.keras.activations.linear
        if hasattr(layer, "activation")
        else isinstance(layer, (tf.keras.layers.LeakyReLU, *_SHAPING))
        for layer in critic.layers
    )


def losses_and_gradients(
    critic: tf.keras.Model, x: tf.Tensor, fake: tf.Tensor, between: tf.Tensor, penalty: float
) -> tuple[tuple[tf.Tensor, tf.Tensor], list[tf.Tensor]]:
    """The critic's two losses, and the gradient of their sum.

    Args:
      critic: A piecewise linear critic.
      x: `(rows, features)` real rows, their number known when the graph is traced.
      fake: `(rows, features)` generated rows.
      between: `(rows, features)` interpolated rows.
      penalty: Weight of the gradient penalty.

    Returns:
      The Wasserstein term and the gradient penalty, scalars; and the gradient by the critic's
      variables, in their order.
    """
    stages = [_stage(layer) for layer in critic.layers if not _does_nothing(layer)]
    n_rows = x.shape[0]
    # An operation of one thread runs beside that of another branch; one of several needs none.
    is_halved = tf.config.threading.get_intra_op_parallelism_threads() == 1 and n_rows > 1
    sizes = [n_rows // 2, n_rows - n_rows // 2] if is_halved else [n_rows]
    parts = zip(*(tf.split(rows, sizes) for rows in (x, fake, between)), strict=True)
    found = [_part(stages, part, n_rows, penalty) for part in parts]
    wasserstein, value, *gradients = [tf.add_n(sums) for sums in zip(*found, strict=True)]
    return (wasserstein, value), gradients


def _part(
    stages: Sequence[_Stage], batches: Sequence[tf.Tensor], n_rows: int, penalty: float
) -> list[tf.Tensor]:
    """Both losses and the gradients, as far as these rows out of `n_rows` have a share in them."""
    n = batches[0].shape[0]
    entering = _up(stages, tf.concat(batches, axis=0))
    slopes = [tf.fill((n, 1), slope) for slope in (1 / n_rows, -1 / n_rows, 1.0)]
    to_rows, arriving = _down(stages, entering, tf.concat(slopes, axis=0), n)
    with tf.GradientTape() as tape:
        tape.watch(to_rows)
        value = n / n_rows * gan_losses.gradient_penalty(to_rows, penalty)
    directions = tape.gradient(value, to_rows)
    d_real, d_fake, _ = tf.split(entering[-1], 3)
    wasserstein = n / n_rows * gan_losses.wasserstein(d_real, d_fake)
    return [wasserstein, value, *_along(stages, entering, arriving, directions, n)]


def _up(stages: Sequence[_Stage], rows: tf.Tensor) -> list[tf.Tensor]:
    """What enters each stage, and what leaves the last."""
    entering = [rows]
    for stage in stages:
        entering.append(stage.up(entering[-1]))
    return entering


def _down(
    stages: Sequence[_Stage], entering: Sequence[tf.Tensor], delta: tf.Tensor, n: int
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """What comes down to the last `n` rows, and for all rows to each stage's output."""
    first = next(i for i, stage in enumerate(stages) if isinstance(stage, _Product))
    arriving: list[tf.Tensor] = []
    for i, stage in reversed(list(enumerate(stages))):
        arriving.insert(0, delta)
        below, above = entering[i], entering[i + 1]
        if i <= first:  # nobody asks for the gradient by real or generated rows
            below, above, delta = below[-n:], above[-n:], delta[-n:]
        delta = stage.down(delta, below, above)
    return delta, arriving


def _along(
    stages: Sequence[_Stage],
    entering: Sequence[tf.Tensor],
    arriving: Sequence[tf.Tensor],
    directions: tf.Tensor,
    n: int,
) -> list[tf.Tensor]:
    """Takes the directions up to each product and gives the gradients by its weights."""
    gradients = []
    for i, stage in enumerate(stages):
        if isinstance(stage, _Product):
            gradients += stage.gradients(entering[i][:-n], directions, arriving[i])
        if i + 1 < len(stages):
            directions = stage.along(directions, entering[i + 1][-n:])
    return gradients


class _Product(NamedTuple):
    """A dense or convolutional layer, its kernel in the precision the product is taken in."""

    layer: tf.keras.layers.Layer
    kernel: tf.Tensor

    def up(self, h: tf.Tensor) -> tf.Tensor:
        return tf.nn.bias_add(self._product(h), tf.cast(self.layer.bias, tf.float32))

    def down(self, delta: tf.Tensor, below: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del above
        with tf.GradientTape() as tape:
            tape.watch(below)
            product = self._product(below)
        return tape.gradient(product, below, delta)

    def along(self, directions: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del above
        return self._product(directions)

    def gradients(
        self, rows: tf.Tensor, directions: tf.Tensor, delta: tf.Tensor
    ) -> list[tf.Tensor]:
        """By kernel and bias; directions pass by the bias."""
        with tf.GradientTape() as tape:
            tape.watch(self.kernel)
            product = self._product(tf.concat([rows, directions], axis=0))
        by_kernel = tf.cast(tape.gradient(product, self.kernel, delta), tf.float32)
        with_bias = delta[: tf.shape(rows)[0]]
        return [by_kernel, tf.reduce_sum(with_bias, axis=list(range(delta.shape.rank - 1)))]

    def _product(self, h: tf.Tensor) -> tf.Tensor:
        is_dense = isinstance(self.layer, tf.keras.layers.Dense)
        product = tf.matmul if is_dense else self.layer.convolution_op
        return tf.cast(product(tf.cast(h, self.kernel.dtype), self.kernel), tf.float32)


class _Leaky(NamedTuple):
    """A leaky ReLU, whose slope shows in the sign of what leaves it as well as of what enters."""

    layer: tf.keras.layers.Layer

    def up(self, h: tf.Tensor) -> tf.Tensor:
        return self.layer(h)

    def down(self, delta: tf.Tensor, below: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del below  # so that bias and leaky ReLU melt into the product before them
        return self.along(delta, above)

    def along(self, directions: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.LeakyReluGrad(
            gradients=directions, features=above, alpha=negative_slope(self.layer)
        )


class _Shaping(NamedTuple):
    """A layer that reshapes."""

    layer: tf.keras.layers.Layer

    def up(self, h: tf.Tensor) -> tf.Tensor:
        return self.layer(h)

    def down(self, delta: tf.Tensor, below: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del above
        return tf.reshape(delta, tf.shape(below))

    def along(self, directions: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del above
        return self.layer(directions)


_Stage = _Product | _Leaky | _Shaping


def _stage(layer: tf.keras.layers.Layer) -> _Stage:
    if isinstance(layer, _PRODUCTS):
        return _Product(layer, tf.cast(layer.kernel, layer.compute_dtype))
    if isinstance(layer, tf.keras.layers.LeakyReLU):
        return _Leaky(layer)
    return _Shaping(layer)


def _does_nothing(layer: tf.keras.layers.Layer) -> bool:
    """The last layer of a critic in bfloat16, which widens what is wide here anyway."""
    return isinstance(layer, tf.keras.layers.Activation)
