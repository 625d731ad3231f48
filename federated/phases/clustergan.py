"""Federated ClusterGAN from first to last: adversarial rounds, then centres among the codes."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from federated.algorithms.clustergan import AdversarialWork, AverageGAN, SplitGAN
from federated.algorithms.gan_codes import GANCodes
from federated.core.aggregation import AGGREGATIONS, Aggregation
from federated.core.algorithm import FederatedAlgorithm, Metrics, ServerState, Tensors
from federated.core.rounds import Stage
from federated.phases.centroids import Centroids, CentroidStage
from tfcluster.clustergan.networks import Networks, build_networks
from tfcluster.config import GAN_PRESETS, GANConfig, check_types, register
from tfcluster.errors import InputError
from tfcluster.estimator import numbered
from tfcluster.files import Arrays
from tfcluster.training.phases import Record, diverged

Placement = Literal["average", "split"]

_STARTS = 10  # of the k-means on codes, as the original's evaluation
_HUNDRED = AdversarialWork(100)


@register
@dataclasses.dataclass(frozen=True)
class FederatedGANConfig:
    """Hyperparameters of federated ClusterGAN.

    Attributes:
      model: Networks, losses and optimisers; its `steps` are not read.
      placement: "average", clients train all networks; or "split", they train the critic, and the
        server generator and encoder.
      aggregation: How the server moves what clients train.
      work: What is done in a round.
      rounds: Of training.
      centroids: How centres are found among the codes; see `CentroidStage`.
      client_centers: Centres each client offers; 0 for the usual number.
      lloyd_rounds: Bound on the rounds of Lloyd's algorithm.
    """

    model: GANConfig = GAN_PRESETS["gene"]
    placement: Placement = "average"
    aggregation: Aggregation = AGGREGATIONS["fedavg"]
    work: AdversarialWork = _HUNDRED
    rounds: int = 200
    centroids: Centroids = "lloyd"
    client_centers: int = 0
    lloyd_rounds: int = 100

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("rounds", "client_centers", "lloyd_rounds"):
            if getattr(self, name) < 0:
                raise InputError(f"`{name}` must not be negative. Received: {getattr(self, name)}.")


def gan_stages(
    n_features: int, n_clusters: int, config: FederatedGANConfig, seed: int
) -> tuple[AdversarialStage, CentroidStage]:
    """The stages of federated ClusterGAN.

    They keep `generator/i`, `critic/i` and `encoder/i`, and `centers`, `(n_clusters, units)`
    float32, numbered as `matched_centers` does.

    Args:
      n_features: Width of a row.
      n_clusters: Length of z_c, and number of centres.
      config: The protocol.
      seed: Of the first weights, and of what the server draws.
    """
    centers = _Centers(
        n_features, GANCodes(n_clusters, config.model), ("generator", "encoder"), n_clusters, seed,
        config.centroids, n_offered=config.client_centers, n_starts=_STARTS,
        n_rounds=config.lloyd_rounds, keeps="centers",
    )  # fmt: skip
    return AdversarialStage(n_features, n_clusters, config, seed), centers


class AdversarialStage(Stage):
    """Rounds of training.

    Args:
      n_features: Width of a row.
      n_clusters: Length of z_c.
      config: The protocol.
      seed: Of the first weights, and of what the server draws.
    """

    name = "adversarial"

    def __init__(
        self, n_features: int, n_clusters: int, config: FederatedGANConfig, seed: int
    ) -> None:
        self.n_rounds = config.rounds
        fresh = build_networks(n_features, n_clusters, config.model, seed)
        self._start = [network.get_weights() for network in fresh]
        parts = (n_features, config.work, config.aggregation, n_clusters, config.model)
        self._algorithm: AverageGAN | SplitGAN = (
            AverageGAN(*parts) if config.placement == "average" else SplitGAN(*parts, seed=seed)
        )

    def begin(self, kept: Arrays) -> ServerState:
        """Fresh networks."""
        del kept  # it is the first stage
        return self._algorithm.first_state(*self._start)

    def algorithm(self, number: int) -> FederatedAlgorithm:
        """The same in every round."""
        del number
        return self._algorithm

    def receive(
        self, number: int, state: ServerState, metrics: Metrics
    ) -> tuple[ServerState, Record]:
        """Raises `TrainingError` if a weight is not finite: the server's steps are not screened."""
        if not all(np.isfinite(weight).all() for part in self.networks(state) for weight in part):
            raise diverged(f"in phase {self.name!r} by round {number + 1}")
        return super().receive(number, state, metrics)

    def networks(self, state: ServerState) -> list[Tensors]:
        """All weights of generator, critic and encoder, wherever the state has them."""
        return self._algorithm.networks(state, list(map(len, self._start)))

    def end(self, state: ServerState) -> Arrays:
        """The networks."""
        kept: Arrays = {}
        for name, weights in zip(Networks._fields, self.networks(state), strict=True):
            kept |= numbered(name, list(map(np.asarray, weights)))
        return kept


class _Centers(CentroidStage):
    def end(self, state: ServerState) -> Arrays:
        return {name: matched_centers(value) for name, value in super().end(state).items()}


def cluster_use(sizes: np.ndarray) -> Record:
    """What a record says of the use of clusters.

    Args:
      sizes: `(clients, clusters)` rows of each cluster at each client.

    Returns:
      `clusters_used`; `cluster_entropy`, of the shares of rows, in nats, log(clusters) at most; and
      `cluster_sizes`, rows of each over all clients.
    """
    counts = sizes.sum(axis=0)
    shares = counts[counts > 0] / max(1, counts.sum())
    return {
        "clusters_used": len(shares),
        "cluster_entropy": float(-(shares * np.log(shares)).sum()),
        "cluster_sizes": counts.tolist(),
    }


def matched_centers(centers: np.ndarray) -> np.ndarray:
    """Centres numbered as z_c where the two agree.

    The estimator matches labels, row by row; here it is the centres' own mean z_c, one to one with
    the largest sum.

    Args:
      centers: `(n_clusters, units)`, with z_c last.
    """
    _, order = linear_sum_assignment(-centers[:, -len(centers) :].T)
    return centers[order]
