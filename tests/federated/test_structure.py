"""States, sums and outputs of every algorithm: documented, taken apart and put together again."""

import importlib
import inspect
import json
import pkgutil
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

import federated.algorithms
from federated.algorithms.clustergan import AdversarialWork, GeneratorAtClients, GeneratorAtServer
from federated.algorithms.dec import DECTraining
from federated.algorithms.evaluation import ClusterPass, DECLabeling, DistanceState
from federated.algorithms.kmeans import InputSpace, LloydIteration
from federated.algorithms.moments import Moments
from federated.algorithms.one_shot import ClientCentroids
from federated.algorithms.pretraining import AutoencoderTraining, LayerTraining
from federated.algorithms.stability import StartAgreement
from federated.core.aggregation import AGGREGATIONS
from federated.core.algorithm import FederatedAlgorithm, WeightsState
from federated.core.backend import ServerRunner, compile_update
from federated.core.local_training import LocalWork
from federated.core.sampling import Participant
from federated.core.structure import from_arrays, n_bytes, put_together, take_apart, to_arrays
from tests.federated.helpers import clients_of
from tests.tfcluster.helpers import TINY, TINY_LAYERWISE, blobs
from tfcluster.clustergan.networks import build_networks
from tfcluster.config import GANConfig, from_dict, to_dict
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.files import load_arrays, save_arrays

X, Y = blobs(12)
(DATA,) = clients_of([X], [Y])
WORK = LocalWork(steps=1, batch_size=4)
GAN = GANConfig(networks="pendigits", n_noise=2, critic_steps=1, batch_size=4)
CENTROIDS = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
WHOLE = AutoencoderTrainer(6, TINY).autoencoder.get_weights()
DEC_WEIGHTS = [*WHOLE[:4], CENTROIDS]


def dec(rule="fedavg", **fields):
    algorithm = DECTraining(6, WORK, AGGREGATIONS[rule], 3, TINY, **fields)
    return algorithm, algorithm.initial_state(DEC_WEIGHTS)


def start_agreement():
    _, state = lloyd()
    return StartAgreement(6, InputSpace()), state


def target_update():
    algorithm, state = dec("fedadam")
    return algorithm.target_update(), state


def gan(kind, rule="fedavg", carry=False):
    algorithm = kind(6, AdversarialWork(1, carry), AGGREGATIONS[rule], 3, GAN)
    weights = [network.get_weights() for network in build_networks(6, 3, GAN)]
    return algorithm, algorithm.initial_state(*weights)


def pretraining(rule):
    algorithm = AutoencoderTraining(6, WORK, AGGREGATIONS[rule], TINY)
    return algorithm, algorithm.initial_state(WHOLE)


def layer(number):
    algorithm = LayerTraining(6, WORK, AGGREGATIONS["fedavgm"], TINY_LAYERWISE, number)
    own = [*WHOLE[2 * number : 2 * number + 2], *WHOLE[6 - 2 * number : 8 - 2 * number]]
    return algorithm, algorithm.initial_state(own, WHOLE[: 2 * number])


def lloyd():
    algorithm = LloydIteration(6, InputSpace())
    return algorithm, algorithm.initial_state([], X[np.newaxis, :3])


def moments():
    algorithm = Moments(6)
    return algorithm, algorithm.initial_state()


def client_centroids():
    algorithm = ClientCentroids(6, InputSpace(), 2)
    return algorithm, algorithm.initial_state([])


FIRST = ClusterPass(6, DECLabeling(3, TINY), 3)


def cluster_pass():
    return FIRST, WeightsState(tuple(map(tf.constant, DEC_WEIGHTS)))


def distance_pass():
    weights = tuple(map(tf.constant, DEC_WEIGHTS))
    return FIRST.second(), DistanceState(weights, tf.zeros((3, 6), tf.float64))


CASES = {
    "moments": moments,
    "pretraining, fedavg": lambda: pretraining("fedavg"),
    "pretraining, fedadam": lambda: pretraining("fedadam"),
    "pretraining, median": lambda: pretraining("median"),
    "first layer": lambda: layer(0),
    "second layer": lambda: layer(1),
    "client centroids": client_centroids,
    "lloyd": lloyd,
    "start agreement": start_agreement,
    "target update": target_update,
    "dec": dec,
    "dec after a target update": lambda: dec(follows_update=True),
    "cluster pass": cluster_pass,
    "distance pass": distance_pass,
    "generator at clients": lambda: gan(GeneratorAtClients),
    "generator at clients, carried": lambda: gan(GeneratorAtClients, "median", carry=True),
    "generator at server": lambda: gan(GeneratorAtServer, "fedyogi"),
    "generator at server, carried": lambda: gan(GeneratorAtServer, carry=True),
}


def concrete_algorithms():
    """Returns every algorithm of `federated` that can be made."""
    for module in pkgutil.iter_modules(federated.algorithms.__path__):
        importlib.import_module(f"federated.algorithms.{module.name}")
    found, left = set(), [FederatedAlgorithm]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if not inspect.isabstract(kind) and kind.__module__.startswith("federated."):
            found.add(kind)
    return sorted(found, key=lambda kind: kind.__name__)


ALGORITHMS = concrete_algorithms()


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Returns an algorithm and all structures of a round."""
    algorithm, state = CASES[request.param]()
    answer = compile_update(algorithm)(algorithm.broadcast(state), DATA, tf.constant(1))
    result = ServerRunner().finish(algorithm, state, [Participant(0, 1)], [answer])
    return algorithm, [
        (algorithm.state_type, state),
        (algorithm.state_type, algorithm.broadcast(state)),
        (algorithm.state_type, result.state),
        (algorithm.sums_type, answer.output.sums),
        (algorithm.per_client_type, answer.output.per_client),
    ]


def assert_equal(found, expected):
    """Asserts that structures are of one class and hold the same numbers."""
    assert type(found) is type(expected)
    tf.nest.assert_same_structure(found, expected)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_array_equal(a, b)


def test_every_algorithm_has_a_case():
    assert {type(make()[0]) for make in CASES.values()} == set(ALGORITHMS)


def test_equal_algorithms_come_back_from_text(case):
    algorithm, _ = case
    found = from_dict(json.loads(json.dumps(to_dict(algorithm))))
    assert found == algorithm
    assert hash(found) == hash(algorithm)


def test_structures_are_of_the_classes_that_an_algorithm_names(case):
    _, structures = case
    for kind, value in structures:
        assert type(value) is kind


def test_structures_are_put_together_again(case):
    _, structures = case
    for kind, value in structures:
        tensors, layout = take_apart(value)
        assert len(layout) == len(kind._fields)
        assert json.loads(json.dumps(layout)) == layout
        assert [id(t) for t in tensors] == [id(t) for t in tf.nest.flatten(value)]
        assert_equal(put_together(kind, tensors, layout), value)


def test_structures_survive_a_file(case, tmp_path):
    _, structures = case
    for kind, value in structures:
        save_arrays(tmp_path / "f.npz", to_arrays(value), {})
        assert_equal(from_arrays(kind, load_arrays(tmp_path / "f.npz")[0]), value)


def test_bytes_are_those_of_the_arrays(case):
    _, structures = case
    for _, value in structures:
        assert n_bytes(value) == sum(array.nbytes for array in to_arrays(value).values())


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("role", ["state_type", "sums_type", "per_client_type"])
def test_every_field_is_documented(algorithm, role):
    kind = getattr(algorithm, role)
    assert issubclass(kind, tuple)
    documented = attributes_of(kind)
    assert list(kind._fields) == documented


def attributes_of(kind):
    """Returns the names under "Attributes:" in a class's docstring."""
    _, _, attributes = inspect.getdoc(kind).partition("Attributes:\n")
    lines = [line for line in attributes.splitlines() if line.startswith("  ")]
    return [line.split(":")[0].strip() for line in lines if not line.startswith("   ")]


class Some(NamedTuple):
    one: tf.Tensor
    many: tuple
    none: tuple = ()


def test_one_tensor_is_not_a_tuple_of_one():
    value = Some(tf.constant(1.0), (tf.constant([2, 3]),))
    tensors, layout = take_apart(value)
    assert layout == [-1, 1, 0]
    assert list(to_arrays(value)) == ["one", "many/0"]
    for found in (put_together(Some, tensors, layout), from_arrays(Some, to_arrays(value))):
        assert_equal(found, value)
    with pytest.raises(ValueError, match=r"of 2 tensors. Received: 3"):
        put_together(Some, [*tensors, tensors[0]], layout)


def test_tuples_keep_their_order_beyond_ten():
    value = Some(tf.constant(0), tuple(map(tf.constant, range(12))))
    assert [int(t) for t in from_arrays(Some, to_arrays(value)).many] == list(range(12))
