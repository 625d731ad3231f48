"""Results of a fit of ClusterGAN."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcluster.clustergan.codes import assign_codes, find_centroids
from tfcluster.clustergan.networks import IMAGE_WIDTH, Networks, build_networks
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GANConfig
from tfcluster.errors import InputError
from tfcluster.estimator import FitData
from tfcluster.files import Arrays, pack_arrays, unpack_arrays
from tfcluster.fitted import Fitted
from tfcluster.training.phases import Record


@dataclasses.dataclass(frozen=True, kw_only=True)
class GANFitted(Fitted):
    """The fitted attributes of `ClusterGAN`, by name; see there."""

    network_weights_: list[list[np.ndarray]]

    @classmethod
    def of(cls, trainer: GANTrainer, data: FitData, history: list[Record]) -> GANFitted:
        """Returns the results of a fit, after training.

        Args:
          trainer: Has the trained networks.
          data: The samples.
          history: Records of training.
        """
        config, codes = trainer.config, trainer.inference.encode(data.x)
        centroids = find_centroids(codes, trainer.n_clusters, config)
        return cls(
            **data.fitted(),
            config_=config,
            history_=history,
            cluster_centers_=centroids,
            labels_=assign_codes(codes, centroids, config),
            network_weights_=[network.get_weights() for network in trainer.networks],
        )

    def to_arrays(self) -> Arrays:
        """Returns the arrays of a model file."""
        arrays = super().to_arrays()
        for name, weights in zip(Networks._fields, self.network_weights_, strict=True):
            arrays |= pack_arrays(name, weights)
        return arrays

    @classmethod
    def _read_own(cls, arrays: Arrays, values: Any, config: GANConfig) -> dict[str, Any]:
        del values  # all are common ones
        weights = [unpack_arrays(name, arrays) for name in Networks._fields]
        return {
            "n_features_in_": count_features(weights[0], config),
            "network_weights_": weights,
        }


def check_weights(
    weights: Sequence[Sequence[np.ndarray]], n_features: int, n_clusters: int, config: GANConfig
) -> None:
    """Raises `InputError` unless weights have the shapes of generator, critic and encoder."""
    networks = build_networks(n_features, n_clusters, config)
    expected = [[tuple(variable.shape) for variable in network.weights] for network in networks]
    received = [[weight.shape for weight in part] for part in weights]
    if received != expected:
        raise InputError(f"Weights must have the shapes {expected}. Received: {received}.")


def count_features(generator: Sequence[np.ndarray], config: GANConfig) -> int:
    """Returns the number of features a generator makes, from its weights.

    It is the length of the last bias; image networks end in a convolution instead.
    """
    return IMAGE_WIDTH if config.networks == "image" else len(generator[-1])
