"""ClusterGAN on all rows in one place, from the first weights of a federated run."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfcluster.clustergan.estimator import ClusterGAN, cluster_codes
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.training.phases import run_phases


def central_gan(trainer: GANTrainer, X: np.ndarray, seed: int) -> ClusterGAN:
    """The estimator after training.

    Args:
      trainer: The loop, compiled or not; whatever it was used for before.
      X: `(rows, features)`.
      seed: Of the first weights, as of a federated run's, and of all that is drawn.
    """
    trainer.reset(seed)
    run_phases(trainer.phases(tf.constant(X), seed))
    found = cluster_codes(trainer.inference.encode(X), trainer.n_clusters, trainer.config)
    parts = [network.get_weights() for network in trainer.networks]
    return ClusterGAN.from_weights(parts, found.cluster_centers_, trainer.config)
