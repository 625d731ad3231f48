"""Layers of the papers that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfcluster.errors import InputError


def soft_assignment(z: tf.Tensor, centroids: tf.Tensor, alpha: float = 1.0) -> tf.Tensor:
    """Computes Student's t similarity of embeddings to centroids: eq. 1 of Xie et al., ICML 2016.

    Args:
      z: `(n_samples, n_units)` embeddings.
      centroids: `(n_clusters, n_units)`.
      alpha: Degrees of freedom, positive.

    Returns:
      `(n_samples, n_clusters)` soft assignments q; each row sums to one.
    """
    distance = tf.reduce_sum(tf.square(z[:, tf.newaxis, :] - centroids), axis=2)
    similarity = tf.pow(1.0 / (1.0 + distance / alpha), (alpha + 1.0) / 2.0)
    return similarity / tf.reduce_sum(similarity, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="tfcluster")
class ClusteringLayer(tf.keras.layers.Layer):
    """Assigns embeddings softly to learnable centroids; see `soft_assignment`.

    Matches `ClusteringLayer` of XifengGuo/DEC-keras (`DEC.py`), except that `get_config` keeps
    `alpha`: there a reloaded model silently falls back to 1.

    Args:
      n_clusters: Number of centroids.
      alpha: Degrees of freedom of Student's t, positive.

    Input shape: `(n_samples, n_units)`. Output shape: `(n_samples, n_clusters)`.

    Weights: `clusters`, the centroids, `(n_clusters, n_units)`.

    Raises:
      InputError: If `n_clusters` is below 1 or `alpha` is not positive.
    """

    def __init__(self, n_clusters: int, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if n_clusters < 1:
            raise InputError(f"`n_clusters` must be at least 1. Received: n_clusters={n_clusters}.")
        if not alpha > 0:
            raise InputError(f"`alpha` must be positive. Received: alpha={alpha}.")
        self.n_clusters = n_clusters
        self.alpha = alpha
        self.input_spec = tf.keras.layers.InputSpec(ndim=2)

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Creates `clusters`, initialized by Glorot's rule as in the original."""
        self.clusters = self.add_weight(
            name="clusters",
            shape=(self.n_clusters, input_shape[-1]),
            initializer="glorot_uniform",
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns soft assignments, `(n_samples, n_clusters)`, of `(n_samples, n_units)`."""
        return soft_assignment(inputs, self.clusters, self.alpha)

    def compute_output_shape(self, input_shape: tuple[int | None, int]) -> tuple[int | None, int]:
        """Returns `(n_samples, n_clusters)`."""
        return (input_shape[0], self.n_clusters)

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument, including `alpha`."""
        return {**super().get_config(), "n_clusters": self.n_clusters, "alpha": self.alpha}


@keras.saving.register_keras_serializable(package="tfcluster")
class CoarseDense(tf.keras.layers.Dense):
    """A dense layer that computes only its product in bfloat16.

    Inputs, weights and results are float32; only the two factors of the product lose bits. (A
    Keras layer in mixed precision also adds the bias and returns its results in bfloat16.)
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps `(n_samples, n_features)` to `(n_samples, units)`, both float32."""
        product = tf.matmul(tf.cast(inputs, tf.bfloat16), tf.cast(self.kernel, tf.bfloat16))
        return self.activation(tf.nn.bias_add(tf.cast(product, tf.float32), self.bias))


@keras.saving.register_keras_serializable(package="tfcluster")
class BatchStatisticsNormalization(tf.keras.layers.Layer):
    """Normalizes by the batch's mean and variance, at inference too; shifts, never scales.

    ClusterGAN's batch normalization. There are no moving averages, so `beta` is the only weight,
    and clients have nothing else to average. Mean and variance are written out because
    `tf.nn.moments`, and Keras' layer on matrices, stop the gradient of the mean, which changes
    the second derivative of the gradient penalty by up to 10 %.

    Args:
      epsilon: Added to the variance.

    Input shape: `(n_samples, ..., n_channels)`, normalized over all axes but the last. Output
    shape: the same.

    Weights: `beta`, `(n_channels,)`.
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `beta`, initialized to zero."""
        self.beta = self.add_weight(name="beta", shape=(input_shape[-1],), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, n_batches: int = 1) -> tf.Tensor:
        """Returns normalized `inputs`; the variance is the biased one.

        Args:
          inputs: `(n_samples, ..., n_channels)`.
          n_batches: Number of concatenated batches of equal size, each normalized by itself.
        """
        if n_batches == 1:
            return self._normalize(inputs, axes=list(range(inputs.shape.rank - 1)))
        batches = tf.reshape(inputs, (n_batches, -1, *inputs.shape[1:]))
        axes = list(range(1, inputs.shape.rank))
        return tf.reshape(self._normalize(batches, axes), tf.shape(inputs))

    def _normalize(self, h: tf.Tensor, axes: list[int]) -> tf.Tensor:
        centered = h - tf.reduce_mean(h, axis=axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(centered), axis=axes, keepdims=True)
        return centered * tf.math.rsqrt(variance + self.epsilon) + self.beta

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return {**super().get_config(), "epsilon": self.epsilon}
