"""The local carrier: rounds in this process, the oracle and the lower bound for time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from federated.core.algorithm import ClientData, FederatedAlgorithm, Screened, ServerState
from federated.core.backend import RoundResult, Server, Workbench
from federated.core.sampling import Participant


class LocalCarrier:
    """Runs clients one after the other, or a few side by side.

    Args:
      clients: Rows of each.
      n_workers: Clients at work at a time.
    """

    def __init__(self, clients: Sequence[ClientData], n_workers: int = 1) -> None:
        self._pool = ThreadPoolExecutor(n_workers)
        self._free: SimpleQueue[Workbench] = SimpleQueue()
        for _ in range(n_workers):
            self._free.put(Workbench(clients))
        self._server = Server()

    def round(
        self,
        algorithm: FederatedAlgorithm,
        state: ServerState,
        participants: Sequence[Participant],
    ) -> RoundResult:
        """One round; see `Carrier`."""
        sent = algorithm.broadcast(state)

        def work(participant: Participant) -> Screened:
            bench = self._free.get()
            try:
                return bench.update(algorithm, sent, participant)
            finally:
                self._free.put(bench)

        answers = list(self._pool.map(work, participants))
        return self._server.finish(algorithm, state, participants, answers)

    def close(self) -> None:
        """Ends the workers."""
        self._pool.shutdown()
