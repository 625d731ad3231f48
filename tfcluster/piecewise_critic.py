"""The critic's losses where the critic is piecewise linear, in products of three batches at once.

A critic of dense and convolutional layers with leaky ReLUs is linear around each row, so the
gradient penalty, differentiated by the weights, is what the linear map found at the interpolated
rows makes of one direction per row. That map shares its weights with the critic on real and
generated rows: all three pass through one product per layer. Automatic differentiation instead
takes the three batches one by one and carries zeros through the second derivative of every
activation; a critic step on MNIST's networks takes LATER of that time here.
"""

from __future__ import annotations

import tensorflow as tf

from tfcluster import gan_losses

Slopes = list[tf.Tensor]


def is_piecewise_linear(critic: tf.keras.Model) -> bool:
    """Whether `losses` may be used: every layer is linear, reshapes, or is a leaky ReLU."""
    return all(_is_linear(layer) or isinstance(layer, _PIECEWISE) for layer in critic.layers)


def losses(
    critic: tf.keras.Model, x: tf.Tensor, fake: tf.Tensor, between: tf.Tensor, penalty: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The Wasserstein term and the gradient penalty, with the gradients of both.

    Args:
      critic: A piecewise linear critic.
      x: `(rows, features)` real rows.
      fake: `(rows, features)` generated rows.
      between: `(rows, features)` interpolated rows.
      penalty: Weight of the gradient penalty.

    Returns:
      Two scalars.
    """
    slopes, gradients = _linearise(critic, between)
    with tf.GradientTape() as tape:
        tape.watch(gradients)
        value = gan_losses.gradient_penalty(gradients, penalty)
    directions = tape.gradient(value, gradients)
    d_real, d_fake, along = tf.split(
        _joint_pass(critic, tf.concat([x, fake], axis=0), directions, slopes), 3
    )
    # `along` has the penalty's gradient by the weights, but not its value.
    along = tf.reduce_sum(along)
    return gan_losses.wasserstein(d_real, d_fake), value + along - tf.stop_gradient(along)


def _linearise(critic: tf.keras.Model, rows: tf.Tensor) -> tuple[Slopes, tf.Tensor]:
    """Whether each unit is on its steep side, and the critic's gradient, at `rows`."""
    steep = []
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(rows)
        h = rows
        for layer in critic.layers:
            if isinstance(layer, tf.keras.layers.LeakyReLU):
                steep.append(tf.stop_gradient(tf.cast(h, tf.float32)))
            h = layer(h)
    return steep, tf.stop_gradient(tape.gradient(h, rows))


def _joint_pass(
    critic: tf.keras.Model, rows: tf.Tensor, directions: tf.Tensor, steep: Slopes
) -> tf.Tensor:
    """The critic on `rows`, and below it the linear map of `steep` on `directions`."""
    n_rows = tf.shape(rows)[0]
    h = tf.concat([rows, directions], axis=0)
    found = iter(steep)
    for layer in critic.layers:
        if isinstance(layer, tf.keras.layers.LeakyReLU):
            values, mapped = tf.split(h, [n_rows, -1])  # slices have a slow gradient
            mapped = tf.raw_ops.LeakyReluGrad(
                gradients=mapped, features=next(found), alpha=float(layer.alpha)
            )
            h = tf.concat([layer(values), mapped], axis=0)
        elif isinstance(layer, tf.keras.layers.Dense):
            h = _with_bias(tf.matmul(*_in_precision(layer, h)), layer.bias, n_rows)
        elif isinstance(layer, tf.keras.layers.Conv2D):
            h = _with_bias(layer.convolution_op(*_in_precision(layer, h)), layer.bias, n_rows)
        else:
            h = layer(h)
    return h


def _in_precision(layer: tf.keras.layers.Layer, h: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.cast(h, layer.compute_dtype), tf.cast(layer.kernel, layer.compute_dtype)


def _with_bias(h: tf.Tensor, bias: tf.Tensor, n_rows: tf.Tensor) -> tf.Tensor:
    """Adds the bias to the first rows only: directions have none."""
    shape = [tf.shape(h)[0], *[1] * (h.shape.rank - 1)]
    has_bias = tf.reshape(tf.cast(tf.range(shape[0]) < n_rows, tf.float32), shape)
    return tf.cast(h, tf.float32) + has_bias * tf.cast(bias, tf.float32)


_SHAPING = (tf.keras.layers.Reshape, tf.keras.layers.Flatten)
_PIECEWISE = (tf.keras.layers.LeakyReLU, *_SHAPING)


def _is_linear(layer: tf.keras.layers.Layer) -> bool:
    kinds = (tf.keras.layers.Dense, tf.keras.layers.Conv2D, tf.keras.layers.Activation)
    return isinstance(layer, kinds) and layer.activation is tf.keras.activations.linear
