"""Federated algorithms, written once for every backend.

An algorithm defines what a client computes, which of it is summed over clients, and what the
server makes of the sums, in plain TensorFlow that runs eagerly as well as inside a graph. A
backend (the local loop, Flower, TensorFlow Federated) transports tensors and calls these
functions; it knows no algorithm and does no arithmetic but summing and stacking.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import tensorflow as tf

Tensors = tuple[tf.Tensor, ...]

State = Any
"""What the server keeps from round to round: a NamedTuple whose fields are tensors or tuples of
tensors. Each algorithm documents its own; see `federated.core.structure`."""

Sums = Any
"""What adds over clients: a NamedTuple like a state."""

PerClient = Any
"""What does not add over clients: a NamedTuple like a state."""


class ClientData(NamedTuple):
    """A client's samples.

    Attributes:
      x: `(n_samples, n_features)`, as given until samples are scaled (perhaps float64), then
        float32. An algorithm sees them in its `sample_dtype`.
      y: `(n_samples,)` int64 classes, -1 where they are unknown. Only scores read them.
    """

    x: tf.Tensor
    y: tf.Tensor


class Nothing(NamedTuple):
    """The structure without a tensor, e.g. where nothing is sent per client."""


class WeightsState(NamedTuple):
    """State of rounds that leave a model as it is.

    Attributes:
      weights: The model's.
    """

    weights: Tensors


class ClientOutput(NamedTuple):
    """A client's message in a round.

    Attributes:
      sums: Totals over its samples, never means, so that they add over clients.
      per_client: What does not add; stacked over clients in client order.
    """

    sums: Sums
    per_client: PerClient = Nothing()


Metrics = dict[str, tf.Tensor]
"""What a round found, by name. Scalars are recorded; arrays are for the phase that asked."""


ServerUpdate = Callable[[State, Sums, PerClient], tuple[State, Metrics]]
"""See `FederatedAlgorithm.server_update`."""


class Learner(Protocol):
    """A client's networks and loops, built once per process and used for any client."""

    def update(self, broadcast: State, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Does a client's work in one round.

        The result depends on the arguments only: weights are set from `broadcast`, and optimizers
        start afresh.

        Args:
          broadcast: What the server sent; see `FederatedAlgorithm.broadcast`.
          data: The client's samples.
          seed: Scalar, int32.
        """
        ...


@dataclasses.dataclass(frozen=True)
class FederatedAlgorithm(abc.ABC):
    """One kind of round.

    Subclasses are frozen dataclasses of plain values: a backend compiles equal ones once and can
    send them as text (`tfcluster.config.to_dict`). What is learned belongs to the state.

    Attributes:
      kind: Name of this kind of round in records.
      state_type: NamedTuple of what the server keeps, and sends.
      sums_type: NamedTuple of what clients send to be summed.
      per_client_type: NamedTuple of what clients send that is not summed.
      losses: Names of the metrics that are losses.
      full_participation: Whether every client must take part, whatever was sampled, e.g. because
        a sum is over all samples.
      allows_missing: Whether samples may hold NaN, e.g. while feature means are estimated.
      sample_dtype: The type in which the algorithm takes samples; float64 where they are scaled,
        which comes before rounding.
      n_features: Features of a sample.
    """

    kind: ClassVar[str]
    state_type: ClassVar[type]
    sums_type: ClassVar[type]
    per_client_type: ClassVar[type] = Nothing
    losses: ClassVar[tuple[str, ...]] = ()
    full_participation: ClassVar[bool] = False
    allows_missing: ClassVar[bool] = False
    sample_dtype: ClassVar[tf.DType] = tf.float32

    n_features: int

    @abc.abstractmethod
    def make_learner(self) -> Learner:
        """Builds what a client needs; creates variables."""

    @abc.abstractmethod
    def server_update(
        self, state: State, sums: Sums, per_client: PerClient
    ) -> tuple[State, Metrics]:
        """Does the server's work in one round.

        Args:
          state: The state after the round before.
          sums: `ClientOutput.sums`, summed over the participants.
          per_client: `ClientOutput.per_client`, each tensor `(participants, ...)`, in client order.

        Returns:
          The new state, perhaps of another structure, and what was found.
        """

    def make_server(self) -> ServerUpdate:
        """Builds what the server needs, once; may create variables. By default, nothing."""
        return self.server_update

    def broadcast(self, state: State) -> State:
        """Returns what clients are sent: a state whose fields may be empty. By default, all."""
        return state


def assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    """Assigns each variable its value, e.g. a learner's weights what the server sent."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class ValidatedOutput(NamedTuple):
    """A client's output without infinities and NaN.

    Attributes:
      output: The client's numbers, or zeros if any of them was not finite.
      is_finite: Scalar, whether `output` holds the client's numbers.
    """

    output: ClientOutput
    is_finite: tf.Tensor


def client_update(
    algorithm: FederatedAlgorithm,
    learner: Learner,
    broadcast: State,
    data: ClientData,
    seed: tf.Tensor,
) -> ValidatedOutput:
    """Runs a client's part of a round, as every backend calls it; see `Learner.update`."""
    output = learner.update(broadcast, data, seed)
    # an activation can make a finite number of NaN, so the samples are checked too
    return validate(output, [] if algorithm.allows_missing else [data.x])


def validate(output: ClientOutput, samples: Sequence[tf.Tensor] = ()) -> ValidatedOutput:
    """Replaces an output by zeros if it, or one of the samples, is not finite."""
    values = [*tf.nest.flatten(output), *samples]
    finite = [
        tf.reduce_all(tf.math.is_finite(value)) for value in values if value.dtype.is_floating
    ]
    is_finite = tf.reduce_all(finite)
    clean = tf.nest.map_structure(
        lambda value: tf.where(is_finite, value, tf.zeros_like(value)), output
    )
    return ValidatedOutput(clean, is_finite)
