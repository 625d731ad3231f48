"""The backend that runs rounds on Flower's simulation engine."""

from __future__ import annotations

import dataclasses
import functools
import logging
from pathlib import Path

import numpy as np
from flwr.app import Context

from federated.backends.flower.client import client_app
from federated.backends.flower.server import GridBackend, ask_nodes
from federated.backends.flower.simulation import Simulation
from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore
from tfcluster.errors import InputError

LOG = logging.getLogger("federated")
"""Not Flower's, which is silenced in a simulation."""


class FlowerBackend(GridBackend):
    """Runs clients in Ray's processes, each as a node of Flower's, every round as Flower's own.

    Args:
      clients: Samples of each, which workers read by themselves.
      n_workers: Clients at work at a time, each in a process of its own.
      num_gpus: GPUs of each worker, perhaps a fraction; 0 hides them. Untried
        with a GPU, since none was at hand.

    Raises:
      InputError: If workers are given GPUs, and TensorFlow sees none in them.
    """

    def __init__(self, clients: ClientStore, n_workers: int = 2, num_gpus: float = 0) -> None:
        self._clients = clients
        app = client_app(_StoredRows(clients.folder.resolve()), n_threads=1)
        self._simulation = Simulation(app, len(clients), n_workers, num_gpus)
        super().__init__(self._simulation.grid, self._simulation.nodes)
        if num_gpus > 0:
            self._check_gpus(num_gpus)
        else:
            LOG.info("Clients compute on CPU.")

    def _check_gpus(self, num_gpus: float) -> None:
        first = self._simulation.nodes[0]
        devices = ask_nodes(self._simulation.grid, [first])[first]["devices"]
        LOG.info("Clients compute on %s.", devices)
        if devices == "CPU":
            self.close()
            raise InputError(
                "`num_gpus` needs a GPU that TensorFlow sees in a worker. Received: "
                f"num_gpus={num_gpus}, and workers see none. Use num_gpus=0, or install TensorFlow "
                "for GPUs (tensorflow[and-cuda])."
            )

    def scale_samples(self, scaling: Scaling) -> None:
        """Scales the clients' files, once for all processes; see `Backend`."""
        self._clients.scale(scaling)

    def close(self) -> None:
        """Ends Flower, Ray and every process they started."""
        self._simulation.close()


@dataclasses.dataclass(frozen=True)
class _StoredRows:
    """Returns the rows of a node of the simulation: those of the client with its partition's id."""

    folder: Path

    def __call__(self, context: Context) -> tuple[np.ndarray, np.ndarray]:
        return _open_store(self.folder).samples(int(context.node_config["partition-id"]))


_open_store = functools.cache(ClientStore)
