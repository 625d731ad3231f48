"""Exact federated k-means: Lloyd's algorithm on sums over clients, in any embedding."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import tensorflow as tf

from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    Tensors,
    assign,
)
from federated.core.local_training import to_tensors
from tfcluster.config import DECConfig, register
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.training.loop import Forward

Embed = Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor]
"""Maps weights and `(n_samples, n_features)` float32 samples to `(n_samples, n_units)` float64."""


class Embedding(Protocol):
    """How a model embeds samples: a registered frozen dataclass of plain values."""

    def make_embed(self, n_features: int) -> Embed:
        """Builds the networks; the function runs inside a graph and may assign variables."""
        ...


@register
@dataclasses.dataclass(frozen=True)
class InputSpace:
    """The samples themselves. There are no weights."""

    def make_embed(self, n_features: int) -> Embed:
        """Returns a cast to float64."""
        del n_features
        return lambda _, x: tf.cast(x, tf.float64)


@register
@dataclasses.dataclass(frozen=True)
class DECEmbedding:
    """DEC's embedding. The weights are the encoder's.

    Attributes:
      config: `dims` is read.
    """

    config: DECConfig

    def make_embed(self, n_features: int) -> Embed:
        """Builds an encoder."""
        encoder = AutoencoderTrainer(n_features, self.config).encoder
        forward = Forward(encoder)

        def embed(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
            assign(encoder.trainable_variables, weights)
            return tf.cast(forward(x), tf.float64)

        return embed


class LloydState(NamedTuple):
    """State of Lloyd's algorithm.

    Attributes:
      weights: The embedding's.
      centroids: `(n_starts, n_clusters, n_units)` float64.
    """

    weights: Tensors
    centroids: tf.Tensor


class LloydSums(NamedTuple):
    """Sums that clients send of an iteration, in float64.

    Attributes:
      totals: `(n_starts, n_clusters, n_units)`, sums of each cluster's embedded samples.
      counts: `(n_starts, n_clusters)`, samples of each cluster.
      inertia: `(n_starts,)`, sums of squared distances to the nearest centroid.
    """

    totals: tf.Tensor
    counts: tf.Tensor
    inertia: tf.Tensor


@register
@dataclasses.dataclass(frozen=True)
class LloydIteration(FederatedAlgorithm):
    """Rounds of k-means on the embedding of all clients' samples, from several starts at once.

    A round is one iteration of Lloyd's algorithm on the pooled samples: each centroid becomes the
    mean of its own, from sums and counts, in float64. A centroid without samples stays.

    Attributes:
      embedding: How samples are embedded.
    """

    kind: ClassVar[str] = "lloyd"
    state_type: ClassVar[type] = LloydState
    sums_type: ClassVar[type] = LloydSums
    full_participation: ClassVar[bool] = True

    embedding: Embedding

    def initial_state(self, weights: Sequence[Any], centroids: Any) -> LloydState:
        """Returns the state before the first round; the arguments are as in `LloydState`."""
        return LloydState(to_tensors(weights), tf.cast(centroids, tf.float64))

    def make_learner(self) -> _LloydLearner:
        """Builds the embedding."""
        return _LloydLearner(self.embedding.make_embed(self.n_features))

    def server_update(
        self, state: LloydState, sums: LloydSums, per_client: Any
    ) -> tuple[LloydState, Metrics]:
        """Moves the centroids.

        The metrics are, for each start, the inertia before the move and the squared shift.
        """
        del per_client
        counts = sums.counts[..., tf.newaxis]
        means = tf.math.divide_no_nan(sums.totals, counts)
        moved_to = tf.where(counts > 0, means, state.centroids)
        shift = tf.reduce_sum(tf.square(moved_to - state.centroids), axis=[1, 2])
        return state._replace(centroids=moved_to), {"inertia": sums.inertia, "shift": shift}


class _LloydLearner:
    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    def update(self, broadcast: LloydState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums each cluster's samples; see `LloydSums`."""
        del seed  # nothing is drawn
        z = self._embed(broadcast.weights, data.x)
        _, n_clusters, n_units = broadcast.centroids.shape
        one = LloydSums(
            tf.TensorSpec((n_clusters, n_units), tf.float64),
            tf.TensorSpec((n_clusters,), tf.float64),
            tf.TensorSpec((), tf.float64),
        )
        # one start at a time: distances of all would need so many times the memory
        return ClientOutput(
            tf.map_fn(
                lambda start: cluster_sums(z, start),
                broadcast.centroids,
                fn_output_signature=one,
            )
        )


def cluster_sums(z: tf.Tensor, centroids: tf.Tensor) -> LloydSums:
    """Returns the sums of one iteration from one start.

    Args:
      z: `(n_samples, n_units)` float64.
      centroids: `(n_clusters, n_units)` float64.
    """
    distances = squared_distances(z, centroids)
    own = tf.one_hot(tf.argmin(distances, axis=1), centroids.shape[0], dtype=tf.float64)
    inertia = tf.reduce_sum(tf.reduce_min(distances, axis=1))
    return LloydSums(tf.matmul(own, z, transpose_a=True), tf.reduce_sum(own, axis=0), inertia)


def squared_distances(z: tf.Tensor, centroids: tf.Tensor) -> tf.Tensor:
    """Returns squared distances of samples to centroids, `(n_samples, n_clusters)`."""
    # differences, not the faster product of matrices, which loses the digits of what is near
    return tf.stack(
        [tf.reduce_sum(tf.square(z - centroid), axis=1) for centroid in tf.unstack(centroids)],
        axis=1,
    )
