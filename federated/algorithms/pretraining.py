"""Federated pretraining of DEC's autoencoder: end to end, or layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from federated.core.algorithm import ServerState, assign
from federated.core.local_training import (
    FederatedTraining,
    LocalWork,
    TrainingLearner,
    client_optimizer,
)
from tfcluster.config import DECConfig, register
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.training.loop import TrainingLoop
from tfcluster.training.optimizers import build_optimizer


@register
@dataclasses.dataclass(frozen=True)
class FederatedPretraining(FederatedTraining[LocalWork]):
    """Rounds of training the whole autoencoder.

    The weights are kernels and biases in the order data pass through them.

    Attributes:
      config: `dims`, `reconstruction_weight` and the optimiser are read.
    """

    config: DECConfig

    def make_learner(self) -> TrainingLearner:
        """An autoencoder and its loop."""
        return _Learner(self)


class _Learner(TrainingLearner):
    def __init__(self, algorithm: FederatedPretraining) -> None:
        trainer = AutoencoderTrainer(algorithm.n_features, algorithm.config)
        variables = trainer.autoencoder.trainable_variables
        built = build_optimizer(algorithm.config.pretraining.optimizer, variables)
        optimizer = client_optimizer(built, algorithm.aggregation)
        super().__init__(optimizer, algorithm.aggregation)
        self._loop = TrainingLoop(trainer.whole_loss, optimizer)
        self._work = algorithm.work

    def train(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Passes over the client's rows."""
        del broadcast  # the weights are set
        return self._work.run(self._loop, [x], seed)


@register
@dataclasses.dataclass(frozen=True)
class FederatedLayer(FederatedTraining[LocalWork]):
    """Rounds of training one layer's denoising autoencoder on what the layers below make of rows.

    The weights are kernel and bias of the layer, then of its decoder; the context holds the
    kernels and biases of the layers below.

    Attributes:
      config: `dims`, `reconstruction_weight` and the layer-wise protocol are read.
      layer: Number of the layer, from 0 on.
    """

    config: DECConfig
    layer: int

    def stacked(self, weights: Sequence[tf.Tensor], below: Sequence[tf.Tensor]) -> ServerState:
        """The state before the first round.

        Args:
          weights: Kernel and bias of the layer and of its decoder.
          below: Kernels and biases of the layers below, in the order data pass through them.
        """
        return self.state(weights)._replace(context=tuple(map(tf.convert_to_tensor, below)))

    def make_learner(self) -> TrainingLearner:
        """The layer's loop, and the layers below."""
        return _LayerLearner(self)


class _LayerLearner(TrainingLearner):
    def __init__(self, algorithm: FederatedLayer) -> None:
        trainer = AutoencoderTrainer(algorithm.n_features, algorithm.config)
        row_loss, variables = trainer.layer_loss(algorithm.layer)
        built = build_optimizer(algorithm.config.pretraining.optimizer, variables)
        optimizer = client_optimizer(built, algorithm.aggregation)
        super().__init__(optimizer, algorithm.aggregation)
        self._loop = TrainingLoop(row_loss, optimizer)
        self._below = trainer.below(algorithm.layer)
        self._work = algorithm.work

    def train(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Passes over what the layers below make of the client's rows."""
        variables = [variable for layer in self._below for variable in layer.trainable_variables]
        assign(variables, broadcast.context)
        for layer in self._below:
            x = layer(x)
        return self._work.run(self._loop, [x], seed)
