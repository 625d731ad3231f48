"""Flower's server app around our phases, and the backend that runs their rounds on its grid."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flwr.app import DEFAULT_TTL, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.app import MessageType as Type
from flwr.serverapp import Grid, ServerApp

from federated.backends.flower.messages import FACTS
from federated.backends.flower.strategy import AlgorithmStrategy, Order
from federated.backends.messages import pack_broadcast, pack_scaling
from federated.core.algorithm import FederatedAlgorithm, State
from federated.core.backend import RoundResult
from federated.core.phases import Phase
from federated.core.records import Callback, RoundRecord
from federated.core.rounds import Federation, Position, RoundCheckpoint, run_phases
from federated.core.sampling import ClientSampler, Participant
from federated.core.scaling import Scaling
from tfcluster.errors import InputError, TrainingError

LOG = logging.getLogger("flwr")
"""Flower's log, which `flwr log` shows."""

_PAUSE = 0.5  # seconds between two looks for nodes


class GridBackend:
    """Runs every round as one of a Flower strategy, on the nodes of a grid.

    Args:
      grid: Sends messages.
      nodes: Flower's id of every client's node, in client order.
    """

    def __init__(self, grid: Grid, nodes: Sequence[int]) -> None:
        self._grid, self._strategy = grid, AlgorithmStrategy(nodes)
        self._scaling = Scaling()

    def run_round(
        self, algorithm: FederatedAlgorithm, state: State, participants: Sequence[Participant]
    ) -> RoundResult:
        """Runs one round; see `Backend`.

        Raises:
          TrainingError: If a client fails; with its number and its traceback.
        """
        scaling = pack_scaling(self._scaling)
        arrays, facts = pack_broadcast(algorithm, algorithm.broadcast(state))
        config = ConfigRecord({**facts, "scaling": len(scaling)})
        self._strategy.order, self._strategy.result = Order(algorithm, state, participants), None
        with _flower_says_little():
            self._strategy.start(
                self._grid,
                ArrayRecord([*scaling, *arrays]),
                num_rounds=1,
                timeout=DEFAULT_TTL,
                train_config=config,
            )
        assert self._strategy.result is not None
        return self._strategy.result

    def scale_samples(self, scaling: Scaling) -> None:
        """Sends the scaling with every later message; see `Backend`."""
        self._scaling = scaling

    def close(self) -> None:
        """Does nothing: whoever has the grid ends it."""


@contextlib.contextmanager
def _flower_says_little() -> Iterator[None]:
    """Silences what `Strategy.start` tells: for us a round is a run of it, 20 lines each."""
    level = LOG.level
    LOG.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        LOG.setLevel(level)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a server app does.

    Attributes:
      phases: In order.
      n_clients: Nodes to wait for; all of them take part.
      clients_per_round: Clients sampled for a round; None for all.
      seed: Seed of the sampling and of the clients' draws.
      callbacks: Called with every record.
      checkpoint: File for the run's progress, from which a later run resumes; None for none.
    """

    phases: Sequence[Phase]
    n_clients: int
    clients_per_round: int | None = None
    seed: int = 0
    callbacks: Sequence[Callback] = ()
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        if type(self.n_clients) is not int or self.n_clients < 1:
            raise InputError(
                f"`n_clients` must be a whole number of at least 1. Received: {self.n_clients!r}."
            )


def server_app(
    plan: Callable[[Context], Plan], finish: Callable[[Context, Position], None]
) -> ServerApp:
    """Returns a Flower `ServerApp` that runs phases with nodes that run `client_app`.

    Clients are numbered by the names that nodes answer, in order (whole numbers by value), so that
    a run does not depend on Flower's ids. Scaling is sent with the messages: a node needs its own
    rows and nothing else.

    Args:
      plan: Returns what to do from the `Context` of the run, whose `run_config` has its options.
      finish: Called with the result: its `artifacts` are the weights, its `history` the records.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        todo = plan(context)
        nodes = find_clients(grid, todo.n_clients)
        sampler = ClientSampler(len(nodes), todo.clients_per_round, seed=todo.seed)
        federation = Federation(
            GridBackend(grid, list(nodes.values())), sampler, list(nodes), "flower"
        )
        checkpoint = None
        if todo.checkpoint is not None:
            identity = {
                "clients": list(nodes),
                "sampler": dataclasses.asdict(sampler),
                "phases": [(p.name, p.n_rounds, p.n_clusters) for p in todo.phases],
            }
            checkpoint = RoundCheckpoint(todo.checkpoint, identity)
        callbacks = (_log_record, *todo.callbacks)
        finish(
            context,
            run_phases(todo.phases, federation, callbacks=callbacks, checkpoint=checkpoint),
        )

    return app


def find_clients(grid: Grid, n_clients: int) -> dict[str, int]:
    """Waits for nodes, and returns their ids by the names they answer, in client order.

    Raises:
      InputError: If there are more nodes, or two answer the same name.
      TrainingError: If a node does not answer.
    """
    while len(ids := list(grid.get_node_ids())) < n_clients:
        time.sleep(_PAUSE)
    if len(ids) > n_clients:
        raise InputError(
            f"The plan has {n_clients} clients. Received: {len(ids)} nodes. Set `n_clients` to the "
            "number of nodes."
        )
    found: dict[str, int] = {}
    for node, facts in ask_nodes(grid, ids).items():
        name = str(facts["name"])
        if name in found:
            raise InputError(
                f"Every node needs a name of its own. Received {name!r} twice. Set `name` in its "
                "--node-config."
            )
        found[name] = node
        LOG.info("Client %s computes on %s.", name, facts["devices"])
    return {name: found[name] for name in sorted(found, key=_order_of)}


def ask_nodes(grid: Grid, nodes: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Returns what each node says of itself: its `name`, and the `devices` it computes on.

    Raises:
      TrainingError: If a node does not answer.
    """
    asked = [Message(RecordDict(), node, Type.QUERY) for node in nodes]
    found = {}
    for reply in grid.send_and_receive(asked, timeout=DEFAULT_TTL):
        node = reply.metadata.src_node_id
        if reply.has_error():
            raise TrainingError(f"Node {node} did not say who it is: {reply.error.reason}")
        found[node] = dict(reply.content.config_records[FACTS])
    return found


def _order_of(name: str) -> tuple[bool, int, str]:
    return (False, int(name), "") if name.isdecimal() else (True, 0, name)


def _log_record(record: RoundRecord) -> None:
    numbers = "  ".join(f"{name} {value:.5g}" for name, value in record.losses.items())
    LOG.info("%s %d/%d  %s", record.phase, record.step, record.of, numbers)
