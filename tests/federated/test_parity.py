"""Every backend returns the weights of the local one, and the same bits when asked again."""

import contextlib
import dataclasses
import gc
import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.clustergan import AdversarialWork, GeneratorAtClients, GeneratorAtServer
from federated.algorithms.dec import DECTraining
from federated.algorithms.kmeans import DECEmbedding, LloydIteration
from federated.algorithms.pretraining import AutoencoderTraining
from federated.backends.descriptions import TFF
from federated.backends.local import LocalBackend
from federated.backends.processes import backend_processes, marked_processes
from federated.core.aggregation import FedAvg, find_aggregation
from federated.core.local_training import LocalWork
from federated.core.rounds import Federation, run_phases
from federated.core.sampling import ClientSampler
from federated.data.client_store import ClientStore
from federated.phases.dec import FederatedDECConfig, pretraining_phases
from tests.federated.helpers import GANOutputs, distance
from tests.federated.test_structure import CASES as ROUNDS
from tests.tfcluster.helpers import TINY, blobs
from tfcluster.config import SGD, GANConfig
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.files import pack_arrays

# Ray leaves files and children to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

N_ROUNDS = 5
X, Y = blobs(150)
X, Y = X.astype(np.float32), Y.astype(np.int64)
UNEVEN = [slice(0, 10), slice(10, 25), slice(25, 50), slice(50, 90), slice(90, 150)]
SAMPLER = ClientSampler(len(UNEVEN))
WORK = LocalWork(epochs=2, batch_size=16)


def tff_backend(store, n_workers):
    """In TFF's environment, whatever runs the tests: another TensorFlow and another Keras."""
    return TFF(n_workers=n_workers).start(store)


class OneFlowerBackend:
    """Flower's, which a process can have once: the one used last is open."""

    opened = None

    def __init__(self, store, n_workers):
        self._arguments, self._inner = (store, n_workers), None

    def run_round(self, *arguments):
        return self._open().run_round(*arguments)

    def scale_samples(self, scaling):
        self._open().scale_samples(scaling)

    def _open(self):
        from federated.backends.flower.backend import FlowerBackend

        if self._inner is None:
            if OneFlowerBackend.opened:
                OneFlowerBackend.opened.close()
            self._inner, OneFlowerBackend.opened = FlowerBackend(*self._arguments), self
        return self._inner

    def close(self):
        if self._inner:
            self._inner.close()
            self._inner = OneFlowerBackend.opened = None
            gc.collect()  # while Ray's warnings are ignored


BACKENDS = {
    "local": (LocalBackend, None),
    "tff": (tff_backend, None),
    "flower": (OneFlowerBackend, "ray"),
}
"""How each is made, and the package it needs."""


def initial_weights():
    start = AutoencoderTrainer(6, TINY)
    start.reset(3)
    return start.autoencoder.get_weights(), start.encoder.get_weights()


def pretraining(rule="fedavg", **fields):
    alg = AutoencoderTraining(6, WORK, find_aggregation(rule, **fields), TINY)
    return [alg], alg.initial_state(initial_weights()[0])


def lloyd():
    alg = LloydIteration(6, DECEmbedding(TINY))
    # far from where they will end, so that five rounds move them
    centroids = np.random.default_rng(0).normal(size=(2, 3, 3))
    return [alg], alg.initial_state(initial_weights()[1], centroids)


def dec(target="global"):
    config = dataclasses.replace(TINY, optimizer=SGD(0.1, 0.9))
    alg = DECTraining(6, WORK, FedAvg(), 3, config, target, follows_update=True)
    centroids = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    return [alg.target_update(), alg], alg.initial_state([*initial_weights()[1], centroids])


GAN = GANConfig(networks="pendigits", n_noise=2, critic_steps=2, batch_size=16)
OUTPUTS = GANOutputs(6, 3, GAN)


def gan(kind):
    # Without moments to go on with, Adam's first step has the full size in every weight, also
    # where the gradient's sign is a matter of rounding: five rounds then differ by 2e-3.
    # One step: the more there are, the more probable it is that the input of a ReLU is so close to
    # zero that rounding decides its sign. With three steps, five rounds differed by up to 5e-3 in
    # 4 of 14 runs over seeds and versions of TensorFlow; with one, by 1.1e-5 at most in 14 runs.
    work = AdversarialWork(1, carry_optimizer=True)
    alg = kind(6, work, FedAvg(), 3, GAN)
    return [alg], alg.initial_state(*OUTPUTS.start())


def outputs(make_case):
    """Returns how to look at a state: by the outputs of its networks for fixed samples."""
    (alg,), _ = make_case()
    sizes = list(map(len, OUTPUTS.start()))
    return lambda state: OUTPUTS([w for part in alg.networks(state, sizes) for w in part])


CASES = {
    "pretraining": pretraining,
    "median": lambda: pretraining("median"),
    "lloyd": lloyd,
    "dec": dec,
    "generator at clients": lambda: gan(GeneratorAtClients),
    "generator at server": lambda: gan(GeneratorAtServer),
}

LOOKS = {name: outputs(CASES[name]) for name in ("generator at clients", "generator at server")}
"""What is compared, where it is not all tensors of the state."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    return ClientStore.write(folder, [(X[part], Y[part]) for part in UNEVEN])


@pytest.fixture(scope="module", params=BACKENDS)
def make(request, store):
    """Makes a backend; all are closed in the end, and nothing they started is left."""
    factory, package = BACKENDS[request.param]
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    made = []
    with backend_processes() as mark:
        yield lambda n_workers=1: made.append(factory(store, n_workers)) or made[-1]
        for backend in made:
            backend.close()
        assert not marked_processes(mark)


@pytest.fixture(scope="module")
def backend(make):
    return make(n_workers=2)


def run(backend, algorithms, state, first=0, last=N_ROUNDS, sampler=SAMPLER):
    """Runs rounds `first` to `last`; returns the state after each, and the results of the last."""
    states = []
    for number in range(first, last):
        results = []
        for algorithm in algorithms:
            results.append(backend.run_round(algorithm, state, sampler.participants(number)))
            state = results[-1].state
        states.append(state)
    return states, results


def arrays(state):
    return list(map(np.asarray, tf.nest.flatten(state)))


def apart(states, expected, start, look=arrays):
    """Returns the distance to what is expected, relative to the distance moved.

    After one round, and after all.
    """
    return [
        distance(look(states[i]), look(expected[i])) / distance(look(start), look(expected[i]))
        for i in (0, -1)
    ]


@pytest.fixture(scope="module")
def oracle(store):
    """The local backend, one client after the other."""
    with contextlib.closing(LocalBackend(store)) as backend:
        yield backend


@pytest.fixture(scope="module")
def cases(oracle):
    """Algorithms, the state to begin with, and what the local backend makes of it, by name."""
    made = {name: make_case() for name, make_case in CASES.items()}
    return {
        name: (algorithms, state, LOOKS.get(name, arrays), *run(oracle, algorithms, state))
        for name, (algorithms, state) in made.items()
    }


@pytest.fixture(params=CASES)
def case(request, cases):
    return cases[request.param]


def assert_same_bits(first, second):
    for a, b in zip(arrays(first), arrays(second), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def assert_same_findings(result, expected, rtol):
    assert result.left_out == expected.left_out == []
    assert result.bytes_up == expected.bytes_up
    assert list(result.metrics) == list(expected.metrics)
    for name, value in expected.metrics.items():
        np.testing.assert_allclose(result.metrics[name], value, rtol=rtol, err_msg=name)


def test_weights_are_the_local_ones(backend, case):
    algorithms, state, look, expected, expected_results = case
    states, results = run(backend, algorithms, state)
    after_one, after_all = apart(states, expected, state, look)
    assert after_one <= 1e-5
    assert after_all <= 1e-3
    for result, expected_result in zip(results, expected_results, strict=True):
        assert_same_findings(result, expected_result, rtol=1e-3)


@pytest.mark.parametrize(
    "name",
    ["moments", "first layer", "second layer", "client centroids", "cluster pass", "distance pass"],
)
def test_a_round_finds_what_the_local_one_finds(oracle, backend, name):
    """In algorithms whose rounds are not repeated above."""
    algorithm, state = ROUNDS[name]()
    participants = SAMPLER.participants(0, full_participation=True)
    result, expected = (
        used.run_round(algorithm, state, participants) for used in (backend, oracle)
    )
    assert_same_findings(result, expected, rtol=1e-5)
    for a, b in zip(arrays(result.state), arrays(expected.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.tff
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
def test_flower_and_tff_agree(store, cases):
    with (
        backend_processes(),
        contextlib.closing(OneFlowerBackend(store, 2)) as flower,
        contextlib.closing(tff_backend(store, 2)) as tff,
    ):
        for name in ("pretraining", "dec", "generator at server"):
            algorithms, state, look, *_ = cases[name]
            ours, theirs = (run(used, algorithms, state)[0] for used in (tff, flower))
            after_one, after_all = apart(ours, theirs, state, look)
            assert after_one <= 1e-5, name
            assert after_all <= 1e-3, name


def test_a_client_that_is_missing_would_be_seen(oracle, case):
    """By the check above, in every algorithm and round."""
    algorithms, state, look, expected, _ = case

    class Without:
        def run_round(self, algorithm, state, participants):
            return oracle.run_round(algorithm, state, participants[1:])

    after_one, after_all = apart(run(Without(), algorithms, state)[0], expected, state, look)
    assert after_one > 1e-3
    assert after_all > 1e-3


def test_a_weight_that_is_wrong_would_be_seen(oracle, case):
    """One number of all, by a hundredth."""
    algorithms, state, look, expected, _ = case

    class Off:
        def run_round(self, algorithm, state, participants):
            result = oracle.run_round(algorithm, state, participants)
            first, *others = result.state.weights
            wrong = first + 0.01 * tf.scatter_nd([[0, 0]], [1.0], first.shape)
            return result._replace(state=result.state._replace(weights=(wrong, *others)))

    after_one, after_all = apart(run(Off(), algorithms, state)[0], expected, state, look)
    assert after_one > 1e-5
    assert after_all > 1e-3


def test_not_all_clients_take_part(oracle, backend):
    """Nor the same number of them in every round."""
    algorithms, state = pretraining()
    sampler = ClientSampler(len(UNEVEN), per_round=4, dropout=0.4, seed=2)
    assert len({len(sampler.participants(number)) for number in range(N_ROUNDS)}) > 1
    expected, _ = run(oracle, algorithms, state, sampler=sampler)
    states, _ = run(backend, algorithms, state, sampler=sampler)
    assert max(apart(states, expected, state)) <= 1e-5


def test_a_run_that_is_resumed_has_the_same_bits(make, backend):
    """Whatever the backend did before, and however many clients work at a time."""
    begun = [pretraining(), dec()]
    expected = [run(backend, *case)[0] for case in begun]
    other = make(n_workers=1)
    for (algorithms, state), (_, second, *_, last) in zip(begun, expected, strict=True):
        assert_same_bits(run(other, algorithms, second, first=2)[0][-1], last)
        assert_same_bits(run(other, algorithms, state)[0][-1], last)
    other.close()


def test_clients_scale_their_samples_on_every_backend(oracle, backend, store):
    """As the phases find, and for the next run again as they were given."""
    plain = FederatedDECConfig(model=TINY, pretrain_rounds=2, pretraining=WORK)
    model = dataclasses.replace(TINY, scaling="rms")
    scaled = dataclasses.replace(plain, model=model, standardize=True)

    def artifacts(used, config):
        phases = pretraining_phases(6, config, seed=3)
        return run_phases(phases, Federation(used, SAMPLER, store.names)).artifacts

    def weights(found):
        return [found[name] for name in sorted(found) if name.startswith(("encoder", "decoder"))]

    first, found, again = (artifacts(backend, config) for config in (plain, scaled, plain))
    expected, unscaled = (artifacts(oracle, config) for config in (scaled, plain))
    for name in ("scale", "standardizer/mean", "standardizer/sd"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)
    start = weights({**pack_arrays("encoder", initial_weights()[0][:4]),
                     **pack_arrays("decoder", initial_weights()[0][4:])})  # fmt: skip
    moved = distance(start, weights(expected))
    assert distance(weights(found), weights(expected)) <= 1e-3 * moved
    assert distance(weights(expected), weights(unscaled)) > 1e-2 * moved
    assert distance(weights(first), weights(unscaled)) <= 1e-3 * moved
    for a, b in zip(weights(first), weights(again), strict=True):
        np.testing.assert_array_equal(a, b)
