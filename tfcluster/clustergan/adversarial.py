"""What ClusterGAN learns by: latent rows, the critic's step, the generator's and encoder's step.

Matches `Image_ClusterGAN.py`, `Gene_ClusterGAN.py` and `pen_ClusterGAN.py` of
sudiptodip15/ClusterGAN. Steps take all their numbers as arguments, so that a test can give the
original's and federated training can reuse them.
"""

from __future__ import annotations

import tensorflow as tf

from tfcluster.clustergan import losses as gan_losses
from tfcluster.clustergan import piecewise_critic
from tfcluster.clustergan.networks import Networks
from tfcluster.config import GANConfig
from tfcluster.layers import BatchStatisticsNormalization
from tfcluster.training.optimizers import Optimizer


def sample_latent(n_rows: int, n_clusters: int, config: GANConfig, seed: tf.Tensor) -> tf.Tensor:
    """Latent rows z = (z_n, z_c): scaled Gaussian noise and a one-hot cluster, uniform.

    Args:
      n_rows: Rows.
      n_clusters: Length of z_c.
      config: `n_noise` and `noise_scale` are read.
      seed: `(2,)` integers.

    Returns:
      `(n_rows, n_noise + n_clusters)`.
    """
    noise_seed, cluster_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    noise = tf.random.stateless_normal((n_rows, config.n_noise), noise_seed)
    clusters = tf.random.stateless_uniform(
        (n_rows,), cluster_seed, maxval=n_clusters, dtype=tf.int32
    )
    return tf.concat([config.noise_scale * noise, tf.one_hot(clusters, n_clusters)], axis=1)


def generate(generator: tf.keras.Model, z: tf.Tensor, n_batches: int = 1) -> tf.Tensor:
    """Generated rows of several batches at once, each normalised by itself.

    Args:
      generator: The generator.
      z: `(n_batches * rows, n_noise + clusters)` latent rows, batch below batch.
      n_batches: Batches, all of one size.

    Returns:
      `(n_batches * rows, features)`; what the generator makes of each batch alone.
    """
    h = z
    for layer in generator.layers:
        is_by_batch = isinstance(layer, BatchStatisticsNormalization)
        h = layer(h, n_batches=n_batches) if is_by_batch else layer(h)
    return h


def critic_loss(
    critic: tf.keras.Model, x: tf.Tensor, fake: tf.Tensor, epsilon: tf.Tensor, config: GANConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """The critic's two losses on one batch.

    Real, generated and interpolated rows are each normalised over themselves.

    Args:
      critic: The critic.
      x: `(rows, features)` real rows.
      fake: `(rows, features)` generated rows.
      epsilon: See `gan_losses.interpolate`.
      config: `penalty` is read.

    Returns:
      The Wasserstein term and the gradient penalty, scalars.
    """
    between = gan_losses.interpolate(x, fake, epsilon)
    with tf.GradientTape() as tape:
        tape.watch(between)
        value = critic(between)
    gradients = tape.gradient(value, between)
    wasserstein = gan_losses.wasserstein(critic(x), critic(fake))
    return wasserstein, gan_losses.gradient_penalty(gradients, config.penalty)


def critic_gradients(
    critic: tf.keras.Model, x: tf.Tensor, fake: tf.Tensor, epsilon: tf.Tensor, config: GANConfig
) -> tuple[tuple[tf.Tensor, tf.Tensor], list[tf.Tensor]]:
    """`critic_loss`, and the gradient of the two losses' sum by the critic's variables."""
    if piecewise_critic.is_piecewise_linear(critic):
        between = gan_losses.interpolate(x, fake, epsilon)
        return piecewise_critic.losses_and_gradients(critic, x, fake, between, config.penalty)
    with tf.GradientTape() as tape:
        losses = critic_loss(critic, x, fake, epsilon, config)
        loss = tf.add_n(losses)
    return losses, tape.gradient(loss, critic.trainable_variables)


def generator_loss(networks: Networks, z: tf.Tensor, config: GANConfig) -> tf.Tensor:
    """The loss of generator and encoder on latent rows `z`; a scalar. It needs no real data."""
    fake = networks.generator(z)
    found = networks.encoder(fake)
    n = config.n_noise
    return gan_losses.generator_encoder_loss(
        networks.critic(fake), z[:, :n], z[:, n:], found[:, :n], found[:, n:],
        config.beta_n, config.beta_c,
    )  # fmt: skip


def critic_step(
    networks: Networks,
    optimizer: Optimizer,
    x: tf.Tensor,
    z: tf.Tensor,
    epsilon: tf.Tensor,
    config: GANConfig,
) -> tf.Tensor:
    """One step of the critic.

    Args:
      networks: The three networks.
      optimizer: Holds the critic's variables.
      x: `(rows, features)` real rows.
      z: `(rows, n_noise + clusters)` latent rows.
      epsilon: See `gan_losses.interpolate`.
      config: The protocol.

    Returns:
      The loss before the step, a scalar.
    """
    fake = networks.generator(z)
    return critic_step_on(networks.critic, optimizer, x, fake, epsilon, config)


def critic_step_on(
    critic: tf.keras.Model,
    optimizer: Optimizer,
    x: tf.Tensor,
    fake: tf.Tensor,
    epsilon: tf.Tensor,
    config: GANConfig,
) -> tf.Tensor:
    """`critic_step` on rows generated before: `fake`, `(rows, features)`."""
    losses, gradients = critic_gradients(critic, x, fake, epsilon, config)
    loss = tf.add_n(losses) + _decay(optimizer, config)
    if config.weight_decay:
        gradients = [
            g + config.weight_decay * v if v.shape.rank > 1 else g
            for g, v in zip(gradients, optimizer.trainable, strict=True)
        ]
    optimizer.apply(gradients)
    return loss


def generator_step(
    networks: Networks, optimizer: Optimizer, z: tf.Tensor, config: GANConfig
) -> tf.Tensor:
    """One step of generator and encoder together.

    Args:
      networks: The three networks.
      optimizer: Holds the generator's variables, then the encoder's.
      z: `(rows, n_noise + clusters)` latent rows.
      config: The protocol.

    Returns:
      The loss before the step, a scalar.
    """
    with tf.GradientTape() as tape:
        loss = generator_loss(networks, z, config) + _decay(optimizer, config)
    optimizer.apply(tape.gradient(loss, optimizer.trainable))
    return loss


def _decay(optimizer: Optimizer, config: GANConfig) -> tf.Tensor:
    """Half the squared weights; the original declares it and leaves it out."""
    if not config.weight_decay:
        return tf.constant(0.0)
    kernels = [v for v in optimizer.trainable if v.shape.rank > 1]
    return config.weight_decay * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
