"""The losses of ClusterGAN, as functions of tensors, without networks and optimizers.

Mukherjee, Asnani, Lin, Kannan: ClusterGAN: Latent Space Clustering in Generative Adversarial
Networks, AAAI 2019; `Image_ClusterGAN.py`, `Gene_ClusterGAN.py` and `pen_ClusterGAN.py` of
sudiptodip15/ClusterGAN. The critic's sign is opposite to the Wasserstein GAN paper's, which is
equivalent.
"""

from __future__ import annotations

import tensorflow as tf


def wasserstein(d_real: tf.Tensor, d_fake: tf.Tensor) -> tf.Tensor:
    """Computes the mean critic value of real samples minus that of generated ones.

    The critic minimizes it.

    Args:
      d_real: `(batch_size, 1)` critic values of real samples.
      d_fake: `(batch_size, 1)` critic values of generated samples.

    Returns:
      A scalar.
    """
    return tf.reduce_mean(d_real) - tf.reduce_mean(d_fake)


def interpolate(x: tf.Tensor, fake: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """Returns points between real and generated samples, where the gradient is penalized.

    Args:
      x: `(batch_size, n_features)` real samples.
      fake: `(batch_size, n_features)` generated samples.
      epsilon: Share of the real sample in [0, 1]: a scalar for the whole batch, as in the
        original, or `(batch_size, 1)`, as in the Wasserstein GAN paper.

    Returns:
      `(batch_size, n_features)`.
    """
    return epsilon * x + (1.0 - epsilon) * fake


def gradient_penalty(gradients: tf.Tensor, weight: float = 10.0) -> tf.Tensor:
    """Computes the penalty on critic gradients whose norm is not one.

    As in the original, nothing is added under the square root.

    Args:
      gradients: `(batch_size, n_features)` gradients of the critic at interpolated points.
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
    """Computes the loss that generator and encoder minimize together.

    Args:
      d_fake: `(batch_size, 1)` critic values of generated samples.
      noise: `(batch_size, n_noise)`, z_n.
      code: `(batch_size, n_clusters)` one-hot, z_c.
      noise_found: `(batch_size, n_noise)`, the encoder's z_n of the generated samples.
      logits: `(batch_size, n_clusters)`, the encoder's logits of z_c.
      beta_n: Weight of the squared error of z_n, a mean over all entries.
      beta_c: Weight of the cross entropy of z_c.

    Returns:
      A scalar.
    """
    noise_error = tf.reduce_mean(tf.math.squared_difference(noise, noise_found))
    code_error = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=code, logits=logits))
    return tf.reduce_mean(d_fake) + beta_n * noise_error + beta_c * code_error
