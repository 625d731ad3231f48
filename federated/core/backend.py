"""The interface of a backend, and the parts shared by backends that run clients in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from federated.core.algorithm import (
    ClientData,
    FederatedAlgorithm,
    Metrics,
    State,
    ValidatedOutput,
    client_update,
)
from federated.core.sampling import Participant
from federated.core.scaling import Scaling
from federated.core.structure import n_bytes


class RoundResult(NamedTuple):
    """Result of a round, as a backend returns it.

    Attributes:
      state: The server's new state.
      metrics: What the server's update found.
      left_out: Numbers of the clients that sent values that were not finite.
      bytes_up: Bytes of the tensors all clients sent, without a backend's own wrapping.
    """

    state: State
    metrics: Metrics
    left_out: list[int]
    bytes_up: int = 0


class Backend(Protocol):
    """Transports tensors between server and clients; knows no algorithm."""

    def run_round(
        self, algorithm: FederatedAlgorithm, state: State, participants: Sequence[Participant]
    ) -> RoundResult:
        """Runs one round.

        Args:
          algorithm: What to compute; compiled when it is first seen.
          state: The state after the round before.
          participants: At least one, in client order.
        """
        ...

    def scale_samples(self, scaling: Scaling) -> None:
        """Makes every client scale its own samples, as they were given, before later rounds."""
        ...

    def close(self) -> None:
        """Ends whatever the backend started."""
        ...


class Clients(Protocol):
    """The samples of all clients in a simulation; see `ClientStore`."""

    def __getitem__(self, client: int) -> ClientData:
        """Returns a client's scaled samples."""
        ...

    def scale(self, scaling: Scaling) -> None:
        """Scales the samples of every client, as they were given."""
        ...


Update = Callable[[State, ClientData, tf.Tensor], ValidatedOutput]


class ClientRunner:
    """Runs one client at a time; keeps what was compiled as long as its process lives."""

    def __init__(self) -> None:
        self._updates: dict[FederatedAlgorithm, Update] = {}

    def update(
        self,
        algorithm: FederatedAlgorithm,
        broadcast: State,
        data: ClientData,
        participant: Participant,
    ) -> ValidatedOutput:
        """Runs a client's part of a round; an error carries the client's number as a note.

        Args:
          algorithm: What to compute.
          broadcast: From `FederatedAlgorithm.broadcast`.
          data: The client's samples.
          participant: The client's number and seed.
        """
        if algorithm not in self._updates:
            self._updates[algorithm] = compile_update(algorithm)
        try:
            seed = tf.constant(participant.seed, tf.int32)
            return self._updates[algorithm](broadcast, data, seed)
        except Exception as error:
            error.add_note(f"This happened at client number {participant.client}.")
            raise


def compile_update(algorithm: FederatedAlgorithm) -> Update:
    """Compiles a client's work, once for clients of any size.

    With one graph for all sizes, a client's result does not depend on which sizes came before it,
    and a resumed run takes the very same operations. States of other shapes, e.g. of another number
    of clusters, get a graph of their own: algorithms may rely on static shapes.
    """
    learner = algorithm.make_learner()
    any_size = ClientData(
        tf.TensorSpec((None, algorithm.n_features), algorithm.sample_dtype),
        tf.TensorSpec((None,), tf.int64),
    )

    @tf.function
    def update(broadcast: State, data: ClientData, seed: tf.Tensor) -> ValidatedOutput:
        return client_update(algorithm, learner, broadcast, data, seed)

    def run(broadcast: State, data: ClientData, seed: tf.Tensor) -> ValidatedOutput:
        known = tf.nest.map_structure(tf.TensorSpec.from_tensor, broadcast)
        graph = update.get_concrete_function(known, any_size, tf.TensorSpec((), tf.int32))
        samples = data._replace(x=tf.cast(data.x, algorithm.sample_dtype))
        return graph(broadcast, samples, seed)

    return run


class ServerRunner:
    """Runs the server's side of a round; compiles each algorithm once."""

    def __init__(self) -> None:
        self._updates: dict[FederatedAlgorithm, tf.types.experimental.PolymorphicFunction] = {}

    def finish(
        self,
        algorithm: FederatedAlgorithm,
        state: State,
        participants: Sequence[Participant],
        answers: Sequence[ValidatedOutput],
    ) -> RoundResult:
        """Combines the answers, in the order of the participants, and updates the state."""
        if algorithm not in self._updates:
            self._updates[algorithm] = tf.function(algorithm.make_server(), reduce_retracing=True)
        sums, per_client = combine(answers)
        new_state, metrics = self._updates[algorithm](state, sums, per_client)
        pairs = zip(participants, answers, strict=True)
        left_out = [participant.client for participant, answer in pairs if not answer.is_finite]
        bytes_up = sum(n_bytes(answer.output) for answer in answers)
        return RoundResult(new_state, metrics, left_out, bytes_up)


def combine(answers: Sequence[ValidatedOutput]) -> tuple[Any, Any]:
    """Returns the sums, added, and the rest, stacked, both in the order of the answers."""
    first, *others = (answer.output for answer in answers)
    sums = first.sums
    for output in others:
        sums = tf.nest.map_structure(tf.add, sums, output.sums)
    outputs = [first.per_client, *(output.per_client for output in others)]
    per_client = tf.nest.map_structure(lambda *values: tf.stack(values), *outputs)
    return sums, per_client
