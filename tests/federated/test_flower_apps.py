"""The apps of Flower's users, on a grid in this process: real messages, real clients."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import Context, Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from federated.backends.flower import Plan, client_app, server_app
from federated.core.local_training import LocalWork
from federated.core.sampling import ClientSampler
from federated.data.client_store import ClientStore
from federated.phases.dec import FederatedDECConfig, clustering_phases, pretraining_phases
from tests.federated.helpers import assert_same_artifacts, run_locally
from tests.tfcluster.helpers import TINY, blobs
from tfcluster import InputError
from tfcluster.errors import TrainingError

X, Y = blobs(150)
PARTS = {"north": slice(0, 25), "10": slice(25, 60), "9": slice(60, 150)}
IN_ORDER = ["9", "10", "north"]
NODES = dict(zip(PARTS, (31, 7, 19), strict=True))
CONFIG = FederatedDECConfig(
    dataclasses.replace(TINY, scaling="rms"),
    standardize=True,
    pretrain_rounds=2,
    pretraining=LocalWork(epochs=1, batch_size=16),
    lloyd_rounds=3,
    rounds=3,
    clustering=LocalWork(steps=3, batch_size=16),
)


class GridOfApps(Grid):
    """Hands each message to the app of its node; replies come in another order.

    Args:
      apps: The app and the context of each node.
    """

    run = None

    def __init__(self, apps):
        self._apps = apps

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            app, context = self._apps[message.metadata.dst_node_id]
            try:
                replies.append(app(message, context))
            except Exception as error:
                replies.append(Message(Error(1, str(error)), reply_to=message))
        return replies[::-1]

    def get_node_ids(self):
        return list(self._apps)

    def set_run(self, run):
        raise NotImplementedError

    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None):
        raise NotImplementedError

    def push_messages(self, messages):
        raise NotImplementedError

    def pull_messages(self, message_ids):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    """Gives this process an identity, as Flower does before it runs an app."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def context_of(node, **node_config):
    return Context(1, node, node_config, RecordDict(), {})


def load_rows(context):
    """Returns the rows of the node of that name, which has no way to another's."""
    part = PARTS[context.node_config["name"]]
    return X[part], Y[part]


def grid_of(load=load_rows, names=NODES):
    app = client_app(load)
    return GridOfApps({node: (app, context_of(node, name=name)) for name, node in names.items()})


def phases(seed=3, n_clusters=3):
    return [*pretraining_phases(6, CONFIG, seed), *clustering_phases(6, n_clusters, CONFIG, seed)]


def run_app(grid, **fields):
    """Runs a server app; returns what `finish` was given."""
    given = []
    fields = {"phases": phases(), "n_clients": len(PARTS), "seed": 5, **fields}
    app = server_app(lambda context: Plan(**fields), lambda context, result: given.append(result))
    app(grid, context_of(0))
    return given[0]


def run_oracle(tmp_path, **fields):
    clients = [(X[PARTS[name]], Y[PARTS[name]]) for name in IN_ORDER]
    store = ClientStore.write(tmp_path / "store", clients)
    return run_locally(phases(), store, ClientSampler(len(PARTS), seed=5, **fields))


@pytest.mark.parametrize("per_round", [None, 2])
def test_apps_find_the_bits_of_the_local_backend(tmp_path, per_round):
    """Scaling is sent with the messages; clients are in the order of the nodes' names."""
    result = run_app(grid_of(), clients_per_round=per_round)
    expected = run_oracle(tmp_path, per_round=per_round)
    assert_same_artifacts(result.artifacts, expected.artifacts)
    assert {"standardizer/mean", "scale", "clusters"} <= result.artifacts.keys()
    assert [r.losses for r in result.history] == [r.losses for r in expected.history]


def test_a_run_resumes(tmp_path):
    def stop(record):
        if record.phase == "cluster":
            raise KeyboardInterrupt

    checkpoint = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        run_app(grid_of(), checkpoint=checkpoint, callbacks=[stop])
    with pytest.raises(InputError, match="belongs to another run: phases differ"):
        run_app(grid_of(), checkpoint=checkpoint, phases=phases(n_clusters=4))
    result = run_app(grid_of(), checkpoint=checkpoint)
    assert_same_artifacts(result.artifacts, run_oracle(tmp_path).artifacts)


def test_rows_without_classes():
    result = run_app(grid_of(lambda context: load_rows(context)[0].tolist()))
    assert_same_artifacts(result.artifacts, run_app(grid_of()).artifacts)


def test_nodes_without_names_are_their_partitions():
    parts = {"0": "north", "1": "10", "2": "9"}
    app = client_app(lambda context: X[PARTS[parts[str(context.node_config["partition-id"])]]])
    nodes = {
        node: (app, context_of(node, **{"partition-id": i})) for i, node in enumerate((9, 8, 7))
    }
    assert run_app(GridOfApps(nodes)).history[-1].participants == 3


def test_two_nodes_of_one_name_are_refused():
    app = client_app(load_rows)
    nodes = {node: (app, context_of(node, name="9")) for node in (1, 2, 3)}
    with pytest.raises(InputError, match=r"name of its own. Received '9' twice.*node-config"):
        run_app(GridOfApps(nodes))


def test_more_nodes_than_planned_are_refused():
    with pytest.raises(InputError, match=r"The plan has 2 clients. Received: 3 nodes"):
        run_app(grid_of(), n_clients=2)


@pytest.mark.parametrize("number", [0, -1, 2.0, True])
def test_a_plan_needs_clients(number):
    with pytest.raises(InputError, match="`n_clients` must be a whole number of at least 1"):
        Plan(phases(), number)


def test_rows_that_cannot_be_read_stop_the_run_with_their_traceback():
    def load(context):
        if context.node_config["name"] == "10":
            raise FileNotFoundError("no such file: mine.npy")
        return load_rows(context)

    with pytest.raises(TrainingError, match=r"(?s)Client 1 failed:\nTraceback.*mine.npy"):
        run_app(grid_of(load))


def test_a_node_that_does_not_say_who_it_is_stops_the_run():
    grid = grid_of()
    grid._apps[7] = (lambda message, context: 1 / 0, None)
    with pytest.raises(TrainingError, match="Node 7 did not say who it is: division by zero"):
        run_app(grid)


def test_samples_come_as_numbers_of_any_kind():
    rows = client_app(lambda context: np.asarray(load_rows(context)[0], np.float64))
    nodes = {node: (rows, context_of(node, name=name)) for name, node in NODES.items()}
    assert_same_artifacts(run_app(GridOfApps(nodes)).artifacts, run_app(grid_of()).artifacts)
