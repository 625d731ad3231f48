"""Federated DEC from first to last: pretraining, first centres, encoder and centres together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from federated.algorithms.dec import FederatedDEC, Target
from federated.algorithms.kmeans import DECEmbedding
from federated.algorithms.pretraining import FederatedLayer, FederatedPretraining
from federated.core.aggregation import AGGREGATIONS, Aggregation
from federated.core.algorithm import FederatedAlgorithm, Metrics, ServerState
from federated.core.local_training import LocalWork
from federated.core.rounds import Stage
from federated.phases.centroids import Centroids, CentroidStage
from tfcluster.config import DEC_PRESETS, DECConfig, LayerWise, check_types, register
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.errors import InputError
from tfcluster.estimator import numbered, unnumbered
from tfcluster.files import Arrays
from tfcluster.training.phases import Record

_TWO_PASSES, _THIRTY_STEPS = LocalWork(epochs=2), LocalWork(steps=30)


@register
@dataclasses.dataclass(frozen=True)
class FederatedDECConfig:
    """Hyperparameters of federated DEC.

    Attributes:
      model: Networks, losses and the clients' optimisers, which start afresh every round.
      aggregation: How the server moves, in pretraining and clustering.
      pretraining_rounds: Of the whole autoencoder; layer-wise, shared out over the layers and the
        whole as the protocol's steps are.
      pretraining: What a client does in such a round.
      centroids: "lloyd", exact federated k-means from several starts; or from one round in which
        clients cluster their own rows: "k_fed", "max_min", "double_kmeans", "random",
        "random_weighted".
      client_centers: Centres each client offers for a start; 0 for as many as there are clusters,
        or their square root for "k_fed", which is made for clients that have few of them.
      lloyd_rounds: Bound on the rounds of Lloyd's algorithm.
      rounds: Bound on the rounds of clustering, exchanges included; raised to the next number that
        ends with an exchange.
      clustering: What a client does in such a round.
      rounds_per_exchange: Rounds of clustering for each exchange of masses.
      target: Over whose rows the target of eq. 3 is taken.
    """

    model: DECConfig = DEC_PRESETS["keras"]
    aggregation: Aggregation = AGGREGATIONS["fedavg"]
    pretraining_rounds: int = 100
    pretraining: LocalWork = _TWO_PASSES
    centroids: Centroids = "lloyd"
    client_centers: int = 0
    lloyd_rounds: int = 100
    rounds: int = 200
    clustering: LocalWork = _THIRTY_STEPS
    rounds_per_exchange: int = 1
    target: Target = "global"

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("pretraining_rounds", "client_centers", "lloyd_rounds", "rounds"):
            if getattr(self, name) < 0:
                raise InputError(f"`{name}` must not be negative. Received: {getattr(self, name)}.")
        if self.rounds_per_exchange < 1:
            raise InputError(
                f"`rounds_per_exchange` must be at least 1. Received: {self.rounds_per_exchange}."
            )


def dec_stages(
    n_features: int, n_clusters: int, config: FederatedDECConfig, seed: int
) -> list[Stage]:
    """The stages of federated DEC.

    They keep `encoder/i`, `decoder/i` (kernels and biases in the order data pass through them),
    `initial_centers` and `clusters`.

    Args:
      n_features: Width of a row.
      n_clusters: Number of centres.
      config: The protocol.
      seed: Of the first weights.
    """
    model = config.model
    fresh = AutoencoderTrainer(n_features, model)
    fresh.reset(seed)
    start = fresh.autoencoder.get_weights()
    parts: tuple[int, FederatedDECConfig] = (n_features, config)
    stages: list[Stage] = []
    if isinstance(model.pretraining, LayerWise):
        rounds, last = _shared_out(model.pretraining, len(model.dims), config.pretraining_rounds)
        stages += [_Layer(*parts, i, rounds, start) for i in range(len(model.dims))]
        stages.append(_Whole(*parts, "finetune", last, start))
    else:
        stages.append(_Whole(*parts, "pretrain", config.pretraining_rounds, start))
    centers = CentroidStage(
        n_features, DECEmbedding(model), ("encoder",), n_clusters, seed, config.centroids,
        n_offered=config.client_centers, n_starts=model.kmeans_restarts,
        n_rounds=config.lloyd_rounds, keeps="initial_centers",
    )  # fmt: skip
    return [*stages, centers, _Cluster(*parts, n_clusters)]


def _shared_out(protocol: LayerWise, n_layers: int, n_rounds: int) -> tuple[int, int]:
    """Rounds of each layer and of the whole."""
    steps = n_layers * protocol.steps_per_layer + protocol.finetune_steps
    each = round(n_rounds * protocol.steps_per_layer / steps) if steps else 0
    return each, n_rounds - n_layers * each


def _weights(kept: Arrays, start: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The autoencoder as it is by now: what was kept, or else what it started from."""
    known = {**_as_kept(start), **kept}
    return [*unnumbered("encoder", known), *unnumbered("decoder", known)]


def _as_kept(weights: Sequence[Any]) -> Arrays:
    """The autoencoder's weights by name."""
    arrays = [np.asarray(weight) for weight in weights]
    half = len(arrays) // 2
    return {**numbered("encoder", arrays[:half]), **numbered("decoder", arrays[half:])}


class _Whole(Stage):
    """The whole autoencoder."""

    def __init__(
        self,
        n_features: int,
        config: FederatedDECConfig,
        name: str,
        n_rounds: int,
        start: Sequence[np.ndarray],
    ) -> None:
        self.name, self.n_rounds, self._start = name, n_rounds, start
        work, rule = config.pretraining, config.aggregation
        self._algorithm = FederatedPretraining(n_features, work, rule, config.model)

    def begin(self, kept: Arrays) -> ServerState:
        return self._algorithm.state(_weights(kept, self._start))

    def algorithm(self, number: int) -> FederatedAlgorithm:
        del number
        return self._algorithm

    def end(self, state: ServerState) -> Arrays:
        return _as_kept(state.weights)


class _Layer(Stage):
    """One layer's denoising autoencoder."""

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
        work, rule = config.pretraining, config.aggregation
        self._algorithm = FederatedLayer(n_features, work, rule, config.model, layer)

    def begin(self, kept: Arrays) -> ServerState:
        weights = _weights(kept, self._start)
        at, mirrored = 2 * self._layer, len(weights) - 2 * self._layer - 2
        own = [*weights[at : at + 2], *weights[mirrored : mirrored + 2]]
        return self._algorithm.stacked(own, weights[:at])

    def algorithm(self, number: int) -> FederatedAlgorithm:
        del number
        return self._algorithm

    def end(self, state: ServerState) -> Arrays:
        at = 2 * self._layer
        mirrored = 2 * (len(self._algorithm.config.dims) - 1) - at
        places = [("encoder", at), ("encoder", at + 1), ("decoder", mirrored)]
        names = [f"{part}/{i}" for part, i in [*places, ("decoder", mirrored + 1)]]
        return dict(zip(names, map(np.asarray, state.weights), strict=True))


class _Cluster(Stage):
    """Encoder and centres together: an exchange, so many rounds of training, an exchange ..."""

    name = "cluster"

    def __init__(self, n_features: int, config: FederatedDECConfig, n_clusters: int) -> None:
        self._tol, self._interval = config.model.tol, config.rounds_per_exchange + 1
        # it ends with an exchange, which tells how many labels the last rounds changed
        self.n_rounds = config.rounds + (1 - config.rounds) % self._interval if config.rounds else 0
        later = FederatedDEC(
            n_features,
            config.clustering,
            config.aggregation,
            n_clusters,
            config.model,
            config.target,
        )
        self._later = later
        self._first = dataclasses.replace(later, follows_exchange=True)
        self._exchange = later.exchange()

    def begin(self, kept: Arrays) -> ServerState:
        return self._later.state([*unnumbered("encoder", kept), kept["initial_centers"]])

    def algorithm(self, number: int) -> FederatedAlgorithm:
        place = number % self._interval
        return (self._exchange, self._first, self._later)[min(place, 2)]

    def receive(
        self, number: int, state: ServerState, metrics: Metrics
    ) -> tuple[ServerState, Record]:
        state, record = super().receive(number, state, metrics)
        if number == 0:
            del record["changed"]  # the first exchange compares the weights with themselves
        return state, record

    def is_over(self, record: Record) -> bool:
        return record.get("changed", 1.0) < self._tol

    def end(self, state: ServerState) -> Arrays:
        *encoder, centers = map(np.asarray, state.weights)
        return {**numbered("encoder", encoder), "clusters": centers}
