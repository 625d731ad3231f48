"""Gradients of a piecewise linear critic, in products of three batches at once.

A critic of dense and convolutional layers with leaky ReLUs is linear around each sample. The
derivative of the gradient penalty by a layer's weights therefore pairs the gradient that arrives
at the layer for an interpolated sample with one direction per sample, which passes forwards
through the same linear map. Real, generated and interpolated samples pass forwards together and
backwards together, the directions pass forwards, and all three batches give a layer's gradient in
one product. Automatic differentiation takes the batches one by one, passes backwards twice for
interpolated samples, and computes the second derivative of every activation, which is zero.
(Critics with normalization have such a form too, by the directional derivative of the
normalization; with one more batch to pass through, it took 15 % longer on Pendigits.)
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
    """Returns whether every layer is linear, reshapes, or is a leaky ReLU."""
    return all(
        layer.activation is tf.keras.activations.linear
        if hasattr(layer, "activation")
        else isinstance(layer, (tf.keras.layers.LeakyReLU, *_SHAPING))
        for layer in critic.layers
    )


def compute_gradients(
    critic: tf.keras.Model, x: tf.Tensor, fake: tf.Tensor, between: tf.Tensor, penalty: float
) -> tuple[tuple[tf.Tensor, tf.Tensor], list[tf.Tensor]]:
    """Computes the critic's two losses, and the gradient of their sum.

    Args:
      critic: A piecewise linear critic.
      x: `(batch_size, n_features)` real samples; the batch size is known when the graph is traced.
      fake: `(batch_size, n_features)` generated samples.
      between: `(batch_size, n_features)` interpolated samples.
      penalty: Weight of the gradient penalty.

    Returns:
      The Wasserstein term and the gradient penalty, scalars; and a gradient per variable of the
      critic, in their order.
    """
    layers = [_wrap(layer) for layer in critic.layers if not _does_nothing(layer)]
    size = x.shape[0]
    # Operations of one thread run side by side in two branches; those of several need no second.
    is_halved = tf.config.threading.get_intra_op_parallelism_threads() == 1 and size > 1
    sizes = [size // 2, size - size // 2] if is_halved else [size]
    parts = zip(*(tf.split(batch, sizes) for batch in (x, fake, between)), strict=True)
    found = [_compute_part(layers, part, size, penalty) for part in parts]
    wasserstein, value, *gradients = [tf.add_n(sums) for sums in zip(*found, strict=True)]
    return (wasserstein, value), gradients


def _compute_part(
    layers: Sequence[_Layer], batches: Sequence[tf.Tensor], size: int, penalty: float
) -> list[tf.Tensor]:
    """Computes the share of some samples, out of `size`, in both losses and all gradients."""
    n = batches[0].shape[0]
    entering = _pass_forwards(layers, tf.concat(batches, axis=0))
    slopes = [tf.fill((n, 1), slope) for slope in (1 / size, -1 / size, 1.0)]
    input_gradients, arriving = _pass_backwards(layers, entering, tf.concat(slopes, axis=0), n)
    with tf.GradientTape() as tape:
        tape.watch(input_gradients)
        value = n / size * gan_losses.gradient_penalty(input_gradients, penalty)
    directions = tape.gradient(value, input_gradients)
    d_real, d_fake, _ = tf.split(entering[-1], 3)
    wasserstein = n / size * gan_losses.wasserstein(d_real, d_fake)
    return [wasserstein, value, *_pass_directions(layers, entering, arriving, directions, n)]


def _pass_forwards(layers: Sequence[_Layer], x: tf.Tensor) -> list[tf.Tensor]:
    """Returns the input of each layer, and the output of the last."""
    entering = [x]
    for layer in layers:
        entering.append(layer.forwards(entering[-1]))
    return entering


def _pass_backwards(
    layers: Sequence[_Layer], entering: Sequence[tf.Tensor], delta: tf.Tensor, n: int
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns the gradients by the last `n` inputs, and for all samples by each layer's output."""
    first = next(i for i, layer in enumerate(layers) if isinstance(layer, _Product))
    arriving: list[tf.Tensor] = []
    for i, layer in reversed(list(enumerate(layers))):
        arriving.insert(0, delta)
        below, above = entering[i], entering[i + 1]
        if i <= first:  # the gradient by real or generated samples is not needed
            below, above, delta = below[-n:], above[-n:], delta[-n:]
        delta = layer.backwards(delta, below, above)
    return delta, arriving


def _pass_directions(
    layers: Sequence[_Layer],
    entering: Sequence[tf.Tensor],
    arriving: Sequence[tf.Tensor],
    directions: tf.Tensor,
    n: int,
) -> list[tf.Tensor]:
    """Passes the directions forwards to each product, and returns the gradients by its weights."""
    gradients = []
    for i, layer in enumerate(layers):
        if isinstance(layer, _Product):
            gradients += layer.gradients(entering[i][:-n], directions, arriving[i])
        if i + 1 < len(layers):
            directions = layer.along(directions, entering[i + 1][-n:])
    return gradients


class _Product(NamedTuple):
    """A dense or convolutional layer, its kernel in the precision of the product."""

    layer: tf.keras.layers.Layer
    kernel: tf.Tensor

    def forwards(self, h: tf.Tensor) -> tf.Tensor:
        return tf.nn.bias_add(self._product(h), tf.cast(self.layer.bias, tf.float32))

    def backwards(self, delta: tf.Tensor, below: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del above
        with tf.GradientTape() as tape:
            tape.watch(below)
            product = self._product(below)
        return tape.gradient(product, below, delta)

    def along(self, directions: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del above
        return self._product(directions)

    def gradients(self, h: tf.Tensor, directions: tf.Tensor, delta: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients by kernel and bias; directions do not depend on the bias."""
        with tf.GradientTape() as tape:
            tape.watch(self.kernel)
            product = self._product(tf.concat([h, directions], axis=0))
        by_kernel = tf.cast(tape.gradient(product, self.kernel, delta), tf.float32)
        with_bias = delta[: tf.shape(h)[0]]
        return [by_kernel, tf.reduce_sum(with_bias, axis=list(range(delta.shape.rank - 1)))]

    def _product(self, h: tf.Tensor) -> tf.Tensor:
        is_dense = isinstance(self.layer, tf.keras.layers.Dense)
        product = tf.matmul if is_dense else self.layer.convolution_op
        return tf.cast(product(tf.cast(h, self.kernel.dtype), self.kernel), tf.float32)


class _Leaky(NamedTuple):
    """A leaky ReLU; its slope follows from the sign of its output as well as of its input."""

    layer: tf.keras.layers.Layer

    def forwards(self, h: tf.Tensor) -> tf.Tensor:
        return self.layer(h)

    def backwards(self, delta: tf.Tensor, below: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del below  # so that TensorFlow fuses bias and leaky ReLU with the product before them
        return self.along(delta, above)

    def along(self, directions: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.LeakyReluGrad(
            gradients=directions, features=above, alpha=negative_slope(self.layer)
        )


class _Shaping(NamedTuple):
    """A layer that reshapes."""

    layer: tf.keras.layers.Layer

    def forwards(self, h: tf.Tensor) -> tf.Tensor:
        return self.layer(h)

    def backwards(self, delta: tf.Tensor, below: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del above
        return tf.reshape(delta, tf.shape(below))

    def along(self, directions: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        del above
        return self.layer(directions)


_Layer = _Product | _Leaky | _Shaping


def _wrap(layer: tf.keras.layers.Layer) -> _Layer:
    if isinstance(layer, _PRODUCTS):
        return _Product(layer, tf.cast(layer.kernel, layer.compute_dtype))
    if isinstance(layer, tf.keras.layers.LeakyReLU):
        return _Leaky(layer)
    return _Shaping(layer)


def _does_nothing(layer: tf.keras.layers.Layer) -> bool:
    """Returns whether this is the cast to float32 that ends a critic in bfloat16."""
    return isinstance(layer, tf.keras.layers.Activation)
