"""Rounds on Flower and Ray against the local backend; one simulation engine for the module."""

import gc
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.dec import DECState, DECTraining
from federated.algorithms.pretraining import AutoencoderTraining
from federated.backends.descriptions import Flower
from federated.backends.local import LocalBackend
from federated.core.aggregation import find_aggregation
from federated.core.algorithm import ClientData, ClientOutput, ValidatedOutput
from federated.core.backend import ClientRunner, compile_update
from federated.core.local_training import ClientUpdates, LocalWork, TrainingState, TrainingSums
from federated.core.sampling import ClientSampler, Participant
from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore
from tests.federated.helpers import distance
from tests.federated.test_structure import CASES, DATA, assert_equal
from tests.tfcluster.helpers import TINY, blobs
from tfcluster import InputError
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.errors import TrainingError
from tfcluster.scaling import Standardizer

pytest.importorskip("flwr")
pytest.importorskip("ray")

from flwr.app import Error, Message, RecordDict
from flwr.common import FitIns, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.supercore.task_identity import TaskIdentity

from federated.backends.flower import simulation
from federated.backends.flower.backend import FlowerBackend
from federated.backends.flower.client import AlgorithmClient
from federated.backends.flower.messages import from_records, to_records
from federated.backends.flower.strategy import AlgorithmStrategy, Order
from federated.backends.messages import (
    pack_answer,
    pack_broadcast,
    pack_scaling,
    unpack_answer,
    unpack_broadcast,
    unpack_scaling,
)
from federated.backends.processes import MARK, marked_processes

# Ray leaves files and children to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

X = blobs(150)[0].astype(np.float32)
UNEVEN = [X[:10], X[10:25], X[25:50], X[50:90], X[90:]]
BAD, MISSING = 5, 6  # a client with a NaN, and one whose samples cannot be read
EVERYONE = ClientSampler(5).participants(0)
ROOT = Path(__file__).parents[2]
WORK = LocalWork(epochs=2, batch_size=16)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    clients = [*UNEVEN, np.full_like(UNEVEN[1], np.nan), UNEVEN[0]]
    store = ClientStore.write(tmp_path_factory.mktemp("clients"), [(x, None) for x in clients])
    (store.folder / f"{MISSING}.x").unlink()
    return store


@pytest.fixture(scope="module")
def flower(store):
    backend = FlowerBackend(store, n_workers=2)
    yield backend
    backend.close()
    gc.collect()  # while Ray's warnings are ignored


def pretraining(rule="fedavg"):
    return AutoencoderTraining(6, WORK, find_aggregation(rule), TINY)


def begun(alg):
    start = AutoencoderTrainer(6, TINY)
    start.reset(3)
    return alg.initial_state(start.autoencoder.get_weights())


def begun_dec(alg):
    start = AutoencoderTrainer(6, TINY)
    start.reset(3)
    centroids = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    return alg.initial_state([*start.encoder.get_weights(), centroids])


def tensors(*values):
    return tuple(map(tf.constant, values))


@pytest.mark.parametrize("targets", [(), (np.float64(1 / 3), np.arange(4))])
def test_a_broadcast_survives_the_wire(targets):
    alg = DECTraining(6, WORK, find_aggregation("fedavgm", momentum=0.9), 3, TINY, "local")
    weights = tensors(np.float32(0.1), np.ones((2, 0), np.float32))
    sent = DECState(weights, (), tensors(*targets), tf.constant([1.0, 2.0], tf.float64))
    arrays, facts = pack_broadcast(alg, sent)
    assert all(isinstance(value, str | int) for value in facts.values())
    received, state = unpack_broadcast(arrays, facts)
    assert received == alg
    assert hash(received) == hash(alg)
    assert_equal(state, sent)


@pytest.mark.parametrize("updates", [(), (np.float32(2), np.ones((2, 3)))])
@pytest.mark.parametrize("is_finite", [True, False])
def test_an_answer_survives_the_wire(updates, is_finite):
    sums = TrainingSums(
        tensors(np.float64(1 / 3)), tf.constant(np.int64(2**62)), tf.constant([1.0, 2.0])
    )
    each = ClientUpdates(tensors(*updates), tf.constant(3.0) if updates else ())
    answer = ValidatedOutput(ClientOutput(sums, each), tf.constant(is_finite))
    assert_equal(unpack_answer(pretraining(), *pack_answer(answer)), answer)


@pytest.mark.parametrize("name", CASES)
def test_every_algorithm_survives_the_wire(name):
    alg, state = CASES[name]()
    sent = alg.broadcast(state)
    received, broadcast = unpack_broadcast(*pack_broadcast(alg, sent))
    assert received == alg
    assert_equal(broadcast, sent)
    answer = compile_update(alg)(sent, DATA, tf.constant(1))
    assert_equal(unpack_answer(received, *pack_answer(answer)), answer)


def test_a_client_imports_only_what_is_federated():
    arrays, facts = pack_broadcast(pretraining(), TrainingState(()))
    with pytest.raises(ValueError, match="Received: 'antigravity'"):
        unpack_broadcast(arrays, {**facts, "modules": '["antigravity"]'})


@pytest.mark.parametrize(
    "scaling",
    [Scaling(), Scaling(factor=1 / 3), Scaling(Standardizer.fit(X.astype(np.float64)), 2.0)],
)
def test_a_scaling_survives_the_wire(scaling):
    sent = pack_scaling(scaling)
    assert unpack_scaling(sent).equals(scaling)
    assert not (scaling.is_identity and sent)


def test_records_keep_arrays_values_and_their_order():
    arrays = [np.float64(1 / 3), np.ones((2, 0), np.float32), *(np.arange(i) for i in range(12))]
    arrays = [np.asarray(array) for array in arrays]
    facts = {"b": True, "i": 2**62, "s": "text", "empty": ""}
    received, values = from_records(to_records(arrays, facts))
    assert values == facts and type(values["b"]) is bool
    for sent, array in zip(arrays, received, strict=True):
        assert array.dtype == sent.dtype
        np.testing.assert_array_equal(array, sent, strict=True)


@pytest.fixture
def identity(monkeypatch):
    """Gives this process an identity, as Flower does before it runs an app."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


NODES = [70, 30, 50, 10, 20]
"""Flower's ids, which are in no order."""


def answer_of(client, value, **facts):
    """Returns the message of a client's node, as Flower hands it to the strategy."""
    sums = TrainingSums((tf.constant([value]),), tf.constant(1.0), tf.constant([0.0, 1.0]))
    output = ClientOutput(sums, ClientUpdates())
    arrays, known = pack_answer(ValidatedOutput(output, tf.constant(True)))
    return Message(to_records(arrays, {**known, **facts}), reply_to=question_to(client))


def question_to(client):
    return Message(RecordDict(), NODES[client], "train")


def ordered(alg, state):
    strategy = AlgorithmStrategy(NODES)
    strategy.order = Order(alg, state, EVERYONE)
    return strategy


def test_answers_are_added_in_client_order_whatever_their_arrival(identity):
    """In float32 the sum of these depends on the order."""
    values = [1e8, 1.0, -1e8, 1.0, 3.0]
    alg, state = pretraining(), TrainingState((tf.constant([0.0]),))
    found = set()
    for arrival in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 3, 0, 4, 2]):
        strategy = ordered(alg, state)
        answers = [answer_of(client, value) for client, value in enumerate(values)]
        assert strategy.aggregate_train(1, [answers[i] for i in arrival]) == (None, None)
        found.add(float(strategy.result.state.weights[0][0]))
    assert len(found) == 1


def test_messages_go_to_the_nodes_of_the_participants(identity):
    strategy = ordered(pretraining(), TrainingState(()))
    content = to_records([np.ones(3)], {"layout": "[]"})
    arrays, config = content.array_records["arrays"], content.config_records["facts"]
    messages = strategy.configure_train(1, arrays, config, None)
    assert [message.metadata.dst_node_id for message in messages] == NODES
    for message, participant in zip(messages, EVERYONE, strict=True):
        received, facts = from_records(message.content)
        np.testing.assert_array_equal(received[0], np.ones(3))
        assert facts == {"layout": "[]", **participant._asdict()}


def test_what_a_strategy_does_not_do():
    strategy = AlgorithmStrategy(NODES)
    assert strategy.configure_evaluate(1, None, None, None) == []
    assert strategy.aggregate_evaluate(1, []) is None


def test_failures_stop_the_round(identity):
    strategy = ordered(pretraining(), TrainingState(()))
    died = Message(Error(1, "the worker died"), reply_to=question_to(0))
    with pytest.raises(
        TrainingError, match=r"No answer from clients \[0, 2, 3, 4\]: the worker died"
    ):
        strategy.aggregate_train(1, [answer_of(1, 0.0), died])
    with pytest.raises(TrainingError, match=r"No answer from clients \[0, 2, 3, 4\]: .* in time"):
        strategy.aggregate_train(1, [answer_of(1, 0.0)])
    failed = [answer_of(client, 0.0, error=f"of {client}") for client in (3, 1)]
    with pytest.raises(TrainingError, match=r"Client 1 failed \(and 1 more\):\nof 1"):
        strategy.aggregate_train(1, failed)
    assert strategy.result is None


@pytest.mark.parametrize("scaling", [Scaling(), Scaling(Standardizer.fit(X), 0.5)])
def test_the_numpy_client(scaling):
    """Its own samples, scaled as the message says: the numbers of the core."""
    alg, x, own = pretraining(), UNEVEN[1], pack_scaling(scaling)
    arrays, facts = pack_broadcast(alg, begun(alg))
    config = {**facts, "scaling": len(own), "client": 1, "seed": 7}
    sent, n_samples, answered = AlgorithmClient(x).fit([*own, *arrays], config)
    data = ClientData(tf.constant(scaling(x)), tf.constant(np.full(15, -1)))
    expected = ClientRunner().update(alg, begun(alg), data, Participant(1, 7))
    assert_equal(unpack_answer(alg, sent, answered), expected)
    assert n_samples == 15


def test_the_numpy_client_is_one_of_flowers():
    """Flower's own wrapping, which a `client_fn` returns, runs it."""
    alg = pretraining()
    arrays, facts = pack_broadcast(alg, begun(alg))
    config = {**facts, "scaling": 0, "client": 1, "seed": 7}
    sent, _, _ = AlgorithmClient(UNEVEN[1]).fit(arrays, config)
    ins = FitIns(ndarrays_to_parameters(arrays), config)
    res = AlgorithmClient(UNEVEN[1]).to_client().fit(ins)
    for array, expected in zip(parameters_to_ndarrays(res.parameters), sent, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert res.num_examples == 15


def test_rounds_are_those_of_the_local_backend(flower, store):
    """Two algorithms in turn; the numbers of a round, not only the weights, in float64 too."""
    local = LocalBackend(store)
    alg = DECTraining(6, WORK, find_aggregation("fedadam"), 3, TINY)
    state = expected = begun_dec(alg)
    start = [w.numpy() for w in state.weights]
    for number in range(5):
        for step in (alg.target_update(), alg):
            participants = ClientSampler(5).participants(number)
            result = flower.run_round(step, state, participants)
            oracle = local.run_round(step, expected, participants)
            state, expected = result.state, oracle.state
            assert result.left_out == []
            assert result.metrics["n_samples"] == oracle.metrics["n_samples"] == 150
            assert result.bytes_up == oracle.bytes_up > 0
            assert_equal(state, expected)
        assert distance(start, expected.weights) > 0
    local.close()


@pytest.mark.parametrize("rule", ["fedavg", "median"])
def test_a_client_with_a_nan_is_left_out(flower, store, rule):
    alg = pretraining(rule)
    participants = [Participant(1, 5), Participant(2, 6), Participant(BAD, 7)]
    result = flower.run_round(alg, begun(alg), participants)
    assert result.left_out == [BAD]
    expected = LocalBackend(store).run_round(alg, begun(alg), participants[:2])
    moved = distance(begun(alg).weights, expected.state.weights)
    assert distance(result.state.weights, expected.state.weights) <= 1e-5 * moved


def test_a_failing_client_surfaces_with_its_traceback(flower, capfd):
    alg = pretraining()
    participants = [Participant(0, 5), Participant(MISSING, 6)]
    with pytest.raises(TrainingError, match=f"Client {MISSING} failed:\nTraceback") as caught:
        flower.run_round(alg, begun(alg), participants)
    assert "FileNotFoundError" in str(caught.value)
    assert f"{MISSING}.x" in str(caught.value)
    assert flower.run_round(alg, begun(alg), participants[:1]).left_out == []  # and it goes on
    assert capfd.readouterr() == ("", "")


def test_one_engine_at_a_time(flower, store):
    with pytest.raises(InputError, match="close the other backend first"):
        FlowerBackend(store)


@pytest.mark.parametrize(
    ("missing", "module"),
    [("flwr", "federated.backends.flower"), ("ray", "federated.backends.flower.simulation")],
)
def test_a_missing_engine(monkeypatch, missing, module):
    loaded = importlib.import_module(module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        InputError, match=rf"needs {missing}.*pip install \"\.\[flower,simulation\]"
    ):
        importlib.reload(loaded)


def test_apps_need_no_ray():
    """A node and a server that simulate nothing."""
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from federated.backends.flower import AlgorithmClient, client_app, server_app\n"
        "client_app(print), server_app(print, print)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_ray_that_listens_to_the_world_is_refused():
    simulation.check_loopback("127.0.0.1")
    with pytest.raises(InputError, match=r"loopback address only. Received: Ray .* on 192.0.2.1"):
        simulation.check_loopback("192.0.2.1")


GPUS = """
import logging, sys, pathlib
from federated import Flower
from federated.data.client_store import ClientStore
logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stdout)
try:
    Flower(n_workers=1, num_gpus=0.5).start(ClientStore(pathlib.Path(sys.argv[1])))
except ValueError as error:
    print(error)
"""


def test_gpus_that_are_not_there(store):
    """Ray believes what it is told; a worker is asked, and the line tells what it said."""
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    command = [sys.executable, "-c", GPUS, str(store.folder)]
    found = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert "federated: Clients compute on CPU." in found.stdout
    assert "Received: num_gpus=0.5, and workers see none" in found.stdout


@pytest.mark.parametrize("number", [-1, float("nan"), "1", True])
def test_a_number_of_gpus(number):
    with pytest.raises(InputError, match="`num_gpus` must be a number, not negative"):
        Flower(num_gpus=number)


# A driver whose client works forever, that is interrupted, and closes one backend, not the next.
DRIVER = """
import os, pathlib, signal, sys
from federated.algorithms.pretraining import AutoencoderTraining
from federated.data.client_store import ClientStore
from federated.backends.flower import backend, simulation
from federated.backends.processes import MARK, marked_processes
from federated.core.local_training import ClientUpdates, LocalWork, TrainingState, TrainingSums
from tests.federated.test_flower import EVERYONE, TINY, begun, find_aggregation

def interrupt(*_):
    raise KeyboardInterrupt

simulation.PATIENCE = 0.5
signal.signal(signal.SIGALRM, interrupt)
store = ClientStore(pathlib.Path(sys.argv[1]))
for ending in ("closed", "forgotten"):
    flower = backend.FlowerBackend(store, 1)
    mark = os.environ[MARK]
    assert marked_processes(mark)
    print(mark, flush=True)
    if ending == "closed":
        forever = AutoencoderTraining(6, LocalWork(10**9), find_aggregation("fedavg"), TINY)
        signal.alarm(3)
        try:
            flower.run_round(forever, begun(forever), EVERYONE)
        except KeyboardInterrupt:
            flower.close()
        assert not marked_processes(mark)
        assert MARK not in os.environ
        try:
            flower.run_round(forever, begun(forever), EVERYONE)
        except RuntimeError as error:
            assert "was closed" in str(error)
        print("closed", flush=True)
"""


def test_nothing_is_left_running(store, monkeypatch):
    monkeypatch.delenv(MARK, raising=False)  # of this module's backend
    command = [sys.executable, "-c", DRIVER, str(store.folder)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    first, closed, second = result.stdout.splitlines()
    assert closed == "closed"
    assert not marked_processes(first) | marked_processes(second)
