"""Backends as plain descriptions, which import nothing until they are opened.

A new backend is a class with `run_round`, `scale_samples` and `close` (`federated.core.backend`)
and a description of it here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from federated.backends.processes import backend_processes
from tfcluster.errors import InputError, unknown_name
from tfcluster.runtime import count_cores

if TYPE_CHECKING:
    from federated.core.backend import Backend
    from federated.data.client_store import ClientStore
    from federated.data.federated_dataset import FederatedDataset

_USUAL_WORKERS = 2


@dataclasses.dataclass(frozen=True)
class BackendDescription:
    """Settings that a backend is started with.

    Attributes:
      name: Name of the backend, as on the command line.
      n_workers: Clients at work at a time; None for two, or one on a single core.
    """

    name: ClassVar[str]

    n_workers: int | None = None

    def __post_init__(self) -> None:
        if self.n_workers is not None and (type(self.n_workers) is not int or self.n_workers < 1):
            raise InputError(
                f"`n_workers` must be a whole number of at least 1. Received: {self.n_workers!r}."
            )

    @property
    def workers(self) -> int:
        """Clients at work at a time."""
        return self.n_workers or min(_USUAL_WORKERS, count_cores())

    def start(self, clients: ClientStore) -> Backend:
        """Starts the backend on clients.

        Raises:
          InputError: If something it needs is not there.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Local(BackendDescription):
    """A loop in this process."""

    name: ClassVar[str] = "local"

    def start(self, clients: ClientStore) -> Backend:
        """Starts the loop."""
        from federated.backends.local import LocalBackend

        return LocalBackend(clients, self.workers)


@dataclasses.dataclass(frozen=True)
class Flower(BackendDescription):
    """Flower's simulation engine: every worker is a process.

    Attributes:
      num_gpus: GPUs of each worker, perhaps a fraction; 0 hides them from workers. Workers take
        memory of a GPU as they need it. Untried with a GPU, since none was at hand.
    """

    name: ClassVar[str] = "flower"

    num_gpus: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        is_number = isinstance(self.num_gpus, int | float) and not isinstance(self.num_gpus, bool)
        if not is_number or not 0 <= self.num_gpus < math.inf:
            raise InputError(
                f"`num_gpus` must be a number, not negative. Received: {self.num_gpus!r}."
            )

    def start(self, clients: ClientStore) -> Backend:
        """Starts Ray and Flower's engine."""
        from federated.backends.flower.backend import FlowerBackend

        return FlowerBackend(clients, self.workers, self.num_gpus)


@dataclasses.dataclass(frozen=True)
class TFF(BackendDescription):
    """TensorFlow Federated's runtime, in an environment of its own; see `tff_environment`.

    Attributes:
      insecure_worker: Whether to go on where the system does not permit a network of its own to
        TFF's worker, which then takes orders from whoever reaches this machine.
    """

    name: ClassVar[str] = "tff"

    insecure_worker: bool = False

    def start(self, clients: ClientStore) -> Backend:
        """Makes the environment if need be, and starts a process in it."""
        from federated.backends.piped.backend import PipedBackend

        return PipedBackend(clients, self.workers, self.insecure_worker)


BACKENDS: Mapping[str, type[BackendDescription]] = MappingProxyType(
    {kind.name: kind for kind in (Local, Flower, TFF)}
)
"""Every backend, by name."""


def find_backend(name_or_description: str | BackendDescription) -> BackendDescription:
    """Returns the backend of that name with its defaults, or the description itself.

    Raises:
      InputError: If there is no such backend.
    """
    if isinstance(name_or_description, BackendDescription):
        return name_or_description
    if not isinstance(name_or_description, str) or name_or_description not in BACKENDS:
        raise unknown_name("backend", str(name_or_description), BACKENDS)
    return BACKENDS[name_or_description]()


@dataclasses.dataclass(frozen=True, eq=False)
class OpenBackend:
    """A backend that runs, on the clients of a data set.

    Attributes:
      name: Name of the backend.
      dataset: The clients' samples as they were given.
      store: The clients' samples as they are used.
      backend: Runs the rounds.
    """

    name: str
    dataset: FederatedDataset
    store: ClientStore
    backend: Backend


@contextlib.contextmanager
def open_backend(
    backend: str | BackendDescription, dataset: FederatedDataset
) -> Iterator[OpenBackend]:
    """Starts a backend on clients; ends it, and all of its processes, at the end of the block.

    Args:
      backend: A name or a description.
      dataset: The clients.

    Raises:
      InputError: If there is no such backend, or something it needs is not there.
    """
    from federated.data.client_store import ClientStore

    description = find_backend(backend)
    scratch = Path(tempfile.mkdtemp(prefix="tfcluster-"))
    with backend_processes(scratch):
        store = ClientStore.write(scratch, dataset.clients, dataset.names)
        with contextlib.closing(description.start(store)) as started:
            yield OpenBackend(description.name, dataset, store, started)
