"""First centres without moving rows: Lloyd's algorithm on sums over clients, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from federated.algorithm import (
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    ServerState,
    Tensors,
)
from tfcluster.autoencoder import AutoencoderTrainer
from tfcluster.presets import DECConfig
from tfcluster.training import Forward


class _Learner:
    def __init__(self, n_features: int, config: DECConfig) -> None:
        trainer = AutoencoderTrainer(n_features, config)
        self._variables = trainer.encoder.trainable_variables
        self._embed = Forward(trainer.encoder)

    def update(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> ClientOutput:
        """Sums: embeddings and rows of each centre's own, and their squared distances."""
        del seed  # nothing is drawn
        for variable, weight in zip(self._variables, broadcast.weights, strict=True):
            variable.assign(weight)
        (centers,) = broadcast.context
        z = tf.cast(self._embed(x), tf.float64)
        distances = tf.reduce_sum(tf.square(z[:, tf.newaxis] - centers), axis=2)
        labels = tf.argmin(distances, axis=1)
        k = centers.shape[0]
        own = tf.one_hot(labels, k, dtype=tf.float64)
        return ClientOutput(
            (
                tf.matmul(own, z, transpose_a=True),
                tf.reduce_sum(own, axis=0),
                tf.reduce_sum(tf.reduce_min(distances, axis=1)),
            )
        )


class FederatedLloyd(FederatedAlgorithm):
    """Rounds of k-means on the embedding of all clients' rows.

    A round is one iteration of Lloyd's algorithm on the pooled rows: each centre becomes the mean
    of its own, from sums and counts, in float64. A centre without rows stays where it is.

    Args:
      weights: Of the encoder.
      centers: `(clusters, dims[-1])` to begin with.
      n_features: Width of a row.
      config: `dims` is read.
    """

    name = "centroids"
    everyone = True

    def __init__(
        self,
        weights: Sequence[tf.Tensor],
        centers: tf.Tensor,
        n_features: int,
        config: DECConfig,
    ) -> None:
        self._weights = tuple(map(tf.convert_to_tensor, weights))
        self._centers = tf.cast(centers, tf.float64)
        self._arguments = (n_features, config)

    def initial_state(self) -> ServerState:
        """The encoder's weights, and the centres as context."""
        return ServerState(self._weights, (), (self._centers,))

    def make_learner(self) -> _Learner:
        """An encoder."""
        return _Learner(*self._arguments)

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """New centres; the metrics are the inertia of the old ones and how far they moved."""
        del gathered
        totals, counts, inertia = sums
        (centers,) = state.context
        means = tf.math.divide_no_nan(totals, counts[:, tf.newaxis])
        moved_to = tf.where(counts[:, tf.newaxis] > 0, means, centers)
        shift = tf.reduce_sum(tf.square(moved_to - centers))
        return state._replace(context=(moved_to,)), {"inertia": inertia, "shift": shift}
