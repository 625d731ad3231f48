"""Federated ClusterGAN from first to last: adversarial rounds, then centroids among the codes."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from federated.algorithms.clustergan import (
    AdversarialWork,
    GeneratorAtClients,
    GeneratorAtServer,
)
from federated.algorithms.gan_codes import GANCodes
from federated.core.aggregation import AGGREGATIONS, Aggregation
from federated.core.algorithm import FederatedAlgorithm, Metrics, State, Tensors
from federated.core.phases import Artifacts, Found, Phase
from federated.phases.centroids import CentroidMethod, CentroidPhase, CentroidSearch
from federated.phases.scaling import build_scaling_phases
from tfcluster.clustergan.networks import Networks, build_networks
from tfcluster.config import GAN_PRESETS, GANConfig, check_types, register
from tfcluster.errors import InputError
from tfcluster.files import pack_arrays
from tfcluster.training.phases import diverged

Generator = Literal["clients", "server"]

_STARTS = 10  # of the k-means on codes, as in the original's evaluation
_FEDAVG, _HUNDRED = AGGREGATIONS["fedavg"], AdversarialWork(100)


@register
@dataclasses.dataclass(frozen=True)
class FederatedGANConfig:
    """Hyperparameters of federated ClusterGAN.

    Attributes:
      model: Networks, losses and optimizers.
      standardize: Whether features get mean 0 and standard deviation 1 over all clients first.
      generator: Who trains generator and encoder: "clients", who then train all networks; or the
        "server", while clients train the critic.
      aggregation: How the server moves what clients train.
      work: What is done in a round.
      rounds: Rounds of training; None for as many as take the protocol's steps.
      centroids: How centroids are found among the codes; see `CentroidSearch`.
      client_centroids: See `CentroidSearch`.
      lloyd_rounds: Bound on the rounds of Lloyd's algorithm.
    """

    model: GANConfig = GAN_PRESETS["gene"]
    standardize: bool = False
    generator: Generator = "clients"
    aggregation: Aggregation = _FEDAVG
    work: AdversarialWork = _HUNDRED
    rounds: int | None = None
    centroids: CentroidMethod = "lloyd"
    client_centroids: int | None = None
    lloyd_rounds: int = 100

    def __post_init__(self) -> None:
        check_types(self)
        for name, least in (("rounds", 0), ("lloyd_rounds", 0), ("client_centroids", 1)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise InputError(
                    f"`{name}` must be a whole number of at least {least}. Received: {value!r}."
                )

    @property
    def n_rounds(self) -> int:
        """Rounds of training, by the protocol where the config leaves them out."""
        if self.rounds is not None:
            return self.rounds
        return -(-self.model.steps // self.work.iterations)

    def search(self, n_clusters: int, seed: int) -> CentroidSearch:
        """Returns how centroids are found among the codes."""
        return CentroidSearch(
            self.centroids, n_clusters, self.client_centroids, _STARTS, self.lloyd_rounds, seed
        )


def build_gan_phases(
    n_features: int, n_clusters: int, config: FederatedGANConfig, seed: int
) -> list[Phase]:
    """Returns the phases of federated ClusterGAN.

    They leave `generator/i`, `critic/i` and `encoder/i`, and `centroids`, `(n_clusters, n_units)`
    float32, pack_arrays as `match_to_codes` does.

    Args:
      n_features: Features of a sample.
      n_clusters: Length of z_c, and number of centroids.
      config: The protocol.
      seed: Seed of the initial weights, and of what the server draws.
    """
    codes = GANCodes(n_clusters, config.model)
    search = config.search(n_clusters, seed)
    return [
        *build_scaling_phases(n_features, standardize=config.standardize),
        AdversarialPhase(n_features, n_clusters, config, seed),
        _CodeCentroidPhase(n_features, codes, ("generator", "encoder"), search, "centroids"),
    ]


class AdversarialPhase(Phase):
    """Trains the networks.

    Args:
      n_features: Features of a sample.
      n_clusters: Length of z_c.
      config: The protocol.
      seed: Seed of the initial weights, and of what the server draws.
    """

    name = "adversarial"

    def __init__(
        self, n_features: int, n_clusters: int, config: FederatedGANConfig, seed: int
    ) -> None:
        self.n_rounds, self.n_clusters = config.n_rounds, n_clusters
        fresh = build_networks(n_features, n_clusters, config.model, seed)
        self._start = [network.get_weights() for network in fresh]
        parts = (n_features, config.work, config.aggregation, n_clusters, config.model)
        self._algorithm: GeneratorAtClients | GeneratorAtServer = (
            GeneratorAtClients(*parts)
            if config.generator == "clients"
            else GeneratorAtServer(*parts, seed=seed)
        )

    def begin(self, artifacts: Artifacts) -> State:
        """Returns the state of fresh networks."""
        del artifacts  # nothing is trained before
        return self._algorithm.initial_state(*self._start)

    def algorithm(self, number: int) -> FederatedAlgorithm:
        """Returns the same in every round."""
        del number
        return self._algorithm

    def receive(self, number: int, state: State, metrics: Metrics) -> Found:
        """Raises `TrainingError` if a weight is not finite: nobody validates the server's steps."""
        if not all(np.isfinite(weight).all() for part in self.networks(state) for weight in part):
            raise diverged(f"in phase {self.name!r} by round {number + 1}")
        return super().receive(number, state, metrics)

    def networks(self, state: State) -> list[Tensors]:
        """Returns the weights of generator, critic and encoder, wherever the state has them."""
        return self._algorithm.networks(state, list(map(len, self._start)))

    def end(self, state: State) -> Artifacts:
        """Returns the networks."""
        arrays: Artifacts = {}
        for name, weights in zip(Networks._fields, self.networks(state), strict=True):
            arrays |= pack_arrays(name, list(map(np.asarray, weights)))
        return arrays


class _CodeCentroidPhase(CentroidPhase):
    def end(self, state: Any) -> Artifacts:
        artifacts = super().end(state)
        return {**artifacts, "centroids": match_to_codes(artifacts["centroids"])}


def describe_cluster_use(sizes: np.ndarray) -> dict[str, Any]:
    """Returns how the clusters are used.

    Args:
      sizes: `(n_clients, n_clusters)` samples of each cluster at each client.

    Returns:
      `clusters_used`; `cluster_entropy` of the shares of samples, in nats, log(n_clusters) at most;
      and `cluster_sizes`, samples of each over all clients.
    """
    counts = sizes.sum(axis=0)
    shares = counts[counts > 0] / max(1, counts.sum())
    return {
        "clusters_used": len(shares),
        "cluster_entropy": float(-(shares * np.log(shares)).sum()),
        "cluster_sizes": counts.tolist(),
    }


def match_to_codes(centroids: np.ndarray) -> np.ndarray:
    """Returns centroids in the order of z_c, where the two agree.

    The estimator matches labels, sample by sample; here the centroids' own mean z_c is matched, one
    to one with the largest sum.

    Args:
      centroids: `(n_clusters, n_units)`, with z_c last.
    """
    _, order = linear_sum_assignment(-centroids[:, -len(centroids) :].T)
    return centroids[order]
