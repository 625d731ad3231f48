"""Flower's simulation engine, kept running while our backend runs its rounds."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import math
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from federated.backends.flower import INSTALL
from federated.backends.flower.internals import (
    Engine,
    call_before_threads_end,
    keep_ray_on_loopback,
    silence_ray,
)
from federated.backends.processes import backend_processes, marked_processes
from tfcluster.errors import InputError

# Read when Ray is imported or started
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# By default workers give way to whatever else runs (niceness 15), the server's part included.
os.environ.setdefault("RAY_worker_niceness", "0")

try:
    import ray
except ImportError as error:
    raise InputError(
        f"Flower's simulation needs ray, which cannot be imported ({error}). Install it: {INSTALL}."
    ) from error

OBJECT_STORE = 256 * 2**20
"""Bytes of shared memory: a message to and from every worker; more than fits goes to disk."""

PATIENCE = 10.0
"""Seconds until clients still at work at the end are killed, as after an interrupt."""


class Simulation:
    """Ray's workers, and Flower's engine between them and a grid, which sends messages.

    Nothing of it listens beyond the loopback address, and its files are this user's only.

    Args:
      client_app: What workers run.
      n_nodes: Number of Flower's virtual nodes.
      n_workers: Processes, with one processor each.
      num_gpus: GPUs of each worker, perhaps a fraction. Untried with more than 0.

    Attributes:
      grid: Sends messages to the nodes, while the simulation runs.
      nodes: Flower's ids of the nodes, by their partition's id.

    Raises:
      InputError: If Ray runs in this process already.
    """

    grid: Grid
    nodes: Sequence[int]

    def __init__(
        self, client_app: ClientApp, n_nodes: int, n_workers: int, num_gpus: float = 0
    ) -> None:
        if ray.is_initialized():
            raise InputError(
                "Ray runs in this process already, and it can do so once: close the other "
                "backend first, or call ray.shutdown()."
            )
        logging.getLogger("flwr").setLevel(logging.CRITICAL)  # its errors reach us as messages
        self._engine = Engine(client_app, n_nodes)
        self.grid, self.nodes = self._engine.grid, self._engine.nodes
        with contextlib.ExitStack() as stack:
            # not where temporary files go by default: paths of sockets have to be short
            scratch = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
            mark = stack.enter_context(backend_processes(scratch))
            stack.enter_context(silence_ray())
            stack.callback(ray.shutdown)
            _start_ray(n_workers, num_gpus, scratch)
            stack.callback(self._stop, mark)
            self._thread = threading.Thread(target=self._engine.run, args=(num_gpus,), daemon=True)
            self._thread.start()
            self._stack = stack.pop_all()
        # else a program that ends without `close` would wait for Flower's threads forever
        call_before_threads_end(self.close)

    def close(self) -> None:
        """Ends Flower and Ray; harmless if repeated."""
        self._stack.close()

    def _stop(self, mark: str) -> None:
        self._engine.stop.set()
        self._thread.join(PATIENCE)
        while self._thread.is_alive():  # it waits for a client that works for nobody
            _end_workers(mark)
            self._thread.join(1.0)


def _start_ray(n_workers: int, num_gpus: float, scratch: Path) -> None:
    """Starts Ray, by ourselves: when Flower cannot start it, it waits forever.

    Args:
      n_workers: Processors it gives to workers.
      num_gpus: GPUs of each worker.
      scratch: A folder that only this user can read; Ray opens its own folder to all.

    Raises:
      InputError: If Ray listens to other machines, as one that was not tried might.
    """
    with keep_ray_on_loopback(), _keep_signals(), warnings.catch_warnings():
        # of a future Ray that will not hide GPUs from workers that ask for none
        warnings.filterwarnings("ignore", "Tip: In future versions of Ray", FutureWarning)
        ray.init(
            address="local",
            num_cpus=n_workers,
            num_gpus=math.ceil(num_gpus * n_workers),
            object_store_memory=OBJECT_STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            _temp_dir=str(scratch / "r"),
        )
    check_loopback(ray.util.get_node_ip_address())


def check_loopback(address: str) -> None:
    """Raises `InputError` if Ray listens on an address that other machines reach."""
    if not ipaddress.ip_address(address).is_loopback:
        raise InputError(
            f"Ray must listen on the loopback address only. Received: Ray {ray.__version__} on "
            f"{address}. Install the version that was tried: {INSTALL}."
        )


@contextlib.contextmanager
def _keep_signals() -> Iterator[None]:
    """Puts the handler of SIGTERM back, which Ray replaces to print a report."""
    before: Any = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def _end_workers(mark: str) -> None:
    """Kills Ray's workers, but not its servers: without those it ends this process too."""
    for process in marked_processes(mark):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::"):
                os.kill(process, signal.SIGKILL)
