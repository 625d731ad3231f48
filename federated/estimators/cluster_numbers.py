"""Comparison of several numbers of clusters, from sums over clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from federated.algorithms.evaluation import Evaluation
from federated.algorithms.kmeans import Embedding, LloydIteration
from federated.algorithms.stability import StartAgreement, compute_stability
from federated.core.scaling import Scaling
from federated.estimators.fit import Fit
from tfcluster.n_clusters import Recommendation, recommend_n_clusters
from tfcluster.profile import ClusterProfile
from tfcluster.scaling import Standardizer


def measure_stability(
    fit: Fit, embedding: Embedding, weights: Sequence[np.ndarray], starts: np.ndarray
) -> float:
    """Returns how far k-means from other starts gives the best start's clusters.

    Args:
      fit: The clients.
      embedding: How samples are embedded.
      weights: The embedding's.
      starts: `(n_starts, n_clusters, n_units)` centroids after Lloyd's algorithm, the best first.

    Returns:
      The mean adjusted Rand index with the best start's labels; NaN of a single start.
    """
    state = LloydIteration(fit.n_features, embedding).initial_state(weights, starts)
    if len(starts) < 2:
        return float("nan")
    everyone = fit.sampler.participants(0, full_participation=True)
    found = fit.opened.backend.run_round(StartAgreement(fit.n_features, embedding), state, everyone)
    return compute_stability(found.metrics["tables"])


def build_profile(fit: Fit, evaluation: Evaluation, scaling: Scaling) -> ClusterProfile:
    """Returns each cluster's features in the original units, from the sums of an evaluation."""
    assert evaluation.distances is not None
    factor, units = scaling.factor, fit.dataset.units
    if scaling.standardizer is not None:
        inner = scaling.standardizer
        outer = units or Standardizer(np.zeros_like(inner.mean), np.ones_like(inner.sd))
        units = Standardizer(inner.mean * outer.sd + outer.mean, inner.sd * outer.sd)
    return ClusterProfile.from_sums(
        evaluation.sums.counts.astype(np.int64),
        evaluation.sums.sums / factor,
        evaluation.distances.squares / factor**2,
        fit.dataset.feature_names or None,
        units=units,
    )


def choose(records: Sequence[Mapping[str, Any]]) -> tuple[int, Recommendation]:
    """Returns the place of the recommended number of clusters among records, and why.

    The first one is chosen where no number is recommended.
    """
    found = recommend_n_clusters(records)
    numbers = [record["n_clusters"] for record in records]
    place = 0 if found.n_clusters is None else numbers.index(found.n_clusters)
    return place, found
