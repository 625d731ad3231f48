"""k-means that gives the same bits from run to run."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from tfcluster.runtime import single_threaded


def fit_kmeans(z: np.ndarray, n_clusters: int, restarts: int, seed: int) -> KMeans:
    """Fits scikit-learn's k-means on one thread; on several its bits differ from run to run.

    Args:
      z: `(n_samples, n_features)`.
      n_clusters: Number of centroids.
      restarts: Number of starts, of which the best is kept.
      seed: Seed of the starts.
    """
    with single_threaded():
        return KMeans(n_clusters, n_init=restarts, random_state=seed).fit(z)
