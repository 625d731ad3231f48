"""The local carrier: rounds in this process, the oracle and the lower bound for time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from federated.algorithm import (
    FederatedAlgorithm,
    Learner,
    Metrics,
    Screened,
    ServerState,
    Tensors,
    screened,
)
from federated.plan import Participant


class RoundResult(NamedTuple):
    """What a carrier returns of a round.

    Attributes:
      state: The server's new one.
      metrics: Of the server's update.
      left_out: Clients whose numbers were not finite.
    """

    state: ServerState
    metrics: Metrics
    left_out: list[int]


class LocalCarrier:
    """Runs clients one after the other, or a few side by side.

    Args:
      clients: `(rows, features)` of each.
      n_workers: Clients at work at a time.
    """

    def __init__(self, clients: Sequence[np.ndarray], n_workers: int = 1) -> None:
        self._clients = [tf.constant(x) for x in clients]
        self._pool = ThreadPoolExecutor(n_workers)
        self._n_workers = n_workers
        self._machines: dict[int, _Machine] = {}

    def round(
        self,
        algorithm: FederatedAlgorithm,
        state: ServerState,
        participants: Sequence[Participant],
    ) -> RoundResult:
        """One round of an algorithm.

        Args:
          algorithm: The same object in every round: its learners are built once.
          state: From the round before.
          participants: In client order.
        """
        machine = self._machines.setdefault(id(algorithm), _Machine(algorithm, self._n_workers))
        sent = algorithm.broadcast(state)

        def work(participant: Participant) -> Screened:
            x = self._clients[participant.client]
            return machine.update(sent, x, tf.constant(participant.seed))

        answers = list(self._pool.map(work, participants))
        left_out = [
            participant.client
            for participant, answer in zip(participants, answers, strict=True)
            if not answer.is_finite
        ]
        sums, gathered = combined(answers)
        new_state, metrics = machine.server_update(state, sums, gathered)
        return RoundResult(new_state, metrics, left_out)


def combined(answers: Sequence[Screened]) -> tuple[Tensors, Tensors]:
    """Sums added and the rest stacked, both in the order of the answers."""
    outputs = [answer.output for answer in answers]
    sums = list(outputs[0].sums)
    for output in outputs[1:]:
        sums = [total + value for total, value in zip(sums, output.sums, strict=True)]
    gathered = zip(*(output.gathered for output in outputs), strict=True)
    return tuple(sums), tuple(tf.stack(values) for values in gathered)


class _Machine:
    """An algorithm's compiled functions; a learner for each client at work."""

    def __init__(self, algorithm: FederatedAlgorithm, n_learners: int) -> None:
        self.server_update = tf.function(algorithm.server_update, reduce_retracing=True)
        self._free = [_compiled(algorithm.make_learner()) for _ in range(n_learners)]

    def update(self, sent: ServerState, x: tf.Tensor, seed: tf.Tensor) -> Screened:
        update = self._free.pop()
        try:
            answer: Screened = update(sent, x, seed)
        finally:
            self._free.append(update)
        return answer


def _compiled(learner: Learner) -> tf.types.experimental.PolymorphicFunction:
    def update(sent: ServerState, x: tf.Tensor, seed: tf.Tensor) -> Screened:
        return screened(learner.update(sent, x, seed))

    return tf.function(update, reduce_retracing=True)
