"""Federated DEC from first to last: scaling, pretraining, initial centroids, clustering."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from federated.algorithms.dec import DECTraining, Target
from federated.algorithms.kmeans import DECEmbedding
from federated.algorithms.pretraining import AutoencoderTraining, LayerTraining
from federated.core.aggregation import AGGREGATIONS, Aggregation
from federated.core.algorithm import FederatedAlgorithm, Metrics, State
from federated.core.local_training import LocalWork
from federated.core.phases import Artifacts, Found, Phase
from federated.phases.centroids import CentroidMethod, CentroidPhase, CentroidSearch
from federated.phases.scaling import build_scaling_phases
from tfcluster.config import (
    DEC_PRESETS,
    DECConfig,
    EndToEnd,
    LayerWise,
    check_types,
    register,
)
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.errors import InputError
from tfcluster.files import pack_arrays, unpack_arrays

_FEDAVG = AGGREGATIONS["fedavg"]
_TWO_PASSES, _THIRTY_STEPS = LocalWork(epochs=2), LocalWork(steps=30)
_PRETRAIN_ROUNDS = 100  # where the protocol or the clients count steps and not passes


@register
@dataclasses.dataclass(frozen=True)
class FederatedDECConfig:
    """Hyperparameters of federated DEC.

    Attributes:
      model: Networks, losses and the clients' optimizers, which start afresh every round.
      standardize: Whether features get mean 0 and standard deviation 1 over all clients first.
      aggregation: How the server moves, in pretraining and clustering.
      pretrain_rounds: Rounds of training the whole autoencoder; layer-wise, shared out over the
        layers and the whole as the protocol's steps are. None for as many as take the protocol's
        passes, or 100 where it or the clients count steps.
      pretraining: What a client does in such a round.
      centroids: How initial centroids are found; see `CentroidSearch`.
      client_centroids: See `CentroidSearch`.
      lloyd_rounds: Bound on the rounds of Lloyd's algorithm.
      rounds: Bound on the rounds of clustering, target updates included; raised to the next number
        that ends with a target update.
      clustering: What a client does in such a round.
      rounds_per_update: Rounds of clustering for each target update.
      target: Over whose samples the target of eq. 3 is taken.
    """

    model: DECConfig = DEC_PRESETS["keras"]
    standardize: bool = False
    aggregation: Aggregation = _FEDAVG
    pretrain_rounds: int | None = None
    pretraining: LocalWork = _TWO_PASSES
    centroids: CentroidMethod = "lloyd"
    client_centroids: int | None = None
    lloyd_rounds: int = 100
    rounds: int = 200
    clustering: LocalWork = _THIRTY_STEPS
    rounds_per_update: int = 1
    target: Target = "global"

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("pretrain_rounds", "lloyd_rounds", "rounds"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 0):
                raise InputError(
                    f"`{name}` must be a whole number, not negative. Received: {value!r}."
                )
        for name in ("client_centroids", "rounds_per_update"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise InputError(
                    f"`{name}` must be a whole number of at least 1. Received: {value!r}."
                )

    @property
    def n_pretrain_rounds(self) -> int:
        """Rounds of pretraining, by the protocol where the config leaves them out."""
        if self.pretrain_rounds is not None:
            return self.pretrain_rounds
        protocol = self.model.pretraining
        if not isinstance(protocol, EndToEnd) or self.pretraining.steps:
            return _PRETRAIN_ROUNDS
        return -(-protocol.epochs // self.pretraining.epochs)

    def search(self, n_clusters: int, seed: int) -> CentroidSearch:
        """Returns how initial centroids are found."""
        return CentroidSearch(
            self.centroids,
            n_clusters,
            self.client_centroids,
            self.model.kmeans_restarts,
            self.lloyd_rounds,
            seed,
        )


def pretraining_phases(n_features: int, config: FederatedDECConfig, seed: int) -> list[Phase]:
    """Returns the phases before the number of clusters matters.

    They leave `encoder/i` and `decoder/i`: kernels and biases in the order data pass through them.

    Args:
      n_features: Features of a sample.
      config: The protocol.
      seed: Seed of the initial weights.
    """
    model = config.model
    fresh = AutoencoderTrainer(n_features, model)
    fresh.reset(seed)
    start = fresh.autoencoder.get_weights()
    phases = build_scaling_phases(n_features, standardize=config.standardize, scaling=model.scaling)
    if isinstance(model.pretraining, LayerWise):
        n_layers = len(model.dims)
        each, last = _shared_out(model.pretraining, n_layers, config.n_pretrain_rounds)
        layers = [_LayerPhase(n_features, config, i, each, start) for i in range(n_layers)]
        return [*phases, *layers, _AutoencoderPhase(n_features, config, "finetune", last, start)]
    n_rounds = config.n_pretrain_rounds
    return [*phases, _AutoencoderPhase(n_features, config, "pretrain", n_rounds, start)]


def clustering_phases(
    n_features: int, n_clusters: int, config: FederatedDECConfig, seed: int
) -> list[Phase]:
    """Returns the phases after pretraining.

    They leave `initial_centroids` and `clusters`, `(n_clusters, dims[-1])` float32, and the
    encoder.

    Args:
      n_features: Features of a sample.
      n_clusters: Number of centroids.
      config: The protocol.
      seed: Seed of the server's draws.
    """
    search = config.search(n_clusters, seed)
    embedding = DECEmbedding(config.model)
    centroids = CentroidPhase(n_features, embedding, ("encoder",), search, "initial_centroids")
    return [centroids, ClusteringPhase(n_features, config, n_clusters)]


def _shared_out(protocol: LayerWise, n_layers: int, n_rounds: int) -> tuple[int, int]:
    """Returns the rounds of each layer and of the whole."""
    steps = n_layers * protocol.steps_per_layer + protocol.finetune_steps
    each = round(n_rounds * protocol.steps_per_layer / steps) if steps else 0
    each = min(each, n_rounds // n_layers)
    return each, n_rounds - n_layers * each


def _weights(artifacts: Artifacts, start: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the autoencoder as it is now: from the artifacts, or else as it started."""
    known = {**_named(start), **artifacts}
    return [*unpack_arrays("encoder", known), *unpack_arrays("decoder", known)]


def _named(weights: Sequence[Any]) -> Artifacts:
    """Returns the autoencoder's weights by name."""
    arrays = [np.asarray(weight) for weight in weights]
    half = len(arrays) // 2
    return {**pack_arrays("encoder", arrays[:half]), **pack_arrays("decoder", arrays[half:])}


class _AutoencoderPhase(Phase):
    """Trains the whole autoencoder."""

    def __init__(
        self,
        n_features: int,
        config: FederatedDECConfig,
        name: str,
        n_rounds: int,
        start: Sequence[np.ndarray],
    ) -> None:
        self.name, self.n_rounds, self._start = name, n_rounds, start
        self._algorithm = AutoencoderTraining(
            n_features, config.pretraining, config.aggregation, config.model
        )

    def begin(self, artifacts: Artifacts) -> State:
        return self._algorithm.initial_state(_weights(artifacts, self._start))

    def algorithm(self, number: int) -> FederatedAlgorithm:
        del number
        return self._algorithm

    def end(self, state: State) -> Artifacts:
        return _named(state.weights)


class _LayerPhase(Phase):
    """Trains one layer's denoising autoencoder."""

    def __init__(
        self,
        n_features: int,
        config: FederatedDECConfig,
        layer: int,
        n_rounds: int,
        start: Sequence[np.ndarray],
    ) -> None:
        self.name, self.n_rounds = f"layer {layer + 1}", n_rounds
        self._layer, self._start = layer, start
        self._algorithm = LayerTraining(
            n_features, config.pretraining, config.aggregation, config.model, layer
        )

    def begin(self, artifacts: Artifacts) -> State:
        weights = _weights(artifacts, self._start)
        at, mirrored = 2 * self._layer, len(weights) - 2 * self._layer - 2
        own = [*weights[at : at + 2], *weights[mirrored : mirrored + 2]]
        return self._algorithm.initial_state(own, weights[:at])

    def algorithm(self, number: int) -> FederatedAlgorithm:
        del number
        return self._algorithm

    def end(self, state: State) -> Artifacts:
        at = 2 * self._layer
        mirrored = 2 * (len(self._algorithm.config.dims) - 1) - at
        places = [("encoder", at), ("encoder", at + 1), ("decoder", mirrored)]
        names = [f"{part}/{i}" for part, i in [*places, ("decoder", mirrored + 1)]]
        return dict(zip(names, map(np.asarray, state.weights), strict=True))


class ClusteringPhase(Phase):
    """Trains encoder and centroids: a target update, rounds of training, a target update, ...

    Args:
      n_features: Features of a sample.
      config: The protocol.
      n_clusters: Number of centroids.
    """

    name = "cluster"

    def __init__(self, n_features: int, config: FederatedDECConfig, n_clusters: int) -> None:
        self.n_clusters = n_clusters
        self._tol, self.interval = config.model.tol, config.rounds_per_update + 1
        # it ends with a target update, which tells how many labels the last rounds changed
        self.n_rounds = config.rounds + (1 - config.rounds) % self.interval if config.rounds else 0
        self._later = DECTraining(
            n_features,
            config.clustering,
            config.aggregation,
            n_clusters,
            config.model,
            config.target,
        )
        self._first = dataclasses.replace(self._later, follows_update=True)
        self._update = self._later.target_update()

    def begin(self, artifacts: Artifacts) -> State:
        """Returns the pretrained encoder with the initial centroids."""
        return self._later.initial_state(
            [*unpack_arrays("encoder", artifacts), artifacts["initial_centroids"]]
        )

    def algorithm(self, number: int) -> FederatedAlgorithm:
        """Returns a target update or a round of training."""
        place = number % self.interval
        return (self._update, self._first, self._later)[min(place, 2)]

    def receive(self, number: int, state: State, metrics: Metrics) -> Found:
        """Records everything but the first update's changed labels."""
        found = super().receive(number, state, metrics)
        if number == 0:
            del found.metrics["changed"]  # it compares the weights with themselves
        return found

    def is_over(self, found: Found) -> bool:
        """Returns whether a smaller share of labels than `tol` changed."""
        changed: float = found.metrics.get("changed", 1.0)
        return changed < self._tol

    def end(self, state: State) -> Artifacts:
        """Returns encoder and centroids."""
        *encoder, centroids = map(np.asarray, state.weights)
        return {**pack_arrays("encoder", encoder), "clusters": centroids}
