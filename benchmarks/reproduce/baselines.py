"""scikit-learn's clusterings of the rows themselves, to stand beside the deep ones."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.reproduce.rows import Row, n_scored
from tfcluster.data.catalog import DATASETS, needs_scaling

NAME = "baselines"
RESTARTS = 20
_NEIGHBOURS = 10
_NMF_STEPS = 2_000
_PAIRWISE_ROWS = 12_000  # above it, all distances or their eigenvectors take too much memory

Labels = np.ndarray


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A way to cluster rows.

    Attributes:
      labels: `(rows, features)`, number of clusters and seed to `(rows,)` labels.
      max_rows: More are not feasible; None if any number is.
      from_zero: Whether it takes no values below 0.
      is_seeded: Whether anything in it is random.
    """

    labels: Callable[[np.ndarray, int, int], Labels]
    max_rows: int | None = None
    from_zero: bool = False
    is_seeded: bool = True

    def obstacle(self, dataset: str, split: str) -> str:
        """Why it cannot be had on these rows; empty if it can."""
        if self.max_rows is not None and n_scored(dataset, split) > self.max_rows:
            return f"over {self.max_rows:,} rows"
        return "values below 0" if self.from_zero and needs_scaling(dataset) else ""


def _kmeans(X: np.ndarray, n_clusters: int, seed: int) -> Labels:
    from tfcluster.dec.self_training import fit_kmeans

    labels: Labels = fit_kmeans(X, n_clusters, RESTARTS, seed).labels_
    return labels


def _spectral(X: np.ndarray, n_clusters: int, seed: int) -> Labels:
    """On the graph of nearest neighbours."""
    from sklearn.cluster import SpectralClustering

    labels: Labels = SpectralClustering(
        n_clusters, affinity="nearest_neighbors", n_neighbors=_NEIGHBOURS, random_state=seed
    ).fit_predict(X)
    return labels


def _agglomerative(X: np.ndarray, n_clusters: int, seed: int) -> Labels:
    """By Ward's criterion."""
    del seed  # nothing is random
    from sklearn.cluster import AgglomerativeClustering

    labels: Labels = AgglomerativeClustering(n_clusters).fit_predict(X)
    return labels


def _nmf(X: np.ndarray, n_clusters: int, seed: int) -> Labels:
    """The part a row has most of, parts being of equal length."""
    from sklearn.decomposition import NMF

    model = NMF(n_clusters, init="nndsvda", random_state=seed, max_iter=_NMF_STEPS)
    shares = model.fit_transform(X)
    labels: Labels = (shares * np.linalg.norm(model.components_, axis=1)).argmax(axis=1)
    return labels


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "k-means": Baseline(_kmeans),
        "spectral": Baseline(_spectral, max_rows=_PAIRWISE_ROWS),
        "agglomerative": Baseline(_agglomerative, max_rows=_PAIRWISE_ROWS, is_seeded=False),
        "NMF": Baseline(_nmf, from_zero=True),
    }
)


def missing(
    rows: Iterable[Row], n_seeds: int, results: Iterable[Mapping[str, Any]]
) -> list[tuple[str, str, str, int]]:
    """What `run` has to be called with for all that is feasible and not there yet.

    Args:
      rows: Of the tables; several may have the same data.
      n_seeds: Seeds from 0 on, of what is random.
      results: Lines that are there.

    Returns:
      Data set, split, method and seed.
    """
    data = dict.fromkeys((row.dataset, row.split) for row in rows)
    there = {(line["dataset"], line["split"], line["method"], line["seed"]) for line in results}
    wanted = [
        (dataset, split, method, seed)
        for dataset, split in data
        for method, baseline in BASELINES.items()
        if not baseline.obstacle(dataset, split)
        for seed in range(n_seeds if baseline.is_seeded else 1)
    ]
    return [case for case in wanted if case not in there]


def run(dataset: str, split: str, method: str, seed: int) -> dict[str, Any]:
    """A result line.

    Args:
      dataset: Name of the data set, which finds as many clusters as it has classes.
      split: "all" or "test".
      method: One of `BASELINES`.
      seed: Of everything random.

    Raises:
      InputError: If the data cannot be had.
    """
    from tfcluster import metrics
    from tfcluster.data.loading import load_data
    from tfcluster.runtime import provenance

    X, y, *_ = load_data(dataset, split)
    start = time.perf_counter()
    labels = BASELINES[method].labels(X, DATASETS[dataset].n_classes, seed)
    seconds = round(time.perf_counter() - start, 1)
    return {
        "algorithm": NAME,
        "dataset": dataset,
        "split": split,
        "method": method,
        "seed": seed,
        "n_rows": len(X),
        "scores": {**metrics.score(X, labels, y), "seconds": seconds},
        **provenance(),
    }


def of(
    results: Sequence[Mapping[str, Any]], dataset: str, split: str, method: str
) -> list[Mapping[str, float]]:
    """The scores of a method on some rows, by seed."""
    case = dataset, split, method
    own = {
        line["seed"]: line["scores"]
        for line in results
        if (line["dataset"], line["split"], line["method"]) == case
    }
    return [own[seed] for seed in sorted(own)]
