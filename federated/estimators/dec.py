"""Federated DEC as a scikit-learn estimator."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from federated.algorithms.dec import Target
from federated.algorithms.evaluation import DECLabeling, Evaluation
from federated.algorithms.kmeans import DECEmbedding
from federated.backends.descriptions import BackendDescription, OpenBackend
from federated.core.aggregation import Aggregation, find_aggregation
from federated.core.algorithm import State
from federated.core.local_training import LocalWork
from federated.core.phases import Artifacts, Phase
from federated.core.records import RoundRecord
from federated.core.rounds import Position
from federated.core.scaling import Scaling
from federated.data.federated_dataset import FederatedDataset
from federated.estimators.base import FederatedEstimator
from federated.estimators.cluster_numbers import build_profile, choose, measure_stability
from federated.estimators.fit import Fit
from federated.phases.centroids import CentroidMethod
from federated.phases.dec import (
    ClusteringPhase,
    FederatedDECConfig,
    clustering_phases,
    pretraining_phases,
)
from tfcluster.config import (
    SGD,
    Adam,
    DECConfig,
    EndToEnd,
    LayerWise,
    get_dec_config,
    override,
    to_python,
)
from tfcluster.dec import DEC
from tfcluster.files import unpack_arrays
from tfcluster.scaling import Standardizer

_MODEL_FIELDS = (
    "dims", "initializer", "scaling", "pretraining", "reconstruction_weight", "kmeans_restarts",
    "batch_size", "optimizer", "update_interval", "tol", "precision",
)  # fmt: skip


class FederatedDEC(FederatedEstimator):
    """Deep Embedded Clustering over clients that keep their samples.

    Pretrains an autoencoder, finds initial centroids by exact federated k-means, and trains encoder
    and centroids towards the target of all clients' samples. Where a default is None, the preset
    decides.

    Args:
      n_clusters: Number of clusters, at least 2; or several, e.g. `range(2, 11)`, which share one
        pretraining and of which one is recommended.
      preset: The protocol, as for `DEC`.
      dims: Units of the encoder's layers; the last is the embedding.
      initializer: How weights start; see `DECConfig`, also for the next three.
      scaling: What features are multiplied by.
      pretraining: Protocol of pretraining, `EndToEnd` or `LayerWise`.
      reconstruction_weight: Factor of the reconstruction loss.
      kmeans_restarts: Starts of the k-means that finds initial centroids.
      batch_size: Samples per step, in every phase.
      optimizer: The clients' optimizer in clustering; it starts afresh every round.
      update_interval: Default of `local_steps`; 0 for one pass.
      tol: Clustering stops when a smaller share of labels changed between two target updates.
      precision: "float32" or "bfloat16".
      standardize: Whether features get mean 0 and standard deviation 1, and missing values the
        mean, from sums over clients. None: where samples have units or missing values.
      aggregation: The server's rule: a name, or e.g. `FedAvgM(momentum=0.9)`.
      pretrain_rounds: Rounds of pretraining; None for as many as take the protocol's passes.
      rounds: Bound on the rounds of clustering, target updates included.
      local_epochs: Passes of a client over its samples in a round of pretraining.
      local_steps: Steps of a client in a round of clustering.
      rounds_per_update: Rounds of clustering for each target update.
      target: Samples that the target of eq. 3 is taken over: "global" (exact), "local" or "batch".
      centroids: How initial centroids are found: "lloyd" (exact), "k_fed", "max_min",
        "double_kmeans", "random" or "random_weighted".
      client_centroids: Centroids each client sends for a start; None for the number of clusters, or
        its square root for "k_fed".
      lloyd_rounds: Bound on the rounds of Lloyd's algorithm.
      clients_per_round: Clients sampled for a round; None for all.
      dropout: Probability that a sampled client does not answer.
      partition: How one matrix is partitioned: "iid", "dirichlet", "shards", "quantity",
        "one_class" or "class_share".
      n_clients: Number of clients of one matrix; None for five.
      alpha: Concentration of "dirichlet" and "quantity", e.g. 0.3. (DEC's own alpha is set by a
        `DECConfig` as preset.)
      per_client: Shards per client of "shards".
      share: Share of a client's samples that are of its own class, of "class_share".
      evaluate_every: Rounds between two scores; 0 scores the result only.
      backend: "local", "flower", "tff", or e.g. `Flower(n_workers=2)`; or an `OpenBackend`, which
        several fits on its clients can share.
      overrides: Fields of the configuration that no argument reaches, by path, e.g.
        `{"pretraining.batch_size": 32}`; see `FederatedDECConfig`.
      random_state: Seed. The same seed on the same machine with the same threads and backend gives
        the same bits.

    Attributes:
      labels_: `(n_samples,)` labels of all samples: in client order, or in the order of the matrix.
      client_labels_: Labels of each client's samples, by name.
      cluster_centers_: `(n_clusters, dims[-1])` centroids in the embedding.
      n_clusters_: Number of clusters, the recommended one of several.
      scores_: Scores of the model on all clients' samples, exact, from sums.
      initial_scores_: Those of the initial centroids ("AE + k-means"); empty if only the result
        was scored.
      history_: A `RoundRecord` of every round.
      selection_: For several numbers of clusters, a record of each: scores and stability.
      recommendation_: The number recommended among several, and the `reason`; None of a single
        one.
      profile_: Mean and spread of each feature in each cluster, in the original units, from sums.
      config_: The `FederatedDECConfig`.
    """

    accepts_range: ClassVar[bool] = True

    def __init__(
        self,
        n_clusters: int | Sequence[int] = 10,
        *,
        preset: str | DECConfig = "keras",
        dims: tuple[int, ...] | None = None,
        initializer: str | None = None,
        scaling: float | str | None = None,
        pretraining: EndToEnd | LayerWise | None = None,
        reconstruction_weight: float | None = None,
        kmeans_restarts: int | None = None,
        batch_size: int | None = None,
        optimizer: SGD | Adam | None = None,
        update_interval: int | None = None,
        tol: float | None = None,
        precision: str | None = None,
        standardize: bool | None = None,
        aggregation: str | Aggregation = "fedavg",
        pretrain_rounds: int | None = None,
        rounds: int = 200,
        local_epochs: int = 2,
        local_steps: int | None = None,
        rounds_per_update: int = 1,
        target: Target = "global",
        centroids: CentroidMethod = "lloyd",
        client_centroids: int | None = None,
        lloyd_rounds: int = 100,
        clients_per_round: int | None = None,
        dropout: float = 0.0,
        partition: str = "iid",
        n_clients: int | None = None,
        alpha: float | None = None,
        per_client: int | None = None,
        share: float | None = None,
        evaluate_every: int = 10,
        backend: str | BackendDescription | OpenBackend = "local",
        overrides: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.preset = preset
        self.dims = dims
        self.initializer = initializer
        self.scaling = scaling
        self.pretraining = pretraining
        self.reconstruction_weight = reconstruction_weight
        self.kmeans_restarts = kmeans_restarts
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.update_interval = update_interval
        self.tol = tol
        self.precision = precision
        self.standardize = standardize
        self.aggregation = aggregation
        self.pretrain_rounds = pretrain_rounds
        self.rounds = rounds
        self.local_epochs = local_epochs
        self.local_steps = local_steps
        self.rounds_per_update = rounds_per_update
        self.target = target
        self.centroids = centroids
        self.client_centroids = client_centroids
        self.lloyd_rounds = lloyd_rounds
        self.clients_per_round = clients_per_round
        self.dropout = dropout
        self.partition = partition
        self.n_clients = n_clients
        self.alpha = alpha
        self.per_client = per_client
        self.share = share
        self.evaluate_every = evaluate_every
        self.backend = backend
        self.overrides = overrides
        self.random_state = random_state

    def config(self, dataset: FederatedDataset | None = None) -> FederatedDECConfig:
        """Returns the configuration that the arguments name.

        Overrides of the model come first, since the clients' work depends on it.

        Args:
          dataset: Decides whether features are standardized where `standardize` is None.

        Raises:
          InputError: If an argument does not fit.
        """
        overrides = dict(self.overrides or {})
        of_model = {k: overrides.pop(k) for k in list(overrides) if k.startswith("model.")}
        given = {name: getattr(self, name) for name in _MODEL_FIELDS}
        model = override(
            get_dec_config(self.preset),
            {name: value for name, value in given.items() if value is not None}
            | {name.removeprefix("model."): value for name, value in of_model.items()},
        )
        interval = model.update_interval or None  # 0 is one pass
        steps = interval if self.local_steps is None else to_python(self.local_steps)
        named = FederatedDECConfig(
            model=model,
            standardize=self._is_standardized(dataset),
            aggregation=find_aggregation(self.aggregation),
            pretrain_rounds=to_python(self.pretrain_rounds),
            pretraining=LocalWork(to_python(self.local_epochs), batch_size=model.batch_size),
            centroids=self.centroids,
            client_centroids=to_python(self.client_centroids),
            lloyd_rounds=to_python(self.lloyd_rounds),
            rounds=to_python(self.rounds),
            clustering=LocalWork(steps=steps, batch_size=model.batch_size),
            rounds_per_update=to_python(self.rounds_per_update),
            target=self.target,
        )
        config: FederatedDECConfig = override(named, overrides)
        return config

    def _train(self, fit: Fit) -> None:
        config = self.config(fit.dataset)
        pretraining = pretraining_phases(fit.n_features, config, fit.seed)
        counts = self._numbers()
        if len(counts) == 1:
            runs = [_Clustering(self, fit, config, counts[0])]
            runs[0].run(pretraining)
        else:
            pretrained = fit.run(pretraining, suffix=".pretraining")
            runs = [_Clustering(self, fit, config, k) for k in counts]
            for run in runs:
                run.run([], start=pretrained, suffix=f".{run.n_clusters}")
        chosen = 0
        self.selection_, self.recommendation_ = [], None
        if len(runs) > 1:
            self.selection_ = [run.describe() for run in runs]
            chosen, self.recommendation_ = choose(self.selection_)
        self._adopt(runs[chosen], runs)

    def _adopt(self, run: _Clustering, runs: Sequence[_Clustering]) -> None:
        """Sets the fitted attributes from the chosen run; the history has all runs."""
        shared = [r for r in run.at.history if r not in run.own_history]
        history = [*shared, *(record for each in runs for record in each.own_history)]
        self._set_fitted(run.fit.dataset, run.model(), run.config, history, run.final.scores)
        self.initial_scores_ = run.initial_scores
        scaling = Scaling.from_artifacts(run.at.artifacts)
        self.profile_ = build_profile(run.fit, run.final, scaling)
        self._keep_moments(run.fit.dataset.units)

    def soft_assign(self, X: Any) -> np.ndarray:
        """Returns soft assignments q, eq. 1: `(n_samples, n_features)` to `(n_samples, k)`."""
        q: np.ndarray = self._fitted_model().soft_assign(X)
        return q

    def to_dec(self) -> DEC:
        """Returns the model as a centralized estimator, scaling included; it has no `labels_`."""
        dec: DEC = self._copy_of_model()
        return dec

    def save(self, path: str | os.PathLike[str], *, units: Standardizer | None = None) -> None:
        """Writes the model to one file, which `DEC.load` and `tfcluster predict` read.

        Args:
          path: The file.
          units: How samples were scaled before `fit`; see `DEC.save`.

        Raises:
          InputError: If it cannot be written; what stood there before stays.
        """
        check_is_fitted(self)
        self._model.save(path, units=units)


class _Clustering:
    """The clustering phases for one number of clusters, and what they found."""

    def __init__(
        self, estimator: FederatedDEC, fit: Fit, config: FederatedDECConfig, n_clusters: int
    ) -> None:
        self.fit, self.config, self.n_clusters = fit, config, int(n_clusters)
        self._evaluate_every = estimator.evaluate_every
        self._labeling = DECLabeling(self.n_clusters, config.model)
        self._last: Evaluation | None = None
        self._pretrained: Artifacts = {}

    def run(self, before: Sequence[Phase], start: Position | None = None, suffix: str = "") -> None:
        """Runs the phases, after those before, and evaluates the model."""
        phases = clustering_phases(self.fit.n_features, self.n_clusters, self.config, self.fit.seed)
        n_shared = 0
        if start is not None:
            self._pretrained, n_shared = start.artifacts, len(start.history)
            start = dataclasses.replace(start, phase=0, done=0)
        self.at = self.fit.run([*before, *phases], self._score, start=start, suffix=suffix)
        self.own_history = self.at.history[n_shared:]
        self.final = self._last or self.fit.evaluate(self._labeling, self._weights())

    def _weights(self) -> list[np.ndarray]:
        artifacts = self.at.artifacts
        return [*unpack_arrays("encoder", artifacts), artifacts["clusters"]]

    def _score(self, phase: Phase, state: State, record: RoundRecord) -> dict[str, Any]:
        """Scores where labels are counted: at the start, now and then, and at the end."""
        if not isinstance(phase, ClusteringPhase) or record.kind != "target update":
            return {}
        update = (record.step - 1) // phase.interval
        every = max(1, self._evaluate_every // phase.interval)
        is_due = self._evaluate_every > 0 and update % every == 0
        if not (is_due or record.is_last):
            return {}
        found = self.fit.evaluate(self._labeling, state.weights)
        self._last = found if record.is_last else None
        return found.scores

    @property
    def initial_scores(self) -> dict[str, Any]:
        """Scores of the initial centroids, of the first target update; empty without them."""
        updates = [record for record in self.own_history if record.phase == ClusteringPhase.name]
        return dict(updates[0].scores) if updates else {}

    def describe(self) -> dict[str, Any]:
        """Returns what is compared between numbers of clusters."""
        embedding = DECEmbedding(self.config.model)
        encoder = unpack_arrays("encoder", self._pretrained)
        stability = measure_stability(self.fit, embedding, encoder, self.at.artifacts["starts"])
        return {"n_clusters": self.n_clusters, **self.final.scores, "stability": stability}

    def model(self) -> DEC:
        """Returns the model as a centralized estimator, scaling included."""
        return build_dec(self.at, self.config.model, seed=self.fit.seed)


def build_dec(result: Position, config: DECConfig, *, seed: int) -> DEC:
    """Returns the model that the phases of federated DEC found, as a centralized estimator.

    Args:
      result: The end of `pretraining_phases` and `clustering_phases`.
      config: Networks and losses.
      seed: Seed of the run.
    """
    artifacts = result.artifacts
    scaling = Scaling.from_artifacts(artifacts)
    return DEC.from_weights(
        unpack_arrays("encoder", artifacts),
        unpack_arrays("decoder", artifacts),
        artifacts["clusters"],
        config,
        scale=scaling.factor,
        standardizer=scaling.standardizer,
        random_state=seed,
        history=[record.to_dict() for record in result.history],
    )
