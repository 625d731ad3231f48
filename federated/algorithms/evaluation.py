"""Exact scores of a model on all clients' samples, in two rounds: no sample leaves its client.

The first round gives the global mean of every cluster, with which the second sums distances; see
`federated.algorithms.score_sums`.

The mean of the clients' own scores is something else. Each client matches clusters to classes for
itself, but cluster 3 of one need not be cluster 3 of another: clients that are each perfect can
contradict one another. Each also measures spread around means of its own.

The true silhouette cannot be computed this way: it needs the distance of each sample to every
other, also between clients. The simplified one takes the distances to the clusters' means instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from federated.algorithms.score_sums import (
    ClusterSums,
    DistanceSums,
    name_sums,
    scores,
    sum_by_cluster,
    sum_distances,
)
from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    Tensors,
    WeightsState,
    assign,
)
from federated.core.backend import Backend
from federated.core.local_training import to_tensors
from federated.core.sampling import Participant
from tfcluster import metrics
from tfcluster.config import DECConfig, register
from tfcluster.dec.self_training import DECTrainer
from tfcluster.errors import TrainingError

Label = Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor]
"""Maps a model's weights and `(n_samples, n_features)` float32 samples to `(n_samples,)` labels."""


class Labeling(Protocol):
    """How a model labels samples: a registered frozen dataclass of plain values."""

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        ...

    def make_label(self, n_features: int) -> Label:
        """Builds the networks; the function runs inside a graph and may assign variables."""
        ...


@register
@dataclasses.dataclass(frozen=True)
class DECLabeling:
    """The likeliest cluster by eq. 1. The weights are the encoder's, then the centroids.

    Attributes:
      n_clusters: Number of centroids.
      config: The protocol.
    """

    n_clusters: int
    config: DECConfig

    def make_label(self, n_features: int) -> Label:
        """Builds an encoder with centroids."""
        trainer = DECTrainer(n_features, self.n_clusters, self.config)
        variables = trainer.loop.optimizer.trainable

        def label(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
            assign(variables, weights)
            return tf.argmax(trainer.soft_assign(x), axis=1)

        return label


class SizesOfClient(NamedTuple):
    """Numbers that each client sends of the first pass.

    Attributes:
      sizes: `(n_clusters,)` float64, its samples of each cluster.
    """

    sizes: tf.Tensor


@register
@dataclasses.dataclass(frozen=True)
class ClusterPass(FederatedAlgorithm):
    """The first pass: `ClusterSums` of all clients' samples, as the model labels them.

    The metrics are the totals by name, and `sizes`, `(participants, n_clusters)`.

    Attributes:
      labeling: How the model labels samples.
      n_classes: Number of classes, over all clients; 0 leaves scores against classes out. Samples
        of class -1 count for the others only.
    """

    kind: ClassVar[str] = "cluster scores"
    state_type: ClassVar[type] = WeightsState
    sums_type: ClassVar[type] = ClusterSums
    per_client_type: ClassVar[type] = SizesOfClient
    full_participation: ClassVar[bool] = True

    labeling: Labeling
    n_classes: int = 0

    def make_learner(self) -> _ClusterLearner:
        """Builds the model."""
        return _ClusterLearner(self)

    def server_update(
        self, state: WeightsState, sums: ClusterSums, per_client: SizesOfClient
    ) -> tuple[WeightsState, Metrics]:
        """Leaves the state; returns the totals by name."""
        return state, {**sums._asdict(), "sizes": per_client.sizes}

    def second(self) -> DistancePass:
        """Returns the pass that comes after."""
        return DistancePass(self.n_features, self.labeling)


class _ClusterLearner:
    def __init__(self, algorithm: ClusterPass) -> None:
        self._label = algorithm.labeling.make_label(algorithm.n_features)
        self._n_clusters = algorithm.labeling.n_clusters
        self._n_classes = algorithm.n_classes

    def update(self, broadcast: WeightsState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Labels and sums the client's samples."""
        del seed  # nothing is drawn
        if self._n_classes:
            rule = f"Classes must be below n_classes={self._n_classes}."
            tf.debugging.assert_less(data.y, tf.constant(self._n_classes, data.y.dtype), rule)
        sums = sum_by_cluster(
            data.x,
            self._label(broadcast.weights, data.x),
            data.y,
            n_clusters=self._n_clusters,
            n_classes=self._n_classes,
        )
        return ClientOutput(sums, SizesOfClient(sums.counts))


class DistanceState(NamedTuple):
    """State of the second pass.

    Attributes:
      weights: The model's.
      means: `(n_clusters, n_features)` float64 global means, NaN for clusters without samples.
    """

    weights: Tensors
    means: tf.Tensor


@register
@dataclasses.dataclass(frozen=True)
class DistancePass(FederatedAlgorithm):
    """The second pass: `DistanceSums`, which the metrics hold by name.

    Attributes:
      labeling: That of the first pass.
    """

    kind: ClassVar[str] = "distance scores"
    state_type: ClassVar[type] = DistanceState
    sums_type: ClassVar[type] = DistanceSums
    full_participation: ClassVar[bool] = True

    labeling: Labeling

    def make_learner(self) -> _DistanceLearner:
        """Builds the model."""
        return _DistanceLearner(self)

    def server_update(
        self, state: DistanceState, sums: DistanceSums, per_client: Any
    ) -> tuple[DistanceState, Metrics]:
        """Leaves the state; returns the totals by name."""
        del per_client
        return state, sums._asdict()


class _DistanceLearner:
    def __init__(self, algorithm: DistancePass) -> None:
        self._label = algorithm.labeling.make_label(algorithm.n_features)

    def update(self, broadcast: DistanceState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Labels the client's samples and sums their distances."""
        del seed  # nothing is drawn
        labels = self._label(broadcast.weights, data.x)
        return ClientOutput(sum_distances(data.x, labels, broadcast.means))


class Evaluation(NamedTuple):
    """Result of the two passes.

    Attributes:
      scores: As those of `score_sums.scores`.
      sizes: `(participants, n_clusters)` int64, samples of each cluster at each client.
      sums: Totals of the first pass.
      distances: Totals of the second pass, if it was made.
      left_out: Numbers of clients whose samples do not count, since they are not finite.
    """

    scores: metrics.Scores
    sizes: np.ndarray
    sums: ClusterSums
    distances: DistanceSums | None
    left_out: list[int]


def evaluate(
    backend: Backend,
    participants: Sequence[Participant],
    first: ClusterPass,
    weights: Sequence[Any],
    *,
    with_distances: bool = True,
) -> Evaluation:
    """Scores a model on all clients' samples in two rounds.

    Args:
      backend: Runs the rounds.
      participants: All clients, in order.
      first: The first pass; equal ones are compiled once.
      weights: The model's, as `first.labeling` takes them.
      with_distances: Whether to make the second pass.

    Raises:
      InputError: If no client has samples that are finite.
      TrainingError: If the passes went over different clients.
    """
    state = WeightsState(to_tensors(weights))
    _, found, left_out, _ = backend.run_round(first, state, participants)
    sums = name_sums(ClusterSums, found)
    sizes = np.asarray(found["sizes"]).astype(np.int64)
    if not with_distances:
        return Evaluation(scores(sums), sizes, sums, None, left_out)
    with_means = DistanceState(state.weights, tf.constant(sums.means()))
    _, spread, left_out_then, _ = backend.run_round(first.second(), with_means, participants)
    if left_out_then != left_out:
        raise TrainingError(
            f"Both passes of the scores need the same clients. The first went without {left_out}, "
            f"the second without {left_out_then}."
        )
    distances = name_sums(DistanceSums, spread)
    return Evaluation(scores(sums, distances), sizes, sums, distances, left_out)
