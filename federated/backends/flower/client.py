"""Flower's client: unpacks what arrived, lets the core do the work, packs what came of it."""

from __future__ import annotations

import dataclasses
import functools
import traceback
from pathlib import Path

from flwr.client import Client, NumPyClient
from flwr.common import Context, NDArrays

from federated.backends.flower.messages import Facts, pack_answer, unpack_broadcast
from federated.core.backend import Workbench
from federated.core.sampling import Participant
from federated.data.client_store import ClientStore
from tfcluster.runtime import set_threads


class AlgorithmClient(NumPyClient):
    """Any client of a store, with any algorithm: which, stands in the message.

    Args:
      clients: Their rows.
      bench: Holds what was compiled; as old as the process.
    """

    def __init__(self, clients: ClientStore, bench: Workbench) -> None:
        self._clients, self._bench = clients, bench

    def fit(self, parameters: NDArrays, config: Facts) -> tuple[NDArrays, int, Facts]:
        """A client's work in a round.

        Args:
          parameters: Weights and context.
          config: What `pack_broadcast` adds, and `client` and `seed` of the participant.

        Returns:
          Sums and gathered arrays; the client's rows; the client and what `pack_answer` adds. If
          the client failed, no arrays, and its traceback as `error`: engines would cut it short
          and leave out who it was.
        """
        participant = Participant(int(config["client"]), int(config["seed"]))
        who: Facts = {"client": participant.client}
        try:
            algorithm, sent = unpack_broadcast(parameters, config)
            arrays, facts = pack_answer(self._bench.update(algorithm, sent, participant))
            n_rows = len(self._clients.rows(participant.client)[1])
        except Exception:
            return [], 0, {**who, "error": traceback.format_exc()}
        return arrays, n_rows, {**who, **facts}


@dataclasses.dataclass(frozen=True)
class ClientMaker:
    """Flower's `client_fn`, sent to workers with every message; they keep what it makes.

    Attributes:
      folder: Of the `ClientStore`.
    """

    folder: Path

    def __call__(self, context: Context) -> Client:
        """A client. The message says which; the node it came to does not matter."""
        del context
        return _client_of_this_process(self.folder)


@functools.cache
def _client_of_this_process(folder: Path) -> Client:
    set_threads(1)  # a worker is given one processor
    clients = ClientStore(folder)
    return AlgorithmClient(clients, Workbench(clients)).to_client()
