"""What a fit of ClusterGAN found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcluster.clustergan.networks import IMAGE_WIDTH, Networks
from tfcluster.config import GANConfig
from tfcluster.estimator import numbered, unnumbered
from tfcluster.files import Arrays
from tfcluster.fitted import Fitted


@dataclasses.dataclass(frozen=True, kw_only=True)
class GANFitted(Fitted):
    """The fitted attributes of `ClusterGAN`, by name; see there."""

    network_weights_: list[list[np.ndarray]]

    def to_arrays(self) -> Arrays:
        """Returns the arrays of a model file."""
        arrays = super().to_arrays()
        for name, weights in zip(Networks._fields, self.network_weights_, strict=True):
            arrays |= numbered(name, weights)
        return arrays

    @classmethod
    def _read_own(cls, arrays: Arrays, values: Any, config: GANConfig) -> dict[str, Any]:
        del values  # all are common ones
        weights = [unnumbered(name, arrays) for name in Networks._fields]
        return {
            "n_features_in_": count_features(weights[0], config),
            "network_weights_": weights,
        }


def count_features(generator: Sequence[np.ndarray], config: GANConfig) -> int:
    """Returns the number of features a generator makes, from its weights.

    It is the length of the last bias; image networks end in a convolution instead.
    """
    return IMAGE_WIDTH if config.networks == "image" else len(generator[-1])
