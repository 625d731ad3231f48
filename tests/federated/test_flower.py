"""Rounds on Flower and Ray against the local carrier; one engine for the whole module."""

import gc
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.dec import FederatedDEC
from federated.algorithms.pretraining import FederatedPretraining
from federated.backends.local import LocalCarrier
from federated.core.aggregation import aggregation
from federated.core.algorithm import ClientOutput, Screened, ServerState
from federated.core.backend import Workbench
from federated.core.local_training import LocalWork
from federated.core.sampling import Participant, Plan
from federated.data.client_store import ClientStore
from tests.federated.helpers import distance
from tests.tfcluster.helpers import TINY, blobs
from tfcluster import InputError
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.errors import TrainingError

pytest.importorskip("flwr")
pytest.importorskip("ray")

from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
from flwr.server.client_manager import SimpleClientManager

from federated.backends.flower.carrier import FlowerCarrier
from federated.backends.flower.client import AlgorithmClient
from federated.backends.flower.messages import (
    pack_answer,
    pack_broadcast,
    unpack_answer,
    unpack_broadcast,
)
from federated.backends.flower.strategy import AlgorithmStrategy, Order
from federated.backends.processes import MARK, marked_processes

# Ray leaves files and children to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

X = blobs(n_rows=150)[0].astype(np.float32)
UNEVEN = [X[:10], X[10:25], X[25:50], X[50:90], X[90:]]
BAD, MISSING = 5, 6  # a client with a NaN, and one whose rows cannot be read
PLAN = Plan(5)
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
    carrier = FlowerCarrier(store, n_workers=2)
    yield carrier
    carrier.close()
    gc.collect()  # while Ray's warnings are ignored


def pretraining(rule="fedavg"):
    return FederatedPretraining(6, WORK, aggregation(rule), TINY)


def begun(alg):
    start = AutoencoderTrainer(6, TINY)
    start.reset(3)
    return alg.state(start.autoencoder.get_weights())


def begun_dec(alg):
    start = AutoencoderTrainer(6, TINY)
    start.reset(3)
    centers = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    return alg.state([*start.encoder.get_weights(), centers])


def assert_equal(first, second):
    """The same structure of the same numbers, of the same kinds."""
    tf.nest.assert_same_structure(first, second)
    for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def tensors(*values):
    return tuple(map(tf.constant, values))


@pytest.mark.parametrize("context", [(), (np.float64(1 / 3), np.arange(4))])
def test_a_broadcast_survives_the_wire(context):
    alg = FederatedDEC(6, WORK, aggregation("fedavgm", momentum=0.9), 3, TINY, "local")
    sent = ServerState(tensors(np.float32(0.1), np.ones((2, 0), np.float32)), (), tensors(*context))
    arrays, facts = pack_broadcast(alg, sent)
    assert all(isinstance(value, str | int) for value in facts.values())
    received, state = unpack_broadcast(arrays, facts)
    assert received == alg
    assert hash(received) == hash(alg)
    assert_equal(state, sent)


@pytest.mark.parametrize("gathered", [(), (np.float32(2), np.ones((2, 3)))])
@pytest.mark.parametrize("is_finite", [True, False])
def test_an_answer_survives_the_wire(gathered, is_finite):
    sums = tensors(np.float64(1 / 3), np.float32([1, 2]), np.int64(2**62))
    answer = Screened(ClientOutput(sums, tensors(*gathered)), tf.constant(is_finite))
    assert_equal(unpack_answer(*pack_answer(answer)), answer)


def test_a_client_imports_only_what_is_federated():
    arrays, facts = pack_broadcast(pretraining(), ServerState(()))
    with pytest.raises(ValueError, match="Received: 'antigravity'"):
        unpack_broadcast(arrays, {**facts, "modules": '["antigravity"]'})


def answer_of(client, value, **facts):
    """A result as Flower hands it to the strategy."""
    sums = tensors(np.float32([value]), np.float32(1), np.float32([0, 1]))
    arrays, known = pack_answer(Screened(ClientOutput(sums), tf.constant(True)))
    res = FitRes(
        Status(Code.OK, ""), ndarrays_to_parameters(arrays), 1, {"client": client, **known, **facts}
    )
    return None, res


def test_answers_are_added_in_client_order_whatever_their_arrival():
    """In float32 the sum of these depends on the order."""
    values = [1e8, 1.0, -1e8, 1.0, 3.0]
    alg, state = pretraining(), ServerState(tensors(np.float32([0])))
    answers = [answer_of(client, value) for client, value in enumerate(values)]
    found = set()
    for arrival in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 3, 0, 4, 2]):
        strategy = AlgorithmStrategy()
        strategy.order = Order(alg, state, PLAN.round(0))
        answers = [answer_of(client, value) for client, value in enumerate(values)]
        strategy.aggregate_fit(1, [answers[i] for i in arrival], [])
        found.add(float(strategy.result.state.weights[0][0]))
    assert len(found) == 1


def test_what_a_strategy_does_not_do():
    strategy = AlgorithmStrategy()
    assert not strategy.initialize_parameters(SimpleClientManager()).tensors
    assert strategy.configure_evaluate(1, None, None) == []
    assert strategy.aggregate_evaluate(1, [], []) == (None, {})
    assert strategy.evaluate(1, None) is None


def test_failures_stop_the_round():
    strategy = AlgorithmStrategy()
    strategy.order = Order(pretraining(), ServerState(()), PLAN.round(0))
    with pytest.raises(
        TrainingError, match=r"No answer from clients \[0, 2, 3, 4\]: the worker died"
    ):
        strategy.aggregate_fit(1, [answer_of(1, 0.0)], [RuntimeError("the worker died")])
    failed = [answer_of(client, 0.0, error=f"of {client}") for client in (3, 1)]
    with pytest.raises(TrainingError, match=r"Client 1 failed \(and 1 more\):\nof 1"):
        strategy.aggregate_fit(1, failed, [])
    assert strategy.result is None


def test_a_client_in_this_process(store):
    client = AlgorithmClient(store, Workbench(store))
    alg = pretraining()
    arrays, facts = pack_broadcast(alg, begun(alg))
    sent, n_rows, metrics = client.fit(arrays, {**facts, "client": 1, "seed": 7})
    expected = Workbench(store).update(alg, begun(alg), Participant(1, 7))
    assert_equal(unpack_answer(sent, metrics), expected)
    assert (n_rows, metrics["client"]) == (15, 1)


def test_rounds_are_those_of_the_local_carrier(flower, store):
    """Two algorithms in turn; the numbers of a round, not only the weights, in float64 too."""
    local = LocalCarrier(store)
    alg = FederatedDEC(6, WORK, aggregation("fedadam"), 3, TINY)
    state = expected = begun_dec(alg)
    start = [w.numpy() for w in state.weights]
    for number in range(5):
        for step in (alg.exchange(), alg):
            round_of_both = PLAN.round(number)
            result = flower.round(step, state, round_of_both)
            oracle = local.round(step, expected, round_of_both)
            state, expected = result.state, oracle.state
            assert result.left_out == []
            assert result.metrics["rows"] == oracle.metrics["rows"] == 150
            assert result.bytes_up == oracle.bytes_up > 0
        moved = distance(start, expected.weights)
        assert moved > 0
        limit = 1e-5 if number == 0 else 1e-3
        assert distance(state.weights, expected.weights) <= limit * moved
    tf.nest.map_structure(lambda a, b: np.testing.assert_equal(a.dtype, b.dtype), state, expected)
    local.close()


@pytest.mark.parametrize("rule", ["fedavg", "median"])
def test_a_client_with_a_nan_is_left_out(flower, store, rule):
    alg = pretraining(rule)
    participants = [Participant(1, 5), Participant(2, 6), Participant(BAD, 7)]
    result = flower.round(alg, begun(alg), participants)
    assert result.left_out == [BAD]
    expected = LocalCarrier(store).round(alg, begun(alg), participants[:2])
    moved = distance(begun(alg).weights, expected.state.weights)
    assert distance(result.state.weights, expected.state.weights) <= 1e-5 * moved


def test_a_failing_client_surfaces_with_its_traceback(flower, capfd):
    alg = pretraining()
    participants = [Participant(0, 5), Participant(MISSING, 6)]
    with pytest.raises(TrainingError, match=f"Client {MISSING} failed:\nTraceback") as caught:
        flower.round(alg, begun(alg), participants)
    assert "FileNotFoundError" in str(caught.value)
    assert f"{MISSING}.x" in str(caught.value)
    assert flower.round(alg, begun(alg), participants[:1]).left_out == []  # and it goes on
    assert capfd.readouterr() == ("", "")


def test_one_engine_at_a_time(flower, store):
    with pytest.raises(InputError, match="close the other carrier first"):
        FlowerCarrier(store)


@pytest.mark.parametrize("missing", ["flwr", "ray"])
def test_a_missing_engine(monkeypatch, missing):
    import federated.backends.flower

    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"needs flwr and ray.*{missing}.*pip install"):
        importlib.reload(federated.backends.flower)


# A driver whose client works for ever, that is interrupted, and closes one carrier, not the next.
DRIVER = """
import os, pathlib, signal, sys
from federated.algorithms.pretraining import FederatedPretraining
from federated.data.client_store import ClientStore
from federated.backends.flower import carrier, simulation
from federated.backends.processes import MARK, marked_processes
from federated.core.local_training import LocalWork
from tests.federated.test_flower import PLAN, TINY, aggregation, begun

def interrupt(*_):
    raise KeyboardInterrupt

simulation.PATIENCE = 0.5
signal.signal(signal.SIGALRM, interrupt)
store = ClientStore(pathlib.Path(sys.argv[1]))
for ending in ("closed", "forgotten"):
    flower = carrier.FlowerCarrier(store, 1)
    mark = os.environ[MARK]
    assert marked_processes(mark)
    print(mark, flush=True)
    if ending == "closed":
        for_ever = FederatedPretraining(6, LocalWork(10**9), aggregation("fedavg"), TINY)
        signal.alarm(3)
        try:
            flower.round(for_ever, begun(for_ever), PLAN.round(0))
        except KeyboardInterrupt:
            flower.close()
        assert not marked_processes(mark)
        assert MARK not in os.environ
        try:
            flower.round(for_ever, begun(for_ever), PLAN.round(0))
        except RuntimeError as error:
            assert "was closed" in str(error)
        print("closed", flush=True)
"""


def test_nothing_is_left_running(store, monkeypatch):
    monkeypatch.delenv(MARK, raising=False)  # of the engine of this module
    command = [sys.executable, "-c", DRIVER, str(store.folder)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stdout.splitlines() if "(raylet)" not in line]  # of the kill
    first, closed, second = said
    assert closed == "closed"
    assert not marked_processes(first) | marked_processes(second)
