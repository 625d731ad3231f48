"""TFF's process as its users call it, and the backend where things go wrong."""

import contextlib
import dataclasses
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.clustergan import AdversarialWork, GeneratorAtClients
from federated.algorithms.pretraining import AutoencoderTraining
from federated.backends.local import LocalBackend
from federated.backends.processes import backend_processes, marked_processes
from federated.core.aggregation import FedAvg, FedAvgM
from federated.core.algorithm import ClientData, ClientOutput, FederatedAlgorithm
from federated.core.local_training import LocalWork, TrainingState
from federated.core.sampling import ClientSampler, Participant
from federated.data.client_store import ClientStore
from tests.federated.helpers import distance
from tests.tfcluster.helpers import TINY
from tfcluster import InputError
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GANConfig
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.errors import TrainingError

if importlib.util.find_spec("tensorflow_federated") is None:
    pytest.skip("needs tensorflow-federated", allow_module_level=True)

from federated.backends.tff.backend import TFFBackend
from federated.backends.tff.process import FilesInput, SamplesInput, build_process, build_round
from federated.backends.tff.worker import Worker, _OneExecutor, tff

SAMPLES = [np.full((n, 2), n, np.float32) for n in (3, 1, 4, 5)]
BAD, MISSING = 4, 5  # a client with a NaN, and one whose samples cannot be read
EVERYONE = [Participant(i, 10 + i) for i in range(len(SAMPLES))]


class EchoState(NamedTuple):
    """State of an echo: a vector, and perhaps another."""

    vector: tf.Tensor
    grown: tuple = ()


class EchoSums(NamedTuple):
    """What clients send to be summed."""

    n_samples: tf.Tensor
    sent: tf.Tensor


class EchoOfClient(NamedTuple):
    """What each client sends."""

    seeds: tf.Tensor
    means: tf.Tensor
    firsts: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Echo(FederatedAlgorithm):
    """A round in which clients send what they were given; it can fail in several ways."""

    kind = "echo"
    state_type, sums_type, per_client_type = EchoState, EchoSums, EchoOfClient

    fails_at: int = -1  # the client with so many samples
    reads_nothing: bool = False
    grows: bool = False

    def make_learner(self):
        return self

    def update(self, broadcast, data, seed):
        n_samples = tf.shape(data.x)[0]
        sent = tf.reduce_sum(data.x) + tf.reduce_sum(broadcast.vector)
        if self.reads_nothing:  # tf.errors.FailedPreconditionError
            nothing = tf.raw_ops.VarHandleOp(shape=[], dtype=tf.float32, shared_name="nothing")
            sent += tf.raw_ops.ReadVariableOp(resource=nothing, dtype=tf.float32)
        check = tf.debugging.assert_none_equal(n_samples, self.fails_at, message="as many again")
        with tf.control_dependencies([check]):
            sent = tf.identity(sent)
        each = EchoOfClient(seed, tf.reduce_mean(data.x, axis=0), data.y[0])
        return ClientOutput(EchoSums(n_samples, sent), each)

    def server_update(self, state, sums, per_client):
        grown = (tf.zeros((7,)),) if self.grows else state.grown
        return EchoState(state.vector + 1, grown), {**sums._asdict(), **per_client._asdict()}


START = EchoState(tf.ones((2,)))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    parts = [*SAMPLES, np.full((2, 2), np.nan), SAMPLES[0]]
    labels = [np.arange(10 * i, 10 * i + len(x)) for i, x in enumerate(parts)]
    store = ClientStore.write(tmp_path_factory.mktemp("clients"), zip(parts, labels, strict=True))
    (store.folder / f"{MISSING}.x").unlink()
    return store


@pytest.fixture(scope="module", autouse=True)
def processes():
    with backend_processes() as mark:
        yield mark


@pytest.fixture(scope="module")
def backend(store):
    with contextlib.closing(TFFBackend(store, n_workers=2)) as backend:
        yield backend


@pytest.fixture(scope="module")
def context():
    with (
        contextlib.closing(Worker(1, 1)) as worker,
        tff.framework.get_context_stack().install(worker.context),
    ):
        yield


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1], [2, 0, 3], [1]])
def test_what_does_not_add_comes_in_client_order(backend, order):
    result = backend.run_round(Echo(2), START, [EVERYONE[i] for i in order])
    found = {name: value.numpy() for name, value in result.metrics.items()}
    assert found["seeds"].tolist() == [10 + i for i in order]
    assert found["firsts"].tolist() == [10 * i for i in order]
    np.testing.assert_array_equal(found["means"], [SAMPLES[i].mean(axis=0) for i in order])
    assert found["n_samples"] == sum(len(SAMPLES[i]) for i in order)
    assert found["sent"] == sum(SAMPLES[i].sum() + 2 for i in order)
    assert result.state.vector.numpy().tolist() == [2, 2]
    assert result.bytes_up == len(order) * (4 + 4 + 4 + 8 + 8)


def test_names_of_clients_whose_numbers_are_not_finite(backend):
    participants = [EVERYONE[0], Participant(BAD, 1), EVERYONE[2]]
    result = backend.run_round(Echo(2), START, participants)
    assert result.left_out == [BAD]
    assert float(result.metrics["sent"]) == SAMPLES[0].sum() + SAMPLES[2].sum() + 4
    assert result.metrics["seeds"].numpy().tolist() == [10, 0, 12]


def test_the_state_may_change_its_shape(backend):
    first = backend.run_round(Echo(2, grows=True), START, EVERYONE).state
    assert first.grown[0].shape == (7,)
    assert backend.run_round(Echo(2, grows=True), first, EVERYONE).state.vector[0] == 3
    with pytest.raises(TypeError, match="not assignable"):
        build_process(Echo(2, grows=True), START)


def test_a_client_that_fails_stops_the_round(backend):
    with pytest.raises(TrainingError, match="as many again"):
        backend.run_round(Echo(2, fails_at=4), START, EVERYONE)
    with pytest.raises(TrainingError, match=rf"{MISSING}\.x; No such file"):
        backend.run_round(Echo(2), START, [EVERYONE[0], Participant(MISSING, 0)])
    assert (
        backend.run_round(Echo(2, fails_at=9), START, EVERYONE).left_out == []
    )  # and the next goes on


@pytest.mark.timeout(60)
def test_an_error_that_tff_would_repeat_forever(backend):
    with pytest.raises(TrainingError, match=r"uninitialized|does not exist"):
        backend.run_round(Echo(2, reads_nothing=True), START, EVERYONE)


@pytest.mark.timeout(60)
def test_a_worker_that_dies(store, processes):
    before = marked_processes(processes)
    backend = TFFBackend(store)
    backend.run_round(Echo(2), START, EVERYONE)
    (worker,) = marked_processes(processes) - before
    environment = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    assert b"TF_NUM_INTRAOP_THREADS=1" in environment
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(TrainingError, match=r"ended .exit code -9"):
        backend.run_round(Echo(2), START, EVERYONE)
    backend.close()
    assert backend.run_round(Echo(2), START, EVERYONE).left_out == []  # on a new one
    backend.close()
    backend.close()
    assert marked_processes(processes) == before


def test_no_thread_polls_a_closed_channel(monkeypatch):
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    for _ in range(3):
        with (
            contextlib.closing(Worker(1, 1)) as worker,
            tff.framework.get_context_stack().install(worker.context),
        ):
            build_process(Echo(2), START).initialize()
        time.sleep(0.5)  # gRPC polls five times a second
    assert failures == []


def test_a_worker_that_does_not_start(monkeypatch):
    monkeypatch.setattr("federated.backends.tff.worker._PROGRAM", "false")
    with pytest.raises(TrainingError, match=r"did not start .exit code 1"):
        Worker(1, 1)


def test_one_executor_at_a_time():
    from tensorflow_federated.proto.v0 import executor_pb2

    class Stub:
        made = ended = 0

        def get_executor(self, request):
            self.made += 1
            return executor_pb2.GetExecutorResponse(
                executor=executor_pb2.ExecutorId(id=str(self.made))
            )

        def dispose_executor(self, request):
            self.ended += 1

    stub = Stub()
    factory = _OneExecutor(stub)
    for n_clients in (3, 3, 2, 3):
        factory.create_executor({tff.CLIENTS: n_clients})
    assert (stub.made, stub.ended) == (3, 2)
    factory.clean_up_executor({})
    factory.clean_up_executor({})
    assert stub.ended == 3


# As a user of TFF calls it.


def training(store):
    """Returns the algorithm, the state before, and after three rounds on the local backend."""
    work = LocalWork(epochs=2, batch_size=2)
    alg = AutoencoderTraining(2, work, FedAvgM(), TINY)
    start = AutoencoderTrainer(2, TINY)
    start.reset(3)
    state = before = alg.initial_state(start.autoencoder.get_weights())
    with contextlib.closing(LocalBackend(store)) as local:
        for number in range(3):
            state = local.run_round(alg, state, ClientSampler(4).participants(number)).state
    return alg, before, state


@pytest.mark.parametrize("form", ["samples", "files"])
def test_initialize_and_next(store, context, form):
    alg, before, expected = training(store)
    process = build_process(alg, before, form)
    state = process.initialize()
    tf.nest.map_structure(np.testing.assert_array_equal, state, before)
    for number in range(3):
        clients = [
            SamplesInput(store[client], seed)
            if form == "samples"
            else FilesInput(str(store.folder / str(client)), seed)
            for client, seed in ClientSampler(4).participants(number)
        ]
        state, metrics, is_finite = process.next(state, clients)
    assert isinstance(state, TrainingState)
    assert metrics["n_samples"] == sum(map(len, SAMPLES))
    assert is_finite.tolist() == [True] * 4
    moved = distance(before.weights, expected.weights)
    assert distance(state.weights, expected.weights) < 1e-5 * moved
    assert distance(state.optimizer, expected.optimizer) < 1e-5 * moved


def test_arrays_of_samples_will_do(context):
    process = build_process(Echo(2), START)
    given = SamplesInput(ClientData(SAMPLES[0], np.array([5, 6, 7])), 1)
    state, metrics, _ = process.next(process.initialize(), [given, given._replace(seed=2)])
    assert state.vector.tolist() == [2, 2]
    assert metrics["seeds"].tolist() == [1, 2]


# A run of its own.

RUN = """
import sys
from pathlib import Path
import numpy as np
from federated.data.client_store import ClientStore
from federated.core.sampling import Participant
from federated.backends.processes import backend_processes
from federated.backends.tff.backend import TFFBackend
from tests.federated.test_tff import START, Echo
with backend_processes(Path(sys.argv[1])) as mark:
    store = ClientStore.write(Path(sys.argv[1]), [(np.ones((3, 2)), None)])
    backend = TFFBackend(store)
    while True:
        backend.run_round(Echo(2), START, [Participant(0, 0)])
        if mark:
            print(mark, flush=True)
            mark = None
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_no_worker(tmp_path, number):
    scratch = tmp_path / "scratch"
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(scratch)]
    root = Path(__file__).parents[2]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=root, **pipes) as run:
        try:
            mark = run.stdout.readline().strip()
            assert len(marked_processes(mark)) == 1, mark + run.stdout.read()
            run.send_signal(number)
            output, _ = run.communicate(timeout=30)  # hangs as long as anybody holds the pipe
        finally:
            run.kill()
    assert run.returncode != 0, output
    limit = time.monotonic() + 10
    while (marked_processes(mark) or scratch.exists()) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not marked_processes(mark)
    assert not scratch.exists()


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_federated", None)
    monkeypatch.delitem(sys.modules, "federated.backends.tff")
    with pytest.raises(InputError, match=r"cannot be imported .*tff_environment"):
        importlib.import_module("federated.backends.tff")


def test_models_that_were_there_still_run():
    """Keras changes the classes of all layers when one is made in a graph of TFF's."""
    there = GANTrainer(2, 3, GANConfig(networks="pendigits", n_noise=2))
    alg = AutoencoderTraining(2, LocalWork(), FedAvg(), TINY)
    start = AutoencoderTrainer(2, TINY)
    build_round(alg, alg.initial_state(start.autoencoder.get_weights()))
    gan = GeneratorAtClients(2, AdversarialWork(1), FedAvg(), 3, there.config)
    build_round(gan, gan.initial_state(*(network.get_weights() for network in there.networks)))
    for network in there.networks:
        assert network(tf.zeros((4, network.input_shape[1]))).shape[0] == 4
    assert start.encoder(tf.zeros((4, 2))).shape[0] == 4
