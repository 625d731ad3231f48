"""Federated pretraining of DEC's autoencoder: end to end, or layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from federated.core.algorithm import State, Tensors, assign
from federated.core.local_training import (
    FederatedTraining,
    LocalWork,
    TrainingLearner,
    TrainingState,
    client_optimizer,
    to_tensors,
)
from tfcluster.config import DECConfig, register
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.training.loop import TrainingLoop
from tfcluster.training.optimizers import build_optimizer


@register
@dataclasses.dataclass(frozen=True)
class AutoencoderTraining(FederatedTraining[LocalWork]):
    """Rounds of training the whole autoencoder.

    The weights are kernels and biases in the order data pass through them.

    Attributes:
      config: `dims`, `reconstruction_weight` and the optimizer are read.
    """

    config: DECConfig

    def initial_state(self, weights: Sequence[Any]) -> TrainingState:
        """Returns the state before the first round."""
        known = to_tensors(weights)
        return TrainingState(known, self.slots(known))

    def make_learner(self) -> TrainingLearner:
        """Builds an autoencoder and its loop."""
        return _AutoencoderLearner(self)


class _AutoencoderLearner(TrainingLearner):
    def __init__(self, algorithm: AutoencoderTraining) -> None:
        trainer = AutoencoderTrainer(algorithm.n_features, algorithm.config)
        variables = trainer.autoencoder.trainable_variables
        built = build_optimizer(algorithm.config.pretraining.optimizer, variables)
        optimizer = client_optimizer(built, algorithm.aggregation)
        super().__init__(optimizer, algorithm.aggregation)
        self._loop = TrainingLoop(trainer.whole_loss, optimizer)
        self._work = algorithm.work

    def train(self, broadcast: State, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Takes passes over the client's samples."""
        del broadcast  # the weights are set
        return self._work.run(self._loop, [x], seed)


class LayerState(NamedTuple):
    """State of rounds that train one layer.

    Attributes:
      weights: Kernel and bias of the layer, then of its decoder.
      optimizer: Slots of the server's rule; never sent.
      below: Kernels and biases of the layers below, in the order data pass through them.
    """

    weights: Tensors
    optimizer: Tensors
    below: Tensors


@register
@dataclasses.dataclass(frozen=True)
class LayerTraining(FederatedTraining[LocalWork]):
    """Rounds of training one layer's denoising autoencoder on the output of the layers below.

    Attributes:
      config: `dims`, `reconstruction_weight` and the layer-wise protocol are read.
      layer: Number of the layer, from 0 on.
    """

    state_type: ClassVar[type] = LayerState

    config: DECConfig
    layer: int

    def initial_state(self, weights: Sequence[Any], below: Sequence[Any]) -> LayerState:
        """Returns the state before the first round; the arguments are as in `LayerState`."""
        known = to_tensors(weights)
        return LayerState(known, self.slots(known), to_tensors(below))

    def make_learner(self) -> TrainingLearner:
        """Builds the layer's loop, and the layers below."""
        return _LayerLearner(self)


class _LayerLearner(TrainingLearner):
    def __init__(self, algorithm: LayerTraining) -> None:
        trainer = AutoencoderTrainer(algorithm.n_features, algorithm.config)
        sample_loss, variables = trainer.layer_loss(algorithm.layer)
        built = build_optimizer(algorithm.config.pretraining.optimizer, variables)
        optimizer = client_optimizer(built, algorithm.aggregation)
        super().__init__(optimizer, algorithm.aggregation)
        self._loop = TrainingLoop(sample_loss, optimizer)
        self._below = trainer.below(algorithm.layer)
        self._work = algorithm.work

    def train(self, broadcast: State, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Takes passes over what the layers below make of the client's samples."""
        variables = [variable for layer in self._below for variable in layer.trainable_variables]
        assign(variables, broadcast.below)
        for layer in self._below:
            x = layer(x)
        return self._work.run(self._loop, [x], seed)
