"""Layers the papers define and Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfcluster.errors import InputError


def soft_assignment(z: tf.Tensor, centers: tf.Tensor, alpha: float = 1.0) -> tf.Tensor:
    """Student's t similarity of embeddings to centres: eq. 1 of Xie et al., ICML 2016.

    Args:
      z: `(rows, features)` embeddings.
      centers: `(clusters, features)` cluster centres.
      alpha: Degrees of freedom, positive.

    Returns:
      `(rows, clusters)` soft assignments q; each row sums to one.
    """
    distance = tf.reduce_sum(tf.square(z[:, tf.newaxis, :] - centers), axis=2)
    similarity = tf.pow(1.0 / (1.0 + distance / alpha), (alpha + 1.0) / 2.0)
    return similarity / tf.reduce_sum(similarity, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="tfcluster")
class ClusteringLayer(tf.keras.layers.Layer):
    """Assigns embeddings softly to learnable centres; see `soft_assignment`.

    Matches `ClusteringLayer` of XifengGuo/DEC-keras (`DEC.py`), except that `get_config` keeps
    `alpha`: there a reloaded model silently falls back to 1.

    Args:
      n_clusters: Number of centres.
      alpha: Degrees of freedom of Student's t, positive.

    Input shape: `(rows, features)`. Output shape: `(rows, n_clusters)`.

    Weights: `clusters`, `(n_clusters, features)`.

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
        """Creates `clusters`, by Glorot's rule as the original does."""
        self.clusters = self.add_weight(
            name="clusters",
            shape=(self.n_clusters, input_shape[-1]),
            initializer="glorot_uniform",
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Soft assignments `(rows, n_clusters)` of embeddings `(rows, features)`."""
        return soft_assignment(inputs, self.clusters, self.alpha)

    def compute_output_shape(self, input_shape: tuple[int | None, int]) -> tuple[int | None, int]:
        """`(rows, n_clusters)`."""
        return (input_shape[0], self.n_clusters)

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument, `alpha` among them."""
        return {**super().get_config(), "n_clusters": self.n_clusters, "alpha": self.alpha}


@keras.saving.register_keras_serializable(package="tfcluster")
class CoarseDense(tf.keras.layers.Dense):
    """A dense layer whose product is taken in bfloat16, and nothing else.

    Rows, weights and results are float32; only the product's two factors lose bits. (A Keras layer
    in mixed precision also adds the bias and hands on its results in bfloat16.)
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`(rows, features)` to `(rows, units)`, both float32."""
        product = tf.matmul(tf.cast(inputs, tf.bfloat16), tf.cast(self.kernel, tf.bfloat16))
        return self.activation(tf.nn.bias_add(tf.cast(product, tf.float32), self.bias))


@keras.saving.register_keras_serializable(package="tfcluster")
class BatchStatisticsNormalization(tf.keras.layers.Layer):
    """Normalises by the batch's own mean and variance, at inference too; shifts, never scales.

    ClusterGAN's batch normalisation. There are no moving averages, so `beta` is the only weight
    and nothing else has to be averaged between clients. Mean and variance are written out:
    `tf.nn.moments`, and Keras' layer on matrices, stop the gradient of the mean, which makes the
    gradient penalty's second derivative wrong by up to a tenth.

    Args:
      epsilon: Added to the variance.

    Input shape: `(rows, ..., channels)`, normalised over all axes but the last. Output shape: the
    same.

    Weights: `beta`, `(channels,)`.
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `beta`, at zero."""
        self.beta = self.add_weight(name="beta", shape=(input_shape[-1],), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, n_batches: int = 1) -> tf.Tensor:
        """Normalised `inputs`; the variance is the biased one.

        Args:
          inputs: `(rows, ..., channels)`.
          n_batches: Batches of equal size that stand below each other, each normalised by itself.
        """
        if n_batches == 1:
            return self._normalise(inputs, axes=list(range(inputs.shape.rank - 1)))
        batches = tf.reshape(inputs, (n_batches, -1, *inputs.shape[1:]))
        axes = list(range(1, inputs.shape.rank))
        return tf.reshape(self._normalise(batches, axes), tf.shape(inputs))

    def _normalise(self, h: tf.Tensor, axes: list[int]) -> tf.Tensor:
        centred = h - tf.reduce_mean(h, axis=axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=axes, keepdims=True)
        return centred * tf.math.rsqrt(variance + self.epsilon) + self.beta

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument."""
        return {**super().get_config(), "epsilon": self.epsilon}
