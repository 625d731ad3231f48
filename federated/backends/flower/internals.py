"""All that is used of Flower's, Ray's and Python's insides. Written for flwr 1.42 and Ray 2.55.

- `start_vce` and what describes a run to it (`LinkStateFactory`, `RunRecord`, `Task`, `Run`,
  `TaskIdentity`, `NoOpFederationManager`, `ObjectStoreFactory`, `_register_nodes`):
  `flwr.simulation.run_simulation` is deprecated, and `flwr run` runs an app from a folder to its
  end; a backend runs a round when it is asked to.
- `InMemoryLinkState` and `InMemoryGrid`: they are looked at ten times a second, which is longer
  than a round of small clients. Ours tell when something comes.
- `ray_constants.ENABLE_RAY_CLUSTER`: without it Ray's servers listen on the loopback address; with
  it on all addresses, whatever `ray.init(_node_ip_address="127.0.0.1")` says: Ray puts the
  machine's address in its place. Its variable, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER, is read when Ray
  is imported, which may have happened.
- `ray._private.worker._worker_logs_enabled`: whether Ray prints what its servers say, e.g. that one
  of them is missing, which they sometimes say when all are being ended.
- `threading._register_atexit`: hooks of `atexit` come after Python's wait for Flower's threads.

When flwr moves: `Engine` repeats `_main_loop` of `flwr.simulation.run_simulation`, without its
server app.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import Any

from flwr.app import Message
from flwr.clientapp import ClientApp
from flwr.common.constant import RUN_ID_NUM_BYTES, SUPERLINK_NODE_ID, TASK_ID_NUM_BYTES
from flwr.proto.task_pb2 import Task
from flwr.server.superlink.fleet.vce.metrics import VceMetrics
from flwr.server.superlink.fleet.vce.vce_api import _register_nodes, start_vce
from flwr.server.superlink.linkstate import InMemoryLinkState, LinkStateFactory
from flwr.server.superlink.linkstate.in_memory_linkstate import RunRecord
from flwr.server.superlink.linkstate.utils import generate_rand_int_from_bytes
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME, NOOP_FEDERATION_ID
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.federation import NoOpFederationManager
from flwr.superlink.grid import InMemoryGrid

_PATIENCE = 1.0  # seconds between two looks whether the engine still runs


class Stop(threading.Event):
    """Ends the engine; and wakes its loop over the nodes when messages were sent.

    That loop waits for the end a tenth of a second at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._news = threading.Event()

    def set(self) -> None:
        """Ends the engine."""
        super().set()
        self._news.set()

    def announce(self) -> None:
        """Wakes the engine, which has messages to hand out."""
        self._news.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end, for messages, or as long as it is told."""
        self._news.wait(timeout)
        self._news.clear()  # before the loop looks, so that none is overlooked
        return self.is_set()


class _LinkState(InMemoryLinkState):
    """The engine's messages, which tells of every reply and knows which nodes have none to get.

    Flower's looks through all messages for every node: with a node for each of 1,000 clients, that
    takes longer than small clients do.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.replied: SimpleQueue[str] = SimpleQueue()
        self._undelivered: Counter[int] = Counter()

    def store_message_ins(self, message: Message) -> str | None:
        with self.lock:
            stored = super().store_message_ins(message)
            self._undelivered[message.metadata.dst_node_id] += stored is not None
            return stored

    def get_message_ins(
        self, node_id: int, limit: int | None, *, run_id: int | None = None
    ) -> list[Message]:
        if not self._undelivered[node_id]:
            return []
        with self.lock:
            found = super().get_message_ins(node_id, limit, run_id=run_id)
            self._undelivered[node_id] -= len(found)
            return found

    def store_message_res(self, message: Message) -> str | None:
        stored = super().store_message_res(message)
        self.replied.put(message.metadata.reply_to_message_id)
        return stored


class EngineGrid(InMemoryGrid):
    """A grid that is told of replies, and does not wait for those of an engine that ended."""

    def __init__(self, states: LinkStateFactory, replied: SimpleQueue[str], stop: Stop) -> None:
        super().__init__(states)
        self._replied, self._stop = replied, stop

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Sends messages and returns the replies to all.

        Args:
          messages: What to send.
          timeout: Ignored; the engine answers for a worker that died.

        Raises:
          RuntimeError: If the engine was closed.
        """
        del timeout
        waiting = set(self.push_messages(messages))
        self._stop.announce()
        replies: list[Message] = []
        while waiting:
            if self._stop.is_set():
                raise RuntimeError("Flower's engine was closed.")
            try:
                replied = self._replied.get(timeout=_PATIENCE)
            except Empty:
                continue
            if replied in waiting:  # and not one of a round that was interrupted
                waiting.remove(replied)
                replies += self.pull_messages([replied])
        return replies


class Engine:
    """Flower's simulation engine, which hands messages to Ray's workers.

    Args:
      client_app: What workers run.
      n_nodes: Number of Flower's virtual nodes.

    Attributes:
      grid: Sends messages to the nodes.
      nodes: Flower's ids of the nodes, by their partition's id.
      stop: Ends the engine.
    """

    def __init__(self, client_app: ClientApp, n_nodes: int) -> None:
        self._client_app = client_app
        self.stop = Stop()
        self._states = LinkStateFactory(
            FLWR_IN_MEMORY_DB_NAME, NoOpFederationManager(), ObjectStoreFactory()
        )
        state = _LinkState(self._states.federation_manager, ObjectStoreFactory().store())
        self._states.state_instance = state
        self._run = _register_run(state)
        self._mapping = _register_nodes(n_nodes, self._states)
        self.nodes = list(self._mapping)
        self.grid = EngineGrid(self._states, state.replied, self.stop)
        self.grid.set_run(self._run)

    def run(self, num_gpus: float) -> None:
        """Works until `stop` is set; ends Ray then.

        Args:
          num_gpus: GPUs of each worker, perhaps a fraction.
        """
        resources = {"num_cpus": 1, "num_gpus": num_gpus}
        start_vce(
            backend_name="ray",
            backend_config_json_stream=json.dumps({"client_resources": resources}),
            app_dir="",
            is_app=False,
            f_stop=self.stop,
            run=self._run,
            metrics=VceMetrics(),
            client_app=self._client_app,
            state_factory=self._states,
            existing_nodes_mapping=self._mapping,
        )


def _register_run(state: _LinkState) -> Run:
    """Returns a run that the engine knows, which messages of this process belong to."""
    run_id = generate_rand_int_from_bytes(RUN_ID_NUM_BYTES)
    task_id = generate_rand_int_from_bytes(TASK_ID_NUM_BYTES)
    run = Run.create_empty(run_id=run_id)
    run.primary_task_id, run.federation_id = task_id, NOOP_FEDERATION_ID
    state.run_ids[run_id] = RunRecord(run=run)
    state.task_store[task_id] = Task(task_id=task_id, run_id=run_id)
    TaskIdentity.task_id, TaskIdentity.run_id = task_id, run_id
    TaskIdentity.node_id = SUPERLINK_NODE_ID
    return run


def keep_ray_on_loopback() -> contextlib.AbstractContextManager[None]:
    """Makes servers of a Ray that starts in the block listen on the loopback address only."""
    from ray._private import ray_constants  # here, since a server app needs no Ray

    return _set_to_false(ray_constants, "ENABLE_RAY_CLUSTER")


def silence_ray() -> contextlib.AbstractContextManager[None]:
    """Prints nothing that Ray's servers say; what matters of it reaches us as messages."""
    from ray._private import worker

    return _set_to_false(worker, "_worker_logs_enabled")


@contextlib.contextmanager
def _set_to_false(module: ModuleType, name: str) -> Iterator[None]:
    """Sets a flag of a module to False while the block runs."""
    before = getattr(module, name)
    setattr(module, name, False)
    try:
        yield
    finally:
        setattr(module, name, before)


def call_before_threads_end(function: Callable[[], None]) -> None:
    """Calls a function at the end of this process, before Python waits for its threads."""
    threading._register_atexit(function)  # type: ignore[attr-defined]
