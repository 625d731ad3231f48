"""Every score of a clustering at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfcluster.metrics.geometry import check_samples, score_separation
from tfcluster.metrics.inputs import Scores, check_same_length, encode_labels
from tfcluster.metrics.labels import SUPERVISED


def score(
    X: ArrayLike,
    labels: ArrayLike,
    y: ArrayLike | None = None,
    *,
    max_silhouette_samples: int = 10_000,
    seed: int = 0,
) -> Scores:
    """Scores a clustering in the input space, with or without known classes.

    Args:
      X: `(n_samples, n_features)` the input. Methods are compared here, not in their embeddings.
      labels: `(n_samples,)` clusters.
      y: `(n_samples,)` classes, or None.
      max_silhouette_samples: If there are more, the silhouette is computed on a draw.
      seed: Seed of the draw.

    Returns:
      With `y`: `accuracy`, `nmi`, `ari`, `purity`, `ami`, `homogeneity`, `kappa`. Always:
      `silhouette`, `calinski_harabasz`, `davies_bouldin` (NaN where undefined),
      `n_clusters_found`, `smallest_cluster_share` and `largest_cluster_share`, both in `(0, 1]`.
      If the silhouette was computed on a draw: `silhouette_samples` and `silhouette_seed`.

    Raises:
      InputError: If `X` is not a finite matrix, lengths differ, or labels are not labels.
    """
    matrix, codes = check_samples(X, labels)
    supervised: Scores = {}
    if y is not None:
        true = encode_labels(y, "y")[1]
        check_same_length(labels=len(codes), y=len(true))
        supervised = {name: metric(true, codes) for name, metric in SUPERVISED.items()}
    return {
        **supervised,
        **score_separation(matrix, codes, max_silhouette_samples, seed),
        **sizes(np.bincount(codes)),
    }


def sizes(counts: ArrayLike) -> Scores:
    """Returns how many clusters have samples, and how unequal they are.

    Args:
      counts: `(n_clusters,)` samples of each cluster; at least one is not 0.

    Returns:
      `n_clusters_found`, `smallest_cluster_share` and `largest_cluster_share`, in `(0, 1]`.
    """
    found = np.asarray(counts)[np.asarray(counts) > 0]
    return {
        "n_clusters_found": len(found),
        "smallest_cluster_share": float(found.min() / found.sum()),
        "largest_cluster_share": float(found.max() / found.sum()),
    }
