"""Training as the originals implement it, with the same networks, losses and batch sizes.

DEC-keras calls `fit`, and `train_on_batch` with numpy batches. ClusterGAN's authors build a graph,
call `Session.run` once per step, and feed batches and latent samples drawn in numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfcluster.clustergan import losses as gan_losses
from tfcluster.clustergan.networks import build_networks
from tfcluster.config import DECConfig, GANConfig
from tfcluster.dec.autoencoder import build_autoencoder
from tfcluster.keras_versions import unwrap_variable
from tfcluster.layers import BatchStatisticsNormalization, ClusteringLayer

Run = Callable[[int], Any]
"""Does a number of units of work."""


def prepare_autoencoder_fit(x: np.ndarray, config: DECConfig) -> Run:
    """Returns a function that runs epochs of `DEC.pretrain`: `autoencoder.fit(x, x)`."""
    autoencoder, _ = build_autoencoder(x.shape[1], config)
    autoencoder.compile(tf.keras.optimizers.SGD(1.0, momentum=0.9), "mse")
    return lambda n: autoencoder.fit(x, x, config.batch_size, epochs=n, verbose=0)


def _build_dec_model(x: np.ndarray, config: DECConfig) -> tf.keras.Model:
    _, encoder = build_autoencoder(x.shape[1], config)
    output = ClusteringLayer(10, name="clustering")(encoder.output)
    model = tf.keras.Model(encoder.input, output)
    model.compile(tf.keras.optimizers.SGD(0.01, momentum=0.9), "kld")
    return model


def prepare_dec_train_on_batch(x: np.ndarray, p: np.ndarray, config: DECConfig) -> Run:
    """Returns a function that runs steps of `DEC.fit`: `train_on_batch` on slices of the data."""
    model = _build_dec_model(x, config)
    size = config.batch_size

    def run(n: int) -> None:
        for step in range(n):
            start = step * size % (len(x) - size)
            batch = slice(start, start + size)
            model.train_on_batch(x[batch], p[batch])

    return run


def prepare_dec_predict(x: np.ndarray, config: DECConfig) -> Run:
    """Returns a function that runs target updates: `predict` on all samples."""
    model = _build_dec_model(x, config)
    return lambda n: [model.predict(x, verbose=0) for _ in range(n)]


def prepare_gan_sessions(x: np.ndarray, n_clusters: int, config: GANConfig) -> Run:
    """Returns a function that runs iterations of `train` in `*_ClusterGAN.py`."""
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        networks = build_networks(x.shape[1], n_clusters, config)
        real = v1.placeholder(tf.float32, (config.batch_size, x.shape[1]))
        z = v1.placeholder(tf.float32, (config.batch_size, config.n_noise + n_clusters))
        critic_step, other_step = _build_gan_steps(networks, real, z, config)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
    rng = np.random.default_rng(0)

    def draw_latent() -> np.ndarray:
        noise = config.noise_scale * rng.normal(size=(config.batch_size, config.n_noise))
        clusters = np.eye(n_clusters)[rng.integers(n_clusters, size=config.batch_size)]
        return np.hstack([noise, clusters])

    def run(n: int) -> None:
        for _ in range(n):
            for _ in range(config.critic_steps):
                batch = x[rng.integers(len(x), size=config.batch_size)]
                session.run(critic_step, {real: batch, z: draw_latent()})
            session.run(other_step, {z: draw_latent()})

    return run


def _build_gan_steps(
    networks: Any, x: tf.Tensor, z: tf.Tensor, config: GANConfig
) -> tuple[Any, Any]:
    n = config.n_noise
    fake = _apply(networks.generator, z)
    found = _apply(networks.encoder, fake)
    d_real, d_fake = _apply(networks.critic, x), _apply(networks.critic, fake)
    between = gan_losses.interpolate(x, fake, tf.random.uniform([]))
    (slope,) = tf.gradients(_apply(networks.critic, between), between)
    penalty = gan_losses.gradient_penalty(slope, config.penalty)
    critic_loss = gan_losses.wasserstein(d_real, d_fake) + penalty
    other_loss = gan_losses.generator_encoder_loss(
        d_fake, z[:, :n], z[:, n:], found[:, :n], found[:, n:], config.beta_n, config.beta_c
    )
    others = [*networks.generator.trainable_weights, *networks.encoder.trainable_weights]

    def minimize(loss: tf.Tensor, weights: list[Any]) -> Any:
        variables = [unwrap_variable(weight) for weight in weights]
        return tf.compat.v1.train.AdamOptimizer(1e-4, 0.5, 0.9).minimize(loss, var_list=variables)

    critic_weights = networks.critic.trainable_weights
    return minimize(critic_loss, critic_weights), minimize(other_loss, others)


def _apply(network: tf.keras.Model, h: tf.Tensor) -> tf.Tensor:
    """Applies a network with the fused normalization that the originals' library calls."""
    for layer in network.layers:
        if isinstance(layer, BatchStatisticsNormalization):
            shape = tf.shape(h)
            wide = h if h.shape.rank == 4 else h[:, tf.newaxis, tf.newaxis]
            beta = tf.convert_to_tensor(layer.beta)
            scale = tf.ones_like(beta)
            wide = tf.compat.v1.nn.fused_batch_norm(wide, scale, beta, is_training=True)[0]
            h = tf.ensure_shape(tf.reshape(wide, shape), h.shape)
        else:
            h = layer(h)
    return h
