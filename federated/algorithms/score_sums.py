"""Scores of clusters from sums over samples: what clients sum, and what the totals give.

Each client computes `ClusterSums`. Their total gives the global mean of every cluster, with which
each client computes `DistanceSums`. `scores` turns the two totals into scores. Everything is in
float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from federated.core.sums import sum_over_parts
from tfcluster import metrics
from tfcluster.errors import InputError


class ClusterSums(NamedTuple):
    """Totals of the first pass.

    Attributes:
      counts: `(n_clusters,)` samples of each cluster.
      sums: `(n_clusters, n_features)` sums of the samples.
      squares: `(n_clusters,)` sums of `|sample|^2`.
      table: `(n_clusters, n_classes)` samples of each class; no columns if classes are unknown.
    """

    counts: Any
    sums: Any
    squares: Any
    table: Any

    def means(self) -> np.ndarray:
        """Returns `(n_clusters, n_features)` means, NaN where a cluster has no samples."""
        sizes, sums = np.asarray(self.counts)[:, None], np.asarray(self.sums)
        return np.divide(sums, sizes, out=np.full_like(sums, np.nan), where=sizes > 0)


class DistanceSums(NamedTuple):
    """Totals of the second pass.

    Attributes:
      distances: `(n_clusters,)` sums of `a`, a sample's distance to its own cluster's mean.
      squares: `(n_clusters, n_features)` sums of squared deviations from that mean.
      silhouettes: `(n_clusters,)` sums of `(b - a) / max(a, b)`, where `b` is a sample's distance
        to the nearest mean of another cluster; 0 if there is none or both are 0.
    """

    distances: Any
    squares: Any
    silhouettes: Any


def name_sums(kind: Any, found: Mapping[str, Any]) -> Any:
    """Returns totals of class `kind` from a round's metrics, as float64 arrays."""
    return kind(*(np.asarray(found[name], np.float64) for name in kind._fields))


def sum_by_cluster(
    x: tf.Tensor, labels: tf.Tensor, y: tf.Tensor, *, n_clusters: int, n_classes: int
) -> ClusterSums:
    """Computes the first pass, eagerly or inside a graph.

    Args:
      x: `(n_samples, n_features)` floats.
      labels: `(n_samples,)` clusters.
      y: `(n_samples,)` classes; samples of a class outside [0, n_classes) are not in the table.
      n_clusters: Number of clusters.
      n_classes: Number of classes.
    """

    def totals(x: tf.Tensor, labels: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, ...]:
        samples = tf.cast(x, tf.float64)
        squares = tf.reduce_sum(tf.square(samples), axis=1, keepdims=True)
        members = tf.one_hot(labels, n_clusters, dtype=tf.float64)
        classes = tf.one_hot(y, n_classes, dtype=tf.float64)
        sums, squares, table = (
            tf.matmul(members, values, transpose_a=True) for values in (samples, squares, classes)
        )
        return tf.reduce_sum(members, axis=0), sums, squares[:, 0], table

    width = x.shape[1] + n_clusters + n_classes
    return ClusterSums(*sum_over_parts(totals, (x, labels, y), width))


def sum_distances(x: tf.Tensor, labels: tf.Tensor, means: tf.Tensor) -> DistanceSums:
    """Computes the second pass, eagerly or inside a graph.

    Args:
      x: `(n_samples, n_features)` floats.
      labels: `(n_samples,)` clusters.
      means: `(n_clusters, n_features)` float64, NaN for clusters without samples.

    Returns:
      The totals; NaN if a sample's cluster has no mean.
    """
    n_clusters = means.shape[0]

    def totals(x: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        samples = tf.cast(x, tf.float64)
        # differences, not the faster product of matrices, which loses the digits of what is near
        squares = tf.math.squared_difference(samples[:, tf.newaxis], means)
        distances = tf.sqrt(tf.reduce_sum(squares, axis=2))
        own, silhouettes = _own_and_silhouettes(distances, labels)
        members = tf.one_hot(labels, n_clusters, dtype=tf.float64)
        around = tf.gather(squares, labels, batch_dims=1)
        each = tf.concat([tf.stack([own, silhouettes], axis=1), around], axis=1)
        total = tf.matmul(members, each, transpose_a=True)
        return total[:, 0], total[:, 2:], total[:, 1]

    width = n_clusters * x.shape[1]
    return DistanceSums(*sum_over_parts(totals, (x, labels), width))


def _own_and_silhouettes(distances: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns each sample's distance to its own mean, and its simplified silhouette."""
    infinity = tf.constant(np.inf, tf.float64)
    mine = tf.one_hot(labels, distances.shape[1], True, False)
    own = tf.gather(distances, labels, batch_dims=1)
    elsewhere = tf.where(mine | tf.math.is_nan(distances), infinity, distances)
    other = tf.reduce_min(elsewhere, axis=1)
    larger = tf.maximum(own, other)
    defined = (larger > 0) & tf.math.is_finite(larger)
    return own, tf.where(defined, (other - own) / larger, 0)


def scores(sums: ClusterSums, distances: DistanceSums | None = None) -> metrics.Scores:
    """Turns totals over all clients into scores.

    Args:
      sums: Totals of the first pass, as arrays.
      distances: Totals of the second pass, or None to do without.

    Returns:
      As `metrics.score`: `calinski_harabasz`, `n_clusters_found`, `smallest_cluster_share`,
      `largest_cluster_share`; with classes those of `metrics.FROM_COUNTS`, of the samples whose
      class is known; with `distances` `davies_bouldin` and `simplified_silhouette` (a sample alone
      in its cluster has 0).

    Raises:
      InputError: If no client has samples.
    """
    if not sums.counts.any():
        raise InputError("Scores need at least one sample. Received none. Check the clients' data.")
    table = np.rint(sums.table.T).astype(np.int64)
    known = metrics.FROM_COUNTS.items() if table.any() else ()
    supervised = {name: score(table) for name, score in known}
    return {**supervised, **_separation(sums, distances), **metrics.sizes(sums.counts)}


def _separation(sums: ClusterSums, distances: DistanceSums | None) -> metrics.Scores:
    found, total = sums.counts > 0, sums.counts.sum()
    counts, centroids = sums.counts[found], sums.means()[found]
    names = ["calinski_harabasz", "davies_bouldin", "simplified_silhouette"]
    if not 2 <= len(counts) < total:
        return dict.fromkeys(names if distances else names[:1], float("nan"))
    if distances is None:
        within = sums.squares.sum() - counts @ (centroids**2).sum(axis=1)
        return {names[0]: _calinski_harabasz(counts, centroids, within)}
    # The second pass has the spread itself, exact wherever the samples lie.
    ratio = _calinski_harabasz(counts, centroids, distances.squares.sum())
    similarity = _davies_bouldin(distances.distances[found] / counts, centroids)
    silhouette = float(distances.silhouettes[sums.counts > 1].sum() / total)
    return dict(zip(names, [ratio, similarity, silhouette], strict=True))


def _calinski_harabasz(counts: np.ndarray, centroids: np.ndarray, within: float) -> float:
    """`sum n_k |m_k - m|^2 / (k - 1)` over `within / (n - k)`; 1 if nothing is within."""
    total, k = counts.sum(), len(counts)
    between = counts @ ((centroids - counts @ centroids / total) ** 2).sum(axis=1)
    return float(between * (total - k) / (within * (k - 1))) if within > 0 else 1.0


def _davies_bouldin(spread: np.ndarray, centroids: np.ndarray) -> float:
    """Returns the mean over clusters of the largest `(spread_i + spread_j) / |m_i - m_j|`."""
    # scikit-learn's: 0 if all of either are below 1e-8, and pairs of equal means are left out.
    apart = np.stack([np.linalg.norm(centroids - other, axis=1) for other in centroids])
    if np.allclose(spread, 0) or np.allclose(apart, 0):
        return 0.0
    apart[apart == 0] = np.inf
    return float(((spread[:, None] + spread) / apart).max(axis=1).mean())
