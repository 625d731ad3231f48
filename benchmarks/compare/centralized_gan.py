"""Trains ClusterGAN on all samples in one place from the initial weights of a federated run."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfcluster import ClusterGAN
from tfcluster.clustergan.codes import find_centroids
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.training.phases import run_phases


def train_centralized_gan(trainer: GANTrainer, X: np.ndarray, seed: int) -> ClusterGAN:
    """Trains a ClusterGAN and returns the fitted estimator.

    Args:
      trainer: Training loop; it is reset, so it may have been used before.
      X: `(n_samples, n_features)`.
      seed: Random seed of the initial weights, as in a federated run, and of all draws.
    """
    trainer.reset(seed)
    run_phases(trainer.phases(tf.constant(X), seed))
    centroids = find_centroids(trainer.inference.encode(X), trainer.n_clusters, trainer.config)
    parts = [network.get_weights() for network in trainer.networks]
    return ClusterGAN.from_weights(parts, centroids, trainer.config)
