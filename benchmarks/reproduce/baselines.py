"""scikit-learn's clusterings of the data itself, for comparison with deep clustering."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.reproduce.table_rows import Row, count_scored
from tfcluster.data import DATASETS
from tfcluster.data.catalog import needs_scaling

NAME = "baselines"
RESTARTS = 20
_NEIGHBORS = 10
_NMF_STEPS = 2_000
_MAX_PAIRWISE = (
    12_000  # samples; for more, all distances or their eigenvectors need too much memory
)

Labels = np.ndarray


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A clustering method.

    Attributes:
      predict: Function of `(n_samples, n_features)`, the number of clusters and the seed that
        returns labels `(n_samples,)`.
      max_samples: Largest feasible number of samples; None for no limit.
      needs_nonnegative: Whether it takes no values below 0.
      is_seeded: Whether anything in it is random.
    """

    predict: Callable[[np.ndarray, int, int], Labels]
    max_samples: int | None = None
    needs_nonnegative: bool = False
    is_seeded: bool = True

    def find_obstacle(self, dataset: str, split: str) -> str:
        """Returns why it cannot cluster these samples; empty if it can."""
        if self.max_samples is not None and count_scored(dataset, split) > self.max_samples:
            return f"over {self.max_samples:,} samples"
        return "values below 0" if self.needs_nonnegative and needs_scaling(dataset) else ""


def _run_kmeans(X: np.ndarray, n_clusters: int, seed: int) -> Labels:
    from tfcluster.training.kmeans import fit_kmeans

    labels: Labels = fit_kmeans(X, n_clusters, RESTARTS, seed).labels_
    return labels


def _run_spectral(X: np.ndarray, n_clusters: int, seed: int) -> Labels:
    """Clusters the graph of nearest neighbors."""
    from sklearn.cluster import SpectralClustering

    labels: Labels = SpectralClustering(
        n_clusters, affinity="nearest_neighbors", n_neighbors=_NEIGHBORS, random_state=seed
    ).fit_predict(X)
    return labels


def _run_agglomerative(X: np.ndarray, n_clusters: int, seed: int) -> Labels:
    """Clusters by Ward's criterion."""
    del seed  # nothing is random
    from sklearn.cluster import AgglomerativeClustering

    labels: Labels = AgglomerativeClustering(n_clusters).fit_predict(X)
    return labels


def _run_nmf(X: np.ndarray, n_clusters: int, seed: int) -> Labels:
    """Returns the component with the largest share of a sample, with components of equal length."""
    from sklearn.decomposition import NMF

    model = NMF(n_clusters, init="nndsvda", random_state=seed, max_iter=_NMF_STEPS)
    shares = model.fit_transform(X)
    labels: Labels = (shares * np.linalg.norm(model.components_, axis=1)).argmax(axis=1)
    return labels


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "k-means": Baseline(_run_kmeans),
        "spectral": Baseline(_run_spectral, max_samples=_MAX_PAIRWISE),
        "agglomerative": Baseline(_run_agglomerative, max_samples=_MAX_PAIRWISE, is_seeded=False),
        "NMF": Baseline(_run_nmf, needs_nonnegative=True),
    }
)


def list_missing(
    rows: Iterable[Row], n_seeds: int, results: Iterable[Mapping[str, Any]]
) -> list[tuple[str, str, str, int]]:
    """Returns the feasible runs that are not recorded yet.

    Args:
      rows: Rows of the tables; several may have the same data.
      n_seeds: Number of seeds, from 0 on, for methods that are random.
      results: Recorded result lines.

    Returns:
      Data set, split, method and seed of each run, as `run_baseline` takes them.
    """
    data = dict.fromkeys((row.dataset, row.split) for row in rows)
    there = {(line["dataset"], line["split"], line["method"], line["seed"]) for line in results}
    wanted = [
        (dataset, split, method, seed)
        for dataset, split in data
        for method, baseline in BASELINES.items()
        if not baseline.find_obstacle(dataset, split)
        for seed in range(n_seeds if baseline.is_seeded else 1)
    ]
    return [case for case in wanted if case not in there]


def run_baseline(dataset: str, split: str, method: str, seed: int) -> dict[str, Any]:
    """Clusters a data set into as many clusters as it has classes and returns a result line.

    Args:
      dataset: Name of the data set.
      split: "all" or "test".
      method: One of `BASELINES`.
      seed: Random seed.

    Raises:
      InputError: If the data is not available.
    """
    from tfcluster import metrics
    from tfcluster.data import load_data
    from tfcluster.runtime import collect_provenance

    data = load_data(dataset, split)
    start = time.perf_counter()
    labels = BASELINES[method].predict(data.X, DATASETS[dataset].n_classes, seed)
    seconds = round(time.perf_counter() - start, 1)
    return {
        "algorithm": NAME,
        "dataset": dataset,
        "split": split,
        "method": method,
        "seed": seed,
        "n_samples": len(data.X),
        "scores": {**metrics.score(data.X, labels, data.y), "seconds": seconds},
        **collect_provenance(),
    }


def select_scores(
    results: Sequence[Mapping[str, Any]], dataset: str, split: str, method: str
) -> list[Mapping[str, float]]:
    """Returns the scores of a method on a split of a data set, by seed."""
    case = dataset, split, method
    own = {
        line["seed"]: line["scores"]
        for line in results
        if (line["dataset"], line["split"], line["method"]) == case
    }
    return [own[seed] for seed in sorted(own)]
