"""The local backend: rounds in this process, the oracle and the lower bound for time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from federated.core.algorithm import FederatedAlgorithm, State, ValidatedOutput
from federated.core.backend import ClientRunner, Clients, RoundResult, ServerRunner
from federated.core.sampling import Participant
from federated.core.scaling import Scaling
from tfcluster.runtime import describe_devices


class LocalBackend:
    """Runs clients one after the other, or a few side by side.

    Args:
      clients: Samples of each.
      n_workers: Clients at work at a time.
    """

    def __init__(self, clients: Clients, n_workers: int = 1) -> None:
        self._clients = clients
        self._pool = ThreadPoolExecutor(n_workers)
        self._idle: SimpleQueue[ClientRunner] = SimpleQueue()
        for _ in range(n_workers):
            self._idle.put(ClientRunner())
        self._server = ServerRunner()
        logging.getLogger("federated").info("Clients compute on %s.", describe_devices())

    def run_round(
        self, algorithm: FederatedAlgorithm, state: State, participants: Sequence[Participant]
    ) -> RoundResult:
        """Runs one round; see `Backend`."""
        broadcast = algorithm.broadcast(state)

        def work(participant: Participant) -> ValidatedOutput:
            runner = self._idle.get()
            try:
                data = self._clients[participant.client]
                return runner.update(algorithm, broadcast, data, participant)
            finally:
                self._idle.put(runner)

        answers = list(self._pool.map(work, participants))
        return self._server.finish(algorithm, state, participants, answers)

    def scale_samples(self, scaling: Scaling) -> None:
        """Makes every client scale its own samples; see `Backend`."""
        self._clients.scale(scaling)

    def close(self) -> None:
        """Ends the workers."""
        self._pool.shutdown()
