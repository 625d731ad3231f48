"""Initial centroids from one round in which clients cluster their own embeddings.

Clients send centroids and how many samples each has, and the server makes k centroids of them all,
by one of `METHODS`; or `make_lloyd_starts` makes several starts for exact federated Lloyd. What is
sent does not add over clients: unlike Lloyd's sums, it shows the server means of small groups of a
client's samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans, kmeans_plusplus

from federated.algorithms.client_kmeans import best_clustering
from federated.algorithms.kmeans import Embedding
from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    WeightsState,
)
from federated.core.local_training import to_tensors
from tfcluster.config import register
from tfcluster.errors import InputError
from tfcluster.runtime import single_threaded
from tfcluster.training.loop import derive_seed

Floats = NDArray[np.float64]

_SERVER_RESTARTS = 20


class ClientCentroidSums(NamedTuple):
    """Sums that clients send, in float64.

    Attributes:
      inertia: Scalar, the client's own inertia.
      n_samples: Scalar.
    """

    inertia: tf.Tensor
    n_samples: tf.Tensor


class CentroidsOfClient(NamedTuple):
    """Centroids that each client sends, in float64.

    Attributes:
      centroids: `(n_centroids, n_units)`.
      counts: `(n_centroids,)`, samples of each.
    """

    centroids: tf.Tensor
    counts: tf.Tensor


@register
@dataclasses.dataclass(frozen=True)
class ClientCentroids(FederatedAlgorithm):
    """One round of k-means on the embedding of each client's samples, by itself.

    Attributes:
      embedding: How samples are embedded.
      n_centroids: Centroids a client looks for, k' of k-FED. Where it has fewer different samples,
        the centroids left over have no samples.
      n_iterations: Steps of Lloyd's algorithm at most; fewer once no centroid moves.
      restarts: Starts by k-means++, of which the one with the least inertia is sent.

    Raises:
      InputError: If one of the three numbers is not positive.
    """

    kind: ClassVar[str] = "client centroids"
    state_type: ClassVar[type] = WeightsState
    sums_type: ClassVar[type] = ClientCentroidSums
    per_client_type: ClassVar[type] = CentroidsOfClient
    full_participation: ClassVar[bool] = True

    embedding: Embedding
    n_centroids: int
    n_iterations: int = 30
    restarts: int = 5

    def __post_init__(self) -> None:
        for name in ("n_centroids", "n_iterations", "restarts"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be positive. Received: {getattr(self, name)}.")

    def initial_state(self, weights: Sequence[Any]) -> WeightsState:
        """Returns the state before the round, from the embedding's weights."""
        return WeightsState(to_tensors(weights))

    def make_learner(self) -> _CentroidsLearner:
        """Builds the embedding."""
        return _CentroidsLearner(self)

    def server_update(
        self, state: WeightsState, sums: ClientCentroidSums, per_client: CentroidsOfClient
    ) -> tuple[WeightsState, Metrics]:
        """Leaves the state; the metrics are what clients sent.

        They are `centroids`, `(participants, n_centroids, n_units)`, `counts`, `(participants,
        n_centroids)`, and the sums.
        """
        return state, {**per_client._asdict(), **sums._asdict()}


class _CentroidsLearner:
    def __init__(self, algorithm: ClientCentroids) -> None:
        self._embed = algorithm.embedding.make_embed(algorithm.n_features)
        self._algorithm = algorithm

    def update(self, broadcast: WeightsState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Clusters the client's embedded samples."""
        ask = self._algorithm
        z = self._embed(broadcast.weights, data.x)
        found = best_clustering(z, ask.n_centroids, ask.n_iterations, ask.restarts, seed)
        n_samples = tf.cast(tf.shape(z)[0], tf.float64)
        return ClientOutput(
            ClientCentroidSums(found.inertia, n_samples),
            CentroidsOfClient(found.centroids, found.counts),
        )


def k_fed(centroids: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """Algorithm 2 of k-FED (Dennis, Li and Smith: Heterogeneity for the Win, ICML 2021).

    The seeds are one client's centroids and then, one by one, the centroid farthest from all seeds
    so far. Every centroid joins its nearest seed, and the mean of those that did is the result: one
    round of Lloyd's algorithm, in which centroids weigh the same however many samples they have. It
    suits clients with few of the clusters, and k' that is no more than each of them has.

    Where we settle what the paper leaves open, or depart: the client, "any" in the paper, is among
    those with most centroids the one with most samples; if it has more than k, they are thinned to
    k by the same rule, heaviest first. The clients' own k-means is k-means++ and Lloyd (the paper's
    algorithm 1 starts from a projection on principal directions). The authors' code goes on with
    Lloyd to the end; the paper and we do not.

    Args:
      centroids: `(n_clients, k', d)`.
      counts: `(n_clients, k')` samples of each; centroids without samples are ignored.
      k: Centroids to make.
      seed: Not used; nothing is drawn.

    Returns:
      `(k, d)` float64.

    Raises:
      InputError: If there are fewer than k different centroids with samples.
    """
    del seed
    points, _ = _pooled(centroids, counts, k)
    centroids, counts = np.asarray(centroids, np.float64), np.asarray(counts, np.float64)
    sizes = zip((counts > 0).sum(axis=1), counts.sum(axis=1), strict=True)
    client = max(enumerate(sizes), key=lambda item: item[1])[0]
    own, weights = _merged(centroids[client], counts[client])
    seeds = _farthest_first(own, own[[np.argmax(weights)]], min(k, len(own)))
    seeds = _farthest_first(points, seeds, k)
    votes = centroids[counts > 0]  # one each, the same point twice too
    joined = np.eye(k)[cdist(votes, seeds).argmin(axis=1)]
    return joined.T @ votes / joined.sum(axis=0)[:, np.newaxis]


def max_min(centroids: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """Farthest-first traversal: the heaviest centroid, then the farthest from all so far.

    Gonzalez, 1985. Arguments, result and errors are those of `k_fed`.
    """
    del seed
    points, weights = _pooled(centroids, counts, k)
    return _farthest_first(points, points[[np.argmax(weights)]], k)


def double_kmeans(centroids: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """k-means on all clients' centroids, each weighted by its samples.

    Arguments, result and errors are those of `k_fed`; the restarts draw from the seed.
    """
    points, weights = _pooled(centroids, counts, k)
    with single_threaded():
        kmeans = KMeans(k, n_init=_SERVER_RESTARTS, random_state=seed)
        return kmeans.fit(points, sample_weight=weights).cluster_centers_


def random(centroids: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """Different centroids of clients, all with the same probability.

    Arguments, result and errors are those of `k_fed`.
    """
    points, _ = _pooled(centroids, counts, k)
    return np.random.default_rng(seed).choice(points, k, replace=False)


def random_weighted(centroids: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """Different centroids of clients, drawn one by one with probabilities as their samples.

    Arguments, result and errors are those of `k_fed`.
    """
    points, weights = _pooled(centroids, counts, k)
    share = weights / weights.sum()
    return np.random.default_rng(seed).choice(points, k, replace=False, p=share)


Method = Callable[[ArrayLike, ArrayLike, int, int], Floats]

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "k_fed": k_fed,
        "max_min": max_min,
        "double_kmeans": double_kmeans,
        "random": random,
        "random_weighted": random_weighted,
    }
)
"""Ways to make k centroids of all clients' centroids, by name."""


def make_lloyd_starts(
    centroids: ArrayLike, counts: ArrayLike, k: int, starts: int, seed: int = 0
) -> Floats:
    """Makes starts for `LloydIteration`: that of `double_kmeans`, then k-means++ draws.

    k-means++ draws from all clients' centroids, weighted as if all samples lay there.

    Args:
      centroids: `(n_clients, k', d)`.
      counts: `(n_clients, k')` samples of each; centroids without samples are ignored.
      k: Centroids of a start.
      starts: Starts to make.
      seed: Seed of all that is drawn.

    Returns:
      `(starts, k, d)` float64.

    Raises:
      InputError: If there are fewer than k different centroids with samples, or `starts` is not
        positive.
    """
    if starts < 1:
        raise InputError(f"`starts` must be positive. Received: {starts}.")
    points, weights = _pooled(centroids, counts, k)
    made = [double_kmeans(centroids, counts, k, seed)]
    with single_threaded():
        for i in range(1, starts):
            own_seed = derive_seed(seed, i)
            made.append(kmeans_plusplus(points, k, sample_weight=weights, random_state=own_seed)[0])
    return np.stack(made)


def _pooled(centroids: ArrayLike, counts: ArrayLike, k: int) -> tuple[Floats, Floats]:
    """Returns all different centroids with samples, `(m, d)`, and their samples, `(m,)`."""
    centroids, counts = np.asarray(centroids, np.float64), np.asarray(counts, np.float64)
    points, weights = _merged(centroids.reshape(-1, centroids.shape[-1]), counts.ravel())
    if not 1 <= k <= len(points):
        raise InputError(
            f"{k} clusters cannot be made of the {len(points)} different centroids that the "
            "clients found. Ask for fewer clusters, or for more centroids per client (now "
            f"{counts.shape[1]}), or take more clients (now {len(counts)})."
        )
    return points, weights


def _merged(centroids: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Returns centroids with samples, equal ones merged, sorted: the same in whatever order."""
    points, owner = np.unique(centroids[counts > 0], axis=0, return_inverse=True)
    weights: Floats = np.zeros(len(points))
    np.add.at(weights, owner.ravel(), counts[counts > 0])
    return points, weights


def _farthest_first(points: Floats, first: Floats, k: int) -> Floats:
    """Returns `first` and then points, each the farthest from all before it, k in all."""
    chosen = list(first)
    gaps = cdist(points, first).min(axis=1)
    while len(chosen) < k:
        chosen.append(points[np.argmax(gaps)])
        gaps = np.minimum(gaps, cdist(points, chosen[-1:])[:, 0])
    return np.stack(chosen)
