"""Deep Embedded Clustering: networks, training and the estimator."""

from tfcluster.dec.estimator import DEC

__all__ = ["DEC"]
