"""Rounds in which clients train weights and the server moves by what they changed."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import tensorflow as tf

from federated.core.aggregation import (
    Aggregation,
    combine,
    initial_slots,
    is_robust,
    proximal_gradients,
    server_step,
    weighted_mean,
)
from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    ServerState,
    Tensors,
    assign,
)
from tfcluster.config import check_types, register
from tfcluster.errors import InputError
from tfcluster.training.loop import TrainingLoop
from tfcluster.training.optimizers import Optimizer


@register
@dataclasses.dataclass(frozen=True)
class LocalWork:
    """What a client does in a round.

    Attributes:
      epochs: Passes over its rows, each in an order of its own.
      steps: Steps instead of passes, if not 0.
      batch_size: Rows a step; the last of a pass may be short.
    """

    epochs: int = 1
    steps: int = 0
    batch_size: int = 256

    def __post_init__(self) -> None:
        check_types(self)
        if self.batch_size < 1 or self.steps < 0 or (self.steps == 0 and self.epochs < 1):
            raise InputError(
                "Local work needs a positive `batch_size` and either `epochs` or `steps` of at "
                f"least 1. Received: {self}."
            )

    def run(self, loop: TrainingLoop, data: Sequence[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """Takes the steps, inside a graph.

        Args:
          loop: Holds the loss and the optimiser.
          data: Tensors `(rows, ...)`.
          seed: Scalar, int32, of the orders and of whatever the loss draws.

        Returns:
          The sum of the steps' mean losses and the number of steps, both float32.
        """
        n_rows = tf.shape(data[0])[0]
        steps_per_pass = -(-n_rows // self.batch_size)
        n_steps = self.steps if self.steps else self.epochs * steps_per_pass
        done, total = tf.constant(0), tf.constant(0.0)
        while done < n_steps:
            rows = tf.random.experimental.stateless_shuffle(
                tf.range(n_rows), tf.stack([seed, done])
            )
            count = tf.minimum(steps_per_pass, n_steps - done)
            starts = self.batch_size * tf.range(count)
            losses = loop.steps(
                tuple(data), rows, starts, tf.constant(self.batch_size), tf.stack([seed, done])
            )
            done, total = done + count, total + tf.reduce_sum(losses)
        return tf.stack([total, tf.cast(done, tf.float32)])


class ProximalOptimizer(Optimizer):
    """Adds FedProx's pull towards the weights of the round's start to every gradient.

    What it remembers of gradients is the inner one's.

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
        """One step."""
        self.inner.apply(proximal_gradients(self.mu, gradients, self.trainable, self.start))


def client_optimizer(optimizer: Optimizer, aggregation: Aggregation) -> Optimizer:
    """An optimiser as clients use it under this rule."""
    mu = aggregation.proximal
    return ProximalOptimizer(optimizer, mu) if mu else optimizer


class Trained(Protocol):
    """An optimiser, or several.

    Attributes:
      trainable: The weights that are trained, in the order of the server's.
    """

    trainable: list[tf.Variable]

    def reset(self) -> None:
        """Forgets everything; called once the weights of a round are set."""
        ...


class TrainingLearner(abc.ABC):
    """Trains weights on a client's rows, from what the server sent.

    Args:
      optimizer: Made by `client_optimizer`.
      aggregation: Of the server; it decides what is sent.
    """

    def __init__(self, optimizer: Trained, aggregation: Aggregation) -> None:
        self.optimizer = optimizer
        self._is_robust = is_robust(aggregation)

    @abc.abstractmethod
    def train(self, broadcast: ServerState, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Takes a round's steps.

        Returns:
          The sums over steps of the losses, as `FederatedTraining.losses` names them, then the
          number of steps.
        """

    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums: weighted changes, rows, losses and steps. Gathered, if robust: changes, rows."""
        assign(self.optimizer.trainable, broadcast.weights)
        self.optimizer.reset()
        losses = self.train(broadcast, data.x, seed)
        n_rows = tf.cast(tf.shape(data.x)[0], tf.float32)
        deltas = [
            variable - weight
            for variable, weight in zip(self.optimizer.trainable, broadcast.weights, strict=True)
        ]
        if self._is_robust:
            return ClientOutput((n_rows, losses), (*deltas, n_rows))
        return ClientOutput((*(n_rows * delta for delta in deltas), n_rows, losses))


Work = TypeVar("Work")


@dataclasses.dataclass(frozen=True)
class FederatedTraining(FederatedAlgorithm, Generic[Work]):
    """The server's side of `TrainingLearner`.

    Attributes:
      losses: Names of what the learner sums over steps.
      work: What a client does in a round.
      aggregation: How the server moves.
    """

    losses: ClassVar[tuple[str, ...]] = ("loss",)

    work: Work
    aggregation: Aggregation

    def state(self, weights: Sequence[Any]) -> ServerState:
        """The state before the first round: these weights, the server's slots at their start."""
        tensors = tuple(map(tf.convert_to_tensor, weights))
        return ServerState(tensors, tuple(initial_slots(self.aggregation, tensors)))

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """Moves the weights; the metrics are the mean losses and the rows that took part."""
        *deltas, n_rows, losses = sums
        if is_robust(self.aggregation):
            *each, rows = gathered
            mean = combine(self.aggregation, each, rows > 0)
        else:
            mean = weighted_mean(deltas, n_rows)
        weights, slots = server_step(self.aggregation, list(state.weights), mean, list(state.slots))
        means = tf.unstack(tf.math.divide_no_nan(losses[:-1], losses[-1]))
        metrics = {**dict(zip(self.losses, means, strict=True)), "rows": n_rows}
        return state._replace(weights=tuple(weights), slots=tuple(slots)), metrics
