"""Networks that normalize over their batch, applied to any number of samples.

The result for a sample depends on the other samples of its batch. So samples are taken in order,
in batches of the size of training, and generated samples, always the same, fill the last batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfcluster.clustergan.adversarial import sample_latent
from tfcluster.clustergan.networks import Networks
from tfcluster.config import Adam, GANConfig
from tfcluster.training.optimizers import build_optimizer

_RECOVERY_RATE = 0.1  # of Adam's steps, in standard deviations of z_n
_NOISE_BOUND = 3.0  # in standard deviations of z_n


def select_recovered(codes: Any, config: GANConfig) -> Any:
    """Returns the part of codes that the encoder was trained to recover.

    Args:
      codes: `(n_samples, n_noise + n_clusters)`.
      config: Without `beta_n` the encoder recovers only z_c.
    """
    return codes if config.beta_n else codes[:, config.n_noise :]


class Inference:
    """Encodes, generates and recovers, compiled.

    Args:
      networks: The three networks; their current weights are used.
      n_clusters: Length of z_c.
      config: The protocol.
    """

    def __init__(self, networks: Networks, n_clusters: int, config: GANConfig) -> None:
        self.networks = networks
        self.n_clusters = n_clusters
        self.config = config
        shape = (config.batch_size, n_clusters, config.n_noise)
        self._noise = tf.Variable(tf.zeros(shape), trainable=False)
        rate = _RECOVERY_RATE * max(config.noise_scale, 1e-3)
        self._optimizer = build_optimizer(Adam(rate), [self._noise])
        self._encode = tf.function(self.codes, reduce_retracing=True)
        self._generate = tf.function(self._generate_samples, reduce_retracing=True)
        self._recover = tf.function(self._recover_batch)

    def encode(self, x: np.ndarray | tf.Tensor) -> np.ndarray:
        """Returns the codes of samples.

        Args:
          x: `(n_samples, n_features)`.

        Returns:
          `(n_samples, n_noise + n_clusters)`: z_n, then the softmax of z_c.
        """
        codes: np.ndarray = self._encode(tf.convert_to_tensor(x, tf.float32)).numpy()
        return codes

    def generate(self, z: np.ndarray | tf.Tensor) -> np.ndarray:
        """Returns the samples of codes.

        Args:
          z: `(n_samples, n_noise + n_clusters)`.

        Returns:
          `(n_samples, n_features)`.
        """
        samples: np.ndarray = self._generate(tf.convert_to_tensor(z, tf.float32)).numpy()
        return samples

    def recover(self, x: np.ndarray, n_starts: int = 2, n_steps: int = 100) -> np.ndarray:
        """Finds clusters by back-propagation through the generator ("GAN with bp" of the paper).

        For each sample and each cluster, Adam searches the z_n whose generated sample is nearest,
        from several random starts, within three standard deviations. The nearest cluster wins.

        Args:
          x: `(n_samples, n_features)`.
          n_starts: Starts for each sample and cluster.
          n_steps: Steps of Adam from each start.

        Returns:
          `(n_samples,)` clusters, numbered as z_c.
        """
        size = self.config.batch_size
        filled = np.concatenate([x, self._generate_filling().numpy()])
        labels = [
            self._recover(filled[start : start + size], n_starts, n_steps).numpy()
            for start in range(0, len(x), size)
        ]
        return np.concatenate(labels)[: len(x)]

    def _generate_filling(self) -> tf.Tensor:
        return self.networks.generator(self._draw_filling_codes())

    def _draw_filling_codes(self) -> tf.Tensor:
        return sample_latent(
            self.config.batch_size, self.n_clusters, self.config, tf.constant([0, 0])
        )

    def codes(self, x: tf.Tensor) -> tf.Tensor:
        """Computes the result of `encode`, inside a graph."""

        def encode(batch: tf.Tensor) -> tf.Tensor:
            found = self.networks.encoder(batch)
            noise, logits = found[:, : self.config.n_noise], found[:, self.config.n_noise :]
            return tf.concat([noise, tf.nn.softmax(logits)], axis=1)

        return self._apply_in_batches(encode, x, self._generate_filling())

    def _generate_samples(self, z: tf.Tensor) -> tf.Tensor:
        return self._apply_in_batches(self.networks.generator, z, self._draw_filling_codes())

    def _apply_in_batches(
        self, network: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, filling: tf.Tensor
    ) -> tf.Tensor:
        size, n_samples = self.config.batch_size, tf.shape(x)[0]
        filled = tf.concat([x, filling], axis=0)

        def apply(start: tf.Tensor) -> tf.Tensor:
            batch = tf.ensure_shape(filled[start : start + size], (size, x.shape[1]))
            return network(batch)

        spec = tf.TensorSpec((size, network(filling).shape[1]))
        parts = tf.map_fn(
            apply, tf.range(0, n_samples, size), fn_output_signature=spec, parallel_iterations=2
        )
        return tf.reshape(parts, (-1, spec.shape[1]))[:n_samples]

    def _recover_batch(self, x: tf.Tensor, n_starts: int, n_steps: int) -> tf.Tensor:
        # all clusters share one batch, as in training
        nearest = tf.fill((self.config.batch_size, self.n_clusters), np.inf)
        for start in range(n_starts):
            noise = tf.random.stateless_normal(self._noise.shape, (start, 3))
            self._noise.assign(self.config.noise_scale * noise)
            self._optimizer.reset()
            for _ in tf.range(n_steps):
                self._approach(x)
            nearest = tf.minimum(nearest, self._distances(x))
        return tf.argmin(nearest, axis=1)

    def _approach(self, x: tf.Tensor) -> None:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._noise)
            distance = tf.reduce_sum(self._distances(x))
        self._optimizer.apply([tape.gradient(distance, self._noise)])
        bound = _NOISE_BOUND * self.config.noise_scale
        self._noise.assign(tf.clip_by_value(self._noise, -bound, bound))

    def _distances(self, x: tf.Tensor) -> tf.Tensor:
        clusters = tf.eye(self.n_clusters, batch_shape=(self.config.batch_size,))
        z = tf.concat([self._noise, clusters], axis=2)
        generated = self.networks.generator(tf.reshape(z, (-1, z.shape[2])))
        generated = tf.reshape(generated, (*z.shape[:2], x.shape[1]))
        return tf.reduce_sum(tf.square(generated - x[:, tf.newaxis]), axis=2)
