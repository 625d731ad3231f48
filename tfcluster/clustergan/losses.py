"""The losses of ClusterGAN, as functions of tensors: no networks, no optimisers.

Mukherjee, Asnani, Lin, Kannan: ClusterGAN: Latent Space Clustering in Generative Adversarial
Networks, AAAI 2019; `Image_ClusterGAN.py`, `Gene_ClusterGAN.py` and `pen_ClusterGAN.py` of
sudiptodip15/ClusterGAN. The critic's sign is the reverse of the Wasserstein GAN paper's, which is
equivalent.
"""

from __future__ import annotations

import tensorflow as tf


def wasserstein(d_real: tf.Tensor, d_fake: tf.Tensor) -> tf.Tensor:
    """Mean critic value of real rows minus that of generated ones; the critic makes it small.

    Args:
      d_real: `(rows, 1)` critic values of real rows.
      d_fake: `(rows, 1)` critic values of generated rows.

    Returns:
      A scalar.
    """
    return tf.reduce_mean(d_real) - tf.reduce_mean(d_fake)


def interpolate(x: tf.Tensor, fake: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """Points between real and generated rows, where the gradient is penalised.

    Args:
      x: `(rows, features)` real rows.
      fake: `(rows, features)` generated rows.
      epsilon: Share of the real row in [0, 1]: a scalar for the whole batch, as the original
        draws it, or `(rows, 1)`, as the Wasserstein GAN paper does.

    Returns:
      `(rows, features)`.
    """
    return epsilon * x + (1.0 - epsilon) * fake


def gradient_penalty(gradients: tf.Tensor, weight: float = 10.0) -> tf.Tensor:
    """Penalty on critics whose gradient has another norm than one.

    As in the original, nothing is added under the square root.

    Args:
      gradients: `(rows, features)` gradients of the critic at interpolated points.
      weight: Factor of the penalty.

    Returns:
      A scalar.
    """
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=1))
    return weight * tf.reduce_mean(tf.square(norm - 1.0))


def generator_encoder_loss(
    d_fake: tf.Tensor,
    noise: tf.Tensor,
    code: tf.Tensor,
    noise_found: tf.Tensor,
    logits: tf.Tensor,
    beta_n: float,
    beta_c: float,
) -> tf.Tensor:
    """What generator and encoder make small together.

    Args:
      d_fake: `(rows, 1)` critic values of generated rows.
      noise: `(rows, n_noise)`, z_n.
      code: `(rows, clusters)` one-hot, z_c.
      noise_found: `(rows, n_noise)`, the encoder's z_n of the generated rows.
      logits: `(rows, clusters)`, the encoder's logits of z_c.
      beta_n: Weight of the squared error of z_n, a mean over all entries.
      beta_c: Weight of the cross entropy of z_c.

    Returns:
      A scalar.
    """
    noise_error = tf.reduce_mean(tf.math.squared_difference(noise, noise_found))
    code_error = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=code, logits=logits))
    return tf.reduce_mean(d_fake) + beta_n * noise_error + beta_c * code_error
