"""Scores of clusters as sums over rows, and from them: what clients add up, and what it gives.

Each client computes `ClusterSums`, and the server adds them. They give the global mean of every
cluster, with which each client computes `DistanceSums`. `scores` turns the two totals into scores.
The arithmetic is TensorFlow's, in float64, so that it is the same one inside a client's graph
(`federated.algorithms.evaluation`) and on arrays in this process (`pooled_scores`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from federated.core.algorithm import Tensors
from federated.core.sums import total_over_parts
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
    def from_arrays(cls, arrays: Iterable[ArrayLike]) -> Self:
        """The totals whose `to_arrays` these are."""
        return cls(*(np.asarray(array, dtype=np.float64) for array in arrays))

    @classmethod
    def names(cls) -> list[str]:
        """Names of the arrays."""
        return [field.name for field in fields(cls)]  # type: ignore[arg-type]


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
    clusters = _codes(labels, "labels", len(rows), n_clusters)
    classes = np.full(len(rows), -1) if y is None else _codes(y, "y", len(rows), n_classes)
    n_columns = 0 if y is None else n_classes
    return ClusterSums.from_arrays(
        cluster_totals(
            *map(tf.constant, (rows, clusters, classes, np.asarray(origin, np.float64))),
            n_clusters=n_clusters,
            n_classes=n_columns,
        )
    )


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
    clusters = _codes(labels, "labels", len(rows), len(centers))
    lost = np.isnan(centers).any(axis=1)[clusters]
    if lost.any():
        received = f"Received {lost.sum()} rows of clusters without."
        raise InputError(f"Rows need a mean. {received} Pass the labels of the first pass.")
    return DistanceSums.from_arrays(distance_totals(*map(tf.constant, (rows, clusters, centers))))


def cluster_totals(
    x: tf.Tensor,
    labels: tf.Tensor,
    y: tf.Tensor,
    origin: tf.Tensor,
    *,
    n_clusters: int,
    n_classes: int,
) -> Tensors:
    """The arithmetic of the first pass, eagerly or inside a graph.

    Args:
      x: `(rows, features)` floats.
      labels: `(rows,)` clusters.
      y: `(rows,)` classes; rows of others than `n_classes` tells, as -1, are not in the table.
      origin: `()` or `(features,)` float64.
      n_clusters: Clusters there are.
      n_classes: Classes there are.

    Returns:
      What `ClusterSums` holds, in its order, float64.
    """

    def totals(x: tf.Tensor, labels: tf.Tensor, y: tf.Tensor) -> Tensors:
        # One pass gives the spread of a cluster as a difference of squares. Far from the origin
        # these are so large that the difference is lost in their rounding.
        rows = tf.cast(x, tf.float64) - origin
        squares = tf.reduce_sum(tf.square(rows), axis=1, keepdims=True)
        members = tf.one_hot(labels, n_clusters, dtype=tf.float64)
        classes = tf.one_hot(y, n_classes, dtype=tf.float64)
        sums, squares, table = (
            tf.matmul(members, values, transpose_a=True) for values in (rows, squares, classes)
        )
        return tf.reduce_sum(members, axis=0), sums, squares[:, 0], table

    width = x.shape[1] + n_clusters + n_classes
    return total_over_parts(totals, (x, labels, y), numbers_per_row=width)


def distance_totals(x: tf.Tensor, labels: tf.Tensor, means: tf.Tensor) -> Tensors:
    """The arithmetic of the second pass, eagerly or inside a graph.

    Args:
      x: `(rows, features)` floats.
      labels: `(rows,)` clusters.
      means: `(clusters, features)` float64, NaN for clusters without rows.

    Returns:
      What `DistanceSums` holds, in its order, float64; NaN if a row's cluster has no mean.
    """
    n_clusters, infinity = means.shape[0], tf.constant(np.inf, tf.float64)

    def totals(x: tf.Tensor, labels: tf.Tensor) -> Tensors:
        rows = tf.cast(x, tf.float64)[:, tf.newaxis]
        # differences, not the faster product of matrices, which loses the digits of what is near
        squares = tf.reduce_sum(tf.math.squared_difference(rows, means), axis=2)
        distances = tf.sqrt(squares)
        mine = tf.one_hot(labels, n_clusters, True, False)
        own = tf.gather(distances, labels, batch_dims=1)
        elsewhere = tf.where(mine | tf.math.is_nan(distances), infinity, distances)
        other = tf.reduce_min(elsewhere, axis=1)
        larger = tf.maximum(own, other)
        defined = (larger > 0) & tf.math.is_finite(larger)
        silhouettes = tf.where(defined, (other - own) / larger, 0)
        each = tf.stack([own, tf.gather(squares, labels, batch_dims=1), silhouettes], axis=1)
        members = tf.cast(mine, tf.float64)
        return tuple(tf.unstack(tf.matmul(members, each, transpose_a=True), axis=1))

    width = n_clusters * x.shape[1]
    return total_over_parts(totals, (x, labels), numbers_per_row=width)


def scores(sums: ClusterSums, distances: DistanceSums | None = None) -> metrics.Scores:
    """Turns totals over all clients into scores.

    Args:
      sums: Of the first pass.
      distances: Of the second pass, or None to do without.

    Returns:
      As `metrics.score`: `calinski_harabasz`, `n_clusters_found`, `smallest_cluster_share`,
      `largest_cluster_share`; with classes `accuracy`, `nmi`, `ari`, `purity`, of the rows whose
      class is known; with `distances` `davies_bouldin`, `simplified_silhouette` (a row alone in
      its cluster has 0).

    Raises:
      InputError: If no client has rows.
    """
    if not sums.counts.any():
        raise InputError("Scores need at least one row. Received none. Check the clients' data.")
    table = np.rint(sums.table.T).astype(np.int64)
    known = metrics.FROM_COUNTS.items() if table.any() else ()
    supervised = {name: score(table) for name, score in known}
    return {**supervised, **_separation(sums, distances), **metrics.sizes(sums.counts)}


def pooled_scores(
    clients: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike | None]],
    n_clusters: int,
    n_classes: int = 0,
) -> metrics.Scores:
    """Makes both passes over clients that are all in this process and labelled.

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


def _codes(labels: ArrayLike, name: str, n_rows: int, n_labels: int) -> np.ndarray:
    """The labels as int64, checked."""
    codes = np.asarray(labels)
    if codes.shape != (n_rows,):
        received = f"Received {codes.shape} for {n_rows} rows."
        raise InputError(f"`{name}` needs one label a row. {received} Pass those of these rows.")
    is_number = np.issubdtype(codes.dtype, np.number)
    wrong = codes[~np.isin(codes, np.arange(n_labels))] if is_number else codes
    if len(wrong):
        received = f"Received {wrong[0]}. Number them alike at all clients; check how many."
        raise InputError(f"`{name}` must be integers in [0, {n_labels}). {received}")
    return codes.astype(np.int64)


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
