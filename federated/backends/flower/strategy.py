"""Flower's strategy: sends what was ordered to whom it was ordered, and lets the core combine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from federated.backends.flower.messages import ARRAYS, FACTS, from_records
from federated.backends.messages import unpack_answer
from federated.core.algorithm import FederatedAlgorithm, State
from federated.core.backend import RoundResult, ServerRunner
from federated.core.sampling import Participant
from tfcluster.errors import TrainingError


class Order(NamedTuple):
    """A round to run; see `Backend.run_round`."""

    algorithm: FederatedAlgorithm
    state: State
    participants: Sequence[Participant]


class AlgorithmStrategy(Strategy):
    """Runs any algorithm's round: samples nobody and computes nothing by itself.

    Args:
      nodes: Flower's id of every client's node, in client order.

    Attributes:
      order: The round to run; set before `start`.
      result: Result of the last round.
    """

    def __init__(self, nodes: Sequence[int]) -> None:
        self._nodes = nodes
        self._clients = {node: client for client, node in enumerate(nodes)}
        self._server = ServerRunner()
        self.order: Order | None = None
        self.result: RoundResult | None = None

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Returns a message to every participant; all hold the same arrays."""
        del grid
        assert self.order is not None
        return [
            Message(
                RecordDict(
                    {ARRAYS: arrays, FACTS: ConfigRecord({**config, **participant._asdict()})}
                ),
                self._nodes[participant.client],
                MessageType.TRAIN,
                group_id=str(server_round),
            )
            for participant in self.order.participants
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Finishes the round by the core; puts the answers in client order first.

        Returns:
          Nothing: the backend's caller has the state.

        Raises:
          TrainingError: If any client failed or gave no answer; with its number, and its traceback.
        """
        del server_round
        assert self.order is not None
        by_client = {self._clients[reply.metadata.src_node_id]: reply for reply in replies}
        self._check_answered(by_client)
        answers = []
        for client in sorted(by_client):
            content = by_client[client].content
            answers.append(unpack_answer(self.order.algorithm, *from_records(content)))
            content.array_records[ARRAYS].clear()  # else every answer would be in memory twice
        self.result = self._server.finish(*self.order, answers)
        return None, None

    def _check_answered(self, replies: dict[int, Message]) -> None:
        """Raises `TrainingError` if a client failed, or the node under it."""
        assert self.order is not None
        answers = {c: reply for c, reply in replies.items() if not reply.has_error()}
        failed = {
            client: str(answer.content.config_records[FACTS]["error"])
            for client, answer in sorted(answers.items())
            if "error" in answer.content.config_records[FACTS]
        }
        if failed:
            client, error = next(iter(failed.items()))
            others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise TrainingError(f"Client {client} failed{others}:\n{error}")
        silent = [p.client for p in self.order.participants if p.client not in answers]
        if silent:
            reasons = [reply.error.reason for reply in replies.values() if reply.has_error()]
            why = reasons[0] if reasons else "it did not come in time"
            raise TrainingError(f"No answer from clients {silent}: {why}")

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Asks nobody: scores are rounds like any other."""
        del server_round, arrays, config, grid
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Does nothing."""
        del server_round, replies
        return None

    def summary(self) -> None:
        """Logs nothing: records tell what a run does."""
