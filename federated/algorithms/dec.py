"""Federated DEC: the target of all rows from sums over clients, and steps towards it.

Eq. 3 of the paper needs f_j, the sum of q_ij over all rows. It adds over clients, so an exchange of
K numbers makes every client's target the centralised one. The target belongs to the weights it was
computed with, which are sent beside the current ones until the next exchange.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

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
from federated.core.local_training import (
    FederatedTraining,
    LocalWork,
    TrainingLearner,
    client_optimizer,
)
from tfcluster.config import DECConfig, register
from tfcluster.dec.self_training import DECTrainer, target_distribution
from tfcluster.training.loop import TrainingLoop

Target = Literal["global", "local", "batch"]


@register
@dataclasses.dataclass(frozen=True)
class MassExchange(FederatedAlgorithm):
    """A round that fixes the target: masses and changed labels of all rows under the weights.

    Its state is that of `FederatedDEC`, whose context it sets: the weights of the target, then the
    mass of each cluster. The metrics are what the stopping rule needs.

    Attributes:
      n_clusters: Number of centres.
      config: The protocol.
    """

    everyone = True

    n_clusters: int
    config: DECConfig

    def make_learner(self) -> _MassLearner:
        """An encoder with centres."""
        return _MassLearner(DECTrainer(self.n_features, self.n_clusters, self.config))

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """The current weights become those of the target."""
        del gathered
        mass, sizes, changed, n_rows = sums
        metrics = {
            "changed": changed / n_rows,
            "clusters_used": tf.math.count_nonzero(sizes),
            "rows": n_rows,
            "mass": mass,
        }
        return state._replace(context=(*state.weights, mass)), metrics


class _MassLearner:
    def __init__(self, trainer: DECTrainer) -> None:
        self._trainer = trainer

    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums, in float64: mass and rows of each cluster, changed labels, rows."""
        del seed  # nothing is drawn
        *before, _ = broadcast.context
        labels_before = tf.argmax(_assigned(self._trainer, before, data.x), axis=1)
        q = _assigned(self._trainer, broadcast.weights, data.x)
        labels = tf.argmax(q, axis=1)
        sizes = tf.reduce_sum(tf.one_hot(labels, q.shape[1], dtype=tf.float64), axis=0)
        changed = tf.math.count_nonzero(labels != labels_before)
        return ClientOutput(
            (
                tf.reduce_sum(tf.cast(q, tf.float64), axis=0),
                sizes,
                tf.cast(changed, tf.float64),
                tf.cast(tf.shape(data.x)[0], tf.float64),
            )
        )


def _assigned(trainer: DECTrainer, weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """q of eq. 1 under given weights, `(rows, clusters)`."""
    assign(trainer.loop.optimizer.trainable, weights)
    return trainer.soft_assign(x)


@register
@dataclasses.dataclass(frozen=True)
class FederatedDEC(FederatedTraining[LocalWork]):
    """Rounds of training encoder and centres, between two exchanges.

    The weights are the encoder's, then the centres.

    Attributes:
      n_clusters: Number of centres.
      config: The protocol.
      target: `"global"`, eq. 3 over all clients' rows; `"local"`, over the client's own; or
        `"batch"`, within each batch.
      follows_exchange: Whether the round comes right after an exchange. The weights of the target
        are then the current ones, and sent once.
    """

    n_clusters: int
    config: DECConfig
    target: Target = "global"
    follows_exchange: bool = False

    def state(self, weights: Sequence[Any]) -> ServerState:
        """The state before the first exchange, which compares with these very weights."""
        begun = super().state(weights)
        mass = tf.ones(self.n_clusters, tf.float64)
        return begun._replace(context=(*begun.weights, mass))

    def broadcast(self, state: ServerState) -> ServerState:
        """The weights, those of the target if they are others, and the mass."""
        sent = super().broadcast(state)
        return sent._replace(context=sent.context[-1:]) if self.follows_exchange else sent

    def make_learner(self) -> TrainingLearner:
        """An encoder with centres and their loop."""
        return _DECLearner(self)

    def exchange(self) -> MassExchange:
        """The round that comes before every update interval."""
        return MassExchange(self.n_features, self.n_clusters, self.config)


class _DECLearner(TrainingLearner):
    def __init__(self, algorithm: FederatedDEC) -> None:
        # "local" is "global" on the client's own rows
        inside: Literal["batch", "global"] = "batch" if algorithm.target == "batch" else "global"
        config = dataclasses.replace(algorithm.config, target=inside)
        trainer = DECTrainer(algorithm.n_features, algorithm.n_clusters, config)
        optimizer = client_optimizer(trainer.loop.optimizer, algorithm.aggregation)
        super().__init__(optimizer, algorithm.aggregation)
        self._trainer, self._work, self._target = trainer, algorithm.work, algorithm.target
        self._loop = TrainingLoop(trainer.row_loss, optimizer, divisible=trainer.loop.divisible)

    def train(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Steps towards the target of the last exchange."""
        *target_weights, mass = broadcast.context
        q = _assigned(self._trainer, target_weights or broadcast.weights, x)
        p = target_distribution(q, mass if self._target == "global" else None)
        assign(self.optimizer.trainable, broadcast.weights)
        return self._work.run(self._loop, [x, p], seed)
