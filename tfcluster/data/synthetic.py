"""Synthetic data whose clusters k-means does not find."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.dataset import Dataset, number_features
from tfcluster.errors import InputError

SYNTHETIC_HIDDEN = 10  # units between the 2 latent and the 100 observed dimensions
SYNTHETIC_FEATURES = 100
SYNTHETIC_GAP = 7.0  # distance between neighboring means, in standard deviations
SYNTHETIC_OFFSET = 7.0  # added to both latent dimensions, so that some clusters saturate
SYNTHETIC_SD_W = 0.6
SYNTHETIC_SD_U = 3.0


def make_synthetic(n_samples: int = 10_000, n_clusters: int = 4, seed: int = 3) -> Dataset:
    """Returns Gaussians in the plane, bent into 100 dimensions so that k-means fails to find them.

    As in ClusterGAN (Mukherjee et al. 2019) and DCN (Yang et al. 2017): x = f(U f(W z)) with the
    logistic function f and normal matrices W (10, 2) and U (100, 10). The means lie on a circle,
    neighbors `SYNTHETIC_GAP` standard deviations apart. The circle is moved off the origin by
    `SYNTHETIC_OFFSET`, where f bends. With the default seed, k-means labels more than 99 % of the
    samples z correctly, but only about 64 % of the samples x; spectral clustering labels about 99 %
    of the samples x correctly.

    Args:
      n_samples: Number of samples; cluster sizes differ by at most one.
      n_clusters: Number of Gaussians.
      seed: Seed of the samples and of W and U, which depend on nothing else.

    Returns:
      X `(n_samples, 100)` in [0, 1] and y in [0, n_clusters).

    Raises:
      InputError: If `n_clusters` is below 1, or `n_samples` below `n_clusters`.
    """
    if not 1 <= n_clusters <= n_samples:
        raise InputError(
            "Synthetic data need n_samples >= n_clusters >= 1, "
            f"received n_samples={n_samples}, n_clusters={n_clusters}."
        )
    rng = np.random.default_rng(seed)
    W = rng.normal(0, SYNTHETIC_SD_W, (2, SYNTHETIC_HIDDEN))
    U = rng.normal(0, SYNTHETIC_SD_U, (SYNTHETIC_HIDDEN, SYNTHETIC_FEATURES))
    z, y = _planar_mixture(n_samples, n_clusters, rng)
    X = _logistic(_logistic((z + SYNTHETIC_OFFSET) @ W) @ U)
    return Dataset(X.astype(np.float32), y, None, number_features(SYNTHETIC_FEATURES), None)


def _planar_mixture(
    n: int, k: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns z (n, 2) around k means on a circle about the origin, and the mean of each sample."""
    radius = SYNTHETIC_GAP / (2 * math.sin(math.pi / k)) if k > 1 else 0.0
    angles = 2 * math.pi * np.arange(k) / k
    means = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    y = rng.permutation(np.arange(n, dtype=np.int64) % k)
    return means[y] + rng.normal(size=(n, 2)), y


def _logistic(a: NDArray[np.float64]) -> NDArray[np.float64]:
    # exp(-a) would overflow
    return np.asarray(0.5 * (1 + np.tanh(a / 2)))
