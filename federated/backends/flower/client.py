"""Flower's client: unpacks what arrived, lets the core do the work, packs the result."""

from __future__ import annotations

import dataclasses
import functools
import traceback
from pathlib import Path

from flwr.client import Client, NumPyClient
from flwr.common import Context, NDArrays

from federated.backends.messages import Facts, pack_answer, unpack_broadcast
from federated.core.backend import ClientRunner
from federated.core.sampling import Participant
from federated.data.client_store import ClientStore
from tfcluster.runtime import set_threads


class AlgorithmClient(NumPyClient):
    """Any client of a store, with any algorithm; the message says which.

    Args:
      clients: Their samples.
      runner: Holds what was compiled; as old as the process.
    """

    def __init__(self, clients: ClientStore, runner: ClientRunner) -> None:
        self._clients, self._runner = clients, runner

    def fit(self, parameters: NDArrays, config: Facts) -> tuple[NDArrays, int, Facts]:
        """Does a client's work in a round.

        Args:
          parameters: Tensors of the broadcast.
          config: What `pack_broadcast` adds, and `client` and `seed` of the participant.

        Returns:
          The tensors of the output; the client's samples; the client and what `pack_answer` adds.
          If the client failed, no arrays, and its traceback as `error`: Flower would cut it short
          and leave out who it was.
        """
        participant = Participant(int(config["client"]), int(config["seed"]))
        who: Facts = {"client": participant.client}
        try:
            algorithm, broadcast = unpack_broadcast(parameters, config)
            answer = self._runner.update(algorithm, broadcast, participant)
            arrays, facts = pack_answer(answer)
            n_samples = len(self._clients.samples(participant.client)[1])
        except Exception:
            return [], 0, {**who, "error": traceback.format_exc()}
        return arrays, n_samples, {**who, **facts}


@dataclasses.dataclass(frozen=True)
class ClientFactory:
    """Flower's `client_fn`, sent to workers with every message; they keep what it makes.

    Attributes:
      folder: Folder of the `ClientStore`.
    """

    folder: Path

    def __call__(self, context: Context) -> Client:
        """Returns a client. The message says which; the node it came to does not matter."""
        del context
        return _client_of_this_process(self.folder)


@functools.cache
def _client_of_this_process(folder: Path) -> Client:
    set_threads(1)  # a worker is given one processor
    clients = ClientStore(folder)
    return AlgorithmClient(clients, ClientRunner(clients)).to_client()
