"""The critic's losses where the critic is piecewise linear, in products of three batches at once.

A critic of dense and convolutional layers with leaky ReLUs is linear around each row, so the
gradient penalty, differentiated by the weights, is what the linear map found at the interpolated
rows makes of one direction per row. That map shares its weights with the critic on real and
generated rows: all three pass through one product per layer. Automatic differentiation instead
takes the three batches one by one and carries zeros through the second derivative of every
activation; a critic step on MNIST's networks takes four fifths of that time here, in bfloat16 half
of it. (Critics that normalise have such a form too, by the directional derivative of the
normalisation; with one more batch to pass through it took 1.15 of the time on Pendigits.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from tfcluster import gan_losses

Kernels = Mapping[str, tf.Tensor]
Activate = Callable[[tf.keras.layers.Layer, tf.Tensor], tf.Tensor]

_PRODUCTS = (tf.keras.layers.Dense, tf.keras.layers.Conv2D)
_SHAPING = (tf.keras.layers.Reshape, tf.keras.layers.Flatten)


def is_piecewise_linear(critic: tf.keras.Model) -> bool:
    """Whether `losses` may be used: every layer is linear, reshapes, or is a leaky ReLU."""
    return all(
        layer.activation is tf.keras.activations.linear
        if hasattr(layer, "activation")
        else isinstance(layer, (tf.keras.layers.LeakyReLU, *_SHAPING))
        for layer in critic.layers
    )


def losses(
    critic: tf.keras.Model, x: tf.Tensor, fake: tf.Tensor, between: tf.Tensor, penalty: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The Wasserstein term and the gradient penalty, with the gradients of both.

    Args:
      critic: A piecewise linear critic.
      x: `(rows, features)` real rows, their number known when the graph is traced.
      fake: `(rows, features)` generated rows.
      between: `(rows, features)` interpolated rows.
      penalty: Weight of the gradient penalty.

    Returns:
      Two scalars.
    """
    kernels = {
        layer.name: tf.cast(layer.kernel, layer.compute_dtype)
        for layer in critic.layers
        if isinstance(layer, _PRODUCTS)
    }
    n_rows = x.shape[0]
    halves = [n_rows // 2, n_rows - n_rows // 2] if n_rows > 1 else [n_rows]
    total = [tf.constant(0.0), tf.constant(0.0)]
    # Two branches of the graph run side by side, where one product of so few rows would not.
    parts = [tf.split(rows, halves) for rows in (x, fake, between)]
    for size, *part in zip(halves, *parts, strict=True):
        found = _losses_of_part(critic, kernels, part, penalty)
        total = [sum_ + size / n_rows * loss for sum_, loss in zip(total, found, strict=True)]
    return total[0], total[1]


def _losses_of_part(
    critic: tf.keras.Model,
    kernels: Kernels,
    batches: Sequence[tf.Tensor],
    penalty: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    x, fake, between = batches
    features, gradients = _linearise(critic, kernels, between)
    with tf.GradientTape() as tape:
        tape.watch(gradients)
        value = gan_losses.gradient_penalty(gradients, penalty)
    directions = tape.gradient(value, gradients)
    rows = tf.concat([x, fake], axis=0)
    d_real, d_fake, along = tf.split(_joint_pass(critic, kernels, rows, directions, features), 3)
    # `along` has the penalty's gradient by the weights, but not its value.
    along = tf.reduce_sum(along)
    return gan_losses.wasserstein(d_real, d_fake), value + along - tf.stop_gradient(along)


def _linearise(
    critic: tf.keras.Model, kernels: Kernels, rows: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """What enters each activation, which is its slope, and the critic's gradient, at `rows`."""
    features = []

    def activate(layer: tf.keras.layers.Layer, h: tf.Tensor) -> tf.Tensor:
        features.append(tf.stop_gradient(h))
        return layer(h)

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(rows)
        value = _pass(critic, kernels, rows, tf.constant(1.0), activate)
    return features, tf.stop_gradient(tape.gradient(value, rows))


def _joint_pass(
    critic: tf.keras.Model,
    kernels: Kernels,
    rows: tf.Tensor,
    directions: tf.Tensor,
    features: list[tf.Tensor],
) -> tf.Tensor:
    """The critic on `rows`, and below it the linear map with the slopes of `features`."""
    n_rows, n_mapped = tf.shape(rows)[0], tf.shape(directions)[0]
    found = iter(features)

    def activate(layer: tf.keras.layers.Layer, h: tf.Tensor) -> tf.Tensor:
        values, mapped = tf.split(h, [n_rows, n_mapped])  # the gradient of slices is slow
        slopes = {"features": next(found), "alpha": float(layer.alpha)}
        mapped = tf.raw_ops.LeakyReluGrad(gradients=mapped, **slopes)
        return tf.concat([layer(values), mapped], axis=0)

    h = tf.concat([rows, directions], axis=0)
    has_bias = tf.cast(tf.range(n_rows + n_mapped) < n_rows, tf.float32)  # directions have none
    return _pass(critic, kernels, h, has_bias, activate)


def _pass(
    critic: tf.keras.Model, kernels: Kernels, h: tf.Tensor, has_bias: tf.Tensor, activate: Activate
) -> tf.Tensor:
    """The critic's layers with given kernels, activations, and biases for some rows only."""
    for layer in critic.layers:
        if isinstance(layer, tf.keras.layers.LeakyReLU):
            h = activate(layer, h)
        elif isinstance(layer, _PRODUCTS):
            kernel = kernels[layer.name]
            is_dense = isinstance(layer, tf.keras.layers.Dense)
            product = tf.matmul if is_dense else layer.convolution_op
            h = tf.cast(product(tf.cast(h, kernel.dtype), kernel), tf.float32)
            bias = tf.cast(layer.bias, tf.float32)
            h += tf.reshape(has_bias, (-1, *[1] * (h.shape.rank - 1))) * bias
        else:
            h = layer(h)
    return h
