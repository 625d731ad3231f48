"""Clients' samples in files: what was written, and scaling that starts from what was given."""

import itertools

import numpy as np
import pytest

from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore
from tfcluster.scaling import Standardizer

RNG = np.random.default_rng(0)
PARTS = [RNG.normal(3, 2, (n, 2)).astype(np.float32) for n in (5, 1, 3)]
CLASSES = [np.arange(5), None, np.array([2, 0, 2])]
STANDARDIZER = Standardizer(np.array([3.0, 2.0]), np.array([2.0, 0.5]))
SCALINGS = {
    "identity": Scaling(),
    "factor": Scaling(None, 5.1),
    "standardizer": Scaling(STANDARDIZER),
    "both": Scaling(STANDARDIZER, 0.5),
}


@pytest.fixture
def store(tmp_path):
    return ClientStore.write(tmp_path, zip(PARTS, CLASSES, strict=True), ["a", "b", "c"])


def assert_samples(store, expected):
    for i, x in enumerate(expected):
        found, _ = store.samples(i)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, x)
        np.testing.assert_array_equal(store[i].x, x)


def test_samples_and_classes_are_those_that_were_written(store):
    for used in (store, ClientStore(store.folder)):
        assert (used.names, used.n_features, len(used)) == (["a", "b", "c"], 2, 3)
        assert_samples(used, PARTS)
        assert used[0].y.numpy().tolist() == [0, 1, 2, 3, 4]
        assert used[1].y.numpy().tolist() == [-1]
        assert used[2].y.numpy().tolist() == [2, 0, 2]


@pytest.mark.parametrize("names", list(itertools.permutations(SCALINGS, 3)), ids=", ".join)
def test_scaling_starts_from_the_samples_as_they_were_given(store, names):
    """Whatever scaling came before, also back to none, and the same one twice."""
    worker = ClientStore(store.folder)  # a backend's process has a store of its own
    for name in names:
        scaling = SCALINGS[name]
        expected = [scaling(x) for x in PARTS]
        for _ in range(2):
            store.scale(scaling)
            assert_samples(store, expected)
            assert_samples(worker, expected)
            assert store[0].y.numpy().tolist() == [0, 1, 2, 3, 4]


def test_no_scaling_leaves_the_very_bits():
    x = np.array([[-0.0, 1e-40], [np.inf, np.nan]], np.float32)
    assert SCALINGS["identity"](x).tobytes() == x.tobytes()
    assert SCALINGS["identity"].is_identity
    assert not any(s.is_identity for name, s in SCALINGS.items() if name != "identity")


def test_scalings_are_those_of_their_artifacts():
    artifacts = {"standardizer/mean": STANDARDIZER.mean, "standardizer/sd": STANDARDIZER.sd}
    found = {
        "identity": {"scale": np.float64(1.0)},
        "factor": {"scale": np.float64(5.1)},
        "standardizer": artifacts,
        "both": {**artifacts, "scale": np.float64(0.5)},
    }
    for (one, arrays), (other, scaling) in itertools.product(found.items(), SCALINGS.items()):
        assert Scaling.from_artifacts(arrays).equals(scaling) == (one == other)
    assert Scaling.from_artifacts({}).is_identity


# Digits that float32 would round.

STAMPS = [1.7e9 + 30 * np.array([[0.0], [1], [2]]), 1.7e9 + 30 * np.array([[3.0], [np.nan]])]


def test_samples_are_rounded_only_after_scaling(tmp_path):
    """Time stamps 30 s apart are one number in float32."""
    assert len(np.unique(STAMPS[0].astype(np.float32))) == 1
    standardizer = Standardizer.fit(np.concatenate(STAMPS))
    store = ClientStore.write(tmp_path, [(x, None) for x in STAMPS])
    for _ in range(2):
        for i, x in enumerate(STAMPS):
            np.testing.assert_array_equal(store.samples(i)[0], x)
        store.scale(Scaling(standardizer))
        for i, x in enumerate(STAMPS):
            found = store[i].x.numpy()
            np.testing.assert_array_equal(found, standardizer(x))
            assert len(np.unique(found)) == len(x)
        store.scale(Scaling())


def test_numbers_that_float32_holds_take_its_bytes(tmp_path):
    given = [np.array([[1.5, np.nan]]), np.array([[3, 4]]), np.array([[0.1, 1]])]
    store = ClientStore.write(tmp_path, [(x, None) for x in given])
    found = [store.samples(i)[0] for i in range(3)]
    assert [x.dtype for x in found] == [np.float32, np.float32, np.float64]
    for x, expected in zip(found, given, strict=True):
        np.testing.assert_array_equal(x, expected)
