"""Synthetic data: repeatable, and hard to cluster in the input space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tfcluster.data import synthetic
from tfcluster.data.loading import load_data, make_synthetic
from tfcluster.errors import InputError


def accuracy(y: NDArray[Any], clusters: NDArray[Any]) -> float:
    table = np.zeros((y.max() + 1, clusters.max() + 1))
    np.add.at(table, (y, clusters), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(y))


def test_synthetic_is_the_same_every_time_and_differs_by_seed() -> None:
    X, y, picture, *_ = load_data("synthetic")
    assert X.shape == (10_000, 100) and X.dtype == np.float32 and picture is None
    assert X.min() >= 0 and X.max() <= 1 and X.flags.c_contiguous
    assert y is not None and np.bincount(y).tolist() == [2500] * 4
    np.testing.assert_array_equal(X, make_synthetic().X)
    assert not np.array_equal(X, make_synthetic(seed=0).X)


def test_synthetic_is_easy_in_the_plane_and_hard_in_the_input_space() -> None:
    from sklearn.cluster import KMeans, SpectralClustering

    k_means = KMeans(4, n_init=5, random_state=0)
    z, y = synthetic._planar_mixture(3000, 4, np.random.default_rng(0))
    assert accuracy(y, k_means.fit_predict(z)) > 0.99
    X, seen, *_ = make_synthetic(1500)
    assert seen is not None and accuracy(seen, k_means.fit_predict(X)) < 0.75
    spectral = SpectralClustering(
        4, affinity="nearest_neighbors", n_neighbors=15, random_state=0
    ).fit_predict(X)
    assert accuracy(seen, spectral) > 0.97


@pytest.mark.parametrize("k", [1, 2, 7])
def test_synthetic_takes_any_number_of_clusters(k: int) -> None:
    X, y, *_ = make_synthetic(50, k)
    assert y is not None and np.unique(y).tolist() == list(range(k)) and np.isfinite(X).all()


@pytest.mark.parametrize(("n", "k"), [(10, 0), (3, 4), (0, 1)])
def test_synthetic_says_what_sizes_it_needs(n: int, k: int) -> None:
    with pytest.raises(InputError, match=f"n_samples={n}, n_clusters={k}"):
        make_synthetic(n, k)
