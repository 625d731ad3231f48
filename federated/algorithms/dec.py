"""Federated DEC: the target of all samples from sums over clients, and steps towards it.

Eq. 3 of the paper needs the soft cluster frequencies f_j, the sum of q_ij over all samples. They
add over clients, so a target update, an exchange of K numbers, makes every client's target the
centralized one. The target belongs to the weights it was computed with, which are sent beside the
current ones until the next update.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import tensorflow as tf

from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    State,
    Tensors,
    assign,
)
from federated.core.local_training import (
    FederatedTraining,
    LocalWork,
    TrainingLearner,
    client_optimizer,
    to_tensors,
)
from tfcluster.config import DECConfig, register
from tfcluster.dec.self_training import DECTrainer, target_distribution
from tfcluster.training.loop import TrainingLoop

Target = Literal["global", "local", "batch"]


class DECState(NamedTuple):
    """State of DEC's clustering rounds.

    Attributes:
      weights: The encoder's, then the centroids.
      optimizer: Slots of the server's rule; never sent.
      target_weights: Weights at the last target update; not sent while they are the current ones.
      frequencies: `(n_clusters,)` float64, f_j under them.
    """

    weights: Tensors
    optimizer: Tensors
    target_weights: Tensors
    frequencies: tf.Tensor


class TargetSums(NamedTuple):
    """Sums that clients send for a target update, in float64.

    Attributes:
      frequencies: `(n_clusters,)`, sums of q.
      sizes: `(n_clusters,)`, samples of each cluster.
      changed: Scalar, samples whose label changed since the last update.
      n_samples: Scalar.
    """

    frequencies: tf.Tensor
    sizes: tf.Tensor
    changed: tf.Tensor
    n_samples: tf.Tensor


@register
@dataclasses.dataclass(frozen=True)
class TargetUpdate(FederatedAlgorithm):
    """A round that fixes the target: f_j and changed labels of all samples under the weights.

    The metrics are what the stopping rule needs.

    Attributes:
      n_clusters: Number of centroids.
      config: The protocol.
    """

    kind: ClassVar[str] = "target update"
    state_type: ClassVar[type] = DECState
    sums_type: ClassVar[type] = TargetSums
    full_participation: ClassVar[bool] = True

    n_clusters: int
    config: DECConfig

    def make_learner(self) -> _TargetLearner:
        """Builds an encoder with centroids."""
        return _TargetLearner(DECTrainer(self.n_features, self.n_clusters, self.config))

    def broadcast(self, state: DECState) -> DECState:
        """Returns the current weights and those of the last update."""
        return state._replace(optimizer=())

    def server_update(
        self, state: DECState, sums: TargetSums, per_client: Any
    ) -> tuple[DECState, Metrics]:
        """Makes the current weights those of the target."""
        del per_client
        metrics = {
            "changed": sums.changed / sums.n_samples,
            "clusters_used": tf.math.count_nonzero(sums.sizes),
            "n_samples": sums.n_samples,
            "frequencies": sums.frequencies,
        }
        new = state._replace(target_weights=state.weights, frequencies=sums.frequencies)
        return new, metrics


class _TargetLearner:
    def __init__(self, trainer: DECTrainer) -> None:
        self._trainer = trainer

    def update(self, broadcast: DECState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Counts under the current weights and those of the last update; see `TargetSums`."""
        del seed  # nothing is drawn
        before = _soft_assign(self._trainer, broadcast.target_weights, data.x)
        q = _soft_assign(self._trainer, broadcast.weights, data.x)
        labels = tf.argmax(q, axis=1)
        # not `!=`, which in a graph of TFF's compares objects and is always true
        differs = tf.not_equal(labels, tf.argmax(before, axis=1))
        return ClientOutput(
            TargetSums(
                frequencies=tf.reduce_sum(tf.cast(q, tf.float64), axis=0),
                sizes=tf.reduce_sum(tf.one_hot(labels, q.shape[1], dtype=tf.float64), axis=0),
                changed=tf.cast(tf.math.count_nonzero(differs), tf.float64),
                n_samples=tf.cast(tf.shape(data.x)[0], tf.float64),
            )
        )


def _soft_assign(trainer: DECTrainer, weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """Returns q of eq. 1 under given weights, `(n_samples, n_clusters)`."""
    assign(trainer.loop.optimizer.trainable, weights)
    return trainer.soft_assign(x)


@register
@dataclasses.dataclass(frozen=True)
class DECTraining(FederatedTraining[LocalWork]):
    """Rounds of training encoder and centroids, between two target updates.

    Attributes:
      n_clusters: Number of centroids.
      config: The protocol.
      target: `"global"`, eq. 3 over all clients' samples; `"local"`, over the client's own; or
        `"batch"`, within each batch.
      follows_update: Whether the round comes right after a target update. The weights of the
        target are then the current ones, and sent once.
    """

    state_type: ClassVar[type] = DECState

    n_clusters: int
    config: DECConfig
    target: Target = "global"
    follows_update: bool = False

    def initial_state(self, weights: Sequence[Any]) -> DECState:
        """Returns the state before the first target update, which compares with these weights."""
        known = to_tensors(weights)
        return DECState(known, self.slots(known), known, tf.ones(self.n_clusters, tf.float64))

    def broadcast(self, state: DECState) -> DECState:
        """Returns the weights, those of the target if they are others, and f_j."""
        sent = state._replace(optimizer=())
        return sent._replace(target_weights=()) if self.follows_update else sent

    def make_learner(self) -> TrainingLearner:
        """Builds an encoder with centroids and their loop."""
        return _DECLearner(self)

    def target_update(self) -> TargetUpdate:
        """Returns the round that comes before every update interval."""
        return TargetUpdate(self.n_features, self.n_clusters, self.config)


class _DECLearner(TrainingLearner):
    def __init__(self, algorithm: DECTraining) -> None:
        # "local" is "global" on the client's own samples
        inside: Literal["batch", "global"] = "batch" if algorithm.target == "batch" else "global"
        config = dataclasses.replace(algorithm.config, target=inside)
        trainer = DECTrainer(algorithm.n_features, algorithm.n_clusters, config)
        optimizer = client_optimizer(trainer.loop.optimizer, algorithm.aggregation)
        super().__init__(optimizer, algorithm.aggregation)
        self._trainer, self._work, self._target = trainer, algorithm.work, algorithm.target
        self._loop = TrainingLoop(trainer.sample_loss, optimizer, divisible=trainer.loop.divisible)

    def train(self, broadcast: State, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Takes steps towards the target of the last update."""
        q = _soft_assign(self._trainer, broadcast.target_weights or broadcast.weights, x)
        is_global = self._target == "global"
        p = target_distribution(q, broadcast.frequencies if is_global else None)
        assign(self.optimizer.trainable, broadcast.weights)
        return self._work.run(self._loop, [x, p], seed)
