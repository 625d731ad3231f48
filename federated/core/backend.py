"""What a carrier is, and what those that run clients in Python share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf

from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    Screened,
    ServerState,
    Tensors,
    take_part,
)
from federated.core.sampling import Participant


class RoundResult(NamedTuple):
    """What a carrier returns of a round.

    Attributes:
      state: The server's new one.
      metrics: Of the server's update.
      left_out: Clients whose numbers were not finite.
      bytes_up: Of the numbers all clients sent, without what an engine wraps them in.
    """

    state: ServerState
    metrics: Metrics
    left_out: list[int]
    bytes_up: int = 0


class Carrier(Protocol):
    """Moves tensors between server and clients; knows no algorithm."""

    def round(
        self,
        algorithm: FederatedAlgorithm,
        state: ServerState,
        participants: Sequence[Participant],
    ) -> RoundResult:
        """One round.

        Args:
          algorithm: What to do; compiled when first seen.
          state: From the round before.
          participants: In client order, one at least.
        """
        ...

    def close(self) -> None:
        """Ends whatever the carrier started."""
        ...


Update = Callable[[ServerState, ClientData, tf.Tensor], Screened]


class Workbench:
    """The compiled work of clients, for one at a time; kept as long as its process.

    Args:
      clients: Rows of each.
    """

    def __init__(self, clients: Sequence[ClientData]) -> None:
        self._clients = clients
        self._updates: dict[FederatedAlgorithm, Update] = {}

    def update(
        self, algorithm: FederatedAlgorithm, sent: ServerState, participant: Participant
    ) -> Screened:
        """A client's work in a round; an error carries the client's number as a note."""
        if algorithm not in self._updates:
            self._updates[algorithm] = compiled_update(algorithm)
        data = self._clients[participant.client]
        try:
            return self._updates[algorithm](sent, data, tf.constant(participant.seed, tf.int32))
        except Exception as error:
            error.add_note(f"This happened at client number {participant.client}.")
            raise


def compiled_update(algorithm: FederatedAlgorithm) -> Update:
    """The work of a client, compiled once for clients of any size.

    With one graph for all, a client's result does not depend on which sizes came before it, and
    a resumed run takes the very same operations.
    """
    learner = algorithm.make_learner()
    any_size = ClientData(
        tf.TensorSpec((None, algorithm.n_features)), tf.TensorSpec((None,), tf.int64)
    )

    @tf.function(reduce_retracing=True)
    def update(sent: ServerState, data: ClientData, seed: tf.Tensor) -> Screened:
        return take_part(algorithm, learner, sent, data, seed)

    def run(sent: ServerState, data: ClientData, seed: tf.Tensor) -> Screened:
        known = tf.nest.map_structure(tf.TensorSpec.from_tensor, sent)
        graph = update.get_concrete_function(known, any_size, tf.TensorSpec((), tf.int32))
        return graph(sent, data, seed)

    return run


class Server:
    """The server's side of a round, compiled once for each algorithm."""

    def __init__(self) -> None:
        self._updates: dict[FederatedAlgorithm, tf.types.experimental.PolymorphicFunction] = {}

    def finish(
        self,
        algorithm: FederatedAlgorithm,
        state: ServerState,
        participants: Sequence[Participant],
        answers: Sequence[Screened],
    ) -> RoundResult:
        """Adds and stacks the answers, in the order of the participants, and moves the state."""
        if algorithm not in self._updates:
            self._updates[algorithm] = tf.function(algorithm.make_server(), reduce_retracing=True)
        sums, gathered = combined(answers)
        new_state, metrics = self._updates[algorithm](state, sums, gathered)
        pairs = zip(participants, answers, strict=True)
        left_out = [participant.client for participant, answer in pairs if not answer.is_finite]
        bytes_up = sum(n_bytes(answer.output) for answer in answers)
        return RoundResult(new_state, metrics, left_out, bytes_up)


def n_bytes(tensors: ServerState | ClientOutput) -> int:
    """Of all numbers in it."""
    return sum(t.shape.num_elements() * t.dtype.size for t in tf.nest.flatten(tensors))


def combined(answers: Sequence[Screened]) -> tuple[Tensors, Tensors]:
    """Sums added and the rest stacked, both in the order of the answers."""
    outputs = [answer.output for answer in answers]
    sums = list(outputs[0].sums)
    for output in outputs[1:]:
        sums = [total + value for total, value in zip(sums, output.sums, strict=True)]
    gathered = zip(*(output.gathered for output in outputs), strict=True)
    return tuple(sums), tuple(tf.stack(values) for values in gathered)
