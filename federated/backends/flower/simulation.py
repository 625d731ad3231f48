"""Flower's simulation engine, kept running while our backend runs its rounds."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import ray
from flwr.client import ClientApp
from flwr.common import Context
from flwr.server import Grid, ServerApp
from flwr.server.grid import InMemoryGrid
from flwr.simulation import run_simulation

from federated.backends.processes import backend_processes, marked_processes
from tfcluster.errors import InputError

OBJECT_STORE = 256 * 2**20
"""Bytes of shared memory: a message to and from every worker; more than fits goes to disk."""

PULL_INTERVAL = 0.02
"""Seconds between two looks for answers; Flower's 0.1 is as long as a round of small clients."""

PATIENCE = 10.0
"""Seconds until clients still at work at the end are killed, as after an interrupt."""


class Simulation:
    """Ray's workers, and Flower's engine between them and a grid, which sends messages.

    `run_simulation` runs a server app to its end. Ours hands out its grid and waits: its
    holder sends messages at any time, from its own thread.

    Args:
      client_app: What workers run.
      n_nodes: Number of Flower's virtual nodes.
      n_workers: Processes, with one processor each.
      num_gpus: GPUs of each worker, perhaps a fraction.

    Attributes:
      context: Context of Flower's run.

    Raises:
      InputError: If Ray runs in this process already.
    """

    def __init__(
        self, client_app: ClientApp, n_nodes: int, n_workers: int, num_gpus: float = 0
    ) -> None:
        if ray.is_initialized():
            raise InputError(
                "Ray runs in this process already, and it can do so once: close the other "
                "backend first, or call ray.shutdown()."
            )
        logging.getLogger("flwr").setLevel(logging.CRITICAL)  # its errors reach us as messages
        self._closing = threading.Event()
        self._opened: Future[tuple[Grid, Context]] = Future()
        with contextlib.ExitStack() as stack:
            # not where temporary files go by default: paths of sockets have to be short
            scratch = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
            mark = stack.enter_context(backend_processes(scratch))
            stack.callback(self._stop, mark)
            self._thread = threading.Thread(
                target=self._run,
                args=(client_app, n_nodes, n_workers, num_gpus, scratch),
                daemon=True,
            )
            self._thread.start()
            self._grid, self.context = self._opened.result()
            _restore_signals()
            self._stack = stack.pop_all()
        # else a program that ends without `close` would wait for Flower's threads forever; hooks
        # of `atexit` come after that wait
        threading._register_atexit(self.close)  # type: ignore[attr-defined]

    @property
    def grid(self) -> Grid:
        """Returns what reaches the nodes.

        Raises:
          RuntimeError: If the engine was closed: messages would be waited for forever.
        """
        if self._closing.is_set():
            raise RuntimeError("Flower's engine was closed.")
        return self._grid

    def close(self) -> None:
        """Ends Flower and Ray; harmless if repeated."""
        self._stack.close()

    def _stop(self, mark: str) -> None:
        self._closing.set()
        self._thread.join(PATIENCE)
        while self._thread.is_alive():  # it waits for a client that works for nobody
            _end_workers(mark)
            self._thread.join(1.0)

    def _run(
        self,
        client_app: ClientApp,
        n_nodes: int,
        n_workers: int,
        num_gpus: float,
        scratch: Path,
    ) -> None:
        """Runs the engine to its end."""
        try:
            # by ourselves: when Flower cannot start Ray it waits forever
            ray.init(
                address="local",
                num_cpus=n_workers,
                num_gpus=math.ceil(num_gpus * n_workers),
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                _temp_dir=str(scratch),
            )
            run_simulation(
                self._server_app(n_nodes),
                client_app,
                n_nodes,
                backend_config={"client_resources": {"num_cpus": 1, "num_gpus": num_gpus}},
            )
        except BaseException as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            elif not self._closing.is_set():
                raise

    def _server_app(self, n_nodes: int) -> ServerApp:
        app = ServerApp()

        @app.main()
        def main(grid: Grid, context: Context) -> None:
            if isinstance(grid, InMemoryGrid):
                grid.pull_interval = PULL_INTERVAL
            while len(list(grid.get_node_ids())) < n_nodes:  # the engine starts after its server
                time.sleep(PULL_INTERVAL)
            self._opened.set_result((grid, context))
            self._closing.wait()

        return app


def _end_workers(mark: str) -> None:
    """Kills Ray's workers, but not its servers: without those it ends this process too."""
    for process in marked_processes(mark):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::"):
                os.kill(process, signal.SIGKILL)


def _restore_signals() -> None:
    """Restores the handler of SIGTERM, which Ray replaces to print a report."""
    handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGTERM, handler)
