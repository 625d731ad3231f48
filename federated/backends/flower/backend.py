"""The backend that runs rounds on Flower's simulation engine."""

from __future__ import annotations

from collections.abc import Sequence

from flwr.client import ClientApp
from flwr.common import ArrayRecord, ConfigRecord
from flwr.server.client_manager import SimpleClientManager
from flwr.server.compat.grid_client_proxy import GridClientProxy
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.workflow import DefaultWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key

from federated.backends.flower.client import ClientFactory
from federated.backends.flower.simulation import Simulation
from federated.backends.flower.strategy import AlgorithmStrategy, Order
from federated.core.algorithm import FederatedAlgorithm, State
from federated.core.backend import RoundResult
from federated.core.sampling import Participant
from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore

MAX_NODES = 64
"""Nodes at most. Clients share them, since workers have the samples and nodes have none: Flower's
engine looks through all messages for every node ten times a second, which with a node for each of
1,000 clients takes more time than small clients do."""


class FlowerBackend:
    """Runs clients in Ray's processes, and every round as Flower's own fit round.

    Args:
      clients: Samples of each, which workers read by themselves.
      n_workers: Clients at work at a time, each in a process of its own.
      num_gpus: GPUs of each worker, perhaps a fraction.
    """

    def __init__(self, clients: ClientStore, n_workers: int = 2, num_gpus: float = 0) -> None:
        self._clients = clients
        client_app = ClientApp(ClientFactory(clients.folder.resolve()))
        n_nodes = min(len(clients), MAX_NODES)
        self._simulation = Simulation(client_app, n_nodes, n_workers, num_gpus)
        self._strategy = AlgorithmStrategy()
        self._workflow = DefaultWorkflow().fit_workflow
        self._context = self._flower_context()
        self._rounds = 0

    def _flower_context(self) -> LegacyContext:
        """Returns what Flower's fit round reads: the strategy, the nodes, no parameters."""
        grid, manager = self._simulation.grid, SimpleClientManager()
        for node in grid.get_node_ids():
            manager.register(GridClientProxy(node, grid, grid.run.run_id))
        context = LegacyContext(
            self._simulation.context, strategy=self._strategy, client_manager=manager
        )
        context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord()
        context.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord()
        return context

    def run_round(
        self, algorithm: FederatedAlgorithm, state: State, participants: Sequence[Participant]
    ) -> RoundResult:
        """Runs one round; see `Backend`.

        Raises:
          TrainingError: If a client fails; with its number and its traceback.
        """
        self._rounds += 1
        self._context.state.config_records[MAIN_CONFIGS_RECORD][Key.CURRENT_ROUND] = self._rounds
        self._strategy.order, self._strategy.result = Order(algorithm, state, participants), None
        self._workflow(self._simulation.grid, self._context)
        assert self._strategy.result is not None
        return self._strategy.result

    def scale_samples(self, scaling: Scaling) -> None:
        """Makes every client scale its own samples; see `Backend`."""
        self._clients.scale(scaling)

    def close(self) -> None:
        """Ends Flower, Ray and every process they started."""
        self._simulation.close()
