"""The backend that runs rounds on Flower's simulation engine."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
from flwr.app import Context

from federated.backends.flower.client import client_app
from federated.backends.flower.server import GridBackend
from federated.backends.flower.simulation import Simulation
from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore


class FlowerBackend(GridBackend):
    """Runs clients in Ray's processes, each as a node of Flower's, every round as Flower's own.

    Args:
      clients: Samples of each, which workers read by themselves.
      n_workers: Clients at work at a time, each in a process of its own.
      num_gpus: GPUs of each worker, perhaps a fraction.
    """

    def __init__(self, clients: ClientStore, n_workers: int = 2, num_gpus: float = 0) -> None:
        self._clients = clients
        app = client_app(_StoredRows(clients.folder.resolve()), n_threads=1)
        self._simulation = Simulation(app, len(clients), n_workers, num_gpus)
        super().__init__(self._simulation.grid, self._simulation.nodes)

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
