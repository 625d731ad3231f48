"""Federated ClusterGAN, with the generator at the clients or at the server.

`GeneratorAtClients`: clients train all three networks. `GeneratorAtServer`: clients train the
critic, the only network that needs real samples; the server trains generator and encoder, which
need nothing but noise.

The networks normalize over their batches and keep no running statistics, so weights are all there
is to average. A client's optimizer either starts afresh with every round, or from the mean of the
moments that the participants ended the last one with.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from federated.core.aggregation import Aggregation, weighted_mean
from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    Metrics,
    ServerUpdate,
    State,
    Tensors,
    assign,
)
from federated.core.local_training import (
    FederatedTraining,
    TrainingLearner,
    client_optimizer,
    to_tensors,
)
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import Adam, GANConfig, check_types, register
from tfcluster.errors import InputError
from tfcluster.training.optimizers import Optimizer, build_optimizer

Arrays = Sequence[Any]

_MOMENTS = 2  # that Adam keeps of each weight


@register
@dataclasses.dataclass(frozen=True)
class AdversarialWork:
    """Work of a round.

    Attributes:
      iterations: Each has `critic_steps` steps of the critic and one of generator and encoder, as
        in centralized training; with the generator at the server, all steps of the critic come
        first.
      carry_optimizer: Whether the clients' optimizers go on with the mean of the participants'
        moments of the round before. It weighs clients by their samples, whatever the rule for
        weights.
    """

    iterations: int = 100
    carry_optimizer: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if self.iterations < 1:
            raise InputError(f"`iterations` must be at least 1. Received: {self.iterations}.")


class GANState(NamedTuple):
    """State of rounds with the generator at the clients.

    Attributes:
      weights: The generator's, the critic's and the encoder's.
      optimizer: Slots of the server's rule; never sent.
      moments: Two of each weight, if optimizers are carried.
      iterations: Scalar int64, iterations so far, or `()`; only if optimizers are carried.
    """

    weights: Tensors
    optimizer: Tensors
    moments: Tensors = ()
    iterations: tf.Tensor | tuple[()] = ()


class ServerGANState(NamedTuple):
    """State of rounds with the generator at the server.

    Attributes:
      weights: The critic's.
      optimizer: Slots of the server's rule; never sent.
      generator: The generator's weights, with which clients make samples.
      encoder: The encoder's weights; never sent.
      server_moments: Two of each weight of generator and encoder; never sent.
      server_steps: Scalar int64, steps of generator and encoder so far; never sent.
      moments: As in `GANState`, of the critic.
      iterations: As in `GANState`.
    """

    weights: Tensors
    optimizer: Tensors
    generator: Tensors
    encoder: Tensors
    server_moments: Tensors
    server_steps: tf.Tensor | tuple[()]
    moments: Tensors = ()
    iterations: tf.Tensor | tuple[()] = ()


class GANSums(NamedTuple):
    """Sums that clients send of a round.

    Attributes:
      updates: As in `TrainingSums`.
      n_samples: Scalar float32.
      losses: As in `TrainingSums`.
      moments: Moments times the client's samples, if optimizers are carried.
    """

    updates: Tensors
    n_samples: tf.Tensor
    losses: tf.Tensor
    moments: Tensors = ()


@dataclasses.dataclass(frozen=True)
class GANTraining(FederatedTraining[AdversarialWork]):
    """Base of both placements of the generator.

    Attributes:
      n_clusters: Length of z_c.
      config: The protocol.
    """

    sums_type: ClassVar[type] = GANSums

    n_clusters: int
    config: GANConfig

    def trainer(self, aggregation: Aggregation | None = None) -> GANTrainer:
        """Returns networks and optimizers; a client's where a rule is given."""

        def make(config: Adam, variables: Sequence[tf.Variable]) -> Optimizer:
            built = build_optimizer(config, variables)
            return client_optimizer(built, aggregation) if aggregation else built

        return GANTrainer(self.n_features, self.n_clusters, self.config, make)

    def _carried(self, weights: Tensors) -> dict[str, Any]:
        """Returns the fields of the state that carry the clients' optimizers."""
        if not self.work.carry_optimizer:
            return {}
        zeros = tuple(tf.zeros(weight.shape) for weight in weights)
        return {"moments": zeros * _MOMENTS, "iterations": tf.constant(0, tf.int64)}

    def server_update(self, state: State, sums: GANSums, per_client: Any) -> tuple[State, Metrics]:
        """Moves the weights, and takes the mean of the moments if they are carried."""
        state, metrics = super().server_update(state, sums, per_client)
        if not self.work.carry_optimizer:
            return state, metrics
        moments = tuple(weighted_mean(sums.moments, sums.n_samples))
        iterations = state.iterations + self.work.iterations
        return state._replace(moments=moments, iterations=iterations), metrics


class _GANLearner(TrainingLearner):
    """A client's side of both placements.

    Args:
      algorithm: What to compute.
      optimizers: The optimizers in use, and the steps each takes in an iteration.
      trained: All weights they train, in the order of the server's.
    """

    def __init__(
        self,
        algorithm: GANTraining,
        optimizers: Sequence[tuple[Optimizer, int]],
        trained: Sequence[tf.Variable],
    ) -> None:
        parts = [optimizer for optimizer, _ in optimizers]
        super().__init__(_Together(trained, parts), algorithm.aggregation)
        self._optimizers, self._work = optimizers, algorithm.work
        self._moments: list[tf.Variable] = []
        for i in range(_MOMENTS):  # in the order of the weights, as in the state
            moment_of = {
                id(variable): moment
                for part in parts
                for variable, moment in zip(part.trainable, part.slots[i], strict=True)
            }
            self._moments += [moment_of[id(variable)] for variable in trained]

    def update(self, broadcast: State, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Trains as `TrainingLearner`; sends weighted moments too if they are carried."""
        output = super().update(broadcast, data, seed)
        moments: Tensors = ()
        if self._work.carry_optimizer:
            n_samples = tf.cast(tf.shape(data.x)[0], tf.float32)
            moments = tuple(n_samples * moment for moment in self._moments)
        sums = GANSums(**output.sums._asdict(), moments=moments)
        return output._replace(sums=sums)

    def set_moments(self, broadcast: State) -> None:
        """Sets the optimizers as they were carried; they start afresh if they are not."""
        if not self._work.carry_optimizer:
            return
        assign(self._moments, broadcast.moments)
        for optimizer, steps in self._optimizers:
            optimizer.step.assign(steps * broadcast.iterations)

    def numbers(self) -> tf.Tensor:
        """Returns the numbers of the round's iterations; with its seed they fix what is drawn."""
        return tf.range(self._work.iterations, dtype=tf.int64)


class _Together:
    """Several optimizers as one."""

    def __init__(self, trainable: Sequence[tf.Variable], parts: Sequence[Optimizer]) -> None:
        self.trainable, self._parts = list(trainable), parts

    def reset(self) -> None:
        """Forgets everything."""
        for part in self._parts:
            part.reset()


@register
@dataclasses.dataclass(frozen=True)
class GeneratorAtClients(GANTraining):
    """Rounds in which clients train generator, critic and encoder, and all are averaged."""

    state_type: ClassVar[type] = GANState
    losses: ClassVar[tuple[str, ...]] = ("loss", "critic_loss")
    client_losses: ClassVar[tuple[str, ...]] = ("loss", "critic_loss")

    def initial_state(self, generator: Arrays, critic: Arrays, encoder: Arrays) -> GANState:
        """Returns the state before the first round, from the networks' weights."""
        weights = to_tensors([*generator, *critic, *encoder])
        return GANState(weights, self.slots(weights), **self._carried(weights))

    def networks(self, state: GANState, n_weights: Sequence[int]) -> list[Tensors]:
        """Returns the weights of generator, critic and encoder, which have so many each."""
        ends = [sum(n_weights[: i + 1]) for i in range(len(n_weights))]
        starts = [0, *ends]
        return [state.weights[a:b] for a, b in zip(starts, ends, strict=False)]

    def make_learner(self) -> TrainingLearner:
        """Builds three networks and their optimizers."""
        return _AllNetworksLearner(self)


class _AllNetworksLearner(_GANLearner):
    def __init__(self, algorithm: GeneratorAtClients) -> None:
        self._trainer = algorithm.trainer(algorithm.aggregation)
        steps = algorithm.config.critic_steps
        super().__init__(
            algorithm,
            [(self._trainer.critic_optimizer, steps), (self._trainer.other_optimizer, 1)],
            [v for network in self._trainer.networks for v in network.trainable_variables],
        )

    def train(self, broadcast: State, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Takes whole iterations."""
        self.set_moments(broadcast)
        critic_losses, losses = self._trainer.iterate(x, seed, self.numbers())
        count = tf.cast(self._work.iterations, tf.float32)
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(critic_losses), count])


@register
@dataclasses.dataclass(frozen=True)
class GeneratorAtServer(GANTraining):
    """Rounds in which clients train the critic, then the server generator and encoder.

    The server's optimizer is never reset.

    Attributes:
      seed: Seed of what the server draws.
    """

    state_type: ClassVar[type] = ServerGANState
    losses: ClassVar[tuple[str, ...]] = ("loss", "critic_loss")
    client_losses: ClassVar[tuple[str, ...]] = ("critic_loss",)

    seed: int = 0

    def initial_state(self, generator: Arrays, critic: Arrays, encoder: Arrays) -> ServerGANState:
        """Returns the state before the first round, from the networks' weights."""
        weights, made_by, known = to_tensors(critic), to_tensors(generator), to_tensors(encoder)
        zeros = tuple(tf.zeros(weight.shape) for weight in (*made_by, *known))
        return ServerGANState(
            weights,
            self.slots(weights),
            made_by,
            known,
            zeros * _MOMENTS,
            tf.constant(0, tf.int64),
            **self._carried(weights),
        )

    def broadcast(self, state: ServerGANState) -> ServerGANState:
        """Returns critic and generator, and the carried moments."""
        return state._replace(optimizer=(), encoder=(), server_moments=(), server_steps=())

    def networks(self, state: ServerGANState, n_weights: Sequence[int]) -> list[Tensors]:
        """Returns the weights of generator, critic and encoder."""
        del n_weights  # the state holds them apart
        return [state.generator, state.weights, state.encoder]

    def make_learner(self) -> TrainingLearner:
        """Builds the critic with its optimizer, and a generator."""
        return _CriticLearner(self)

    def make_server(self) -> ServerUpdate:
        """Builds generator and encoder with their optimizer, and a critic."""
        return functools.partial(self._round, _GeneratorServer(self))

    def _round(
        self, server: _GeneratorServer, state: ServerGANState, sums: GANSums, per_client: Any
    ) -> tuple[ServerGANState, Metrics]:
        """Moves the critic, then takes steps against it."""
        state, metrics = self.server_update(state, sums, per_client)
        state, loss = server.train(state)
        return state, {"loss": loss, **metrics}


class _CriticLearner(_GANLearner):
    def __init__(self, algorithm: GeneratorAtServer) -> None:
        self._trainer = algorithm.trainer(algorithm.aggregation)
        optimizer = self._trainer.critic_optimizer
        super().__init__(
            algorithm, [(optimizer, algorithm.config.critic_steps)], optimizer.trainable
        )

    def train(self, broadcast: State, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Takes the critic's steps of all iterations, against the generator that was sent."""
        self.set_moments(broadcast)
        assign(self._trainer.networks.generator.trainable_variables, broadcast.generator)
        losses = self._trainer.train_critic(x, seed, self.numbers())
        return tf.stack([tf.reduce_sum(losses), tf.cast(self._work.iterations, tf.float32)])


class _GeneratorServer:
    """Trains generator and encoder against a critic."""

    def __init__(self, algorithm: GeneratorAtServer) -> None:
        self._trainer = algorithm.trainer()
        self._seed, self._iterations = algorithm.seed, algorithm.work.iterations

    def train(self, state: ServerGANState) -> tuple[ServerGANState, tf.Tensor]:
        """Takes the round's steps; returns the new state and the mean loss."""
        generator, critic, encoder = (n.trainable_variables for n in self._trainer.networks)
        optimizer = self._trainer.other_optimizer
        moments = [moment for of_weights in optimizer.slots for moment in of_weights]
        assign(generator, state.generator)
        assign(critic, state.weights)
        assign(encoder, state.encoder)
        assign(moments, state.server_moments)
        optimizer.step.assign(state.server_steps)
        numbers = state.server_steps + tf.range(self._iterations, dtype=tf.int64)
        losses = self._trainer.train_generator(tf.constant(self._seed), numbers)
        new = state._replace(
            generator=_values(generator),
            encoder=_values(encoder),
            server_moments=_values(moments),
            server_steps=optimizer.step.read_value(),
        )
        return new, tf.reduce_mean(losses)


def _values(variables: Sequence[tf.Variable]) -> Tensors:
    # values of variables of TensorFlow, of Keras 2 and of Keras 3 alike
    return tuple(tf.convert_to_tensor(variable) for variable in variables)
