"""Scores from sums over samples against scikit-learn's on the pooled samples, and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    normalized_mutual_info_score,
)

from federated.algorithms.score_sums import ClusterSums, DistanceSums, name_sums, scores
from federated.core import sums as parts
from tests.federated.helpers import add, distances_of, sums_of, total_scores
from tfcluster import metrics
from tfcluster.errors import InputError

Client = tuple[np.ndarray, np.ndarray, np.ndarray]

SPREAD = ["calinski_harabasz", "davies_bouldin", "simplified_silhouette"]
SIZES = ["n_clusters_found", "smallest_cluster_share", "largest_cluster_share"]


def blobs(n: int = 300, *, k: int = 4, spread: float = 1.0, seed: int = 0) -> Client:
    """Returns samples, clusters and classes; a fifth of the classes is drawn anew."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    X = rng.normal(size=(k, 5))[labels] * 3 + spread * rng.normal(size=(n, 5))
    return X, labels, np.where(rng.random(n) < 0.2, rng.integers(0, k, n), (labels + 1) % k)


def split(pooled: Client, owners: np.ndarray) -> list[Client]:
    X, labels, y = pooled
    return [(X[owners == i], labels[owners == i], y[owners == i]) for i in range(owners.max() + 1)]


def scikit_learn(X: np.ndarray, labels: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": metrics.accuracy(y, labels),
        "nmi": normalized_mutual_info_score(y, labels),
        "ari": adjusted_rand_score(y, labels),
        "purity": metrics.purity(y, labels),
        "kappa": metrics.kappa(y, labels),
        "calinski_harabasz": calinski_harabasz_score(X, labels),
        "davies_bouldin": davies_bouldin_score(X, labels),
    }


def simplified_silhouette(X: np.ndarray, labels: np.ndarray) -> float:
    """Computes Rousseeuw's formula with distances to means, sample by sample."""
    means = {k: X[labels == k].mean(axis=0) for k in set(labels.tolist())}
    values = []
    for sample, label in zip(X, labels, strict=True):
        a = math.dist(sample, means[label])
        b = min(math.dist(sample, mean) for k, mean in means.items() if k != label)
        alone = np.count_nonzero(labels == label) == 1
        values.append(0.0 if alone or not max(a, b) else (b - a) / max(a, b))
    return float(np.mean(values))


OWNERS = {
    "one client": lambda labels: np.zeros_like(labels),
    "uneven, one without samples": lambda labels: np.digitize(np.arange(len(labels)), [7, 50, 50]),
    "a cluster each": lambda labels: labels,
    "each without a cluster": lambda labels: (labels + 1 + np.arange(len(labels)) % 3) % 4,
}


@pytest.mark.parametrize("owners", OWNERS.values(), ids=OWNERS)
def test_equal_to_scikit_learn_on_the_pooled_samples(owners) -> None:
    X, labels, y = blobs()
    found = total_scores(split((X, labels, y), owners(labels)), 4, 4)
    expected = scikit_learn(X, labels, y)
    assert list(found) == [*expected, "simplified_silhouette", *SIZES]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert found["simplified_silhouette"] == pytest.approx(simplified_silhouette(X, labels))
    assert {name: found[name] for name in SIZES} == metrics.sizes(np.bincount(labels))
    assert {type(value) for value in found.values()} == {float, int}


def test_clusters_and_classes_without_samples_do_not_count() -> None:
    X, labels, y = blobs(k=3)
    owners = np.arange(len(X)) % 4
    bare = total_scores(split((X, labels, y), owners), 3, 3)
    padded = total_scores(split((X, 2 * labels + 1, y + 2), owners), 9, 7)
    assert padded == pytest.approx(bare, rel=1e-12)


@pytest.mark.parametrize(("offset", "spread"), [(1e6, 1e-3), (100.0, 1e-4), (-1e4, 1e-4)])
def test_tight_clusters_far_from_the_origin(offset: float, spread: float) -> None:
    X, labels, y = blobs(spread=spread)
    X += offset
    # Subtracted again: far from the origin scikit-learn's Davies-Bouldin itself loses digits.
    expected = scikit_learn(X - offset, labels, y)
    clients = split((X, labels, y), np.arange(len(X)) % 3)
    found = total_scores(clients, 4, 4)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    pooled = simplified_silhouette(X - offset, labels)
    assert found["simplified_silhouette"] == pytest.approx(pooled, rel=1e-6)


def test_one_pass_is_enough_near_the_origin_and_not_far_from_it() -> None:
    X, labels, y = blobs(spread=1e-2)
    X += 1e6
    expected = calinski_harabasz_score(X, labels)

    def one_pass(origin: float) -> float:
        clients = split((X - origin, labels, y), np.arange(len(X)) % 3)
        found = scores(add(sums_of(client, 4) for client in clients))
        assert list(found) == ["calinski_harabasz", *SIZES]
        return found["calinski_harabasz"]

    assert one_pass(1e6) == pytest.approx(expected, rel=1e-8)
    assert one_pass(0.0) != pytest.approx(expected, rel=1e-2)


def test_means_are_those_of_the_clusters() -> None:
    X, labels, _ = blobs()
    means = sums_of((X, labels, None), 5).means()
    expected = [X[labels == k].mean(axis=0) for k in range(4)]
    np.testing.assert_allclose(means[:4], expected)
    assert np.isnan(means[4]).all()


def test_totals_by_hand() -> None:
    # Cluster 0 holds 0 and 2 (mean 1), cluster 2 holds 7 (mean 7), cluster 1 nothing.
    # Sample 0: a = 1, b = 7, s = 6/7. Sample 2: a = 1, b = 5, s = 4/5. Sample 7: a = 0, b = 6,
    # s = 1.
    client = [[0.0], [2.0], [7.0]], [0, 0, 2], [1, 0, 1]
    sums = sums_of(client, 3, 2)
    expected = [[2, 0, 1], [[2], [0], [7]], [4, 0, 49], [[1, 1], [0, 0], [0, 1]]]
    for array, value in zip(sums, expected, strict=True):
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, value)
    distances = distances_of(client, sums.means())
    expected = [[2, 0, 0], [[2], [0], [0]], [6 / 7 + 4 / 5, 0, 1]]
    for array, value in zip(distances, expected, strict=True):
        assert array.dtype == np.float64
        np.testing.assert_allclose(array, value)
    # A sample alone in its cluster counts as 0.
    found = scores(sums, distances)["simplified_silhouette"]
    assert found == pytest.approx((6 / 7 + 4 / 5) / 3)


def test_names_carry_the_totals() -> None:
    client = blobs(40)
    sums = sums_of(client, 4, 4)
    distances = distances_of(client, sums.means())
    there = (
        name_sums(ClusterSums, {name: a.tolist() for name, a in sums._asdict().items()}),
        name_sums(DistanceSums, {name: a.tolist() for name, a in distances._asdict().items()}),
    )
    assert scores(*there) == scores(sums, distances)
    assert scores(add([there[0], sums]), add([there[1], distances])) == pytest.approx(
        total_scores([client] * 2, 4, 4)
    )


def test_means_of_client_scores_are_something_else() -> None:
    # Each client is perfect by itself, with the names of the clusters swapped: 1/2 in all.
    X, y = np.arange(4.0)[:, None], np.array([0, 0, 1, 1])
    clients = [(X, y, y), (X, 1 - y, y)]
    assert [total_scores([client], 2, 2)["accuracy"] for client in clients] == [1.0, 1.0]
    assert total_scores(clients, 2, 2)["accuracy"] == 0.5
    assert total_scores(clients, 2, 2)["nmi"] == pytest.approx(0.0, abs=1e-12)


# Quarters, so that clusters without any spread have exactly none, as scikit-learn's rule wants.
numbers = st.integers(-8, 8).map(lambda i: i / 4)
tables = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(numbers, numbers), min_size=n, max_size=n),
        *[st.lists(st.integers(0, 3), min_size=n, max_size=n)] * 3,
    )
)


@settings(max_examples=60, deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_any_split_in_any_order_scores_as_the_pooled_samples(table, random) -> None:
    X, labels, y, owners = (np.array(column) for column in table)
    clients = split((X, labels, y), owners)
    random.shuffle(clients)
    found = total_scores(clients, 4, 4)
    pooled = metrics.score(X, labels, y)
    shared = found.keys() & pooled.keys()
    assert found.keys() - shared == {"simplified_silhouette"}
    expected = {name: pooled[name] for name in shared}
    assert {name: found[name] for name in shared} == pytest.approx(
        expected, rel=1e-6, abs=1e-9, nan_ok=True
    )
    if not math.isnan(pooled["silhouette"]):
        assert found["simplified_silhouette"] == pytest.approx(
            simplified_silhouette(X, labels), rel=1e-6, abs=1e-9
        )


def test_samples_are_summed_in_parts(monkeypatch) -> None:
    pooled = blobs()
    whole = total_scores([pooled], 4, 4)
    monkeypatch.setattr(parts, "_PART_NUMBERS", 7 * 20)  # parts of 7 or 10 do not divide 300
    assert total_scores([pooled], 4, 4) == pytest.approx(whole, rel=1e-12)
    monkeypatch.setattr(parts, "_PART_NUMBERS", 1)
    assert total_scores([pooled], 4, 4) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 1, 2]])
def test_undefined_scores_are_nan(labels: list[int]) -> None:
    client = [[0.0], [1.0], [5.0]], labels, None
    found = total_scores([client], 3)
    assert list(found) == [*SPREAD, *SIZES]
    assert all(math.isnan(found[name]) for name in SPREAD)
    assert math.isnan(scores(sums_of(client, 3))["calinski_harabasz"])


def test_clusters_without_spread_and_means_that_coincide() -> None:
    points = total_scores([([[0.0], [0.0], [3.0]], [0, 0, 1], None)], 2)
    assert [points[name] for name in SPREAD] == [1.0, 0.0, pytest.approx(2 / 3)]
    same = total_scores([([[0.0], [2.0], [1.0], [1.0]], [0, 0, 1, 1], None)], 2)
    assert [same[name] for name in SPREAD] == [0.0, 0.0, 0.0]


def test_scores_need_samples() -> None:
    with pytest.raises(InputError, match="at least one sample"):
        total_scores([(np.zeros((0, 3)), [], [])], 2, 1)
