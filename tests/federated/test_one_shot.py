"""The clients' own k-means, centroids made of theirs at the server, and starts for exact Lloyd."""

import contextlib
import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from federated.algorithms.client_kmeans import best_clustering
from federated.algorithms.kmeans import DECEmbedding, InputSpace, LloydIteration
from federated.algorithms.one_shot import (
    METHODS,
    ClientCentroids,
    k_fed,
    make_lloyd_starts,
    max_min,
)
from federated.backends.local import LocalBackend
from federated.core.algorithm import validate
from federated.core.sampling import ClientSampler
from federated.data.partition import iid
from tests.federated.helpers import clients_of
from tests.tfcluster.helpers import TINY
from tfcluster.config import from_dict, to_dict
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.errors import InputError

GRID = 10.0 * np.array(list(itertools.product(range(5), range(2))))
"""Ten centroids, ten apart."""


def identity_embedding(width):
    return DECEmbedding(dataclasses.replace(TINY, dims=(width,)))


def identity_weights(width):
    return [np.eye(width, dtype=np.float32), np.zeros(width, np.float32)]


def round_of(parts, n_centroids, seed=0, embedding=None, **options):
    """Returns the metrics of a round on samples that are their own embedding, and who was left out.

    By default, the embedding is an encoder of one layer that changes nothing.
    """
    width = parts[0].shape[1]
    weights = [] if embedding else identity_weights(width)
    alg = ClientCentroids(width, embedding or identity_embedding(width), n_centroids, **options)
    state = alg.initial_state(weights)
    sampler = ClientSampler(len(parts), seed=seed)
    participants = sampler.participants(0, full_participation=alg.full_participation)
    with contextlib.closing(LocalBackend(clients_of(parts))) as backend:
        after, metrics, left_out, _ = backend.run_round(alg, state, participants)
    assert all(map(np.array_equal, after.weights, state.weights))
    return {name: value.numpy() for name, value in metrics.items()}, left_out


def two_clusters_each(seed=0):
    """Returns ten clients of uneven sizes with two of the ten clusters of `GRID` each."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, n_samples in enumerate(rng.integers(10, 60, 10)):
        mine = [i, (i + 3) % 10]
        means = GRID[np.repeat(mine, n_samples)]
        parts.append((means + rng.normal(0, 0.1, means.shape)).astype(np.float32))
    return parts


def in_order(points):
    return points[np.lexsort(points.T)]


@pytest.fixture(scope="module")
def separated():
    parts = two_clusters_each()
    return parts, round_of(parts, 2)[0]


def test_clients_find_their_means(separated):
    parts, metrics = separated
    assert metrics["centroids"].dtype == metrics["counts"].dtype == np.float64
    assert metrics["n_samples"] == sum(map(len, parts))
    inertia = 0.0
    for x, centroids, counts in zip(parts, metrics["centroids"], metrics["counts"], strict=True):
        halves = np.split(x.astype(np.float64), 2)
        expected = np.stack([half.mean(axis=0) for half in halves])
        np.testing.assert_allclose(in_order(centroids), in_order(expected), atol=1e-12)
        np.testing.assert_array_equal(counts, len(x) / 2)
        inertia += sum(np.sum((half - half.mean(axis=0)) ** 2) for half in halves)
    assert metrics["inertia"] == pytest.approx(inertia)


@pytest.mark.parametrize("name", ["k_fed", "max_min", "double_kmeans"])
def test_few_clusters_a_client_are_all_found(separated, name):
    """Finds each of `GRID` nearly, and the exact means where weights are numbers of samples."""
    parts, metrics = separated
    found = METHODS[name](metrics["centroids"], metrics["counts"], 10, 0)
    assert found.shape == (10, 2) and found.dtype == np.float64
    distances = cdist(GRID, found)
    assert sorted(distances.argmin(axis=1)) == list(range(10))
    assert distances.min(axis=1).max() < 0.1
    if name == "double_kmeans":
        X = np.concatenate(parts).astype(np.float64)
        owner = cdist(X, GRID).argmin(axis=1)
        means = np.stack([X[owner == j].mean(axis=0) for j in range(10)])
        np.testing.assert_allclose(found[distances.argmin(axis=1)], means, atol=1e-12)


def test_k_fed_by_hand():
    """The client with most samples starts, with 0 and 10; 30 is farthest from them, then done.

    1 joins 0, 12 joins 10, 26 joins 30; means weigh centroids alike, 30 is there twice.
    """
    centroids = np.array([[[1.0], [30.0]], [[0.0], [10.0]], [[12.0], [26.0]], [[30.0], [99.0]]])
    counts = np.array([[3, 3], [5, 4], [1, 2], [2, 0]])
    found = k_fed(centroids, counts, 3)
    np.testing.assert_allclose(np.sort(found[:, 0]), [0.5, 11.0, 86 / 3])


def test_k_fed_thins_the_first_client():
    """The first client keeps its heaviest centroid, 5, and the farthest, 20; then 1 joins 5."""
    centroids = np.array([[[5.0], [6.0], [20.0]], [[1.0], [19.0], [21.0]]])
    counts = np.array([[9, 8, 8], [1, 1, 1]])
    np.testing.assert_allclose(np.sort(k_fed(centroids, counts, 2)[:, 0]), [4.0, 20.0])


def test_max_min_by_hand():
    centroids = np.array([[[3.0], [0.0]], [[10.0], [6.0]]])
    counts = np.array([[7, 1], [1, 1]])
    np.testing.assert_array_equal(max_min(centroids, counts, 3)[:, 0], [3.0, 10.0, 0.0])


@st.composite
def client_centroids(draw):
    """Draws centroids on a coarse grid, so that some are equal, with whole counts."""
    n_clients, each = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    whole = st.integers(-20, 20).map(float)
    centroids = draw(hnp.arrays(np.float64, (n_clients, each, 2), elements=whole))
    counts = draw(hnp.arrays(np.float64, (n_clients, each), elements=st.integers(0, 9).map(float)))
    n_different = len(np.unique(centroids[counts > 0], axis=0))
    return centroids, counts, n_different


@pytest.mark.parametrize("name", METHODS)
@given(st.data(), client_centroids(), st.integers(0, 2**31 - 2))
@settings(deadline=None, max_examples=30)
def test_laws_of_every_method(name, data, given_centroids, seed):
    """Every method makes k finite centroids, the same for a seed and in any order.

    Centroids without samples are ignored.
    """
    centroids, counts, n_different = given_centroids
    assume(n_different > 0)
    k = data.draw(st.integers(1, n_different))
    found = METHODS[name](centroids, counts, k, seed)
    assert found.shape == (k, 2) and np.isfinite(found).all()
    np.testing.assert_array_equal(METHODS[name](centroids, counts, k, seed), found)
    elsewhere = np.where(counts[..., np.newaxis] > 0, centroids, 77.0)
    np.testing.assert_array_equal(METHODS[name](elsewhere, counts, k, seed), found)
    if name != "k_fed":  # it begins with the first of equal clients
        order = np.array(data.draw(st.permutations(range(len(centroids)))))
        moved = METHODS[name](centroids[order, ::-1], counts[order, ::-1], k, seed)
        np.testing.assert_array_equal(moved, found)
    if name in ("max_min", "random", "random_weighted"):
        points = set(map(tuple, centroids[counts > 0]))
        assert len(points & set(map(tuple, found))) == k
    if name == "max_min" and k > 1:  # Gonzalez: no point is farther off than centroids are apart
        apart = cdist(found, found)[np.triu_indices(k, 1)].min()
        assert cdist(centroids[counts > 0], found).min(axis=1).max() <= apart


def test_k_fed_does_not_depend_on_the_order_of_unlike_clients(separated):
    _, metrics = separated
    centroids, counts = metrics["centroids"], metrics["counts"]
    assert len(set(counts.sum(axis=1))) == 10
    found = k_fed(centroids, counts, 10)
    moved = k_fed(centroids[::-1], counts[::-1], 10)
    np.testing.assert_allclose(in_order(moved), in_order(found), atol=1e-12)


def test_random_methods_draw_as_they_say():
    """Weight 0 is never drawn; weights 1 and 99 alike, or the latter nearly always."""
    centroids, counts = np.array([[[0.0], [1.0], [2.0]]]), np.array([[0, 1, 99]])
    drawn = {
        name: np.array([METHODS[name](centroids, counts, 1, seed)[0, 0] for seed in range(400)])
        for name in ("random", "random_weighted")
    }
    assert set(drawn["random"]) == set(drawn["random_weighted"]) == {1.0, 2.0}
    assert np.mean(drawn["random"] == 2) == pytest.approx(0.5, abs=0.1)
    assert np.mean(drawn["random_weighted"] == 2) == pytest.approx(0.99, abs=0.02)


def test_rounds_are_reproducible_and_depend_on_the_seed(digits):
    X = digits[0][:300]
    first, again, other = (round_of([X[:100], X[100:]], 4, seed)[0] for seed in (0, 0, 1))
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)
    assert not np.array_equal(other["centroids"], first["centroids"])


def test_the_input_space_needs_no_encoder(separated):
    parts, expected = separated
    found, _ = round_of(parts, 2, embedding=InputSpace())
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_few_samples():
    """Clients with one sample, with two different ones among five, and with enough."""
    rng = np.random.default_rng(0)
    pair = np.array([[0.1, 0.2], [0.7, 0.3]], np.float32)
    parts = [pair[:1], pair[[0, 1, 1, 0, 1]], rng.normal(5, 1, (50, 2)).astype(np.float32)]
    metrics, left_out = round_of(parts, 4)
    assert not left_out
    assert np.isfinite(metrics["centroids"]).all()
    np.testing.assert_array_equal(metrics["counts"].sum(axis=1), [1, 5, 50])
    np.testing.assert_array_equal((metrics["counts"] > 0).sum(axis=1), [1, 2, 4])
    for i in (0, 1):
        used = metrics["counts"][i] > 0
        expected = np.unique(parts[i], axis=0)
        np.testing.assert_allclose(in_order(metrics["centroids"][i][used]), in_order(expected))
    for method in METHODS.values():
        assert np.isfinite(method(metrics["centroids"], metrics["counts"], 5, 0)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_client_with_bad_numbers_is_ignored(separated, value):
    parts, expected = separated
    broken = parts[3].copy()
    broken[7, 1] = value
    metrics, left_out = round_of([*parts[:3], broken, *parts[4:]], 2)
    assert left_out == [3]
    assert not metrics["counts"][3].any()
    found, unbroken = (np.delete(m["centroids"], 3, 0) for m in (metrics, expected))
    np.testing.assert_array_equal(found, unbroken)
    found = METHODS["double_kmeans"](metrics["centroids"], metrics["counts"], 10, 0)
    assert cdist(GRID, found).min(axis=1).max() < 0.1


def test_more_samples_than_a_block_and_as_good_as_scikit_learn():
    rng = np.random.default_rng(2)
    z = GRID[rng.integers(10, size=9_000)] + rng.normal(0, 3, (9_000, 2))
    found = best_clustering(tf.constant(z), 10, 100, 5, tf.constant(3))
    owner = cdist(z, found.centroids).argmin(axis=1)
    np.testing.assert_array_equal(found.counts, np.bincount(owner, minlength=10))
    inertia = np.sum(cdist(z, found.centroids).min(axis=1) ** 2)
    assert float(found.inertia) == pytest.approx(inertia)
    assert inertia < 1.02 * KMeans(10, n_init=10, random_state=0).fit(z).inertia_


def test_more_restarts_are_no_worse(digits):
    z = tf.constant(digits[0][:500], tf.float64)
    inertias = [float(best_clustering(z, 10, 20, n, tf.constant(5)).inertia) for n in (1, 3, 6)]
    assert sorted(inertias, reverse=True) == inertias


def embedded(digits, seed):
    """Returns digits through an encoder that learned nothing."""
    config = dataclasses.replace(TINY, dims=(32, 5))
    trainer = AutoencoderTrainer(64, config)
    trainer.reset(seed)
    return trainer.encoder(tf.constant(digits[0])).numpy()


def lloyd(parts, starts):
    """Returns the inertia of each start after exact federated Lloyd, at rest or nearly."""
    width = parts[0].shape[1]
    alg = LloydIteration(width, identity_embedding(width))
    state = alg.initial_state(identity_weights(width), starts)
    participants = ClientSampler(len(parts)).participants(0, full_participation=True)
    with contextlib.closing(LocalBackend(clients_of(parts))) as backend:
        for _ in range(60):
            state, metrics, *_ = backend.run_round(alg, state, participants)
            if not np.any(metrics["shift"]):
                break
    return metrics["inertia"].numpy()


@pytest.mark.parametrize("split", ["iid", "sorted"])
@pytest.mark.parametrize("space", ["pixels", "embedding", "blobs"])
def test_lloyd_from_these_starts_is_as_good_as_pooled_k_means(digits, space, split):
    X, y = digits
    if space == "embedding":
        X = embedded(digits, seed=4)
    elif space == "blobs":
        y = np.random.default_rng(1).integers(10, size=1_500)
        X = GRID[y] + np.random.default_rng(0).normal(0, 2.5, (1_500, 2))
    X = X.astype(np.float32)
    indices = (
        iid(len(X), 5, seed=0).indices
        if split == "iid"
        else np.array_split(np.argsort(y, kind="stable"), 5)
    )
    parts = [X[own] for own in indices]
    metrics, _ = round_of(parts, 10)
    starts = make_lloyd_starts(metrics["centroids"], metrics["counts"], 10, 10, seed=0)
    pooled = KMeans(10, n_init=20, random_state=0).fit(X.astype(np.float64)).inertia_
    assert lloyd(parts, starts).min() < 1.01 * pooled


def test_starts_differ_and_are_reproducible(separated):
    _, metrics = separated
    asked = metrics["centroids"], metrics["counts"], 6
    starts = make_lloyd_starts(*asked, 5, seed=3)
    assert starts.shape == (5, 6, 2) and starts.dtype == np.float64
    np.testing.assert_array_equal(make_lloyd_starts(*asked, 5, seed=3), starts)
    np.testing.assert_array_equal(make_lloyd_starts(*asked, 2, seed=3), starts[:2])
    np.testing.assert_array_equal(starts[0], METHODS["double_kmeans"](*asked, 3))
    assert len(np.unique(starts, axis=0)) == 5


def test_too_few_centroids(separated):
    _, metrics = separated
    centroids, counts = metrics["centroids"][:2], metrics["counts"][:2]
    for make in (*METHODS.values(), lambda *asked: make_lloyd_starts(*asked[:3], starts=2)):
        with pytest.raises(InputError, match=r"5 clusters .* the 4 different centroids"):
            make(centroids, counts, 5, 0)
        with pytest.raises(InputError, match=r"0 different .* more centroids per client \(now 2\)"):
            make(centroids, np.zeros_like(counts), 1, 0)
    with pytest.raises(InputError, match="`starts` must be positive"):
        make_lloyd_starts(centroids, counts, 2, 0)


@pytest.mark.parametrize("field", ["n_centroids", "n_iterations", "restarts"])
def test_numbers_must_be_positive(field):
    numbers = {"n_centroids": 2, field: 0}
    with pytest.raises(InputError, match=f"`{field}` must be positive. Received: 0"):
        ClientCentroids(4, DECEmbedding(TINY), **numbers)


def test_it_can_be_sent_as_text():
    alg = ClientCentroids(4, DECEmbedding(TINY), 7, restarts=2)
    assert from_dict(to_dict(alg)) == alg


def test_eager_and_compiled_agree():
    """A backend may trace the learner itself."""
    x = tf.constant(two_clusters_each()[0])
    alg = ClientCentroids(2, identity_embedding(2), 3)
    state = alg.initial_state(identity_weights(2))
    (data,) = clients_of([x])
    eager = validate(alg.make_learner().update(state, data, tf.constant(5)))
    learner = alg.make_learner()
    graph = tf.function(lambda: validate(learner.update(state, data, tf.constant(5))))()
    assert eager.is_finite and graph.is_finite
    for a, b in zip(tf.nest.flatten(eager), tf.nest.flatten(graph), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
