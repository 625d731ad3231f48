"""Federated pretraining of DEC's autoencoder, end to end."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from federated.aggregation import Aggregation
from federated.algorithm import ServerState
from federated.training import FederatedTraining, LocalWork, TrainingLearner
from tfcluster.autoencoder import AutoencoderTrainer
from tfcluster.optimizers import build_optimizer
from tfcluster.presets import DECConfig
from tfcluster.training import TrainingLoop


class _Learner(TrainingLearner):
    def __init__(
        self, n_features: int, config: DECConfig, work: LocalWork, aggregation: Aggregation
    ) -> None:
        trainer = AutoencoderTrainer(n_features, config)
        variables = trainer.autoencoder.trainable_variables
        super().__init__(build_optimizer(config.pretraining.optimizer, variables), aggregation)
        self._loop = TrainingLoop(trainer.whole_loss, self.optimizer)
        self._work = work

    def train(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Passes over the client's rows."""
        del broadcast  # the weights are set
        return self._work.run(self._loop, [x], seed)


class FederatedPretraining(FederatedTraining):
    """Rounds of pretraining the whole autoencoder.

    Args:
      weights: Kernels and biases to begin with, in the order data pass through them.
      n_features: Width of a row.
      config: `dims`, `initializer`, `reconstruction_weight` and the optimiser are read.
      work: What a client does in a round.
      aggregation: How the server moves.
    """

    name = "pretrain"

    def __init__(
        self,
        weights: Sequence[tf.Tensor],
        n_features: int,
        config: DECConfig,
        work: LocalWork,
        aggregation: Aggregation,
    ) -> None:
        super().__init__(weights, aggregation)
        self._arguments = (n_features, config, work, aggregation)

    def make_learner(self) -> _Learner:
        """An autoencoder and its loop."""
        return _Learner(*self._arguments)
