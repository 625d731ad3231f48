"""Scores against values worked by hand, brute force, and properties any score must have."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    adjusted_rand_score,
    cohen_kappa_score,
    normalized_mutual_info_score,
)

from tfcluster import metrics
from tfcluster.errors import InputError

# Three classes of 4, 3 and 3 samples in three clusters. The contingency matrix is
#            cluster 0  1  2
#   class 0          1  3  0
#   class 1          3  0  0
#   class 2          1  1  1
# Best match: 0 -> class 1 (3), 1 -> class 0 (3), 2 -> class 2 (1): 7 of 10 samples.
# Purity: 3 + 3 + 1 = 7 of 10 samples.
TRUE = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
FOUND = [1, 1, 1, 0, 0, 0, 0, 0, 1, 2]

labelings = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n)] * 2)
)
small_labelings = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 2), min_size=n, max_size=n)] * 2)
)
BOUNDED = [metrics.accuracy, metrics.purity, metrics.nmi, metrics.homogeneity]


def brute_force_accuracy(counts: np.ndarray) -> float:
    """Best total over every one-to-one choice of columns, on a square matrix of zeros."""
    k = max(counts.shape)
    square = np.zeros((k, k), int)
    square[: counts.shape[0], : counts.shape[1]] = counts
    totals = (square[np.arange(k), p].sum() for p in itertools.permutations(range(k)))
    return max(totals) / counts.sum()


def blobs(n: int = 60, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    return rng.normal(size=(n, 4)) + 4 * labels[:, None], labels


def test_contingency_counts_classes_by_clusters() -> None:
    expected = [[1, 3, 0], [3, 0, 0], [1, 1, 1]]
    np.testing.assert_array_equal(metrics.contingency(TRUE, FOUND), expected)


def test_accuracy_and_purity_by_hand() -> None:
    assert metrics.accuracy(TRUE, FOUND) == pytest.approx(0.7)
    assert metrics.purity(TRUE, FOUND) == pytest.approx(0.7)
    assert metrics.best_map(TRUE, FOUND) == {1: 0, 0: 1, 2: 2}


def test_kappa_by_hand() -> None:
    # 7 of 10 right. Matched sizes: 4 x 4, 3 x 5 and 3 x 1, so chance gives 34 of 100.
    assert metrics.kappa(TRUE, FOUND) == pytest.approx((0.7 - 0.34) / (1 - 0.34))
    # Sizes 9 and 1 on both sides, 8 right: worse than the 82 of 100 of chance.
    assert metrics.kappa([0] * 9 + [1], [0] * 8 + [1, 0]) == pytest.approx((0.8 - 0.82) / 0.18)


def kappa_of_scikit_learn(true: list[int], found: list[int]) -> float:
    """The largest of all matches that are as accurate as the best; unmatched clusters get names."""
    classes, clusters = sorted({*true}), sorted({*found})
    pad = [f"none {i}" for i in range(len(clusters) - len(classes))]
    kappas, best = [], metrics.accuracy(true, found)
    for names in itertools.permutations([*classes, *pad], len(clusters)):
        match = dict(zip(clusters, names, strict=True))
        mapped = [str(match[i]) for i in found]
        if np.isclose(np.mean([a == str(b) for a, b in zip(mapped, true, strict=True)]), best):
            kappas.append(cohen_kappa_score([str(i) for i in true], mapped))
    return max(kappas)


@settings(max_examples=40, deadline=None)
@given(small_labelings)
def test_kappa_is_scikit_learns_after_the_best_match(pair: tuple[list[int], list[int]]) -> None:
    is_certain = len({*pair[0]}) == len({*pair[1]}) == 1  # 0 / 0 for scikit-learn
    expected = 1.0 if is_certain else kappa_of_scikit_learn(*pair)
    assert metrics.kappa(*pair) == pytest.approx(expected)
    assert metrics.kappa(*pair) <= metrics.accuracy(*pair) + 1e-12


def test_kappa_of_billions_of_samples() -> None:
    """Squares of such counts overflow 64 bits."""
    counts = np.array([[3_000_000_000, 1], [0, 4_000_000_000]])
    assert metrics.FROM_COUNTS["kappa"](counts) == pytest.approx(1.0)


def test_accuracy_is_below_purity_when_two_clusters_share_a_class() -> None:
    # Clusters 0 and 1 hold class a only: purity 4/4. Only one of them can be matched to it: 3/4.
    true, found = ["a", "a", "a", "b"], [0, 0, 1, 2]
    assert metrics.purity(true, found) == 1.0
    assert metrics.accuracy(true, found) == 0.75


def test_agreement_by_hand() -> None:
    # Classes aabb, clusters 0111. Entropies: H(y) = ln 2 = .6931; H(c) = -.25 ln .25 - .75 ln .75
    # = .5623. Joint (a,0) .25, (a,1) .25, (b,1) .5: H = 2(.25 ln 4) + .5 ln 2 = 1.0397.
    # I = .6931 + .5623 - 1.0397 = .2158. NMI = I / mean(H) = .3437. Homogeneity = I / H(y) = .3113.
    # Pairs in both: 1 (the two b's); in classes 2, in clusters 3, of 6 in all. Expected 2*3/6 = 1,
    # so the adjusted Rand index is (1 - 1) / (2.5 - 1) = 0.
    true, found = ["a", "a", "b", "b"], [0, 1, 1, 1]
    assert metrics.nmi(true, found) == pytest.approx(0.3437, abs=1e-4)
    assert metrics.homogeneity(true, found) == pytest.approx(0.3113, abs=1e-4)
    assert metrics.ari(true, found) == pytest.approx(0.0, abs=1e-12)


def test_ami_by_hand() -> None:
    # Classes aab, clusters 001: I = H = H(1/3) = .6365. A cluster of one meets b in 1 of 3 shuffles
    # (I = .6365) and a in 2 of 3, where the joint is (a,0) (a,1) (b,0), each 1/3: I = 2(.6365) -
    # ln 3 = .1744. Expected I = (.6365 + 2 * .1744) / 3 = .3285. Equal partitions give 1; the
    # partition 010 gives (.1744 - .3285) / (.6365 - .3285) = -.5.
    assert metrics.ami(["a", "a", "b"], [0, 0, 1]) == pytest.approx(1.0)
    assert metrics.ami(["a", "a", "b"], [0, 1, 0]) == pytest.approx(-0.5, abs=1e-3)


@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (5, 3), (1, 4), (4, 1)])
def test_accuracy_is_the_best_over_all_permutations(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    for _ in range(10):
        true, found = (rng.integers(0, k, 30) for k in shape)
        expected = brute_force_accuracy(metrics.contingency(true, found))
        assert metrics.accuracy(true, found) == pytest.approx(expected)


@pytest.mark.parametrize(("true", "found"), [("aabbb", "00122"), ("aabcc", "00111")])
def test_best_map_is_one_to_one_and_gives_the_accuracy(true: str, found: str) -> None:
    mapping = metrics.best_map(list(true), list(found))
    assert len(mapping) == len(set(mapping.values())) == 2
    hits = [mapping.get(cluster) == kind for kind, cluster in zip(true, found, strict=True)]
    assert np.mean(hits) == pytest.approx(metrics.accuracy(list(true), list(found)))


@settings(max_examples=60, deadline=None)
@given(labelings, st.permutations(range(5)), st.permutations("vwxyz"))
def test_scores_ignore_the_names_of_labels(
    pair: tuple[list[int], list[int]], numbers: list[int], letters: list[str]
) -> None:
    true, found = pair
    renamed = [letters[i] for i in true], [10 * numbers[i] - 7 for i in found]
    for metric in metrics.SUPERVISED.values():
        assert metric(*renamed) == pytest.approx(metric(true, found), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(labelings)
def test_tables_give_the_scores_of_scikit_learn(pair: tuple[list[int], list[int]]) -> None:
    # Empty classes and clusters change nothing.
    counts = np.pad(metrics.contingency(*pair), ((1, 0), (2, 1)))
    found = {name: score(counts) for name, score in metrics.FROM_COUNTS.items()}
    assert found["nmi"] == pytest.approx(normalized_mutual_info_score(*pair), abs=1e-12)
    assert found["ari"] == pytest.approx(adjusted_rand_score(*pair), abs=1e-12)
    assert found == {name: metrics.SUPERVISED[name](*pair) for name in found}


@settings(max_examples=60, deadline=None)
@given(labelings)
def test_bounds_and_order(pair: tuple[list[int], list[int]]) -> None:
    for metric in BOUNDED:
        assert 0.0 <= metric(*pair) <= 1.0 + 1e-9
    assert -0.5 - 1e-9 <= metrics.ari(*pair) <= 1.0 + 1e-9
    assert metrics.ami(*pair) <= 1.0 + 1e-9
    assert metrics.accuracy(*pair) <= metrics.purity(*pair)
    assert metrics.accuracy(*pair) == pytest.approx(metrics.accuracy(*pair[::-1]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.permutations(range(5)))
def test_a_permutation_of_the_classes_is_perfect(true: list[int], names: list[int]) -> None:
    found = [names[i] for i in true]
    for metric in metrics.SUPERVISED.values():
        assert metric(true, found) == pytest.approx(1.0)


def test_silhouette_by_hand() -> None:
    # Clusters {0, 1} and {5}. Sample 0: a = 1, b = 5, (5-1)/5 = .8. Sample 1: a = 1, b = 4, .75.
    # A cluster of one scores 0. Mean (.8 + .75 + 0) / 3.
    assert metrics.silhouette([[0], [1], [5]], [0, 0, 1]) == pytest.approx(1.55 / 3)


def test_davies_bouldin_by_hand() -> None:
    # Centroids 1 and 11 with mean distances 1 and 2: (1 + 2) / 10 for both clusters.
    samples = [[0], [2], [9], [13]]
    assert metrics.davies_bouldin(samples, [0, 0, 1, 1]) == pytest.approx(0.3)


def test_calinski_harabasz_is_the_float64_formula_on_tight_clusters() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 2000)
    X = (100.0 + labels[:, None] + 1e-4 * rng.normal(size=(6000, 3))).astype(np.float32)
    samples = X.astype(np.float64)
    centroids = np.array([samples[labels == k].mean(0) for k in range(3)])
    between = 2000 * ((centroids - samples.mean(0)) ** 2).sum()
    within = ((samples - centroids[labels]) ** 2).sum()
    expected = (between / (3 - 1)) / (within / (6000 - 3))
    assert metrics.calinski_harabasz(X, labels) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "metric", [metrics.silhouette, metrics.calinski_harabasz, metrics.davies_bouldin]
)
@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_undefined_scores_are_nan(metric: Callable[..., float], labels: list[int]) -> None:
    assert math.isnan(metric([[0.0], [1.0], [5.0]], labels))


def test_a_drawn_silhouette_is_repeatable_and_near_the_full_one() -> None:
    X, labels = blobs(n=400)
    drawn = [metrics.silhouette(X, labels, max_samples=200, seed=s) for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == pytest.approx(metrics.silhouette(X, labels), abs=0.05)


def test_a_draw_from_one_cluster_is_nan() -> None:
    labels = np.array([0] * 999 + [1])
    assert math.isnan(metrics.silhouette(np.arange(1000.0)[:, None], labels, max_samples=3))


def test_cycle_accuracy_by_hand() -> None:
    assert metrics.cycle_accuracy([3, 1, 1, 0], [3, 1, 0, 0]) == 0.75
    assert metrics.cycle_accuracy(["a", "b"], ["b", "a"]) == 0.0


def test_score_with_labels_has_every_key_and_plain_numbers() -> None:
    X, labels = blobs()
    scores = metrics.score(X, labels, y=[f"class {k}" for k in labels])
    assert list(scores) == [
        "accuracy", "nmi", "ari", "purity", "ami", "homogeneity", "kappa",
        "silhouette", "calinski_harabasz", "davies_bouldin",
        "n_clusters_found", "smallest_cluster_share", "largest_cluster_share",
    ]  # fmt: skip
    assert {type(value) for value in scores.values()} == {float, int}
    assert scores["accuracy"] == 1.0
    assert scores["silhouette"] == metrics.silhouette(X, labels)


def test_score_without_labels_has_no_supervised_key() -> None:
    X, labels = blobs()
    labels = np.where(labels == 2, 9, 0)
    scores = metrics.score(X, labels)
    assert not set(scores) & set(metrics.SUPERVISED)
    assert scores["n_clusters_found"] == 2
    assert scores["smallest_cluster_share"] == pytest.approx(1 / 3)
    assert scores["largest_cluster_share"] == pytest.approx(2 / 3)


def test_score_states_the_draw_of_the_silhouette() -> None:
    X, labels = blobs(n=90)
    scores = metrics.score(X, labels, max_silhouette_samples=50, seed=4)
    assert (scores["silhouette_samples"], scores["silhouette_seed"]) == (50, 4)
    assert scores["silhouette"] == metrics.silhouette(X, labels, max_samples=50, seed=4)
    assert scores["davies_bouldin"] == metrics.davies_bouldin(X, labels)


def test_score_embedding_is_prefixed() -> None:
    Z, labels = blobs()
    scores = metrics.score_embedding(Z, labels, max_silhouette_samples=30, seed=1)
    assert scores == {
        "embedding_silhouette": metrics.silhouette(Z, labels, max_samples=30, seed=1),
        "embedding_calinski_harabasz": metrics.calinski_harabasz(Z, labels),
        "embedding_davies_bouldin": metrics.davies_bouldin(Z, labels),
        "embedding_silhouette_samples": 30,
        "embedding_silhouette_seed": 1,
    }


@pytest.mark.parametrize(
    ("true", "found", "message"),
    [
        ([0, 1], [0, 1, 1], "y_true has 2, y_pred has 3"),
        ([], [], "`y_true` needs at least one sample"),
        ([[0, 1]], [0, 1], r"one label per sample. Received shape \(1, 2\)"),
        ([0, 1], [0.0, math.nan], "`y_pred` must not be NaN. Received 1 NaN"),
        (np.array([0, "a"], object), [0, 1], "of one kind"),
    ],
)
def test_bad_labels_are_named(true: object, found: object, message: str) -> None:
    for metric in [*metrics.SUPERVISED.values(), metrics.contingency, metrics.best_map]:
        with pytest.raises(InputError, match=message):
            metric(true, found)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("X", "labels", "message"),
    [
        (np.zeros((3, 2)), [0, 1], "X has 3, labels has 2"),
        (np.zeros((3, 2, 2)), [0, 1, 1], r"\(n_samples, n_features\). Received \(3, 2, 2\)"),
        (np.zeros((0, 2)), [], r"\(n_samples, n_features\)"),
        ([[0.0], [math.inf], [1.0]], [0, 1, 1], "Received 1 samples with NaN or inf"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "`labels` needs one label per sample"),
    ],
)
def test_bad_samples_are_named(X: np.ndarray, labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        metrics.score(X, labels)


def test_other_errors_name_the_argument() -> None:
    X, labels = blobs()
    with pytest.raises(InputError, match="labels has 60, y has 59"):
        metrics.score(X, labels, y=labels[1:])
    with pytest.raises(InputError, match="`Z` must be"):
        metrics.score_embedding(X[0], labels)
    with pytest.raises(InputError, match="`max_samples` must be at least 3"):
        metrics.silhouette(X, labels, max_samples=2)
    with pytest.raises(InputError, match="labels_of_reconstruction has 59"):
        metrics.cycle_accuracy(labels, labels[1:])
