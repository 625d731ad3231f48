"""TFF in a process of its own: what goes over the pipe, who can reach it, and how it ends."""

import contextlib
import dataclasses
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from federated.algorithms.kmeans import InputSpace, LloydIteration
from federated.backends.descriptions import TFF
from federated.backends.piped.frames import Frame, read_frame, write_frame
from federated.backends.processes import backend_processes, marked_processes
from federated.core.sampling import Participant
from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore
from tests.test_architecture import ROOT
from tfcluster import InputError
from tfcluster.errors import TrainingError

SAMPLES = [np.array([[0, 0], [4, 4]]), np.array([[1, 1], [5, 5], [6, 6]])]
EVERYONE = [Participant(i, i) for i in range(len(SAMPLES))]
LLOYD = LloydIteration(2, InputSpace())
START = LLOYD.initial_state([], np.array([[[0, 0], [5, 5]]], np.float32))
MEANS = [[0.5, 0.5], [5.0, 5.0]]  # of the samples next to each


def write_store(folder):
    return ClientStore.write(folder, [(x, None) for x in SAMPLES])


def found_means(backend):
    result = backend.run_round(LLOYD, START, EVERYONE)
    return np.asarray(result.state.centroids)[0].tolist()


def eventually(condition, seconds=15.0):
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    return condition()


# Frames.


def test_a_frame_is_read_as_it_was_written():
    arrays = [
        np.float32(3.5)[()].reshape(()),
        np.zeros((0, 4)),
        np.array([True, False]),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10, dtype=np.uint8)[::2],
    ]
    pipe = io.BytesIO()
    for frame in (Frame({"a": [1, "é"]}, arrays), Frame({})):
        write_frame(pipe, frame)
    pipe.seek(0)
    first, second = read_frame(pipe), read_frame(pipe)
    assert first.facts == {"a": [1, "é"]} and second == ({}, [])
    for found, array in zip(first.arrays, arrays, strict=True):
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found, array)


def test_half_a_frame_is_the_end():
    pipe = io.BytesIO()
    write_frame(pipe, Frame({}, [np.zeros(3)]))
    whole = pipe.getvalue()
    for length in (0, 3, 8, 20, len(whole) - 1):
        with pytest.raises(EOFError):
            read_frame(io.BytesIO(whole[:length]))


# The network.

ISOLATED = """
import os, socket
from federated.backends.piped.network import isolate_network
before = os.readlink("/proc/self/ns/net"), os.geteuid(), os.getegid()
isolate_network()
after = os.readlink("/proc/self/ns/net"), os.geteuid(), os.getegid()
assert before[0] != after[0] and before[1:] == after[1:], (before, after)
assert [name for _, name in socket.if_nameindex()] == ["lo"]
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), 5)
open({file!r}, "a").close()
"""
AS_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
WITHOUT_NETWORKS = [
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"',
    "sh",
]
"""Runs a program where the kernel refuses it a network namespace."""


def run_python(code, within=()):
    return subprocess.run(
        [*within, sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        timeout=120,
    )


def needs_unshare():
    if not shutil.which("unshare") or subprocess.run([*AS_USER, "true"]).returncode:
        pytest.skip("user namespaces are not permitted here")


@pytest.mark.parametrize("within", [(), AS_USER], ids=["this user", "without rights"])
def test_a_process_isolates_itself(tmp_path, within):
    needs_unshare()
    run = run_python(ISOLATED.format(file=str(tmp_path / "own")), within)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "own").exists()


def test_a_system_that_does_not_permit_it():
    needs_unshare()
    run = run_python(ISOLATED.format(file="nowhere"), WITHOUT_NETWORKS)
    assert run.returncode == 1
    assert "InputError" in run.stderr and "ENOSPC" in run.stderr
    assert "--insecure-worker" in run.stderr and "TFF(insecure_worker=True)" in run.stderr


REFUSED = """
import tempfile
from pathlib import Path
from tests.federated.test_piped import *
with tempfile.TemporaryDirectory() as folder, backend_processes():
    store = write_store(Path(folder))
    try:
        TFF().start(store)
    except InputError as error:
        print(error)
    with contextlib.closing(TFF(insecure_worker=True).start(store)) as backend:
        print(found_means(backend))
"""


@pytest.mark.tff
def test_an_insecure_worker_has_to_be_asked_for():
    needs_unshare()
    run = run_python(REFUSED, WITHOUT_NETWORKS)
    assert run.returncode == 0, run.stderr
    refusal, means = run.stdout.splitlines()
    assert "ENOSPC" in refusal and "--insecure-worker" in refusal
    assert means == str(MEANS)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def processes():
    with backend_processes() as mark:
        yield mark


@pytest.fixture(scope="module")
def backend(store, processes):
    with contextlib.closing(TFF(n_workers=2).start(store)) as backend:
        yield backend
    assert not marked_processes(processes)


def find_process(mark, word):
    """Returns the marked process with a word in its command."""
    (found,) = (
        process
        for process in marked_processes(mark)
        if word in Path(f"/proc/{process}/cmdline").read_text()
    )
    return found


def listening_ports(process):
    """Returns the ports that are listened on in a process's network."""
    rows = []
    for name in ("tcp", "tcp6"):
        rows += Path(f"/proc/{process}/net/{name}").read_text().splitlines()[1:]
    fields = [row.split() for row in rows]
    return {
        int(address.rpartition(":")[2], 16) for _, address, _, state, *_ in fields if state == "0A"
    }


def own_sockets(process):
    links = Path(f"/proc/{process}/fd").iterdir()
    return {os.readlink(link) for link in links if os.readlink(link).startswith("socket:")}


@pytest.mark.tff
def test_nobody_outside_reaches_the_worker(backend, processes):
    assert found_means(backend) == MEANS
    worker = find_process(processes, "worker_binary")
    ports = listening_ports(worker)
    assert len(ports) == 1  # it does listen, on all addresses
    assert own_sockets(worker)
    ours = os.readlink("/proc/self/ns/net")
    assert all(os.readlink(f"/proc/{p}/ns/net") != ours for p in marked_processes(processes))
    addresses = {"127.0.0.1", "::1", *socket.gethostbyname_ex(socket.gethostname())[2]}
    for address in addresses:
        with pytest.raises(OSError, match=r"refused|not available|unreachable"):
            socket.create_connection((address, *ports), 5)


# Rounds.


@pytest.mark.tff
def test_samples_are_read_where_they_lie(backend, store):
    assert found_means(backend) == MEANS
    backend.scale_samples(Scaling(factor=2.0))
    try:
        assert found_means(backend) == [[1, 1], [10, 10]]
    finally:
        backend.scale_samples(Scaling())
    assert found_means(backend) == MEANS


@dataclasses.dataclass(frozen=True)
class Mine(LloydIteration):
    """An algorithm of somebody else."""


@pytest.mark.tff
@pytest.mark.parametrize(
    ("module", "reason"),
    [(__name__, "Algorithms are in `federated`"), ("federated.mine", "No module named")],
)
def test_an_algorithm_that_is_not_there_is_refused(backend, monkeypatch, module, reason):
    monkeypatch.setattr(Mine, "__module__", module)
    with pytest.raises(InputError, match=rf"cannot be run in TensorFlow Federated.*{reason}"):
        backend.run_round(Mine(2, InputSpace()), START, EVERYONE)
    assert found_means(backend) == MEANS


@pytest.mark.tff
def test_a_client_that_fails(backend):
    with pytest.raises(TrainingError, match=r"9\.[xy]; No such file"):
        backend.run_round(LLOYD, START, [*EVERYONE, Participant(9, 0)])
    assert found_means(backend) == MEANS


# The end.


@pytest.mark.tff
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("worker_binary", r"worker of TensorFlow Federated ended .exit code -9"),
        ("piped.serve", r"process of TensorFlow Federated ended .exit code -9"),
    ],
)
def test_a_process_that_is_killed_is_an_error(store, word, message):
    with backend_processes() as mark, contextlib.closing(TFF().start(store)) as backend:
        assert found_means(backend) == MEANS
        os.kill(find_process(mark, word), signal.SIGKILL)
        with pytest.raises(TrainingError, match=message):
            found_means(backend)
        if word == "piped.serve":
            assert eventually(lambda: not marked_processes(mark))
            assert found_means(backend) == MEANS  # on a new one


@pytest.mark.tff
def test_a_closed_backend_leaves_nothing(store):
    with backend_processes() as mark:
        backend = TFF().start(store)
        assert found_means(backend) == MEANS
        assert len(marked_processes(mark)) == 3  # the process, its guardian, the worker
        backend.close()
        assert not marked_processes(mark)
        backend.close()


RUN = """
import sys, warnings
from pathlib import Path
from tests.federated.test_piped import *
with backend_processes(Path(sys.argv[1])) as mark:
    backend = TFF().start(write_store(Path(sys.argv[1])))
    while True:
        found_means(backend)
        if mark:
            print(mark, flush=True)
            mark = None
"""


@pytest.mark.tff
@pytest.mark.parametrize(
    ("number", "guarded"),
    [(signal.SIGKILL, True), (signal.SIGINT, True), (signal.SIGKILL, False)],
)
def test_a_killed_run_leaves_nothing(tmp_path, number, guarded):
    """Nor if its guardian is killed before it."""
    scratch = tmp_path / "scratch"
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(scratch)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as run:
        try:
            for line in run.stdout:
                if len(mark := line.strip()) == 32:
                    break
            assert len(marked_processes(mark)) == 3
            if not guarded:
                os.kill(guardian_of(run.pid, mark), signal.SIGKILL)
            run.send_signal(number)
            output, _ = run.communicate(timeout=30)  # hangs as long as anybody holds the pipe
        finally:
            run.kill()
    assert run.returncode != 0, output
    assert eventually(lambda: not marked_processes(mark))
    assert not guarded or eventually(lambda: not scratch.exists())


def guardian_of(process, mark):
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    (found,) = (c for c in children if mark in Path(f"/proc/{c}/cmdline").read_text())
    return int(found)
