"""Exact scores of a model on all clients' rows, by two rounds: no row leaves its client.

The first round gives the global mean of every cluster, with which the second sums distances; see
`federated.algorithms.score_sums`.

The mean of the clients' own scores is something else. Each client matches clusters to classes for
itself, but cluster 3 of one need not be cluster 3 of another: clients that are each perfect can
contradict one another. Each also measures spread around means of its own.

The true silhouette cannot be had this way: it needs the distance of each row to every other, also
between clients. The simplified one takes the distances to the clusters' means instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from federated.algorithms.score_sums import (
    ClusterSums,
    DistanceSums,
    cluster_totals,
    distance_totals,
    scores,
)
from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    ServerState,
    Tensors,
    assign,
)
from federated.core.backend import Carrier
from federated.core.sampling import Participant
from tfcluster import metrics
from tfcluster.config import DECConfig, register
from tfcluster.dec.self_training import DECTrainer
from tfcluster.errors import TrainingError

Labels = Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor]
"""Clusters of rows, `(rows,)` integers, from a model's weights and `(rows, features)` float32."""


class Labelling(Protocol):
    """How a model gives labels: a frozen dataclass of plain values, known to `config`."""

    @property
    def n_clusters(self) -> int:
        """Clusters there are."""
        ...

    def make_labels(self, n_features: int) -> Labels:
        """Builds the networks; what comes back runs inside a graph and may assign variables."""
        ...


@register
@dataclass(frozen=True)
class DECLabelling:
    """The likeliest cluster by eq. 1. Weights are those of `FederatedDEC`: encoder, centres.

    Attributes:
      n_clusters: Number of centres.
      config: The protocol.
    """

    n_clusters: int
    config: DECConfig

    def make_labels(self, n_features: int) -> Labels:
        """An encoder with centres."""
        trainer = DECTrainer(n_features, self.n_clusters, self.config)
        variables = trainer.loop.optimizer.trainable

        def labels(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
            assign(variables, weights)
            return tf.argmax(trainer.soft_assign(x), axis=1)

        return labels


@register
@dataclass(frozen=True)
class ClusterPass(FederatedAlgorithm):
    """The first pass, as a round: `ClusterSums` of all clients' rows, as the model labels them.

    The metrics are its arrays by name, and `sizes`, `(participants, clusters)`, the rows of each
    cluster at each client. The state stays.

    Attributes:
      labelling: How the model gives labels.
      n_classes: Classes there are, over all clients; 0 leaves scores against classes out. Rows of
        class -1 count for the others only.
    """

    everyone = True

    labelling: Labelling
    n_classes: int = 0

    def make_learner(self) -> _ClusterLearner:
        """What gives labels, and sums."""
        return _ClusterLearner(self)

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """Names the totals."""
        named = dict(zip(ClusterSums.names(), sums, strict=True))
        return state, {**named, "sizes": gathered[0]}

    def second(self) -> DistancePass:
        """The pass that comes after."""
        return DistancePass(self.n_features, self.labelling)


class _ClusterLearner:
    def __init__(self, algorithm: ClusterPass) -> None:
        self._labels = algorithm.labelling.make_labels(algorithm.n_features)
        self._n_clusters = algorithm.labelling.n_clusters
        self._n_classes = algorithm.n_classes

    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums: `ClusterSums`. Gathered: rows of each cluster."""
        del seed  # nothing is drawn
        if self._n_classes:
            rule = f"Classes must be below n_classes={self._n_classes}."
            tf.debugging.assert_less(data.y, tf.constant(self._n_classes, data.y.dtype), rule)
        sums = cluster_totals(
            data.x,
            self._labels(broadcast.weights, data.x),
            data.y,
            tf.constant(0.0, tf.float64),  # the second pass has the spread
            n_clusters=self._n_clusters,
            n_classes=self._n_classes,
        )
        return ClientOutput(sums, sums[:1])


@register
@dataclass(frozen=True)
class DistancePass(FederatedAlgorithm):
    """The second pass, as a round: `DistanceSums`, which the metrics hold by name.

    The state's context is the global means, `(clusters, features)` float64, NaN for clusters
    without rows. The state stays.

    Attributes:
      labelling: That of the first pass.
    """

    everyone = True

    labelling: Labelling

    def make_learner(self) -> _DistanceLearner:
        """What gives labels, and sums."""
        return _DistanceLearner(self)

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """Names the totals."""
        del gathered
        return state, dict(zip(DistanceSums.names(), sums, strict=True))


class _DistanceLearner:
    def __init__(self, algorithm: DistancePass) -> None:
        self._labels = algorithm.labelling.make_labels(algorithm.n_features)

    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums: `DistanceSums`."""
        del seed  # nothing is drawn
        (means,) = broadcast.context
        labels = self._labels(broadcast.weights, data.x)
        return ClientOutput(distance_totals(data.x, labels, means))


class FederatedScores(NamedTuple):
    """What two passes found.

    Attributes:
      scores: As those of `scores`.
      sizes: `(participants, clusters)` rows of each cluster at each client, int64.
      left_out: Clients whose rows are not in it, since they are not finite.
    """

    scores: metrics.Scores
    sizes: np.ndarray
    left_out: list[int]


def federated_scores(
    carrier: Carrier,
    participants: Sequence[Participant],
    first: ClusterPass,
    weights: Sequence[Any],
    *,
    with_distances: bool = True,
) -> FederatedScores:
    """Scores a model on all clients' rows by two rounds.

    Args:
      carrier: Has the clients.
      participants: All of them, as from `plan.round(0, everyone=True)`.
      first: The first pass, made once for all scores of a run: a carrier compiles each once.
      weights: Of the model, as `first.labelling` takes them.
      with_distances: Whether to take the second round.

    Raises:
      InputError: If no client has rows that are finite.
      TrainingError: If the passes went over different clients.
    """
    state = ServerState(tuple(map(tf.convert_to_tensor, weights)))
    _, found, left_out, _ = carrier.round(first, state, participants)
    sums = ClusterSums.from_arrays(found[name] for name in ClusterSums.names())
    sizes = np.asarray(found["sizes"]).astype(np.int64)
    if not with_distances:
        return FederatedScores(scores(sums), sizes, left_out)
    with_means = state._replace(context=(tf.constant(sums.means()),))
    _, spread, left_out_then, _ = carrier.round(first.second(), with_means, participants)
    if left_out_then != left_out:
        raise TrainingError(
            f"Both passes of the scores need the same clients. The first went without {left_out}, "
            f"the second without {left_out_then}."
        )
    distances = DistanceSums.from_arrays(spread[name] for name in DistanceSums.names())
    return FederatedScores(scores(sums, distances), sizes, left_out)
