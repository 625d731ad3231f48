"""Federated DEC: the target of all rows from sums over clients, and steps towards it.

Eq. 3 of the paper needs f_j, the sum of q_ij over all rows. It adds over clients, so an exchange of
K numbers makes every client's target the centralised one. The target belongs to the weights it was
computed with, which are sent beside the current ones until the next exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from federated.aggregation import Aggregation
from federated.algorithm import (
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    ServerState,
    Tensors,
)
from federated.training import FederatedTraining, LocalWork, TrainingLearner
from tfcluster.presets import DECConfig
from tfcluster.self_training import DECTrainer, target_distribution
from tfcluster.training import TrainingLoop

Target = Literal["global", "local", "batch"]


class MassExchange(FederatedAlgorithm):
    """A round that fixes the target: masses and changed labels of all rows under the weights.

    Its state is that of `FederatedDEC`, whose context it sets: the weights of the target, then the
    mass of each cluster. The metrics are what the stopping rule needs.

    Args:
      n_features: Width of a row.
      n_clusters: Number of centres.
      config: The protocol.
    """

    name = "exchange"
    everyone = True

    def __init__(self, n_features: int, n_clusters: int, config: DECConfig) -> None:
        self._arguments = (n_features, n_clusters, config)

    def initial_state(self) -> ServerState:
        """There is none of its own."""
        raise NotImplementedError("begin with the state of FederatedDEC")

    def make_learner(self) -> _MassLearner:
        """An encoder with centres."""
        return _MassLearner(DECTrainer(*self._arguments))

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
        }
        return state._replace(context=(*state.weights, mass)), metrics


class _MassLearner:
    def __init__(self, trainer: DECTrainer) -> None:
        self._trainer = trainer

    def update(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> ClientOutput:
        """Sums, in float64: mass and rows of each cluster, changed labels, rows."""
        del seed  # nothing is drawn
        *before, _ = broadcast.context
        labels_before = tf.argmax(_assigned(self._trainer, before, x), axis=1)
        q = _assigned(self._trainer, broadcast.weights, x)
        labels = tf.argmax(q, axis=1)
        sizes = tf.reduce_sum(tf.one_hot(labels, q.shape[1], dtype=tf.float64), axis=0)
        changed = tf.math.count_nonzero(labels != labels_before)
        return ClientOutput(
            (
                tf.reduce_sum(tf.cast(q, tf.float64), axis=0),
                sizes,
                tf.cast(changed, tf.float64),
                tf.cast(tf.shape(x)[0], tf.float64),
            )
        )


def _assigned(trainer: DECTrainer, weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """q of eq. 1 under given weights, `(rows, clusters)`."""
    for variable, weight in zip(trainer.loop.optimizer.trainable, weights, strict=True):
        variable.assign(weight)
    return trainer.soft_assign(x)


class _DECLearner(TrainingLearner):
    def __init__(
        self, trainer: DECTrainer, work: LocalWork, aggregation: Aggregation, target: Target
    ) -> None:
        super().__init__(trainer.loop.optimizer, aggregation)
        self._trainer, self._work, self._target = trainer, work, target
        self._loop = TrainingLoop(
            trainer.row_loss, self.optimizer, divisible=trainer.loop.divisible
        )

    def train(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Steps towards the target of the last exchange."""
        *target_weights, mass = broadcast.context
        q = _assigned(self._trainer, target_weights, x)
        p = target_distribution(q, mass if self._target == "global" else None)
        for variable, weight in zip(self.optimizer.trainable, broadcast.weights, strict=True):
            variable.assign(weight)
        return self._work.run(self._loop, [x, p], seed)


class FederatedDEC(FederatedTraining):
    """Rounds of training encoder and centres, between two exchanges.

    Args:
      weights: Of the encoder, then the centres.
      n_features: Width of a row.
      config: The protocol.
      work: What a client does in a round.
      aggregation: How the server moves.
      target: `"global"`, eq. 3 over all clients' rows; `"local"`, over the client's own; or
        `"batch"`, within each batch.
    """

    name = "cluster"

    def __init__(
        self,
        weights: Sequence[tf.Tensor],
        n_features: int,
        config: DECConfig,
        work: LocalWork,
        aggregation: Aggregation,
        target: Target = "global",
    ) -> None:
        super().__init__(weights, aggregation)
        self._config, self._work, self._target = config, work, target
        self._shape = (n_features, int(self._weights[-1].shape[0]))

    def initial_state(self) -> ServerState:
        """The first exchange compares with these very weights, and gives the mass."""
        mass = tf.ones(self._shape[1], tf.float64)
        return super().initial_state()._replace(context=(*self._weights, mass))

    def make_learner(self) -> _DECLearner:
        """An encoder with centres and their loop."""
        trainer = DECTrainer(*self._shape, self._config)
        return _DECLearner(trainer, self._work, self.aggregation, self._target)

    def exchange(self) -> MassExchange:
        """The round that comes before every update interval."""
        return MassExchange(*self._shape, self._config)
