"""The stage that finds centres among embedded rows of all clients, exactly or in one round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from federated.algorithms.kmeans import Embedding, FederatedLloyd
from federated.algorithms.one_shot import METHODS, ClientCenters, proposals
from federated.core.algorithm import FederatedAlgorithm, Metrics, ServerState
from federated.core.rounds import Stage
from tfcluster.errors import InputError
from tfcluster.estimator import unnumbered
from tfcluster.files import Arrays
from tfcluster.training.phases import Record

Centroids = Literal["lloyd", "k_fed", "max_min", "double_kmeans", "random", "random_weighted"]

_CLIENT_ITERATIONS = 30
_CLIENT_RESTARTS = 3


class CentroidStage(Stage):
    """Centres: starts from what clients propose, then Lloyd's algorithm, or none of it.

    Args:
      n_features: Width of a row.
      embedding: How rows are embedded.
      parts: Networks whose weights the embedding takes, as earlier stages kept them.
      n_clusters: Number of centres.
      seed: Of the server's draws.
      method: "lloyd", exact federated k-means from several starts; or one of `METHODS`.
      n_offered: Centres a client offers; 0 for as many as there are clusters, or their square
        root for "k_fed".
      n_starts: Starts of "lloyd".
      n_rounds: Bound on the rounds of "lloyd".
      keeps: Name of the centres, `(n_clusters, units)` float32, among what is kept.
    """

    name = "centroids"

    def __init__(
        self,
        n_features: int,
        embedding: Embedding,
        parts: Sequence[str],
        n_clusters: int,
        seed: int,
        method: Centroids,
        *,
        n_offered: int,
        n_starts: int,
        n_rounds: int,
        keeps: str,
    ) -> None:
        self._parts, self._k, self._seed = parts, n_clusters, seed
        self._method, self._n_starts, self._keeps = method, n_starts, keeps
        self.n_rounds = 1 + (n_rounds if method == "lloyd" else 0)
        n_offered = n_offered or usual_offer(method, n_clusters)
        self._propose = ClientCenters(
            n_features, embedding, n_offered, _CLIENT_ITERATIONS, _CLIENT_RESTARTS
        )
        self._lloyd = FederatedLloyd(n_features, embedding)

    def begin(self, kept: Arrays) -> ServerState:
        """The embedding's weights."""
        return self._propose.state([w for part in self._parts for w in unnumbered(part, kept)])

    def algorithm(self, number: int) -> FederatedAlgorithm:
        """Proposals, then Lloyd's algorithm."""
        return self._lloyd if number else self._propose

    def receive(
        self, number: int, state: ServerState, metrics: Metrics
    ) -> tuple[ServerState, Record]:
        """Makes starts of the proposals; later sorts them, the best first."""
        if number == 0:
            return self._lloyd.state(state.weights, self._first(metrics)), {}
        inertia = np.asarray(metrics["inertia"])
        # the best start comes first, so that a checkpoint needs nothing but the state
        order = np.argsort(inertia, kind="stable")
        (centers,) = state.context
        state = state._replace(context=(tf.gather(centers, order),))
        shift = float(np.max(metrics["shift"]))
        return state, {"inertia": float(inertia.min()), "shift": shift}

    def _first(self, metrics: Metrics) -> np.ndarray:
        centers, counts = (np.asarray(metrics[name]) for name in ("centers", "counts"))
        if self._method == "lloyd":
            return proposals(centers, counts, self._k, self._n_starts, self._seed)
        return METHODS[self._method](centers, counts, self._k, self._seed)[np.newaxis]

    def is_over(self, record: Record) -> bool:
        """Whether no centre of any start moved."""
        return record.get("shift") == 0.0

    def end(self, state: ServerState) -> Arrays:
        """The centres of the best start."""
        return {self._keeps: np.asarray(state.context[0][0], np.float32)}


def usual_offer(method: Centroids, n_clusters: int) -> int:
    """Centres a client offers where nothing else was said."""
    return math.isqrt(n_clusters - 1) + 1 if method == "k_fed" else n_clusters


def check_offers(method: Centroids, n_clients: int, n_clusters: int, n_offered: int) -> None:
    """Sees to it, before anything is trained, that clients offer as many centres as are needed.

    Args:
      method: As of `CentroidStage`.
      n_clients: Clients there are.
      n_clusters: Centres that are made of what they offer.
      n_offered: As of `CentroidStage`.

    Raises:
      InputError: If they offer fewer.
    """
    each = n_offered or usual_offer(method, n_clusters)
    if n_clients * each < n_clusters:
        raise InputError(
            f"{n_clusters} centres need as many offers of the clients. Received: {n_clients} "
            f"clients that offer {each} each. Raise it by --set client_centers={n_clusters}, or "
            "choose --centroids lloyd."
        )
