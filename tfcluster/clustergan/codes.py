"""Clusters of latent codes: k-means as the original's evaluation runs it, numbered as z_c."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from tfcluster import metrics
from tfcluster.clustergan.inference import select_recovered
from tfcluster.config import GANConfig
from tfcluster.training.kmeans import fit_kmeans


def cluster_codes(codes: np.ndarray, n_clusters: int, config: GANConfig) -> KMeans:
    """Returns k-means on codes as the original's evaluation runs it: ten starts, seed 0.

    Args:
      codes: `(n_samples, n_noise + n_clusters)`, as `ClusterGAN.transform` returns them.
      n_clusters: Number of centroids.
      config: Without `beta_n` only the softmax of z_c is clustered.
    """
    return fit_kmeans(select_recovered(codes, config), n_clusters, restarts=10, seed=0)


def find_centroids(codes: np.ndarray, n_clusters: int, config: GANConfig) -> np.ndarray:
    """Returns the centroids of `cluster_codes`, numbered as the largest entry of z_c.

    Args:
      codes: As for `cluster_codes`.
      n_clusters: Number of centroids.
      config: As for `cluster_codes`.

    Returns:
      `(n_clusters, n_units)`; the numbers are those of the best one-to-one match.
    """
    found = cluster_codes(codes, n_clusters, config)
    number = metrics.best_map(codes[:, config.n_noise :].argmax(axis=1), found.labels_)
    free = iter(sorted(set(range(n_clusters)) - set(number.values())))
    order = [number[c] if c in number else next(free) for c in range(n_clusters)]
    centroids = np.empty_like(found.cluster_centers_)
    centroids[order] = found.cluster_centers_
    return centroids


def assign_codes(codes: np.ndarray, centroids: np.ndarray, config: GANConfig) -> np.ndarray:
    """Returns the centroid nearest to each code.

    Args:
      codes: As for `cluster_codes`.
      centroids: `(n_clusters, n_units)`, as from `find_centroids`.
      config: As for `cluster_codes`.

    Returns:
      `(n_samples,)` clusters.
    """
    part = select_recovered(codes, config)
    distances = [np.square(part - centroid).sum(axis=1) for centroid in centroids]
    return np.argmin(distances, axis=0)
