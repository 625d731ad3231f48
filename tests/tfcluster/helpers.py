"""What several test modules need."""

import dataclasses

import numpy as np

from tfcluster.config import SGD, DECConfig, EndToEnd, LayerWise

TINY = DECConfig(
    dims=(8, 3),
    pretraining=EndToEnd(epochs=3),
    kmeans_restarts=3,
    batch_size=32,
    update_interval=5,
    max_steps=20,
)
"""A protocol that fits in a moment."""

TINY_LAYERWISE = dataclasses.replace(
    TINY,
    initializer="normal",
    reconstruction_weight=0.5,
    scaling="rms",
    pretraining=LayerWise(30, 40, 0.2, SGD(0.1, 0.9, bias_rate=2.0, momentum_ramp=10)),
    remainder="wrap",
    reset_optimizer=True,
    update_interval=0,
)


def blobs(n_samples=120, n_features=6, n_clusters=3, seed=0):
    """Well separated samples in [0, 1] and their clusters."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_samples) % n_clusters
    centroids = rng.uniform(0.2, 0.8, (n_clusters, n_features))
    return np.clip(centroids[y] + rng.normal(0, 0.03, (n_samples, n_features)), 0, 1), y


def weights_of(dec):
    """Everything a fit learned, to be compared bit by bit."""
    return [*dec.autoencoder_.get_weights(), dec.cluster_centers_, dec.labels_]


def assert_same_bits(first, second):
    for a, b in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(a, b)
