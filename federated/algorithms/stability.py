"""How far different starts of k-means agree, from sums over clients."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from federated.algorithms.kmeans import Embed, Embedding, LloydState, squared_distances
from federated.core.algorithm import ClientData, ClientOutput, FederatedAlgorithm, Metrics
from tfcluster import metrics
from tfcluster.config import register


class AgreementSums(NamedTuple):
    """Sums that clients send.

    Attributes:
      tables: `(n_starts - 1, n_clusters, n_clusters)` float64, samples by their cluster under the
        first start and under each other one.
    """

    tables: tf.Tensor


@register
@dataclasses.dataclass(frozen=True)
class StartAgreement(FederatedAlgorithm):
    """A round that compares the labels of several starts of k-means; the state stays.

    Attributes:
      embedding: How samples are embedded.
    """

    kind: ClassVar[str] = "start agreement"
    state_type: ClassVar[type] = LloydState
    sums_type: ClassVar[type] = AgreementSums
    full_participation: ClassVar[bool] = True

    embedding: Embedding

    def make_learner(self) -> _AgreementLearner:
        """Builds the embedding."""
        return _AgreementLearner(self.embedding.make_embed(self.n_features))

    def server_update(
        self, state: LloydState, sums: AgreementSums, per_client: Any
    ) -> tuple[LloydState, Metrics]:
        """Leaves the state; returns the tables."""
        del per_client
        return state, sums._asdict()


class _AgreementLearner:
    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    def update(self, broadcast: LloydState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Counts the client's samples; see `AgreementSums`."""
        del seed  # nothing is drawn
        z = self._embed(broadcast.weights, data.x)
        n_clusters = broadcast.centroids.shape[1]

        def members(centroids: tf.Tensor) -> tf.Tensor:
            labels = tf.argmin(squared_distances(z, centroids), axis=1)
            return tf.one_hot(labels, n_clusters, dtype=tf.float64)

        first = members(broadcast.centroids[0])
        tables = tf.map_fn(
            lambda start: tf.matmul(first, members(start), transpose_a=True),
            broadcast.centroids[1:],
            fn_output_signature=tf.TensorSpec((n_clusters, n_clusters), tf.float64),
        )
        return ClientOutput(AgreementSums(tables))


def compute_stability(tables: Any) -> float:
    """Returns the mean adjusted Rand index of the first start's labels with each other start's.

    Args:
      tables: Total `AgreementSums.tables`; NaN without other starts.
    """
    counts = np.rint(np.asarray(tables)).astype(np.int64)
    return float(np.mean([metrics.FROM_COUNTS["ari"](table) for table in counts] or [np.nan]))
