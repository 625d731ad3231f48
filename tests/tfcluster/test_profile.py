"""Profiles of clusters: by hand, from samples and from sums."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from rich.console import Console

from tfcluster.cli.cluster_tables import print_profile
from tfcluster.errors import InputError
from tfcluster.profile import ClusterProfile
from tfcluster.scaling import Standardizer

X = np.array([[1.0, 10, 5], [3, 10, 5], [5, 40, 5], [7, 20, 5]])
LABELS = np.array([0, 0, 1, 1])
NAMES = ("age", "dose", "site")


def sums_of(X, labels, n_clusters):
    """What clients add up: counts, sums, and squared deviations from the clusters' means."""
    counts = np.bincount(labels, minlength=n_clusters)
    sums = np.zeros((n_clusters, X.shape[1]))
    np.add.at(sums, labels, X)
    squared = np.zeros_like(sums)
    means = sums / np.maximum(counts, 1)[:, None]
    np.add.at(squared, labels, (X - means[labels]) ** 2)
    return counts, sums, squared


def test_a_profile_by_hand():
    """Means 2 and 6, sd 1; over all 4 and sqrt(5). Dose: 10 and 30, 0 and 10; 20 and sqrt(150)."""
    profile = ClusterProfile.from_samples(X, LABELS, 2, NAMES)
    assert profile.counts.tolist() == [2, 2]
    np.testing.assert_allclose(profile.mean, [[2, 10, 5], [6, 30, 5]])
    np.testing.assert_allclose(profile.sd, [[1, 0, 0], [1, 10, 0]])
    np.testing.assert_allclose(profile.overall_mean, [4, 20, 5])
    np.testing.assert_allclose(profile.overall_sd, [np.sqrt(5), np.sqrt(150), 0])
    expected = np.array([[-2 / np.sqrt(5), -10 / np.sqrt(150), 0]])
    np.testing.assert_allclose(profile.standardized_differences, [*expected, *-expected])
    assert profile.most_distinct(2).tolist() == [0, 1]
    assert profile.most_distinct(9, cluster=1).tolist() == [0, 1, 2]


def test_names_are_numbered_where_there_are_none():
    assert ClusterProfile.from_samples(X, LABELS, 2).feature_names == ("x0", "x1", "x2")


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_sums_give_the_profile_of_the_samples(scale):
    rng = np.random.default_rng(0)
    X, labels = scale * (rng.normal(size=(500, 7)) + 100), rng.integers(0, 4, 500)
    expected = ClusterProfile.from_samples(X, labels, 5)
    found = ClusterProfile.from_sums(*sums_of(X, labels, 5))
    np.testing.assert_allclose(found.mean, expected.mean)
    np.testing.assert_allclose(found.sd, expected.sd)
    np.testing.assert_allclose(found.overall_mean, X.mean(axis=0))
    np.testing.assert_allclose(found.overall_sd, X.std(axis=0))


def test_scaling_is_undone():
    units = Standardizer(X.mean(axis=0), np.array([2.0, 3.0, 1.0]))
    expected = ClusterProfile.from_samples(X, LABELS, 2)
    scaled = (X - units.mean) / units.sd
    for found in (
        ClusterProfile.from_samples(scaled, LABELS, 2, units=units),
        ClusterProfile.from_sums(*sums_of(scaled, LABELS, 2), units=units),
    ):
        np.testing.assert_allclose(found.mean, expected.mean)
        np.testing.assert_allclose(found.sd, expected.sd, atol=1e-12)
        np.testing.assert_allclose(
            found.standardized_differences, expected.standardized_differences
        )


def test_a_cluster_without_samples_has_no_mean():
    profile = ClusterProfile.from_samples(X, 2 * LABELS, 3)
    assert profile.counts.tolist() == [2, 0, 2]
    assert np.isnan(profile.mean[1]).all() and np.isnan(profile.sd[1]).all()
    assert np.isnan(profile.standardized_differences[1]).all()
    np.testing.assert_allclose(profile.overall_mean, X.mean(axis=0))
    assert profile.most_distinct(1).tolist() == [0]


def test_rounding_does_not_make_a_constant_feature_distinct():
    X = np.full((999, 2), 0.1)
    X[:, 0] = np.arange(999)
    labels = np.arange(999) % 7
    profile = ClusterProfile.from_sums(*sums_of(X, labels, 7))
    assert profile.overall_sd[1] == 0
    assert (profile.standardized_differences[:, 1] == 0).all()


def test_csv_has_a_row_for_each_feature_of_each_cluster():
    text = ClusterProfile.from_samples(X, 2 * LABELS, 3, ("a,b", "dose", "site")).to_csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["cluster"], row["feature"]) for row in rows] == [
        (str(k), name) for k in range(3) for name in ("a,b", "dose", "site")
    ]
    assert rows[7] == {
        "cluster": "2", "n_samples": "2", "feature": "dose", "mean": "30", "sd": "10",
        "standardized_difference": "0.816497",
    }  # fmt: skip
    assert rows[3]["mean"] == rows[3]["sd"] == rows[3]["standardized_difference"] == ""


def test_the_table_names_the_most_distinct_features():
    console = Console(file=io.StringIO(), width=80)
    print_profile(console, ClusterProfile.from_samples(X, 2 * LABELS, 3, ("[age]", *NAMES[1:])))
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert lines[1:4] == [
        "0 2 [age] 2 -0.9 dose 10 -0.8 site 5 +0.0",
        "1 0",
        "2 2 [age] 6 +0.9 dose 30 +0.8 site 5 +0.0",
    ]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ((X, LABELS[:3], 2), "an integer for each of the 4 samples"),
        ((X, LABELS + 0.5, 2), "an integer for each"),
        ((X, LABELS, 1), r"in \[0, n_clusters=1\). Received: 0 to 1"),
        ((X, LABELS, 2, ["a"]), "name each of the 3 features. Received: 1 names"),
        ((np.where(X == 7, np.nan, X), LABELS, 2), "must be finite"),
    ],
)
def test_samples_that_do_not_fit(arguments, rule):
    with pytest.raises(InputError, match=rule):
        ClusterProfile.from_samples(*arguments)


@pytest.mark.parametrize(
    ("counts", "sums", "squared", "rule"),
    [
        ([1, 1], np.ones((3, 2)), np.ones((3, 2)), r"Received: \(2,\), \(3, 2\) and \(3, 2\)"),
        ([1, 1], np.ones((2, 2)), np.ones((2, 3)), r"and \(2, 3\)"),
        ([0, 0], np.ones((2, 2)), np.ones((2, 2)), "a count above 0"),
        ([2, 1], np.ones((2, 2)), -np.ones((2, 2)), "least squared deviation -1"),
        ([2, 1], np.ones((2, 2)), np.full((2, 2), np.inf), "must be finite"),
    ],
)
def test_sums_that_do_not_fit(counts, sums, squared, rule):
    with pytest.raises(InputError, match=rule):
        ClusterProfile.from_sums(counts, sums, squared)
