"""The phase that finds centroids among embedded samples of all clients, exactly or in one round."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from federated.algorithms.kmeans import Embedding, LloydIteration
from federated.algorithms.one_shot import METHODS, ClientCentroids, make_lloyd_starts
from federated.core.algorithm import FederatedAlgorithm, Metrics, WeightsState
from federated.core.phases import Artifacts, Found, Phase
from tfcluster.errors import InputError
from tfcluster.files import unpack_arrays

CentroidMethod = Literal["lloyd", "k_fed", "max_min", "double_kmeans", "random", "random_weighted"]

_CLIENT_ITERATIONS = 30
_CLIENT_RESTARTS = 3


@dataclasses.dataclass(frozen=True)
class CentroidSearch:
    """How centroids are found.

    Attributes:
      method: "lloyd", exact federated k-means from several starts; or one of
        `one_shot.METHODS`, from one round in which clients cluster their own samples.
      n_clusters: Number of centroids.
      client_centroids: Centroids a client sends; None for as many as there are clusters, or their
        square root for "k_fed", which is made for clients that have few of them.
      n_starts: Starts of "lloyd".
      max_rounds: Bound on the rounds of "lloyd".
      seed: Seed of the server's draws.
    """

    method: CentroidMethod
    n_clusters: int
    client_centroids: int | None
    n_starts: int
    max_rounds: int
    seed: int

    @property
    def n_sent(self) -> int:
        """Centroids a client sends."""
        if self.client_centroids is not None:
            return self.client_centroids
        k = self.n_clusters
        return math.isqrt(k - 1) + 1 if self.method == "k_fed" else k

    def check(self, sizes: Sequence[int]) -> None:
        """Raises `InputError` if clients of these sizes send fewer centroids than are needed."""
        n_sent = sum(min(size, self.n_sent) for size in sizes)
        if n_sent < self.n_clusters:
            raise InputError(
                f"{self.n_clusters} centroids cannot be made of the {n_sent} that {len(sizes)} "
                f"clients send, at most {self.n_sent} each. Raise it by "
                f"client_centroids={self.n_clusters} (--set), or choose centroids="
                '"lloyd" (--centroids lloyd).'
            )


class CentroidPhase(Phase):
    """Finds centroids: starts from the clients' own, then Lloyd's algorithm, or none of it.

    Args:
      n_features: Features of a sample.
      embedding: How samples are embedded.
      networks: Names of the networks whose weights the embedding takes, as phases before left them.
      search: How centroids are found.
      artifact: Name of the centroids, `(n_clusters, n_units)` float32, among what the phase leaves.
    """

    name = "centroids"

    def __init__(
        self,
        n_features: int,
        embedding: Embedding,
        networks: Sequence[str],
        search: CentroidSearch,
        artifact: str,
    ) -> None:
        self._networks, self._search, self._artifact = networks, search, artifact
        self.n_clusters = search.n_clusters
        self.n_rounds = 1 + (search.max_rounds if search.method == "lloyd" else 0)
        self._first = ClientCentroids(
            n_features, embedding, search.n_sent, _CLIENT_ITERATIONS, _CLIENT_RESTARTS
        )
        self._lloyd = LloydIteration(n_features, embedding)

    def begin(self, artifacts: Artifacts) -> WeightsState:
        """Returns the embedding's weights."""
        return self._first.initial_state(
            [weight for name in self._networks for weight in unpack_arrays(name, artifacts)]
        )

    def algorithm(self, number: int) -> FederatedAlgorithm:
        """Returns the clients' own k-means, then Lloyd's algorithm."""
        return self._lloyd if number else self._first

    def receive(self, number: int, state: Any, metrics: Metrics) -> Found:
        """Makes starts of the clients' centroids; later sorts the starts, the best first."""
        if number == 0:
            return Found(self._lloyd.initial_state(state.weights, self._starts(metrics)), {}, {})
        inertia = np.asarray(metrics["inertia"])
        # the best start comes first, so that a checkpoint needs nothing but the state
        order = np.argsort(inertia, kind="stable")
        state = state._replace(centroids=tf.gather(state.centroids, order))
        shift = float(np.max(metrics["shift"]))
        return Found(state, {}, {"inertia": float(inertia.min()), "shift": shift})

    def _starts(self, metrics: Metrics) -> np.ndarray:
        centroids, counts = (np.asarray(metrics[name]) for name in ("centroids", "counts"))
        ask = self._search
        if ask.method == "lloyd":
            return make_lloyd_starts(centroids, counts, ask.n_clusters, ask.n_starts, ask.seed)
        return METHODS[ask.method](centroids, counts, ask.n_clusters, ask.seed)[np.newaxis]

    def is_over(self, found: Found) -> bool:
        """Returns whether no centroid of any start moved."""
        return found.metrics.get("shift") == 0.0

    def end(self, state: Any) -> Artifacts:
        """Returns the centroids of the best start, and of all."""
        centroids = np.asarray(state.centroids)
        return {self._artifact: centroids[0].astype(np.float32), "starts": centroids}
