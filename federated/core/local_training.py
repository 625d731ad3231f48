"""Rounds in which clients train weights and the server moves by their updates."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import tensorflow as tf

from federated.core.aggregation import (
    Aggregation,
    combine,
    proximal_gradients,
    server_step,
    weighted_mean,
)
from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    State,
    Tensors,
    assign,
)
from tfcluster.config import register
from tfcluster.errors import InputError
from tfcluster.training.loop import TrainingLoop
from tfcluster.training.optimizers import Optimizer


@register
@dataclasses.dataclass(frozen=True)
class LocalWork:
    """A client's work in a round of training.

    Attributes:
      epochs: Passes over its samples, each in an order of its own.
      steps: Steps to take instead of passes; None for passes.
      batch_size: Samples per step; the last batch of a pass may be smaller.

    Raises:
      InputError: If a number is not a positive whole number.
    """

    epochs: int = 1
    steps: int | None = None
    batch_size: int = 256

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch_size"):
            value = getattr(self, name)
            is_left_out = name == "steps" and value is None
            if not is_left_out and (type(value) is not int or value < 1):
                raise InputError(
                    f"`{name}` of a client's work must be a whole number of at least 1. "
                    f"Received: {name}={value!r}."
                )

    def run(self, loop: TrainingLoop, data: Sequence[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """Takes the steps, inside a graph.

        Args:
          loop: Holds the loss and the optimizer.
          data: Tensors `(n_samples, ...)`.
          seed: Scalar, int32; seed of the orders and of whatever the loss draws.

        Returns:
          The sum of the steps' mean losses and the number of steps, both float32.
        """
        n_samples = tf.shape(data[0])[0]
        steps_per_pass = -(-n_samples // self.batch_size)
        n_steps = self.steps if self.steps else self.epochs * steps_per_pass
        done, total = tf.constant(0), tf.constant(0.0)
        while done < n_steps:
            order = tf.random.experimental.stateless_shuffle(
                tf.range(n_samples), tf.stack([seed, done])
            )
            count = tf.minimum(steps_per_pass, n_steps - done)
            starts = self.batch_size * tf.range(count)
            losses = loop.steps(
                tuple(data), order, starts, tf.constant(self.batch_size), tf.stack([seed, done])
            )
            done, total = done + count, total + tf.reduce_sum(losses)
        return tf.stack([total, tf.cast(done, tf.float32)])


class ProximalOptimizer(Optimizer):
    """Adds FedProx's pull towards the weights of the round's start to every gradient.

    Its slots and step counter are the inner optimizer's.

    Args:
      inner: Takes the steps.
      mu: Strength of the pull.
    """

    def __init__(self, inner: Optimizer, mu: float) -> None:
        super().__init__(inner.trainable, n_slots=0)
        self.inner, self.mu = inner, mu
        self.slots, self.step = inner.slots, inner.step
        self.start = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in inner.trainable]

    def reset(self) -> None:
        """Forgets everything; the pull is towards the weights as they are now."""
        self.inner.reset()
        assign(self.start, self.trainable)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Takes one step."""
        self.inner.apply(proximal_gradients(self.mu, gradients, self.trainable, self.start))


def client_optimizer(optimizer: Optimizer, aggregation: Aggregation) -> Optimizer:
    """Returns an optimizer as clients use it under this rule."""
    mu = aggregation.proximal_strength
    return ProximalOptimizer(optimizer, mu) if mu else optimizer


class Trained(Protocol):
    """An optimizer, or several.

    Attributes:
      trainable: The weights that are trained, in the order of the server's.
    """

    trainable: list[tf.Variable]

    def reset(self) -> None:
        """Forgets everything; called once the weights of a round are set."""
        ...


class TrainingState(NamedTuple):
    """State of rounds that train weights.

    Attributes:
      weights: The weights, in the order data pass through them.
      optimizer: Slots of the server's rule; never sent.
    """

    weights: Tensors
    optimizer: Tensors = ()


class TrainingSums(NamedTuple):
    """Sums that clients send of a round of training.

    Attributes:
      updates: Trained minus received weights, times the client's samples; `()` under robust rules.
      n_samples: Scalar float32.
      losses: `(losses + 1,)`: sums over steps of each loss, then the number of steps.
    """

    updates: Tensors
    n_samples: tf.Tensor
    losses: tf.Tensor


class ClientUpdates(NamedTuple):
    """Updates that clients send one by one under robust rules; empty under others.

    Attributes:
      updates: Trained minus received weights.
      n_samples: Scalar float32, or `()`.
    """

    updates: Tensors = ()
    n_samples: tf.Tensor | tuple[()] = ()


class TrainingLearner(abc.ABC):
    """Trains weights on a client's samples, from what the server sent.

    Args:
      optimizer: From `client_optimizer`.
      aggregation: The server's rule; it decides what is sent.
    """

    def __init__(self, optimizer: Trained, aggregation: Aggregation) -> None:
        self.optimizer = optimizer
        self._is_robust = aggregation.is_robust

    @abc.abstractmethod
    def train(self, broadcast: State, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Takes a round's steps.

        Returns:
          The sums over steps of `FederatedTraining.client_losses`, then the number of steps.
        """

    def update(self, broadcast: State, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Trains from the weights that were sent; see `TrainingSums` and `ClientUpdates`."""
        assign(self.optimizer.trainable, broadcast.weights)
        self.optimizer.reset()
        losses = self.train(broadcast, data.x, seed)
        n_samples = tf.cast(tf.shape(data.x)[0], tf.float32)
        updates = [
            variable - weight
            for variable, weight in zip(self.optimizer.trainable, broadcast.weights, strict=True)
        ]
        if self._is_robust:
            each = ClientUpdates(tuple(updates), n_samples)
            return ClientOutput(TrainingSums((), n_samples, losses), each)
        weighted = tuple(n_samples * update for update in updates)
        return ClientOutput(TrainingSums(weighted, n_samples, losses), ClientUpdates())


Work = TypeVar("Work")


@dataclasses.dataclass(frozen=True)
class FederatedTraining(FederatedAlgorithm, Generic[Work]):
    """The server's side of `TrainingLearner`.

    Attributes:
      client_losses: Names of the losses that clients sum over steps.
      work: What a client does in a round.
      aggregation: How the server moves.
    """

    kind: ClassVar[str] = "training"
    state_type: ClassVar[type] = TrainingState
    sums_type: ClassVar[type] = TrainingSums
    per_client_type: ClassVar[type] = ClientUpdates
    losses: ClassVar[tuple[str, ...]] = ("loss",)
    client_losses: ClassVar[tuple[str, ...]] = ("loss",)

    work: Work
    aggregation: Aggregation

    def slots(self, weights: Tensors) -> Tensors:
        """Returns the slots of the server's rule before the first round."""
        return tuple(self.aggregation.initial_slots(weights))

    def broadcast(self, state: State) -> State:
        """Returns the state without the server's slots."""
        return state._replace(optimizer=())

    def server_update(self, state: State, sums: Any, per_client: Any) -> tuple[State, Metrics]:
        """Moves the weights; the metrics are the mean losses and the samples that took part."""
        if self.aggregation.is_robust:
            took_part = per_client.n_samples > 0
            mean = combine(self.aggregation, per_client.updates, took_part)
        else:
            mean = weighted_mean(sums.updates, sums.n_samples)
        weights, slots = server_step(self.aggregation, state.weights, mean, state.optimizer)
        means = tf.unstack(tf.math.divide_no_nan(sums.losses[:-1], sums.losses[-1]))
        metrics = {**dict(zip(self.client_losses, means, strict=True)), "n_samples": sums.n_samples}
        return state._replace(weights=tuple(weights), optimizer=tuple(slots)), metrics


def to_tensors(values: Sequence[Any]) -> Tensors:
    """Returns arrays as a tuple of tensors."""
    return tuple(map(tf.convert_to_tensor, values))
