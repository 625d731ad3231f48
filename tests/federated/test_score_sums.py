"""Scores from sums over rows against scikit-learn's on the pooled rows, and plain loops."""

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

from federated.algorithms.score_sums import (
    ClusterSums,
    DistanceSums,
    cluster_sums,
    distance_sums,
    pooled_scores,
    scores,
)
from federated.core import sums as parts
from tfcluster import metrics
from tfcluster.errors import InputError

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]

SPREAD = ["calinski_harabasz", "davies_bouldin", "simplified_silhouette"]
SIZES = ["n_clusters_found", "smallest_cluster_share", "largest_cluster_share"]


def blobs(n: int = 300, *, k: int = 4, spread: float = 1.0, seed: int = 0) -> Rows:
    """Rows, clusters and classes; a fifth of the classes is drawn anew."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    X = rng.normal(size=(k, 5))[labels] * 3 + spread * rng.normal(size=(n, 5))
    return X, labels, np.where(rng.random(n) < 0.2, rng.integers(0, k, n), (labels + 1) % k)


def split(rows: Rows, owners: np.ndarray) -> list[Rows]:
    X, labels, y = rows
    return [(X[owners == i], labels[owners == i], y[owners == i]) for i in range(owners.max() + 1)]


def scikit_learn(X: np.ndarray, labels: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": metrics.accuracy(y, labels),
        "nmi": normalized_mutual_info_score(y, labels),
        "ari": adjusted_rand_score(y, labels),
        "purity": metrics.purity(y, labels),
        "calinski_harabasz": calinski_harabasz_score(X, labels),
        "davies_bouldin": davies_bouldin_score(X, labels),
    }


def simplified_silhouette(X: np.ndarray, labels: np.ndarray) -> float:
    """Rousseeuw's formula with distances to means, row by row."""
    means = {k: X[labels == k].mean(axis=0) for k in set(labels.tolist())}
    values = []
    for row, label in zip(X, labels, strict=True):
        a = math.dist(row, means[label])
        b = min(math.dist(row, mean) for k, mean in means.items() if k != label)
        alone = np.count_nonzero(labels == label) == 1
        values.append(0.0 if alone or not max(a, b) else (b - a) / max(a, b))
    return float(np.mean(values))


OWNERS = {
    "one client": lambda labels: np.zeros_like(labels),
    "uneven, one without rows": lambda labels: np.digitize(np.arange(len(labels)), [7, 50, 50]),
    "a cluster each": lambda labels: labels,
    "each without a cluster": lambda labels: (labels + 1 + np.arange(len(labels)) % 3) % 4,
}


@pytest.mark.parametrize("owners", OWNERS.values(), ids=OWNERS)
def test_equal_to_scikit_learn_on_the_pooled_rows(owners) -> None:
    X, labels, y = blobs()
    found = pooled_scores(split((X, labels, y), owners(labels)), 4, 4)
    expected = scikit_learn(X, labels, y)
    assert list(found) == [*expected, "simplified_silhouette", *SIZES]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert found["simplified_silhouette"] == pytest.approx(simplified_silhouette(X, labels))
    assert {name: found[name] for name in SIZES} == metrics.sizes(np.bincount(labels))
    assert {type(value) for value in found.values()} == {float, int}


def test_clusters_and_classes_without_rows_do_not_count() -> None:
    X, labels, y = blobs(k=3)
    owners = np.arange(len(X)) % 4
    bare = pooled_scores(split((X, labels, y), owners), 3, 3)
    padded = pooled_scores(split((X, 2 * labels + 1, y + 2), owners), 9, 7)
    assert padded == pytest.approx(bare, rel=1e-12)


@pytest.mark.parametrize(("offset", "spread"), [(1e6, 1e-3), (100.0, 1e-4), (-1e4, 1e-4)])
def test_tight_clusters_far_from_the_origin(offset: float, spread: float) -> None:
    X, labels, y = blobs(spread=spread)
    X += offset
    # Subtracted again: far from the origin scikit-learn's Davies-Bouldin itself loses digits.
    expected = scikit_learn(X - offset, labels, y)
    clients = split((X, labels, y), np.arange(len(X)) % 3)
    found = pooled_scores(clients, 4, 4)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    pooled = simplified_silhouette(X - offset, labels)
    assert found["simplified_silhouette"] == pytest.approx(pooled, rel=1e-6)


def test_one_pass_is_enough_amid_the_rows_and_not_far_from_them() -> None:
    X, labels, y = blobs(spread=1e-2)
    X += 1e6
    expected = calinski_harabasz_score(X, labels)

    def one_pass(origin: float) -> float:
        clients = split((X, labels, y), np.arange(len(X)) % 3)
        totals = [cluster_sums(X, labels, 4, origin=origin) for X, labels, _ in clients]
        found = scores(sum(totals[1:], start=totals[0]))
        assert list(found) == ["calinski_harabasz", *SIZES]
        return found["calinski_harabasz"]

    assert one_pass(1e6) == pytest.approx(expected, rel=1e-8)
    assert one_pass(0.0) != pytest.approx(expected, rel=1e-2)


def test_the_origin_does_not_move_the_means() -> None:
    X, labels, _ = blobs()
    origin = np.arange(5.0)
    sums = cluster_sums(X, labels, 5, origin=origin)
    expected = [X[labels == k].mean(axis=0) for k in range(4)]
    np.testing.assert_allclose(sums.means(origin)[:4], expected)
    assert np.isnan(sums.means(origin)[4]).all()
    assert scores(sums) == pytest.approx(scores(cluster_sums(X, labels, 5)))


def test_totals_by_hand() -> None:
    # Cluster 0 holds 0 and 2 (mean 1), cluster 2 holds 7 (mean 7), cluster 1 nothing.
    # Row 0: a = 1, b = 7, s = 6/7. Row 2: a = 1, b = 5, s = 4/5. Row 7: a = 0, b = 6, s = 1.
    X, labels, y = [[0.0], [2.0], [7.0]], [0, 0, 2], [1, 0, 1]
    sums = cluster_sums(X, labels, 3, y, 2, origin=1.0)
    expected = [[2, 0, 1], [[0], [0], [6]], [2, 0, 36], [[1, 1], [0, 0], [0, 1]]]
    for array, value in zip(sums.to_arrays(), expected, strict=True):
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, value)
    distances = distance_sums(X, labels, sums.means(1.0))
    expected = [[2, 0, 0], [2, 0, 0], [6 / 7 + 4 / 5, 0, 1]]
    for array, value in zip(distances.to_arrays(), expected, strict=True):
        np.testing.assert_allclose(array, value)
    # A row alone in its cluster counts as 0.
    found = scores(sums, distances)["simplified_silhouette"]
    assert found == pytest.approx((6 / 7 + 4 / 5) / 3)


def test_arrays_carry_the_totals() -> None:
    X, labels, y = blobs(40)
    sums = cluster_sums(X, labels, 4, y, 4)
    distances = distance_sums(X, labels, sums.means())
    carried = [a.tolist() for a in sums.to_arrays()], [a.tolist() for a in distances.to_arrays()]
    there = ClusterSums.from_arrays(carried[0]), DistanceSums.from_arrays(carried[1])
    assert scores(*there) == scores(sums, distances)
    assert scores(there[0] + sums, there[1] + distances) == pytest.approx(
        pooled_scores([(X, labels, y)] * 2, 4, 4)
    )


def test_means_of_client_scores_are_something_else() -> None:
    # Each client is perfect by itself, with the names of the clusters swapped: 1/2 in all.
    X, y = np.arange(4.0)[:, None], np.array([0, 0, 1, 1])
    clients = [(X, y, y), (X, 1 - y, y)]
    assert [pooled_scores([client], 2, 2)["accuracy"] for client in clients] == [1.0, 1.0]
    assert pooled_scores(clients, 2, 2)["accuracy"] == 0.5
    assert pooled_scores(clients, 2, 2)["nmi"] == pytest.approx(0.0, abs=1e-12)


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
def test_any_split_in_any_order_scores_as_the_pooled_rows(table, random) -> None:
    X, labels, y, owners = (np.array(column) for column in table)
    clients = split((X, labels, y), owners)
    random.shuffle(clients)
    found = pooled_scores(clients, 4, 4)
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


def test_rows_are_summed_in_parts(monkeypatch) -> None:
    rows = blobs()
    whole = pooled_scores([rows], 4, 4)
    monkeypatch.setattr(parts, "_PART_NUMBERS", 7 * 20)  # 300 rows do not fill parts of 7 or 10
    assert pooled_scores([rows], 4, 4) == pytest.approx(whole, rel=1e-12)
    monkeypatch.setattr(parts, "_PART_NUMBERS", 1)
    assert pooled_scores([rows], 4, 4) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 1, 2]])
def test_undefined_scores_are_nan(labels: list[int]) -> None:
    X = [[0.0], [1.0], [5.0]]
    found = pooled_scores([(X, labels, None)], 3)
    assert list(found) == [*SPREAD, *SIZES]
    assert all(math.isnan(found[name]) for name in SPREAD)
    assert math.isnan(scores(cluster_sums(X, labels, 3))["calinski_harabasz"])


def test_clusters_without_spread_and_means_that_coincide() -> None:
    points = pooled_scores([([[0.0], [0.0], [3.0]], [0, 0, 1], None)], 2)
    assert [points[name] for name in SPREAD] == [1.0, 0.0, pytest.approx(2 / 3)]
    same = pooled_scores([([[0.0], [2.0], [1.0], [1.0]], [0, 0, 1, 1], None)], 2)
    assert [same[name] for name in SPREAD] == [0.0, 0.0, 0.0]


GOOD = np.zeros((2, 3)), [0, 1], [0, 0]


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ([], "at least one client"),
        ([(np.zeros((0, 3)), [], [])], "at least one row"),
        ([(np.zeros(3), [0, 1], [0, 0])], r"\(rows, features\). Received \(3,\)"),
        ([([[0.0], [math.nan]], [0, 1], [0, 0])], "Received 1 rows with NaN"),
        ([(np.zeros((2, 3)), [0, 1, 1], [0, 0])], r"`labels` needs one.*\(3,\) for 2 rows"),
        ([(np.zeros((2, 3)), [0, 1], [[0, 0]])], r"`y` needs one.*\(1, 2\) for 2 rows"),
        (
            [(np.zeros((2, 3)), [0, 2], [0, 0])],
            r"`labels` must be integers in \[0, 2\). Received 2",
        ),
        ([(np.zeros((2, 3)), [0, -1], [0, 0])], "`labels`.*Received -1"),
        ([(np.zeros((2, 3)), [0, 0.5], [0, 0])], "`labels`.*Received 0.5"),
        ([(np.zeros((2, 3)), [0, 1], ["a", "b"])], r"`y` must be integers in \[0, 1\). Received a"),
        ([GOOD, (np.zeros((2, 4)), [0, 1], [0, 0])], r"equal shapes. Received .*\(2, 4\)"),
        ([GOOD, (np.zeros((2, 3)), [0, 1], None)], r"equal shapes.*all a `y` or none"),
    ],
)
def test_bad_clients_are_named(clients: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pooled_scores(clients, 2, 1)


def test_other_errors_name_the_argument() -> None:
    X, labels, y = GOOD
    with pytest.raises(InputError, match=r"`y` must be integers in \[0, 0\)"):
        cluster_sums(X, labels, 2, y)
    with pytest.raises(InputError, match=r"`origin`.*Received \(2,\) for 3 features"):
        cluster_sums(X, labels, 2, origin=[1.0, 2.0])
    with pytest.raises(InputError, match=r"`means` must be.*Received \(2, 2\) for 3 features"):
        distance_sums(X, labels, np.zeros((2, 2)))
    with pytest.raises(InputError, match="Received 1 rows of clusters without"):
        distance_sums(X, labels, cluster_sums(X, [0, 0], 2).means())
