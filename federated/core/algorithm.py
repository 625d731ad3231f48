"""Federated algorithms, written once for every carrier.

An algorithm says what a client computes, what is added over clients, and what the server makes of
the sums, in plain TensorFlow that runs eagerly as well as inside a graph. A carrier (the local
one, Flower, TensorFlow Federated) moves tensors and calls these functions; it knows no algorithm
and does no arithmetic but adding and stacking.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

Tensors = tuple[tf.Tensor, ...]


class ServerState(NamedTuple):
    """What the server keeps from round to round, and a checkpoint holds.

    Attributes:
      weights: What is learned.
      slots: Of the server's optimiser.
      context: What else clients need, as centres or masses.
    """

    weights: Tensors
    slots: Tensors = ()
    context: Tensors = ()


class ClientData(NamedTuple):
    """What a client has.

    Attributes:
      x: `(rows, features)` float32.
      y: `(rows,)` int64 classes, -1 where they are not known. Scores alone read them.
    """

    x: tf.Tensor
    y: tf.Tensor


class ClientOutput(NamedTuple):
    """What a client sends.

    Attributes:
      sums: Totals over its examples, never means, so that they add over clients.
      gathered: What does not add; stacked over clients in their order.
    """

    sums: Tensors
    gathered: Tensors = ()


Metrics = dict[str, tf.Tensor]
"""What a round found, by name. Scalars are recorded; arrays are for the stage that asked."""


ServerUpdate = Callable[[ServerState, Tensors, Tensors], tuple[ServerState, Metrics]]
"""See `FederatedAlgorithm.server_update`."""


class Learner(Protocol):
    """A client's networks and loops, built once per process and used for any client."""

    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """A client's work in one round.

        It depends on nothing but its arguments: weights are set from `broadcast`, optimisers start
        afresh.

        Args:
          broadcast: What the server sent.
          data: The client's.
          seed: Scalar, int32.
        """
        ...


@dataclasses.dataclass(frozen=True)
class FederatedAlgorithm(abc.ABC):
    """One kind of round.

    Subclasses are frozen dataclasses of plain values, so that equal ones are one to a carrier,
    which compiles each once, and an engine can send them as text (`presets.to_dict`). What is
    learned is not theirs but the `ServerState`'s.

    Attributes:
      everyone: Whether all clients must take part whatever the plan says, as where a mass over
        all rows is summed.
      takes_missing: Whether rows may hold NaN, as where scaling is found.
      n_features: Width of a row.
    """

    everyone: ClassVar[bool] = False
    takes_missing: ClassVar[bool] = False

    n_features: int

    @abc.abstractmethod
    def make_learner(self) -> Learner:
        """Builds what a client needs; creates variables."""

    @abc.abstractmethod
    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """The server's work in one round.

        Args:
          state: From the round before.
          sums: `ClientOutput.sums`, added over the participants.
          gathered: `ClientOutput.gathered`, `(participants, ...)` each, in client order.
        """

    def make_server(self) -> ServerUpdate:
        """Builds what the server needs, once; may create variables. Here, nothing."""
        return self.server_update

    def broadcast(self, state: ServerState) -> ServerState:
        """What of the state clients are sent: not the server's slots."""
        return state._replace(slots=())


def assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    """Gives each variable its value, as what was sent to the weights of a learner."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class Screened(NamedTuple):
    """A client's output whose numbers are all finite.

    Attributes:
      output: All zeros if any number was not.
      is_finite: Scalar, whether the client's own numbers stand in `output`.
    """

    output: ClientOutput
    is_finite: tf.Tensor


def take_part(
    algorithm: FederatedAlgorithm,
    learner: Learner,
    broadcast: ServerState,
    data: ClientData,
    seed: tf.Tensor,
) -> Screened:
    """A client's part in a round, as every carrier calls it; see `Learner.update`."""
    output = learner.update(broadcast, data, seed)
    # an activation can make a finite number of NaN
    return screened(output, [] if algorithm.takes_missing else [data.x])


def screened(output: ClientOutput, rows: Sequence[tf.Tensor] = ()) -> Screened:
    """Gives an output with infinities or NaN, or of rows with some, weight zero."""
    values = [*output.sums, *output.gathered, *rows]
    finite = [
        tf.reduce_all(tf.math.is_finite(value)) for value in values if value.dtype.is_floating
    ]
    is_finite = tf.reduce_all(finite)

    def kept(value: tf.Tensor) -> tf.Tensor:
        return tf.where(is_finite, value, tf.zeros_like(value))

    clean = ClientOutput(tuple(map(kept, output.sums)), tuple(map(kept, output.gathered)))
    return Screened(clean, is_finite)


def as_arrays(state: ServerState) -> dict[str, np.ndarray]:
    """A state as named arrays, for a checkpoint."""
    return {
        f"{part}/{i}": np.asarray(value)
        for part in state._fields
        for i, value in enumerate(getattr(state, part))
    }


def as_state(arrays: dict[str, np.ndarray]) -> ServerState:
    """The state that `as_arrays` named."""
    parts = []
    for part in ServerState._fields:
        count = sum(name.startswith(f"{part}/") for name in arrays)
        parts.append(tuple(tf.constant(arrays[f"{part}/{i}"]) for i in range(count)))
    return ServerState(*parts)
