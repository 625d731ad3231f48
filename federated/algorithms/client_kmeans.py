"""k-means of one client's samples, in operations that run eagerly and in any graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from federated.algorithms.kmeans import LloydSums, cluster_sums

_BLOCK_SAMPLES = 4096


class Clustering(NamedTuple):
    """Result of k-means.

    Attributes:
      centroids: `(n_clusters, n_units)` float64.
      counts: `(n_clusters,)` float64, samples nearest to each.
      inertia: Scalar float64, the sum of squared distances to the nearest centroid.
    """

    centroids: tf.Tensor
    counts: tf.Tensor
    inertia: tf.Tensor


def best_clustering(
    z: tf.Tensor, n_clusters: int, n_iterations: int, restarts: int, seed: tf.Tensor
) -> Clustering:
    """Runs k-means from several starts.

    Args:
      z: `(n_samples, n_units)` float64, at least one sample.
      n_clusters: Centroids to find.
      n_iterations: Steps of Lloyd's algorithm at most.
      restarts: Starts, by k-means++.
      seed: Scalar, int32.

    Returns:
      The start that ended with the least inertia; infinite inertia if a sample is not finite.
    """
    centroids = tf.zeros((n_clusters, z.shape[1]), tf.float64)
    counts = tf.zeros((n_clusters,), tf.float64)
    inertia = tf.constant(np.inf, tf.float64)
    for restart in tf.range(restarts):
        start = seed_centroids(z, n_clusters, tf.stack([seed, restart]))
        found = _lloyd(z, start, n_iterations)
        better = found.inertia < inertia  # never, of NaN
        centroids = tf.where(better, found.centroids, centroids)
        counts = tf.where(better, found.counts, counts)
        inertia = tf.where(better, found.inertia, inertia)
    return Clustering(centroids, counts, inertia)


def seed_centroids(z: tf.Tensor, n_clusters: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws samples to begin with, by k-means++ (Arthur and Vassilvitskii, SODA 2007).

    Each is drawn with a probability proportional to the squared distance to the nearest one drawn
    before. Once all different samples are taken, samples come twice.

    Args:
      z: `(n_samples, n_units)` float64.
      n_clusters: Samples to draw.
      seed: `(2,)` int32.

    Returns:
      `(n_clusters, n_units)` float64.
    """
    fold_in = tf.random.experimental.stateless_fold_in
    last = tf.shape(z)[0] - 1
    first = z[tf.random.stateless_uniform((), fold_in(seed, 0), maxval=last + 1, dtype=tf.int32)]
    centroids = tf.tile(first[tf.newaxis], (n_clusters, 1))
    nearest = _squared_distances(z, first)
    for i in tf.range(1, n_clusters):
        cumulated = tf.cumsum(nearest)
        drawn = cumulated[-1] * tf.random.stateless_uniform((), fold_in(seed, i), dtype=tf.float64)
        # "right" passes over samples of weight 0; where none has any, it passes over all of them
        place = tf.searchsorted(cumulated, drawn[tf.newaxis], side="right")[0]
        chosen = z[tf.minimum(place, last)]
        centroids = tf.tensor_scatter_nd_update(centroids, [[i]], chosen[tf.newaxis])
        nearest = tf.minimum(nearest, _squared_distances(z, chosen))
    return centroids


def _squared_distances(z: tf.Tensor, centroid: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.math.squared_difference(z, centroid), axis=1)


def _lloyd(z: tf.Tensor, centroids: tf.Tensor, n_iterations: int) -> Clustering:
    step, moves = tf.constant(0), tf.constant(True)
    while step < n_iterations and moves:
        sums = _sums_in_blocks(z, centroids)
        counts = sums.counts[:, tf.newaxis]
        means = tf.math.divide_no_nan(sums.totals, counts)
        moved_to = tf.where(counts > 0, means, centroids)
        # not `!=`, which in a graph of TFF's compares objects and is always true
        moves = tf.reduce_any(tf.not_equal(moved_to, centroids))
        centroids, step = moved_to, step + 1
    found = _sums_in_blocks(z, centroids)
    return Clustering(centroids, found.counts, found.inertia)


def _sums_in_blocks(z: tf.Tensor, centroids: tf.Tensor) -> LloydSums:
    """Returns `cluster_sums`, which on all samples at once would need K times their memory."""
    totals, counts = tf.zeros_like(centroids), tf.zeros_like(centroids[:, 0])
    inertia = tf.constant(0.0, tf.float64)
    for start in tf.range(0, tf.shape(z)[0], _BLOCK_SAMPLES):
        block = cluster_sums(z[start : start + _BLOCK_SAMPLES], centroids)
        totals, counts = totals + block.totals, counts + block.counts
        inertia = inertia + block.inertia
    return LloydSums(totals, counts, inertia)
