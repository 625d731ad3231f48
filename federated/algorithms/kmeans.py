"""First centres without moving rows: Lloyd's algorithm on sums over clients, exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf

from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    ServerState,
    Tensors,
    assign,
)
from tfcluster.config import DECConfig, register
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.training.loop import Forward

Embed = Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor]
"""Embeddings of rows, `(rows, units)` float64, from weights and `(rows, features)` float32."""


class Embedding(Protocol):
    """How a model embeds rows: a frozen dataclass of plain values, known to `config`."""

    def make_embed(self, n_features: int) -> Embed:
        """Builds the networks; what comes back runs inside a graph and may assign variables."""
        ...


@register
@dataclasses.dataclass(frozen=True)
class DECEmbedding:
    """DEC's. Weights are the encoder's.

    Attributes:
      config: `dims` is read.
    """

    config: DECConfig

    def make_embed(self, n_features: int) -> Embed:
        """An encoder."""
        encoder = AutoencoderTrainer(n_features, self.config).encoder
        forward = Forward(encoder)

        def embed(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
            assign(encoder.trainable_variables, weights)
            return tf.cast(forward(x), tf.float64)

        return embed


@register
@dataclasses.dataclass(frozen=True)
class FederatedLloyd(FederatedAlgorithm):
    """Rounds of k-means on the embedding of all clients' rows, from several starts at once.

    A round is one iteration of Lloyd's algorithm on the pooled rows: each centre becomes the mean
    of its own, from sums and counts, in float64. A centre without rows stays where it is. The
    state's weights are the embedding's, its context the centres of every start,
    `(starts, clusters, units)` float64.

    Attributes:
      embedding: How rows are embedded.
    """

    everyone = True

    embedding: Embedding

    def state(self, weights: Sequence[Any], centers: Any) -> ServerState:
        """The state before the first round.

        Args:
          weights: Of the embedding.
          centers: `(starts, clusters, units)` to begin with.
        """
        tensors = tuple(map(tf.convert_to_tensor, weights))
        return ServerState(tensors, (), (tf.cast(centers, tf.float64),))

    def make_learner(self) -> _Learner:
        """What embeds, and sums."""
        return _Learner(self.embedding.make_embed(self.n_features))

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """New centres; the metrics are, for each start, the old inertia and the squared shift."""
        del gathered
        totals, counts, inertia = sums
        (centers,) = state.context
        means = tf.math.divide_no_nan(totals, counts[..., tf.newaxis])
        moved_to = tf.where(counts[..., tf.newaxis] > 0, means, centers)
        shift = tf.reduce_sum(tf.square(moved_to - centers), axis=[1, 2])
        return state._replace(context=(moved_to,)), {"inertia": inertia, "shift": shift}


class _Learner:
    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums: embeddings and rows of each centre's own, and their squared distances."""
        del seed  # nothing is drawn
        (centers,) = broadcast.context
        z = self._embed(broadcast.weights, data.x)
        one = (
            tf.TensorSpec(centers.shape[1:], tf.float64),
            tf.TensorSpec(centers.shape[1:2], tf.float64),
            tf.TensorSpec((), tf.float64),
        )
        # one start at a time: distances of all would need so many times the memory
        found = tf.map_fn(lambda start: own_rows(z, start), centers, fn_output_signature=one)
        return ClientOutput(tuple(found))


def own_rows(z: tf.Tensor, centers: tf.Tensor) -> Tensors:
    """Sums of Lloyd's algorithm.

    Args:
      z: `(rows, units)` float64.
      centers: `(clusters, units)` float64.

    Returns:
      The sum of the rows nearest to each centre, `(clusters, units)`, their number, `(clusters,)`,
      and the sum of all squared distances.
    """
    distances = squared_distances(z, centers)
    own = tf.one_hot(tf.argmin(distances, axis=1), centers.shape[0], dtype=tf.float64)
    inertia = tf.reduce_sum(tf.reduce_min(distances, axis=1))
    return tf.matmul(own, z, transpose_a=True), tf.reduce_sum(own, axis=0), inertia


def squared_distances(z: tf.Tensor, centers: tf.Tensor) -> tf.Tensor:
    """Of every row from every centre: `(rows, units)`, `(clusters, units)`: `(rows, clusters)`."""
    # differences, not the faster product of matrices, which loses the digits of what is near
    return tf.stack(
        [tf.reduce_sum(tf.square(z - center), axis=1) for center in tf.unstack(centers)], axis=1
    )
