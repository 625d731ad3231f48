"""Every carrier returns the weights of the local one, and the same bits when asked again."""

import contextlib
import dataclasses
import gc
import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.clustergan import AdversarialWork, AverageGAN, SplitGAN
from federated.algorithms.dec import FederatedDEC
from federated.algorithms.kmeans import DECEmbedding, FederatedLloyd
from federated.algorithms.pretraining import FederatedPretraining
from federated.backends.local import LocalCarrier
from federated.backends.processes import backend_processes, marked_processes
from federated.core.aggregation import aggregation
from federated.core.local_training import LocalWork
from federated.core.sampling import Plan
from federated.data.client_store import ClientStore
from tests.federated.helpers import GANOutputs, distance
from tests.tfcluster.helpers import TINY, blobs
from tfcluster.config import SGD, GANConfig
from tfcluster.dec.autoencoder import AutoencoderTrainer

# Ray leaves files and children to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

N_ROUNDS = 5
X, Y = blobs(n_rows=150)
X, Y = X.astype(np.float32), Y.astype(np.int64)
UNEVEN = [slice(0, 10), slice(10, 25), slice(25, 50), slice(50, 90), slice(90, 150)]
PLAN = Plan(len(UNEVEN))
WORK = LocalWork(epochs=2, batch_size=16)


def tff_carrier(store, n_workers):
    from federated.backends.tff.carrier import TFFCarrier

    return TFFCarrier(store, n_workers)


class OneFlowerCarrier:
    """Flower's, which a process can have once: the one used last is open."""

    opened = None

    def __init__(self, store, n_workers):
        self._arguments, self._inner = (store, n_workers), None

    def round(self, *arguments):
        from federated.backends.flower.carrier import FlowerCarrier

        if self._inner is None:
            if OneFlowerCarrier.opened:
                OneFlowerCarrier.opened.close()
            self._inner, OneFlowerCarrier.opened = FlowerCarrier(*self._arguments), self
        return self._inner.round(*arguments)

    def close(self):
        if self._inner:
            self._inner.close()
            self._inner = OneFlowerCarrier.opened = None
            gc.collect()  # while Ray's warnings are ignored


CARRIERS = {
    "local": (LocalCarrier, None),
    "tff": (tff_carrier, "tensorflow_federated"),
    "flower": (OneFlowerCarrier, "ray"),
}
"""How each is made, and the package it needs."""


def first_weights():
    start = AutoencoderTrainer(6, TINY)
    start.reset(3)
    return start.autoencoder.get_weights(), start.encoder.get_weights()


def pretraining(rule="fedavg", **fields):
    alg = FederatedPretraining(6, WORK, aggregation(rule, **fields), TINY)
    return [alg], alg.state(first_weights()[0])


def lloyd():
    alg = FederatedLloyd(6, DECEmbedding(TINY))
    # far from where they will end, so that five rounds move them
    centers = np.random.default_rng(0).normal(size=(2, 3, 3))
    return [alg], alg.state(first_weights()[1], centers)


def dec(target="global"):
    config = dataclasses.replace(TINY, optimizer=SGD(0.1, 0.9))
    rule = aggregation("fedavg")
    alg = FederatedDEC(6, WORK, rule, 3, config, target, follows_exchange=True)
    centers = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    return [alg.exchange(), alg], alg.state([*first_weights()[1], centers])


GAN = GANConfig(networks="pendigits", n_noise=2, critic_steps=2, batch_size=16)
OUTPUTS = GANOutputs(6, 3, GAN)


def gan(kind):
    # Without moments to go on with, Adam's first step has the full size in every weight, also
    # where the gradient's sign is a matter of rounding: five rounds then differ by 2e-3.
    work = AdversarialWork(3, carry_optimizer=True)
    alg = kind(6, work, aggregation("fedavg"), 3, GAN)
    return [alg], alg.first_state(*OUTPUTS.start())


def outputs(make_case):
    """How to look at a state: by what its networks make of fixed rows."""
    (alg,), _ = make_case()
    sizes = list(map(len, OUTPUTS.start()))
    return lambda state: OUTPUTS([w for part in alg.networks(state, sizes) for w in part])


CASES = {
    "pretraining": pretraining,
    "median": lambda: pretraining("median"),
    "lloyd": lloyd,
    "dec": dec,
    "average gan": lambda: gan(AverageGAN),
    "split gan": lambda: gan(SplitGAN),
}

LOOKS = {name: outputs(CASES[name]) for name in ("average gan", "split gan")}
"""What is compared, where it is not all that is in the state."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    return ClientStore.write(folder, [(X[part], Y[part]) for part in UNEVEN])


@pytest.fixture(scope="module", params=CARRIERS)
def make(request, store):
    """Makes a carrier; all are closed in the end, and nothing they started is left."""
    factory, package = CARRIERS[request.param]
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    made = []
    with backend_processes() as mark:
        yield lambda n_workers=1: made.append(factory(store, n_workers)) or made[-1]
        for carrier in made:
            carrier.close()
        assert not marked_processes(mark)


@pytest.fixture(scope="module")
def carrier(make):
    return make(n_workers=2)


def run(carrier, algorithms, state, first=0, last=N_ROUNDS, plan=PLAN):
    """Rounds `first` to `last`: the state after each, and the last result."""
    states = []
    for number in range(first, last):
        for algorithm in algorithms:
            result = carrier.round(algorithm, state, plan.round(number))
            state = result.state
        states.append(state)
    return states, result


def arrays(state):
    return [np.asarray(a) for part in (state.weights, state.slots, state.context) for a in part]


def apart(states, expected, start, look=arrays):
    """After one round and after all: the distance to what is expected, in distances moved."""
    return [
        distance(look(states[i]), look(expected[i])) / distance(look(start), look(expected[i]))
        for i in (0, -1)
    ]


@pytest.fixture(scope="module")
def oracle(store):
    """The local carrier, one client after the other."""
    with contextlib.closing(LocalCarrier(store)) as carrier:
        yield carrier


@pytest.fixture(scope="module")
def cases(oracle):
    """Algorithms, the state to begin with, and what the local carrier makes of it, by name."""
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


def test_weights_are_the_local_ones(carrier, case):
    algorithms, state, look, expected, expected_result = case
    states, result = run(carrier, algorithms, state)
    after_one, after_all = apart(states, expected, state, look)
    assert after_one <= 1e-5
    assert after_all <= 1e-3
    assert result.left_out == []
    assert result.bytes_up == expected_result.bytes_up
    assert list(result.metrics) == list(expected_result.metrics)
    for name, value in expected_result.metrics.items():
        np.testing.assert_allclose(result.metrics[name], value, rtol=1e-3)


def test_a_client_that_is_missing_would_be_seen(oracle, case):
    """By the check above, in every algorithm and round."""
    algorithms, state, look, expected, _ = case

    class Without:
        def round(self, algorithm, state, participants):
            return oracle.round(algorithm, state, participants[1:])

    after_one, after_all = apart(run(Without(), algorithms, state)[0], expected, state, look)
    assert after_one > 1e-3
    assert after_all > 1e-3


def test_a_weight_that_is_wrong_would_be_seen(oracle, case):
    """One number of all, by a hundredth."""
    algorithms, state, look, expected, _ = case

    class Off:
        def round(self, algorithm, state, participants):
            result = oracle.round(algorithm, state, participants)
            first, *others = result.state.weights
            wrong = first + 0.01 * tf.scatter_nd([[0, 0]], [1.0], first.shape)
            return result._replace(state=result.state._replace(weights=(wrong, *others)))

    after_one, after_all = apart(run(Off(), algorithms, state)[0], expected, state, look)
    assert after_one > 1e-5
    assert after_all > 1e-3


def test_not_all_clients_take_part(oracle, carrier):
    """Nor the same number of them in every round."""
    algorithms, state = pretraining()
    plan = Plan(len(UNEVEN), per_round=4, dropout=0.4, seed=2)
    assert len({len(plan.round(number)) for number in range(N_ROUNDS)}) > 1
    expected, _ = run(oracle, algorithms, state, plan=plan)
    states, _ = run(carrier, algorithms, state, plan=plan)
    assert max(apart(states, expected, state)) <= 1e-5


def test_a_run_that_is_resumed_has_the_same_bits(make, carrier):
    """Whatever the carrier did before, and however many clients work at a time."""
    begun = [pretraining(), dec()]
    expected = [run(carrier, *case)[0] for case in begun]
    other = make(n_workers=1)
    for (algorithms, state), (_, second, *_, last) in zip(begun, expected, strict=True):
        assert_same_bits(run(other, algorithms, second, first=2)[0][-1], last)
        assert_same_bits(run(other, algorithms, state)[0][-1], last)
    other.close()
