"""ClusterGAN: networks, losses, training and the estimator."""

from tfcluster.clustergan.estimator import ClusterGAN

__all__ = ["ClusterGAN"]
