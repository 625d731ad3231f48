"""Federated k-means as a scikit-learn estimator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin

from federated.algorithms.evaluation import Evaluation
from federated.algorithms.gan_codes import NearestCentroid
from federated.algorithms.kmeans import InputSpace
from federated.backends.descriptions import BackendDescription, OpenBackend
from federated.core.algorithm import State
from federated.core.phases import Phase
from federated.core.records import RoundRecord
from federated.core.rounds import Position
from federated.core.scaling import Scaling
from federated.data.federated_dataset import FederatedDataset
from federated.estimators.base import FederatedEstimator
from federated.estimators.cluster_numbers import build_profile, choose, measure_stability
from federated.estimators.fit import Fit
from federated.phases.centroids import CentroidMethod, CentroidPhase, CentroidSearch
from federated.phases.scaling import build_scaling_phases
from tfcluster.config import check_types, register, to_python
from tfcluster.scaling import Standardizer
from tfcluster.validation import check_matrix, check_whole


@register
@dataclasses.dataclass(frozen=True)
class FederatedKMeansConfig:
    """Hyperparameters of federated k-means.

    Attributes:
      standardize: Whether features get mean 0 and standard deviation 1 over all clients first.
      centroids: How centroids are found; see `CentroidSearch`, also for the next three.
      client_centroids: Centroids each client sends.
      n_init: Starts of "lloyd".
      lloyd_rounds: Bound on the rounds of Lloyd's algorithm.
    """

    standardize: bool = False
    centroids: CentroidMethod = "lloyd"
    client_centroids: int | None = None
    n_init: int = 20
    lloyd_rounds: int = 100

    def __post_init__(self) -> None:
        check_types(self)
        for name, least in (("n_init", 1), ("lloyd_rounds", 0), ("client_centroids", 1)):
            value = getattr(self, name)
            if value is not None:
                check_whole(name, value, least)

    def search(self, n_clusters: int, seed: int) -> CentroidSearch:
        """Returns how centroids are found."""
        return CentroidSearch(
            self.centroids, n_clusters, self.client_centroids, self.n_init, self.lloyd_rounds, seed
        )


class FederatedKMeans(FederatedEstimator):
    """k-means over clients that keep their samples: exact Lloyd, or one round.

    Every client takes part in every round. This is the baseline of the deep models, and with
    `centroids="lloyd"` it equals scikit-learn's Lloyd from the same starts on the pooled samples.

    Args:
      n_clusters: Number of clusters, at least 2; or several, of which one is recommended.
      standardize: As for `FederatedDEC`.
      centroids: "lloyd" (exact), "k_fed", "max_min", "double_kmeans", "random" or
        "random_weighted".
      client_centroids: As for `FederatedDEC`.
      n_init: Starts of "lloyd", made from the clients' own centroids.
      lloyd_rounds: Bound on the rounds of Lloyd's algorithm.
      partition: As for `FederatedDEC`, also for the next three.
      n_clients: Number of clients of one matrix; None for five.
      alpha: Concentration of "dirichlet" and "quantity".
      per_client: Shards per client of "shards".
      share: Share of a client's samples that are of its own class, of "class_share".
      backend: As for `FederatedDEC`.
      random_state: As for `FederatedDEC`.

    Attributes:
      labels_: As of `FederatedDEC`.
      client_labels_: As of `FederatedDEC`.
      cluster_centers_: `(n_clusters, n_features)` centroids, in the original units.
      n_clusters_: Number of clusters, the recommended one of several.
      inertia_: Sum of squared distances to the nearest centroid, in the units of training; NaN
        without a round of Lloyd's algorithm.
      scores_: As of `FederatedDEC`.
      selection_: As of `FederatedDEC`.
      recommendation_: As of `FederatedDEC`.
      profile_: As of `FederatedDEC`.
      history_: A `RoundRecord` of every round.
      config_: The `FederatedKMeansConfig`.
    """

    accepts_range: ClassVar[bool] = True

    def __init__(
        self,
        n_clusters: int | Sequence[int] = 10,
        *,
        standardize: bool | None = None,
        centroids: CentroidMethod = "lloyd",
        client_centroids: int | None = None,
        n_init: int = 20,
        lloyd_rounds: int = 100,
        partition: str = "iid",
        n_clients: int | None = None,
        alpha: float | None = None,
        per_client: int | None = None,
        share: float | None = None,
        backend: str | BackendDescription | OpenBackend = "local",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.standardize = standardize
        self.centroids = centroids
        self.client_centroids = client_centroids
        self.n_init = n_init
        self.lloyd_rounds = lloyd_rounds
        self.partition = partition
        self.n_clients = n_clients
        self.alpha = alpha
        self.per_client = per_client
        self.share = share
        self.backend = backend
        self.random_state = random_state

    def config(self, dataset: FederatedDataset | None = None) -> FederatedKMeansConfig:
        """Returns the configuration that the arguments name."""
        return FederatedKMeansConfig(
            standardize=self._is_standardized(dataset),
            centroids=self.centroids,
            client_centroids=to_python(self.client_centroids),
            n_init=to_python(self.n_init),
            lloyd_rounds=to_python(self.lloyd_rounds),
        )

    def _train(self, fit: Fit) -> None:
        config = self.config(fit.dataset)
        before = build_scaling_phases(fit.n_features, standardize=config.standardize)
        counts = [int(k) for k in self._numbers()]
        runs = [_Search(fit, config, k) for k in counts]
        shared = Position()
        if len(runs) == 1:
            runs[0].run(before)
        else:
            shared = fit.run(before, suffix=".scaling")
            for run in runs:
                run.run([], start=shared, suffix=f".{run.n_clusters}")
        chosen = 0
        self.selection_, self.recommendation_ = [], None
        if len(runs) > 1:
            self.selection_ = [run.describe() for run in runs]
            chosen, self.recommendation_ = choose(self.selection_)
        best = runs[chosen]
        history = [*shared.history, *(record for run in runs for record in run.own_history)]
        self._set_fitted(fit.dataset, best.model(), config, history, best.final.scores)
        self.inertia_ = best.inertia
        self.profile_ = build_profile(fit, best.final, Scaling.from_artifacts(best.at.artifacts))

    @property
    def _n_features_out(self) -> int:
        return self.n_clusters_  # `transform` gives distances

    def to_kmeans(self) -> NearestCentroidModel:
        """Returns the model alone, standardization included."""
        model: NearestCentroidModel = self._copy_of_model()
        return model


class _Search:
    """The search for one number of clusters, and what it found."""

    def __init__(self, fit: Fit, config: FederatedKMeansConfig, n_clusters: int) -> None:
        self._fit, self._config, self.n_clusters = fit, config, n_clusters
        self._labeling = NearestCentroid(InputSpace(), n_clusters)
        self._last: Evaluation | None = None

    def run(self, before: Sequence[Phase], start: Position | None = None, suffix: str = "") -> None:
        """Runs the search, after the phases before, and evaluates the centroids."""
        search = self._config.search(self.n_clusters, self._fit.seed)
        phase = CentroidPhase(self._fit.n_features, InputSpace(), (), search, "centroids")
        n_shared = len(start.history) if start else 0
        if start is not None:
            start = dataclasses.replace(start, phase=0, done=0)
        self.at = self._fit.run([*before, phase], self._score, start=start, suffix=suffix)
        self.own_history = self.at.history[n_shared:]
        weights = [self.at.artifacts["centroids"]]
        self.final = self._last or self._fit.evaluate(self._labeling, weights)

    def _score(self, phase: Phase, state: State, record: RoundRecord) -> dict[str, Any]:
        if not (isinstance(phase, CentroidPhase) and record.is_last):
            return {}
        centroids = np.asarray(state.centroids[0], np.float32)
        self._last = self._fit.evaluate(self._labeling, [centroids])
        return self._last.scores

    @property
    def inertia(self) -> float:
        """Inertia of the last round of Lloyd's algorithm."""
        found = [r.metrics["inertia"] for r in self.own_history if "inertia" in r.metrics]
        return float(found[-1]) if found else float("nan")

    def describe(self) -> dict[str, Any]:
        """Returns what is compared between numbers of clusters."""
        starts = self.at.artifacts["starts"]
        stability = measure_stability(self._fit, InputSpace(), [], starts)
        return {"n_clusters": self.n_clusters, **self.final.scores, "stability": stability}

    def model(self) -> NearestCentroidModel:
        """Returns the model, standardization included."""
        scaling = Scaling.from_artifacts(self.at.artifacts)
        return NearestCentroidModel(self.at.artifacts["centroids"], scaling.standardizer)


class NearestCentroidModel(ClusterMixin, TransformerMixin, BaseEstimator):
    """Labels samples by their nearest centroid.

    Args:
      centroids: `(n_clusters, n_features)` float32, in the units of training.
      standardizer: What samples go through first, or None.
    """

    def __init__(self, centroids: np.ndarray, standardizer: Standardizer | None = None) -> None:
        self.centroids = centroids
        self.standardizer = standardizer
        self.n_features_in_ = centroids.shape[1]

    @property
    def standardizer_(self) -> Standardizer | None:
        """Standardizer that samples go through first."""
        return self.standardizer

    @property
    def cluster_centers_(self) -> np.ndarray:
        """Centroids in the original units, `(n_clusters, n_features)`."""
        if self.standardizer is None:
            return self.centroids
        return self.centroids * self.standardizer.sd + self.standardizer.mean

    def transform(self, X: Any) -> np.ndarray:
        """Returns distances to the centroids, in the units of training: `(n_samples, k)`."""
        x = check_matrix(self, X, allow_missing=self.standardizer is not None)
        if self.standardizer is not None:
            x = self.standardizer(x)
        wide = x.astype(np.float64)
        squares = [np.square(wide - centroid).sum(axis=1) for centroid in self.centroids]
        return np.sqrt(np.stack(squares, axis=1))

    def predict(self, X: Any) -> np.ndarray:
        """Labels samples: `(n_samples, n_features)` to `(n_samples,)`."""
        return np.argmin(self.transform(X), axis=1)
