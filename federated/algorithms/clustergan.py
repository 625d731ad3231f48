"""Federated ClusterGAN in two placements.

`AverageGAN`: clients train all three networks. `SplitGAN`: clients train the critic alone, which
is what needs real rows; the server trains generator and encoder, which need nothing but noise.

The networks normalise over their batches and keep no running statistics, so that weights are all
there is to average. Adam's moments are another matter: a client's optimiser either starts afresh
with every round, or from the mean of the moments that the participants ended the last one with.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from federated.core.aggregation import Aggregation, initial_slots, weighted_mean
from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    Metrics,
    ServerState,
    ServerUpdate,
    Tensors,
    assign,
)
from federated.core.local_training import FederatedTraining, TrainingLearner, client_optimizer
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import Adam, GANConfig, check_types, register
from tfcluster.errors import InputError
from tfcluster.training.optimizers import Optimizer, build_optimizer

Arrays = Sequence[Any]

_MOMENTS = 2  # that Adam keeps of each weight


@register
@dataclasses.dataclass(frozen=True)
class AdversarialWork:
    """What is done in a round.

    Attributes:
      iterations: Each has `critic_steps` steps of the critic and one of generator and encoder,
        as in central training; of the split placement, all steps of the critic come first.
      carry_optimizer: Whether the clients' optimisers go on with the mean of the participants'
        moments of the round before. It weighs clients by their rows, whatever the rule for
        weights.
    """

    iterations: int = 100
    carry_optimizer: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if self.iterations < 1:
            raise InputError(f"`iterations` must be at least 1. Received: {self.iterations}.")


@dataclasses.dataclass(frozen=True)
class _FederatedGAN(FederatedTraining[AdversarialWork]):
    """What both placements share.

    Where optimisers are carried, the context ends with the iterations taken and two moments of
    each weight that clients train.

    Attributes:
      n_clusters: Length of z_c.
      config: The protocol.
    """

    n_clusters: int
    config: GANConfig

    def trainer(self, aggregation: Aggregation | None = None) -> GANTrainer:
        """Networks and optimisers, a client's if there is a rule."""

        def make(config: Adam, variables: Sequence[tf.Variable]) -> Optimizer:
            built = build_optimizer(config, variables)
            return client_optimizer(built, aggregation) if aggregation else built

        return GANTrainer(self.n_features, self.n_clusters, self.config, make)

    def _begun(self, weights: Arrays, context: Arrays) -> ServerState:
        state = self.state(weights)
        carried: Tensors = ()
        if self.work.carry_optimizer:
            zeros = [tf.zeros(weight.shape) for weight in state.weights]
            carried = (tf.constant(0, tf.int64), *(zeros * _MOMENTS))
        return state._replace(context=(*map(tf.convert_to_tensor, context), *carried))

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """Moves the weights, and takes the mean of the moments if they are carried."""
        if not self.work.carry_optimizer:
            return super().server_update(state, sums, gathered)
        n = _MOMENTS * len(state.weights)
        *others, done = state.context[:-n]
        state, metrics = super().server_update(state, sums[:-n], gathered)
        moments = weighted_mean(sums[-n:], metrics["rows"])
        context = (*others, done + self.work.iterations, *moments)
        return state._replace(context=context), metrics


class _GANLearner(TrainingLearner):
    """A client's side of both placements.

    Args:
      algorithm: Says what to do.
      optimizers: Those in use, and the steps each takes in an iteration.
      trained: All weights they train, in the order of the server's.
    """

    def __init__(
        self,
        algorithm: _FederatedGAN,
        optimizers: Sequence[tuple[Optimizer, int]],
        trained: Sequence[tf.Variable],
    ) -> None:
        parts = [optimizer for optimizer, _ in optimizers]
        super().__init__(_Together(trained, parts), algorithm.aggregation)
        self._optimizers, self._work = optimizers, algorithm.work
        self._moments: list[tf.Variable] = []
        for i in range(_MOMENTS):  # in the order of the weights, as in the state
            of = {
                v.ref(): m
                for part in parts
                for v, m in zip(part.trainable, part.slots[i], strict=True)
            }
            self._moments += [of[variable.ref()] for variable in trained]

    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """As `TrainingLearner`; then weighted moments, among the sums, if they are carried."""
        output = super().update(broadcast, data, seed)
        if not self._work.carry_optimizer:
            return output
        n_rows = tf.cast(tf.shape(data.x)[0], tf.float32)
        moments = tuple(n_rows * moment for moment in self._moments)
        return output._replace(sums=(*output.sums, *moments))

    def set_moments(self, broadcast: ServerState) -> None:
        """Sets the optimisers as they were carried; they start afresh if they are not."""
        if not self._work.carry_optimizer:
            return
        done, *moments = broadcast.context[-len(self._moments) - 1 :]
        assign(self._moments, moments)
        for optimizer, steps in self._optimizers:
            optimizer.step.assign(steps * done)

    def numbers(self) -> tf.Tensor:
        """Of the round's iterations: what they draw depends on them and the round's seed."""
        return tf.range(self._work.iterations, dtype=tf.int64)


class _Together:
    """Several optimisers as one."""

    def __init__(self, trainable: Sequence[tf.Variable], parts: Sequence[Optimizer]) -> None:
        self.trainable, self._parts = list(trainable), parts

    def reset(self) -> None:
        """Forgets everything."""
        for part in self._parts:
            part.reset()


@register
@dataclasses.dataclass(frozen=True)
class AverageGAN(_FederatedGAN):
    """Rounds in which clients train generator, critic and encoder, and all are averaged.

    The weights are the generator's, the critic's and the encoder's.
    """

    losses: ClassVar[tuple[str, ...]] = ("loss", "critic_loss")

    def first_state(self, generator: Arrays, critic: Arrays, encoder: Arrays) -> ServerState:
        """The state before the first round, from the networks' weights."""
        return self._begun([*generator, *critic, *encoder], [])

    def networks(self, state: ServerState, n_weights: Sequence[int]) -> list[Tensors]:
        """All weights of generator, critic and encoder, of which each has so many."""
        ends = [sum(n_weights[: i + 1]) for i in range(len(n_weights))]
        starts = [0, *ends]
        return [state.weights[a:b] for a, b in zip(starts, ends, strict=False)]

    def make_learner(self) -> TrainingLearner:
        """Three networks and their optimisers."""
        return _AverageLearner(self)


class _AverageLearner(_GANLearner):
    def __init__(self, algorithm: AverageGAN) -> None:
        self._trainer = algorithm.trainer(algorithm.aggregation)
        steps = algorithm.config.critic_steps
        super().__init__(
            algorithm,
            [(self._trainer.critic_optimizer, steps), (self._trainer.other_optimizer, 1)],
            [v for network in self._trainer.networks for v in network.trainable_variables],
        )

    def train(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Whole iterations."""
        self.set_moments(broadcast)
        critic_losses, losses = self._trainer.iterate(x, seed, self.numbers())
        count = tf.cast(self._work.iterations, tf.float32)
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(critic_losses), count])


@register
@dataclasses.dataclass(frozen=True)
class SplitGAN(_FederatedGAN):
    """Rounds in which clients train the critic, then the server generator and encoder.

    The weights are the critic's. The generator's are in the context, for clients make rows with
    it. The server's slots hold, after those of the rule for weights, the iterations taken, the
    encoder's weights, and the moments of the server's own optimiser, which is never reset.

    Attributes:
      seed: Of what the server draws.
    """

    losses: ClassVar[tuple[str, ...]] = ("critic_loss",)

    seed: int = 0

    def first_state(self, generator: Arrays, critic: Arrays, encoder: Arrays) -> ServerState:
        """The state before the first round, from the networks' weights."""
        state = self._begun(critic, generator)
        kept = [tf.convert_to_tensor(weight) for weight in encoder]
        zeros = [tf.zeros(weight.shape) for weight in (*generator, *kept)] * _MOMENTS
        return state._replace(slots=(*state.slots, tf.constant(0, tf.int64), *kept, *zeros))

    def networks(self, state: ServerState, n_weights: Sequence[int]) -> list[Tensors]:
        """All weights of generator, critic and encoder, of which each has so many."""
        generator, _, encoder = n_weights
        at = len(initial_slots(self.aggregation, state.weights)) + 1
        return [state.context[:generator], state.weights, state.slots[at : at + encoder]]

    def make_learner(self) -> TrainingLearner:
        """The critic with its optimiser, and a generator."""
        return _SplitLearner(self)

    def make_server(self) -> ServerUpdate:
        """Generator and encoder with their optimiser, and a critic."""
        return functools.partial(self._round, _SplitServer(self))

    def _round(
        self, server: _SplitServer, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """Moves the critic, then steps against it."""
        n_rule = len(initial_slots(self.aggregation, state.weights))
        rule, own = state.slots[:n_rule], state.slots[n_rule:]
        state, metrics = self.server_update(state._replace(slots=rule), sums, gathered)
        generator, own, loss = server.train(state, own)
        context = (*generator, *state.context[len(generator) :])
        state = state._replace(slots=(*state.slots, *own), context=context)
        return state, {"loss": loss, **metrics}


class _SplitLearner(_GANLearner):
    def __init__(self, algorithm: SplitGAN) -> None:
        self._trainer = algorithm.trainer(algorithm.aggregation)
        optimizer = self._trainer.critic_optimizer
        super().__init__(
            algorithm, [(optimizer, algorithm.config.critic_steps)], optimizer.trainable
        )

    def train(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The critic's steps of all iterations, against the generator that was sent."""
        self.set_moments(broadcast)
        variables = self._trainer.networks.generator.trainable_variables
        assign(variables, broadcast.context[: len(variables)])
        losses = self._trainer.train_critic(x, seed, self.numbers())
        return tf.stack([tf.reduce_sum(losses), tf.cast(self._work.iterations, tf.float32)])


class _SplitServer:
    """Trains generator and encoder against a critic."""

    def __init__(self, algorithm: SplitGAN) -> None:
        self._trainer = algorithm.trainer()
        self._seed, self._iterations = algorithm.seed, algorithm.work.iterations

    def train(self, state: ServerState, own: Tensors) -> tuple[Tensors, Tensors, tf.Tensor]:
        """Takes the round's steps.

        Args:
          state: With the clients' new critic.
          own: The server's slots without those of the rule.

        Returns:
          The generator, the new slots, and the mean loss.
        """
        generator, critic, encoder = (n.trainable_variables for n in self._trainer.networks)
        optimizer = self._trainer.other_optimizer
        slots = [*encoder, *(m for moments in optimizer.slots for m in moments)]
        done, *values = own
        assign(generator, state.context[: len(generator)])
        assign(critic, state.weights)
        assign(slots, values)
        optimizer.step.assign(done)
        numbers = done + tf.range(self._iterations, dtype=tf.int64)
        losses = self._trainer.train_generator(tf.constant(self._seed), numbers)
        new = (optimizer.step.read_value(), *(slot.read_value() for slot in slots))
        return tuple(v.read_value() for v in generator), new, tf.reduce_mean(losses)
