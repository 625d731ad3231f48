"""Federated ClusterGAN as a scikit-learn estimator."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from federated.algorithms.clustergan import AdversarialWork
from federated.algorithms.evaluation import Evaluation, Labeling
from federated.algorithms.gan_codes import GANArgmax, GANCodes, NearestCentroid
from federated.backends.descriptions import BackendDescription, OpenBackend
from federated.core.aggregation import Aggregation, find_aggregation
from federated.core.algorithm import State
from federated.core.phases import Phase
from federated.core.records import Callback, RoundRecord
from federated.core.rounds import Position
from federated.core.scaling import Scaling
from federated.data.federated_dataset import FederatedDataset
from federated.estimators.base import FederatedEstimator
from federated.estimators.cluster_numbers import build_profile
from federated.estimators.fit import Fit
from federated.phases.centroids import CentroidMethod, CentroidPhase
from federated.phases.clustergan import (
    AdversarialPhase,
    FederatedGANConfig,
    Generator,
    build_gan_phases,
    describe_cluster_use,
    match_to_codes,
)
from tfcluster.clustergan import ClusterGAN
from tfcluster.clustergan.estimator import Decoder
from tfcluster.clustergan.networks import Networks, check_range, check_width
from tfcluster.config import Adam, GANConfig, get_gan_config, override, to_python
from tfcluster.errors import InputError
from tfcluster.estimator import EmptyClusterWarning
from tfcluster.files import unpack_arrays
from tfcluster.scaling import Standardizer

_MODEL_FIELDS = (
    "networks", "n_noise", "beta_n", "beta_c", "noise_scale", "critic_steps", "batch_size",
    "penalty", "epsilon_per_row", "weight_decay", "optimizer", "precision",
)  # fmt: skip
_ITERATIONS = {"clients": 100, "server": 10}


class FederatedClusterGAN(FederatedEstimator):
    """ClusterGAN over clients that keep their samples.

    Trains generator, critic and encoder in rounds, then finds centroids among the codes by exact
    federated k-means. Where a default is None, the preset decides.

    Args:
      n_clusters: Number of clusters, at least 2.
      preset: The protocol, as for `ClusterGAN`.
      networks: "image", "gene" or "pendigits"; see `GANConfig`, also for the next ten.
      n_noise: Length of z_n.
      beta_n: Weight of recovering z_n.
      beta_c: Weight of recovering z_c.
      noise_scale: Standard deviation of z_n.
      critic_steps: Steps of the critic for each step of generator and encoder.
      batch_size: Samples per step.
      penalty: Weight of the gradient penalty.
      epsilon_per_row: Whether each sample is interpolated by a number of its own.
      weight_decay: Factor of half the squared kernels.
      optimizer: One for the critic, one for generator and encoder together.
      precision: "float32" or "bfloat16".
      standardize: As for `FederatedDEC`; only for the networks "gene".
      generator: Who trains generator and encoder: "clients", who then train all networks; or the
        "server", while clients train the critic.
      iterations: Steps of generator and encoder in a round, each with the critic's steps at the
        clients; None for 100 at the clients, 10 at the server.
      carry_optimizer: Whether the clients' Adam moments are averaged and carried to the next round.
      rounds: Rounds of training; None for as many as take the protocol's steps.
      aggregation: The server's rule: a name, or e.g. `FedAvgM(momentum=0.9)`.
      centroids: As for `FederatedDEC`, among the codes.
      client_centroids: As for `FederatedDEC`.
      lloyd_rounds: Bound on the rounds of Lloyd's algorithm.
      clients_per_round: Clients sampled for a round; None for all.
      dropout: Probability that a sampled client does not answer.
      partition: As for `FederatedDEC`.
      n_clients: As for `FederatedDEC`.
      alpha: As for `FederatedDEC`.
      per_client: As for `FederatedDEC`.
      share: As for `FederatedDEC`.
      evaluate_every: Rounds between two looks at the use of clusters; 0 looks at the end only.
      backend: As for `FederatedDEC`.
      overrides: As for `FederatedDEC`; see `FederatedGANConfig`.
      random_state: As for `FederatedDEC`.

    Attributes:
      labels_: As of `FederatedDEC`.
      client_labels_: As of `FederatedDEC`.
      cluster_centers_: `(n_clusters, n_units)` centroids among the codes.
      n_clusters_: Number of clusters.
      scores_: Scores of the nearest centroid on all clients' samples, exact, from sums.
      argmax_scores_: Those of the argmax of z_c.
      history_: A `RoundRecord` of every round.
      profile_: As of `FederatedDEC`.
      config_: The `FederatedGANConfig`.
    """

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        preset: str | GANConfig = "gene",
        networks: str | None = None,
        n_noise: int | None = None,
        beta_n: float | None = None,
        beta_c: float | None = None,
        noise_scale: float | None = None,
        critic_steps: int | None = None,
        batch_size: int | None = None,
        penalty: float | None = None,
        epsilon_per_row: bool | None = None,
        weight_decay: float | None = None,
        optimizer: Adam | None = None,
        precision: str | None = None,
        standardize: bool | None = None,
        generator: Generator = "clients",
        iterations: int | None = None,
        carry_optimizer: bool = False,
        rounds: int | None = None,
        aggregation: str | Aggregation = "fedavg",
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
        evaluate_every: int = 1,
        backend: str | BackendDescription | OpenBackend = "local",
        overrides: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.preset = preset
        self.networks = networks
        self.n_noise = n_noise
        self.beta_n = beta_n
        self.beta_c = beta_c
        self.noise_scale = noise_scale
        self.critic_steps = critic_steps
        self.batch_size = batch_size
        self.penalty = penalty
        self.epsilon_per_row = epsilon_per_row
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.precision = precision
        self.standardize = standardize
        self.generator = generator
        self.iterations = iterations
        self.carry_optimizer = carry_optimizer
        self.rounds = rounds
        self.aggregation = aggregation
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

    def config(self, dataset: FederatedDataset | None = None) -> FederatedGANConfig:
        """Returns the configuration that the arguments name; see `FederatedDEC.config`."""
        given = {name: getattr(self, name) for name in _MODEL_FIELDS}
        model = override(
            get_gan_config(self.preset),
            {name: value for name, value in given.items() if value is not None},
        )
        usual = _ITERATIONS.get(self.generator, 1)
        iterations = usual if self.iterations is None else to_python(self.iterations)
        named = FederatedGANConfig(
            model=model,
            standardize=self._is_standardized(dataset),
            generator=self.generator,
            aggregation=find_aggregation(self.aggregation),
            work=AdversarialWork(iterations, self.carry_optimizer),
            rounds=to_python(self.rounds),
            centroids=self.centroids,
            client_centroids=to_python(self.client_centroids),
            lloyd_rounds=to_python(self.lloyd_rounds),
        )
        config: FederatedGANConfig = override(named, self.overrides or {})
        return config

    def check(self, dataset: FederatedDataset, config: FederatedGANConfig) -> None:
        """Raises `InputError` if the clients do not fit the configuration."""
        super().check(dataset, config)
        check_width(dataset.n_features, config.model)
        if config.model.networks != "gene" and config.standardize:
            raise InputError(
                f'The generator of networks="{config.model.networks}" ends in a sigmoid, so '
                "features must be in [0, 1], and standardized ones are not. Use the preset "
                '"gene" (--preset gene), or standardize=False (--no-standardize).'
            )
        for x, _ in dataset.clients:
            check_range(x, config.model)

    def _train(self, fit: Fit) -> None:
        config = self.config(fit.dataset)
        k = int(self.n_clusters)
        scorer = _Scorer(fit, config, k, self.evaluate_every)
        watched = dataclasses.replace(fit, callbacks=(warn_of_lost_clusters(), *fit.callbacks))
        at = watched.run(build_gan_phases(fit.n_features, k, config, fit.seed), scorer)
        final = scorer.last or scorer.evaluate_centroids(at)
        model = _model(at, config, fit.seed)
        scores = {**final.scores, **describe_cluster_use(final.sizes)}
        self._set_fitted(fit.dataset, model, config, at.history, scores)
        looks = [r.scores for r in at.history if r.phase == AdversarialPhase.name and r.scores]
        self.argmax_scores_ = dict(looks[-1]) if looks else {}
        self.profile_ = build_profile(fit, final, Scaling.from_artifacts(at.artifacts))
        self._keep_moments(fit.dataset.units)

    def predict(self, X: Any, decoder: Decoder = "kmeans") -> np.ndarray:
        """Labels samples, new ones too: `(n_samples, n_features)` to `(n_samples,)`.

        Args:
          X: Samples; see `ClusterGAN` on the part their order plays.
          decoder: As for `ClusterGAN.predict`.
        """
        labels: np.ndarray = self._fitted_model().predict(X, decoder)
        return labels

    @property
    def _n_features_out(self) -> int:
        return int(self._model._n_features_out)

    def sample(self, n: int, cluster: int | None = None, *, seed: int = 0) -> np.ndarray:
        """Generates samples; see `ClusterGAN.sample`."""
        samples: np.ndarray = self._fitted_model().sample(n, cluster, seed=seed)
        return samples

    def to_clustergan(self) -> ClusterGAN:
        """Returns the model as a centralized estimator, scaling included; without `labels_`."""
        gan: ClusterGAN = self._copy_of_model()
        return gan

    def save(self, path: str | os.PathLike[str], *, units: Standardizer | None = None) -> None:
        """Writes the model to one file, which `ClusterGAN.load` and `tfcluster predict` read.

        Args:
          path: The file.
          units: How samples were scaled before `fit`; see `DEC.save`.

        Raises:
          InputError: If it cannot be written; what stood there before stays.
        """
        check_is_fitted(self)
        self._model.save(path, units=units)


def _model(at: Position, config: FederatedGANConfig, seed: int) -> ClusterGAN:
    artifacts = at.artifacts
    return ClusterGAN.from_weights(
        [unpack_arrays(name, artifacts) for name in Networks._fields],
        artifacts["centroids"],
        config.model,
        standardizer=Scaling.from_artifacts(artifacts).standardizer,
        random_state=seed,
        history=[record.to_dict() for record in at.history],
    )


class _Scorer:
    """Scores the argmax of z_c during training, and the nearest centroid at the end.

    Attributes:
      last: The evaluation of the final centroids, once it was made.
    """

    def __init__(self, fit: Fit, config: FederatedGANConfig, k: int, every: int) -> None:
        self._fit, self._model, self._k, self._every = fit, config.model, k, every
        self.last: Evaluation | None = None

    def __call__(self, phase: Phase, state: State, record: RoundRecord) -> dict[str, Any]:
        """Returns scores where they are due."""
        if isinstance(phase, AdversarialPhase):
            is_due = self._every > 0 and (record.step == 1 or record.step % self._every == 0)
            if not (is_due or record.is_last):
                return {}
            generator, _, encoder = phase.networks(state)
            labeling = GANArgmax(self._k, self._model)
            return self._found(labeling, [*generator, *encoder], record.is_last)
        if isinstance(phase, CentroidPhase) and record.is_last:
            centroids = match_to_codes(np.asarray(state.centroids[0], np.float32))
            return self._by_centroid([*state.weights, centroids])
        return {}

    def evaluate_centroids(self, at: Position) -> Evaluation:
        """Evaluates the centroids of a finished run."""
        parts = [unpack_arrays(name, at.artifacts) for name in ("generator", "encoder")]
        self._by_centroid([*parts[0], *parts[1], at.artifacts["centroids"]])
        assert self.last is not None
        return self.last

    def _by_centroid(self, weights: list[Any]) -> dict[str, Any]:
        labeling = NearestCentroid(GANCodes(self._k, self._model), self._k)
        return self._found(labeling, weights, True)

    def _found(self, labeling: Labeling, weights: list[Any], is_last: bool) -> dict[str, Any]:
        found = self._fit.evaluate(labeling, weights, with_distances=is_last)
        if isinstance(labeling, NearestCentroid):
            self.last = found
        return {**found.scores, **describe_cluster_use(found.sizes)}


def warn_of_lost_clusters() -> Callback:
    """Returns a callback that warns once per cluster of argmax that loses its samples.

    Untrained networks use few clusters, and a resumed run lacks earlier records, so never-used
    clusters are reported only after the last round.
    """
    told: set[int] = set()
    used: set[int] = set()

    def watch(record: RoundRecord) -> None:
        sizes = record.scores.get("cluster_sizes", [])
        if record.phase != AdversarialPhase.name or not sizes:
            return
        empty = {k for k, n_samples in enumerate(sizes) if not n_samples}
        new = sorted((empty if record.is_last else empty & used) - told)
        told.update(new)
        used.update(set(range(len(sizes))) - empty)
        if new:
            warnings.warn(
                f"No samples are in cluster {', '.join(map(str, new))} after round {record.step}; "
                f"{record.scores['clusters_used']} of {len(sizes)} are in use.",
                EmptyClusterWarning,
                stacklevel=2,
            )

    return watch
