"""Exact scores of clusters from sums over clients: no row leaves its client.

Each client computes `ClusterSums`, and the server adds them. They give the global mean of every
cluster, with which each client computes `DistanceSums`. `scores` turns the two totals into scores.

The mean of the clients' own scores is something else. Each client matches clusters to classes for
itself, but cluster 3 of one need not be cluster 3 of another: clients that are each perfect can
contradict one another. Each also measures spread around means of its own.

The true silhouette cannot be had this way: it needs the distance of each row to every other, also
between clients. The simplified one takes the distances to the clusters' means instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from tfcluster import metrics
from tfcluster.errors import InputError


class _Totals:
    """Arrays that add over clients with `+`."""

    def __add__(self, other: Self) -> Self:
        mine, theirs = ([a.shape for a in totals.to_arrays()] for totals in (self, other))
        if mine != theirs:
            hint = "Clients need the same features, clusters and classes, and all a `y` or none."
            raise InputError(f"Totals need equal shapes. Received {mine} and {theirs}. {hint}")
        return type(self)(*map(np.add, self.to_arrays(), other.to_arrays()))

    def to_arrays(self) -> list[np.ndarray]:
        """The totals as float64 arrays, in the order of the fields."""
        return list(vars(self).values())

    @classmethod
    def from_arrays(cls, arrays: Sequence[ArrayLike]) -> Self:
        """The totals whose `to_arrays` these are."""
        return cls(*(np.asarray(array, dtype=np.float64) for array in arrays))


@dataclass(frozen=True, eq=False)
class ClusterSums(_Totals):
    """What the first pass adds up.

    Attributes:
      counts: `(clusters,)` rows of each cluster.
      sums: `(clusters, features)` sums of `row - origin`.
      squares: `(clusters,)` sums of `|row - origin|^2`.
      table: `(clusters, classes)` rows of each class; no columns if classes are not known.
    """

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    table: np.ndarray

    def means(self, origin: ArrayLike = 0.0) -> np.ndarray:
        """`(clusters, features)`, NaN where there are no rows; `origin` as in `cluster_sums`."""
        sizes, nowhere = self.counts[:, None], np.full_like(self.sums, np.nan)
        return np.asarray(origin) + np.divide(self.sums, sizes, out=nowhere, where=sizes > 0)


@dataclass(frozen=True, eq=False)
class DistanceSums(_Totals):
    """What the second pass adds up.

    Attributes:
      distances: `(clusters,)` sums of `a`, a row's distance to the mean of its own cluster.
      squares: `(clusters,)` sums of `a^2`.
      silhouettes: `(clusters,)` sums of `(b - a) / max(a, b)`, with `b` a row's distance to the
        nearest mean of another cluster; 0 if there is none or both are 0.
    """

    distances: np.ndarray
    squares: np.ndarray
    silhouettes: np.ndarray


def cluster_sums(
    X: ArrayLike,
    labels: ArrayLike,
    n_clusters: int,
    y: ArrayLike | None = None,
    n_classes: int = 0,
    *,
    origin: ArrayLike = 0.0,
) -> ClusterSums:
    """The first pass over one client's rows.

    Args:
      X: `(rows, features)` finite numbers; there may be no rows.
      labels: `(rows,)` clusters, integers in `[0, n_clusters)`.
      n_clusters: Clusters there are, over all clients.
      y: `(rows,)` classes, integers in `[0, n_classes)`, or None.
      n_classes: Classes there are, over all clients, if there is a `y`.
      origin: `(features,)` or one number, the same at all clients; best amid the rows.

    Raises:
      InputError: If shapes do not fit, a label is out of range, or a number is not finite.
    """
    rows = metrics.finite_matrix(X, min_rows=0)
    if np.shape(origin) not in {(), rows.shape[1:]}:
        received = f"Received {np.shape(origin)} for {rows.shape[1]} features."
        raise InputError(f"`origin` needs one number a feature. {received} Leave it out for 0.")
    # One pass gives the spread of a cluster as a difference of squares. Far from the origin these
    # are so large that the difference is lost in their rounding.
    rows = rows - np.asarray(origin, dtype=np.float64)
    members = _members(labels, "labels", rows, n_clusters)
    classes = np.zeros((0, len(rows))) if y is None else _members(y, "y", rows, n_classes)
    squares = members @ (rows**2).sum(axis=1)
    return ClusterSums(members.sum(axis=1), members @ rows, squares, members @ classes.T)


def distance_sums(X: ArrayLike, labels: ArrayLike, means: ArrayLike) -> DistanceSums:
    """The second pass over one client's rows.

    Args:
      X: `(rows, features)` as in the first pass.
      labels: `(rows,)` as in the first pass.
      means: `(clusters, features)` global means, from `ClusterSums.means` of the total.

    Raises:
      InputError: As `cluster_sums`, or if a row's cluster has no mean.
    """
    rows, centers = metrics.finite_matrix(X, min_rows=0), np.asarray(means, dtype=np.float64)
    if centers.ndim != 2 or centers.shape[1] != rows.shape[1]:
        received = f"Received {centers.shape} for {rows.shape[1]} features."
        raise InputError(f"`means` must be (clusters, features). {received} Pass the first pass's.")
    members = _members(labels, "labels", rows, len(centers))
    distances = _distances(rows, centers)
    own = np.where(members, distances, 0.0).sum(axis=0)
    if np.isnan(own).any():
        received = f"Received {np.isnan(own).sum()} rows of clusters without."
        raise InputError(f"Rows need a mean. {received} Pass the labels of the first pass.")
    # `fmin` passes over the NaN of clusters without rows.
    other = np.fmin.reduce(np.where(members, np.inf, distances))
    larger = np.maximum(own, other)
    defined = (larger > 0) & np.isfinite(larger)
    silhouettes = np.divide(other - own, larger, out=np.zeros_like(own), where=defined)
    return DistanceSums(*(members @ np.stack([own, own**2, silhouettes], axis=1)).T)


def scores(sums: ClusterSums, distances: DistanceSums | None = None) -> metrics.Scores:
    """Turns totals over all clients into scores.

    Args:
      sums: Of the first pass.
      distances: Of the second pass, or None to do without.

    Returns:
      As `metrics.score`: `calinski_harabasz`, `n_clusters_found`, `smallest_cluster_share`,
      `largest_cluster_share`; with classes `accuracy`, `nmi`, `ari`, `purity`; with `distances`
      `davies_bouldin`, `simplified_silhouette` (a row alone in its cluster has 0).

    Raises:
      InputError: If no client has rows.
    """
    if not sums.counts.any():
        raise InputError("Scores need at least one row. Received none. Check the clients' data.")
    table = np.rint(sums.table.T).astype(np.int64)
    known = metrics.FROM_COUNTS.items() if len(table) else ()
    supervised = {name: score(table) for name, score in known}
    return {**supervised, **_separation(sums, distances), **metrics.sizes(sums.counts)}


def federated_scores(
    clients: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike | None]],
    n_clusters: int,
    n_classes: int = 0,
) -> metrics.Scores:
    """Makes both passes over clients that are all in this process.

    Args:
      clients: `(X, labels, y)` of each, as `cluster_sums` takes them.
      n_clusters: Clusters there are, over all clients.
      n_classes: Classes there are, over all clients, if all have a `y`.

    Returns:
      As `scores`, with what needs the second pass.

    Raises:
      InputError: As `cluster_sums` and `scores`, or if clients differ in features.
    """
    clients = list(clients)
    if not clients:
        raise InputError("Scores need at least one client. Received none. Pass (X, labels, y).")
    first = [cluster_sums(X, labels, n_clusters, y, n_classes) for X, labels, y in clients]
    sums = sum(first[1:], start=first[0])
    second = [distance_sums(X, labels, sums.means()) for X, labels, _ in clients]
    return scores(sums, sum(second[1:], start=second[0]))


def _members(labels: ArrayLike, name: str, rows: np.ndarray, n_labels: int) -> np.ndarray:
    """`(n_labels, rows)` float64, 1 where the row has the label."""
    codes = np.asarray(labels)
    if codes.shape != rows.shape[:1]:
        received = f"Received {codes.shape} for {len(rows)} rows."
        raise InputError(f"`{name}` needs one label a row. {received} Pass those of these rows.")
    numbers = codes if np.issubdtype(codes.dtype, np.number) else np.full(len(rows), -1)
    members = numbers == np.arange(n_labels)[:, None]
    wrong = codes[~members.any(axis=0)]
    if len(wrong):
        received = f"Received {wrong[0]}. Number them alike at all clients; check how many."
        raise InputError(f"`{name}` must be integers in [0, {n_labels}). {received}")
    return members.astype(np.float64)


def _distances(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`(points, rows)`; the faster product of matrices loses the digits of what is near."""
    return np.stack([np.linalg.norm(rows - point, axis=1) for point in points])


def _separation(sums: ClusterSums, distances: DistanceSums | None) -> metrics.Scores:
    found, total = sums.counts > 0, sums.counts.sum()
    counts, centers = sums.counts[found], sums.means()[found]
    names = ["calinski_harabasz", "davies_bouldin", "simplified_silhouette"]
    if not 2 <= len(counts) < total:
        return dict.fromkeys(names if distances else names[:1], float("nan"))
    if distances is None:
        within = sums.squares.sum() - counts @ (centers**2).sum(axis=1)
        return {names[0]: _calinski_harabasz(counts, centers, within)}
    # The second pass has the spread itself, exact wherever the origin is.
    ratio = _calinski_harabasz(counts, centers, distances.squares.sum())
    similarity = _davies_bouldin(distances.distances[found] / counts, centers)
    silhouette = float(distances.silhouettes[sums.counts > 1].sum() / total)
    return dict(zip(names, [ratio, similarity, silhouette], strict=True))


def _calinski_harabasz(counts: np.ndarray, centers: np.ndarray, within: float) -> float:
    """`sum n_k |m_k - m|^2 / (k - 1)` over `within / (n - k)`; 1 if nothing is within."""
    total, k = counts.sum(), len(counts)
    between = counts @ ((centers - counts @ centers / total) ** 2).sum(axis=1)
    return float(between * (total - k) / (within * (k - 1))) if within > 0 else 1.0


def _davies_bouldin(spread: np.ndarray, centers: np.ndarray) -> float:
    """Mean over clusters of the largest `(spread_i + spread_j) / |m_i - m_j|`."""
    # scikit-learn's: 0 if all of either are below 1e-8, and pairs of equal means are left out.
    apart = _distances(centers, centers)
    if np.allclose(spread, 0) or np.allclose(apart, 0):
        return 0.0
    apart[apart == 0] = np.inf
    return float(((spread[:, None] + spread) / apart).max(axis=1).mean())
