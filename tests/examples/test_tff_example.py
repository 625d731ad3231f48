"""All phases in a TFF user's own loop: the example, and the weights of the local backend."""

import contextlib
import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.clustergan import AdversarialWork
from federated.backends.local import LocalBackend
from federated.backends.processes import backend_processes
from federated.core.aggregation import AGGREGATIONS
from federated.core.algorithm import ClientData
from federated.core.local_training import LocalWork
from federated.core.rounds import Federation, run_phases
from federated.core.sampling import ClientSampler, Participant
from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore
from federated.phases.clustergan import FederatedGANConfig
from federated.phases.dec import FederatedDECConfig
from tests.federated.helpers import GANOutputs
from tests.tfcluster.helpers import TINY, TINY_LAYERWISE, blobs
from tfcluster import InputError
from tfcluster.config import GANConfig
from tfcluster.errors import TrainingError

if importlib.util.find_spec("tensorflow_federated") is None:
    pytest.skip("needs tensorflow-federated", allow_module_level=True)

from federated.backends.tff.process import RoundOutput, SamplesInput
from federated.backends.tff.worker import tff
from federated.estimators.tff_processes import build_processes

ROOT = Path(__file__).parents[2]
N_CLUSTERS = 3

X, _ = blobs(150)
X = (X * np.arange(1, 7) + 3).astype(np.float32)  # features with units of their own
X[::7, 2] = np.nan
PARTS = [X[:10], X[10:40], X[40:90], X[90:]]
N_FEATURES = X.shape[1]
SAMPLER = ClientSampler(len(PARTS), per_round=3, seed=1)

DEC = FederatedDECConfig(
    model=dataclasses.replace(TINY, scaling="rms"),
    standardize=True,
    aggregation=AGGREGATIONS["fedavgm"],
    pretrain_rounds=3,
    pretraining=LocalWork(epochs=2, batch_size=16),
    lloyd_rounds=3,
    rounds=7,
    clustering=LocalWork(steps=5, batch_size=16),
    rounds_per_update=2,
)
GAN = FederatedGANConfig(
    model=GANConfig(networks="pendigits", n_noise=2, critic_steps=2, batch_size=16),
    standardize=True,
    generator="server",
    # without moments to go on with, Adam's first step has the full size in every weight
    work=AdversarialWork(2, carry_optimizer=True),
    rounds=2,
    lloyd_rounds=3,
)
CONFIGS = {
    "dec": DEC,
    "layer-wise dec": dataclasses.replace(
        DEC, model=TINY_LAYERWISE, pretrain_rounds=4, centroids="k_fed", client_centroids=3
    ),
    "clustergan": GAN,
}
NETWORKS = ("generator", "critic", "encoder")


def look_at_outputs(artifacts):
    """Returns artifacts with the outputs of ClusterGAN's networks in place of their weights.

    Where a gradient is no more than rounding, as that of a bias before a normalization, Adam's
    first step brings it to full size, and weights differ that outputs hardly depend on.
    """
    names = [name for part in NETWORKS for name in artifacts if name.startswith(f"{part}/")]
    outputs = GANOutputs(N_FEATURES, N_CLUSTERS, GAN.model)([artifacts[name] for name in names])
    others = {name: value for name, value in artifacts.items() if name not in names}
    return {**dict(zip(NETWORKS, outputs, strict=True)), **others}


def look_at_all(artifacts):
    return artifacts


# The example.


def processes_with(entry):
    """PIDs of the processes with an entry in their environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended, or is another user's
            if entry.encode() in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def test_the_example_clusters_digits_and_leaves_no_process():
    token = uuid.uuid4().hex
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "examples/tff/federated_dec.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TEST_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=240,  # whatever was left behind would hold the pipes open
    )
    assert run.returncode == 0, run.stderr
    assert not list(processes_with(f"TEST_TOKEN={token}"))
    *rounds, last = run.stdout.splitlines()
    assert float(re.fullmatch(r"accuracy (0\.\d+)", last)[1]) > 0.5  # by chance 0.1
    phases = dict.fromkeys(line.split(",")[0] for line in rounds)
    assert list(phases) == ["scaling", "pretrain", "centroids", "cluster"]
    losses = [float(re.search(r"loss (\S+)", line)[1]) for line in rounds if "pretrain" in line]
    assert losses[-1] < losses[0] / 2


# The weights of the local backend.


@pytest.fixture(scope="module")
def context():
    """TFF's own context, which would leave its worker running."""
    with backend_processes():
        own = tff.backends.native.create_sync_local_cpp_execution_context()
        with tff.framework.get_context_stack().install(own):
            yield


def client_inputs(participants, scaling):
    return [
        SamplesInput(ClientData(scaling(PARTS[i]), np.full(len(PARTS[i]), -1)), np.int32(seed))
        for i, seed in participants
    ]


def own_loop(phases):
    """Runs the phases as a TFF user does: no backend, no `run_phases`.

    Returns:
      The artifacts; and of each round phase, kind, participants and what was carried over.
    """
    artifacts, rounds, drawn = {}, [], 0
    for phase in phases:
        state = phase.begin(artifacts)
        scaling = Scaling.from_artifacts(artifacts)
        for number in range(phase.n_rounds):
            current = phase.round(number, state)
            participants = SAMPLER.participants(
                drawn, full_participation=current.full_participation
            )
            output = current.process.next(state, client_inputs(participants, scaling))
            carried = current.carry_over(output)
            state, drawn = carried.state, drawn + phase.phase.draws
            rounds.append((phase.name, current.kind, len(participants), carried))
            if carried.converged:
                break
        artifacts |= phase.end(state)
    return artifacts, rounds


def local_run(phases, folder):
    """Runs the same phases on the local backend; returns artifacts, and records with states."""
    store = ClientStore.write(folder, [(x, None) for x in PARTS])
    rounds = []

    def keep(phase, state, record):
        rounds.append((record, state))
        return {}

    with contextlib.closing(LocalBackend(store)) as backend:
        end = run_phases(phases, Federation(backend, SAMPLER, store.names), scorer=keep)
    return end.artifacts, rounds


def distance(first, second):
    pairs = zip(first, second, strict=True)
    return float(np.sqrt(sum(np.sum(np.subtract(a, b) ** 2) for a, b in pairs)))


def error(found, expected, start):
    """The distance to what is expected, relative to the distance moved."""
    ours, theirs, before = ([arrays[k] for k in start] for arrays in (found, expected, start))
    return distance(ours, theirs) / distance(before, theirs)


def same_record(carried, record):
    assert carried.converged == record.converged
    for part, recorded in ((carried.losses, record.losses), (carried.metrics, record.metrics)):
        assert list(part) == list(recorded)
        for name, value in recorded.items():
            np.testing.assert_allclose(part[name], value, rtol=1e-3)


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_are_those_of_the_local_backend(context, name, tmp_path):
    phases = build_processes(CONFIGS[name], N_FEATURES, N_CLUSTERS, seed=5)
    expected, expected_rounds = local_run([phase.phase for phase in phases], tmp_path)
    found, rounds = own_loop(phases)
    look = look_at_outputs if name == "clustergan" else look_at_all

    for (*facts, carried), (record, _) in zip(rounds, expected_rounds, strict=True):
        assert facts == [record.phase, record.kind, record.participants]
        same_record(carried, record)

    # after the first round of training
    at = [kind for _, kind, *_ in rounds].index("training")
    phase = next(phase for phase in phases if phase.name == rounds[at][0])
    start = phase.end(phase.begin({}))
    one, expected_one = phase.end(rounds[at][-1].state), phase.end(expected_rounds[at][1])
    assert error(look(one), look(expected_one), look(start)) <= 1e-5

    # after all rounds
    if "clusters" in expected:
        start["clusters"] = expected["initial_centroids"]
    assert error(look(found), look(expected), look(start)) <= 1e-3
    assert list(found) == list(expected)
    for key, value in look(expected).items():
        np.testing.assert_allclose(look(found)[key], value, rtol=1e-3, atol=1e-4)


# What a phase offers.


def test_rounds_of_one_kind_share_a_process(context):
    standardization, *_ = build_processes(DEC, N_FEATURES, N_CLUSTERS)
    state = standardization.begin({})
    first, second = (standardization.round(number, state) for number in range(2))
    assert first.process is second.process
    initial = first.process.initialize()
    assert type(initial) is type(state)
    tf.nest.map_structure(np.testing.assert_array_equal, initial, state)


def test_a_client_that_every_sum_needs(context):
    standardization, *_ = build_processes(DEC, N_FEATURES, N_CLUSTERS)
    state = standardization.begin({})
    current = standardization.round(0, state)
    clients = client_inputs([Participant(0, 1), Participant(1, 2)], Scaling())
    clients[1].data.x[0, 0] = np.inf
    output = current.process.next(state, clients)
    with pytest.raises(InputError, match="Received infinite values of client number 1"):
        current.carry_over(output)


def test_clients_that_are_left_out():
    pretraining = build_processes(DEC, N_FEATURES, N_CLUSTERS)[2]
    state = pretraining.begin({})
    current = pretraining.round(0, state)
    output = RoundOutput(state, {"loss": np.float32(1)}, np.array([True, False, True, False]))
    carried = current.carry_over(output)
    assert (carried.left_out, carried.losses) == ((1, 3), {"loss": 1.0})
    with pytest.raises(TrainingError, match="in phase 'pretrain' by round 1"):
        current.carry_over(output._replace(is_finite=np.array([False, False])))


def test_arguments_that_do_not_fit():
    with pytest.raises(InputError, match="`FederatedDECConfig` or a `FederatedGANConfig`"):
        build_processes(TINY, N_FEATURES, N_CLUSTERS)
    with pytest.raises(InputError, match="`n_clusters` must be at least 2"):
        build_processes(DEC, N_FEATURES, 1)
