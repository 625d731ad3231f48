"""First centres from one round in which clients cluster their own embeddings.

Clients send centres and how many rows each has, and the server makes k centres of them all, by one
of `METHODS`; or `proposals` makes several starts for exact federated Lloyd (`FederatedLloyd`). What
is sent does not add over clients: unlike Lloyd's sums, it shows the server means of small groups of
a client's rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans, kmeans_plusplus

from federated.algorithms.kmeans import Embedding, own_rows
from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    ServerState,
    Tensors,
)
from tfcluster.config import register
from tfcluster.errors import InputError
from tfcluster.runtime import single_threaded
from tfcluster.training.loop import derived_seed

Floats = NDArray[np.float64]

_BLOCK_ROWS = 4096
_SERVER_RESTARTS = 20


@register
@dataclasses.dataclass(frozen=True)
class ClientCenters(FederatedAlgorithm):
    """One round of k-means on the embedding of each client's rows, with nothing but the client's.

    The state's weights are the embedding's; the round leaves them as they are.

    Attributes:
      embedding: How rows are embedded.
      n_centers: Centres a client looks for, k' of k-FED. Where it has fewer different rows, the
        centres left over have no rows.
      n_iterations: Steps of Lloyd's algorithm at most; fewer where no centre moves any more.
      restarts: Starts by k-means++, of which the one with the least inertia is sent.

    Raises:
      InputError: If one of the three numbers is not positive.
    """

    everyone = True

    embedding: Embedding
    n_centers: int
    n_iterations: int = 30
    restarts: int = 5

    def __post_init__(self) -> None:
        for name in ("n_centers", "n_iterations", "restarts"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be positive. Received: {getattr(self, name)}.")

    def state(self, weights: Sequence[Any]) -> ServerState:
        """The state before the round, from the embedding's weights."""
        return ServerState(tuple(map(tf.convert_to_tensor, weights)))

    def make_learner(self) -> _Learner:
        """What embeds, and finds centres."""
        return _Learner(self)

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """The state as it is; the metrics are what `METHODS` need and what the clients found.

        They are `centers`, `(participants, n_centers, units)`, and `counts`, `(participants,
        n_centers)`, both float64; the sum of the clients' own inertias, and the rows.
        """
        inertia, n_rows = sums
        centers, counts = gathered
        return state, {"centers": centers, "counts": counts, "inertia": inertia, "rows": n_rows}


class _Learner:
    def __init__(self, algorithm: ClientCenters) -> None:
        self._embed = algorithm.embedding.make_embed(algorithm.n_features)
        self._algorithm = algorithm

    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums: inertia, rows. Gathered: centres, and rows of each. All in float64."""
        ask = self._algorithm
        z = self._embed(broadcast.weights, data.x)
        found = best_clustering(z, ask.n_centers, ask.n_iterations, ask.restarts, seed)
        n_rows = tf.cast(tf.shape(z)[0], tf.float64)
        return ClientOutput((found.inertia, n_rows), (found.centers, found.counts))


class Clustering(NamedTuple):
    """What k-means found.

    Attributes:
      centers: `(clusters, units)` float64.
      counts: `(clusters,)` float64, rows nearest to each.
      inertia: Scalar float64, the sum of the rows' squared distances to the nearest centre.
    """

    centers: tf.Tensor
    counts: tf.Tensor
    inertia: tf.Tensor


def best_clustering(
    z: tf.Tensor, n_clusters: int, n_iterations: int, restarts: int, seed: tf.Tensor
) -> Clustering:
    """K-means, in operations that run eagerly and in any graph.

    Args:
      z: `(rows, units)` float64, one row at least.
      n_clusters: Centres to find.
      n_iterations: Steps of Lloyd's algorithm at most.
      restarts: Starts, by k-means++.
      seed: Scalar, int32.

    Returns:
      The start that ended with the least inertia; infinite inertia if some row is not finite.
    """
    centers = tf.zeros((n_clusters, z.shape[1]), tf.float64)
    counts = tf.zeros((n_clusters,), tf.float64)
    inertia = tf.constant(np.inf, tf.float64)
    for restart in tf.range(restarts):
        start = seeded_centers(z, n_clusters, tf.stack([seed, restart]))
        found = _lloyd(z, start, n_iterations)
        better = found.inertia < inertia  # never, of NaN
        centers = tf.where(better, found.centers, centers)
        counts = tf.where(better, found.counts, counts)
        inertia = tf.where(better, found.inertia, inertia)
    return Clustering(centers, counts, inertia)


def seeded_centers(z: tf.Tensor, n_clusters: int, seed: tf.Tensor) -> tf.Tensor:
    """Rows to begin with, by k-means++ (Arthur and Vassilvitskii, SODA 2007).

    Each is drawn with a probability that grows with the squared distance to the nearest one
    before. Once all different rows are taken, rows come twice.

    Args:
      z: `(rows, units)` float64.
      n_clusters: Rows to draw.
      seed: `(2,)` int32.

    Returns:
      `(n_clusters, units)` float64.
    """
    fold_in = tf.random.experimental.stateless_fold_in
    last = tf.shape(z)[0] - 1
    first = z[tf.random.stateless_uniform((), fold_in(seed, 0), maxval=last + 1, dtype=tf.int32)]
    centers = tf.tile(first[tf.newaxis], (n_clusters, 1))
    nearest = _squared_distances(z, first)
    for i in tf.range(1, n_clusters):
        mass = tf.cumsum(nearest)
        drawn = mass[-1] * tf.random.stateless_uniform((), fold_in(seed, i), dtype=tf.float64)
        # "right" passes over rows of no mass; where none has any, it passes over all of them
        row = tf.minimum(tf.searchsorted(mass, drawn[tf.newaxis], side="right")[0], last)
        centers = tf.tensor_scatter_nd_update(centers, [[i]], z[row][tf.newaxis])
        nearest = tf.minimum(nearest, _squared_distances(z, z[row]))
    return centers


def _squared_distances(z: tf.Tensor, center: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.math.squared_difference(z, center), axis=1)


def _lloyd(z: tf.Tensor, centers: tf.Tensor, n_iterations: int) -> Clustering:
    step, moves = tf.constant(0), tf.constant(True)
    while step < n_iterations and moves:
        totals, counts, _ = _own_rows_in_blocks(z, centers)
        means = tf.math.divide_no_nan(totals, counts[:, tf.newaxis])
        moved_to = tf.where(counts[:, tf.newaxis] > 0, means, centers)
        moves = tf.reduce_any(moved_to != centers)
        centers, step = moved_to, step + 1
    _, counts, inertia = _own_rows_in_blocks(z, centers)
    return Clustering(centers, counts, inertia)


def _own_rows_in_blocks(z: tf.Tensor, centers: tf.Tensor) -> Tensors:
    """`own_rows`, which on all rows at once would need the memory of `z` for every centre."""
    totals, counts = tf.zeros_like(centers), tf.zeros_like(centers[:, 0])
    inertia = tf.constant(0.0, tf.float64)
    for start in tf.range(0, tf.shape(z)[0], _BLOCK_ROWS):
        block = own_rows(z[start : start + _BLOCK_ROWS], centers)
        totals, counts, inertia = totals + block[0], counts + block[1], inertia + block[2]
    return totals, counts, inertia


def k_fed(centers: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """Algorithm 2 of k-FED (Dennis, Li and Smith: Heterogeneity for the Win, ICML 2021).

    The seeds are one client's centres and then, one by one, the centre farthest from all seeds so
    far. Every centre joins its nearest seed, and the mean of those that did is the result: one
    round of Lloyd's algorithm, in which centres weigh the same however many rows they have. It
    suits clients with few of the clusters, and k' that is no more than each of them has.

    Where we settle what the paper leaves open, or depart: the client, "any" in the paper, is among
    those with most centres the one with most rows; if it has more than k, they are thinned to k
    by the same rule, heaviest first. The clients' own k-means is k-means++ and Lloyd (the paper's
    algorithm 1 starts from a projection on principal directions). The authors' code goes on with
    Lloyd to the end; the paper and we do not.

    Args:
      centers: `(clients, k', d)`.
      counts: `(clients, k')` rows of each; those without rows are ignored.
      k: Centres to make.
      seed: Nothing is drawn.

    Returns:
      `(k, d)` float64.

    Raises:
      InputError: If there are fewer than k different centres with rows.
    """
    del seed
    points, _ = _pooled(centers, counts, k)
    centers, counts = np.asarray(centers, np.float64), np.asarray(counts, np.float64)
    sizes = zip((counts > 0).sum(axis=1), counts.sum(axis=1), strict=True)
    client = max(enumerate(sizes), key=lambda item: item[1])[0]
    own, rows = _merged(centers[client], counts[client])
    seeds = _farthest_first(own, own[[np.argmax(rows)]], min(k, len(own)))
    seeds = _farthest_first(points, seeds, k)
    votes = centers[counts > 0]  # one each, the same point twice too
    joined = np.eye(k)[cdist(votes, seeds).argmin(axis=1)]
    return joined.T @ votes / joined.sum(axis=0)[:, np.newaxis]


def max_min(centers: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """Farthest-first traversal: the heaviest centre, then what is farthest from all so far.

    Gonzalez, 1985. Its arguments, result and errors are those of `k_fed`.
    """
    del seed
    points, weights = _pooled(centers, counts, k)
    return _farthest_first(points, points[[np.argmax(weights)]], k)


def double_kmeans(centers: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """K-means on all clients' centres, each with the weight of its rows.

    Its arguments, result and errors are those of `k_fed`; the restarts draw from the seed.
    """
    points, weights = _pooled(centers, counts, k)
    with single_threaded():
        kmeans = KMeans(k, n_init=_SERVER_RESTARTS, random_state=seed)
        return kmeans.fit(points, sample_weight=weights).cluster_centers_


def random(centers: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """Different centres of clients, all with the same probability.

    Its arguments, result and errors are those of `k_fed`.
    """
    points, _ = _pooled(centers, counts, k)
    return np.random.default_rng(seed).choice(points, k, replace=False)


def random_weighted(centers: ArrayLike, counts: ArrayLike, k: int, seed: int = 0) -> Floats:
    """Different centres of clients, drawn one by one with probabilities as their rows.

    Its arguments, result and errors are those of `k_fed`.
    """
    points, weights = _pooled(centers, counts, k)
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
"""Ways to make k centres of all clients' centres, by name."""


def proposals(centers: ArrayLike, counts: ArrayLike, k: int, starts: int, seed: int = 0) -> Floats:
    """Starts for `FederatedLloyd`: that of `double_kmeans`, then k-means++ on all centres.

    The centres that k-means++ draws from have the weight of their rows, as if all rows lay there.

    Args:
      centers: `(clients, k', d)`.
      counts: `(clients, k')` rows of each; those without rows are ignored.
      k: Centres of a start.
      starts: How many to make.
      seed: Of all that is drawn.

    Returns:
      `(starts, k, d)` float64.

    Raises:
      InputError: If there are fewer than k different centres with rows, or `starts` is not
        positive.
    """
    if starts < 1:
        raise InputError(f"`starts` must be positive. Received: {starts}.")
    points, weights = _pooled(centers, counts, k)
    made = [double_kmeans(centers, counts, k, seed)]
    with single_threaded():
        for i in range(1, starts):
            own_seed = derived_seed(seed, i)
            made.append(kmeans_plusplus(points, k, sample_weight=weights, random_state=own_seed)[0])
    return np.stack(made)


def _pooled(centers: ArrayLike, counts: ArrayLike, k: int) -> tuple[Floats, Floats]:
    """All clients' different centres with rows, `(m, d)`, and the rows of each, `(m,)`."""
    centers, counts = np.asarray(centers, np.float64), np.asarray(counts, np.float64)
    points, weights = _merged(centers.reshape(-1, centers.shape[-1]), counts.ravel())
    if not 1 <= k <= len(points):
        raise InputError(
            f"{k} clusters cannot be made of the {len(points)} different centres that the clients "
            f"found. Ask for fewer clusters, or for more centres a client (now "
            f"{counts.shape[1]}), or take more clients (now {len(counts)})."
        )
    return points, weights


def _merged(centers: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Centres with rows, equal ones as one, sorted: the same whatever order they came in."""
    points, owner = np.unique(centers[counts > 0], axis=0, return_inverse=True)
    weights: Floats = np.zeros(len(points))
    np.add.at(weights, owner.ravel(), counts[counts > 0])
    return points, weights


def _farthest_first(points: Floats, first: Floats, k: int) -> Floats:
    """`first` and then points, each the farthest from all before it, until there are k."""
    chosen = list(first)
    gaps = cdist(points, first).min(axis=1)
    while len(chosen) < k:
        chosen.append(points[np.argmax(gaps)])
        gaps = np.minimum(gaps, cdist(points, chosen[-1:])[:, 0])
    return np.stack(chosen)
