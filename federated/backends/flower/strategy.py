"""Flower's strategy: sends what was ordered to whom it was ordered, and lets the core combine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flwr.common import (
    EvaluateIns,
    EvaluateRes,
    FitIns,
    FitRes,
    Parameters,
    Scalar,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import Strategy

from federated.backends.messages import pack_broadcast, unpack_answer
from federated.core.algorithm import FederatedAlgorithm, State
from federated.core.backend import RoundResult, ServerRunner
from federated.core.sampling import Participant
from tfcluster.errors import TrainingError

NOTHING = Parameters(tensors=[], tensor_type="numpy.ndarray")
"""What Flower's loop holds as global parameters: the backend's caller has the state."""


Failure = tuple[ClientProxy, FitRes] | BaseException
"""How Flower hands it to a strategy."""


class Order(NamedTuple):
    """A round to run; see `Backend.run_round`."""

    algorithm: FederatedAlgorithm
    state: State
    participants: Sequence[Participant]


class AlgorithmStrategy(Strategy):
    """Runs any algorithm's round: samples nobody and computes nothing by itself.

    Attributes:
      order: The round to run; set before Flower runs it.
      result: Result of the last round.
    """

    def __init__(self) -> None:
        self._server = ServerRunner()
        self.order: Order | None = None
        self.result: RoundResult | None = None

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Returns the order's messages. The arrays are packed once for all participants."""
        del server_round, parameters
        assert self.order is not None
        algorithm, state, participants = self.order
        arrays, facts = pack_broadcast(algorithm, algorithm.broadcast(state))
        sent = ndarrays_to_parameters(arrays)
        nodes = sorted(client_manager.all().values(), key=lambda node: node.cid)
        return [
            (
                nodes[participant.client % len(nodes)],
                FitIns(sent, {**facts, "client": participant.client, "seed": participant.seed}),
            )
            for participant in participants
        ]

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[Failure],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Finishes the round by the core; puts the answers in client order first.

        Raises:
          TrainingError: If any client failed; with its number and its traceback.
        """
        del server_round
        assert self.order is not None
        in_order = sorted((res for _, res in results), key=lambda res: int(res.metrics["client"]))
        self._check(in_order, failures)
        answers = []
        for res in in_order:
            arrays = parameters_to_ndarrays(res.parameters)
            answers.append(unpack_answer(self.order.algorithm, arrays, res.metrics))
            res.parameters.tensors.clear()  # else every answer would be in memory twice
        self.result = self._server.finish(*self.order, answers)
        return None, {}

    def _check(self, results: Sequence[FitRes], failures: Sequence[Failure]) -> None:
        """Raises `TrainingError` if a client failed, or a worker under it."""
        failed = [res for res in results if "error" in res.metrics]
        if failed:
            client, error = (str(failed[0].metrics[name]) for name in ("client", "error"))
            others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise TrainingError(f"Client {client} failed{others}:\n{error}")
        if failures:
            assert self.order is not None
            answered = {res.metrics["client"] for res in results}
            silent = [p.client for p in self.order.participants if p.client not in answered]
            raise TrainingError(f"No answer from clients {silent}: {_reason(failures[0])}")

    def initialize_parameters(self, client_manager: ClientManager) -> Parameters:
        """Returns none; without this Flower would ask a client for them."""
        del client_manager
        return NOTHING

    def configure_evaluate(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, EvaluateIns]]:
        """Asks nobody: scores are rounds like any other."""
        del server_round, parameters, client_manager
        return []

    def aggregate_evaluate(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, EvaluateRes]],
        failures: list[tuple[ClientProxy, EvaluateRes] | BaseException],
    ) -> tuple[float | None, dict[str, Scalar]]:
        """Does nothing."""
        del server_round, results, failures
        return None, {}

    def evaluate(
        self, server_round: int, parameters: Parameters
    ) -> tuple[float, dict[str, Scalar]] | None:
        """Does nothing."""
        del server_round, parameters
        return None


def _reason(failure: Failure) -> str:
    if isinstance(failure, BaseException):
        cause = failure.args[0] if failure.args else failure
        return str(getattr(cause, "reason", cause))  # Flower wraps its own error in an exception
    return failure[1].status.message
