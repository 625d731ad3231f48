"""The model of a case: its federated estimator, and the same training in one place."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks.compare.cases import Case
from benchmarks.compare.centralized_gan import train_centralized_gan
from benchmarks.compare.timed_fit import TimedClusterGAN, TimedDEC
from federated.core.phases import Phase
from federated.core.records import RoundRecord
from federated.data.federated_dataset import (
    FederatedDataset,
    PartitionConfig,
    load_federated_dataset,
)
from federated.phases.clustergan import build_gan_phases
from federated.phases.dec import pretraining_phases
from federated.phases.scaling import MomentsPhase
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import EndToEnd, get_dec_config, get_gan_config, override
from tfcluster.dec.estimator import DEC
from tfcluster.dec.self_training import DECTrainer
from tfcluster.errors import InputError
from tfcluster.files import unpack_arrays
from tfcluster.training.phases import run_phases

SCORES = ("accuracy", "nmi", "ari", "purity")

Predict = Callable[[np.ndarray], np.ndarray]
"""Returns the labels `(n_samples,)` of `(n_samples, n_features)`."""


class Trained(NamedTuple):
    """What federated training left.

    Attributes:
      history: A record of every round.
      arrays: The model's arrays and nothing else, in the order of a model file: encoder, decoder
        and, after DEC, centroids; or generator, critic, encoder and centroids.
      scores: Exact scores of the model; empty if it has no clusters.
    """

    history: Sequence[RoundRecord]
    arrays: Sequence[np.ndarray]
    scores: Mapping[str, Any]


def load_clients(case: Case) -> FederatedDataset:
    """Returns the clients of a case.

    Raises:
      InputError: If the data cannot be loaded or partitioned like this.
    """
    how = PartitionConfig(n_clients=case.n_clients or None, **case.split)
    return load_federated_dataset(case.dataset, how, case.seed)


def make_estimator(
    case: Case, n_clusters: int, backend: Any = "local"
) -> TimedDEC | TimedClusterGAN:
    """Returns the estimator of a case.

    Args:
      case: The case; its settings are overrides of the configuration, and "aggregation" is the
        argument of that name.
      n_clusters: Number of clusters.
      backend: As for `FederatedDEC`, or an `OpenBackend`.
    """
    settings = dict(case.settings)
    arguments = {
        "aggregation": settings.pop("aggregation", "fedavg"),
        "overrides": settings,
        "clients_per_round": case.clients_per_round or None,
        "evaluate_every": case.evaluate_every,
        "backend": backend,
        "random_state": case.seed,
    }
    if case.algorithm == "clustergan":
        return TimedClusterGAN(n_clusters, preset=get_gan_config("auto", case.dataset), **arguments)
    return TimedDEC(n_clusters, preset=get_dec_config("keras", case.dataset), **arguments)


def make_model(case: Case, dataset: FederatedDataset, backend: Any = "local") -> Model:
    """Returns the model of a case.

    Raises:
      InputError: If a setting is not valid.
    """
    kind = {"autoencoder": _Autoencoder, "dec": _DEC, "clustergan": _GAN}[case.algorithm]
    model: Model = kind(case, dataset, backend)
    return model


class Model(abc.ABC):
    """An algorithm with its configuration.

    Args:
      case: The case.
      dataset: The clients; the number of clusters is that of their classes.
      backend: As for `make_estimator`.
    """

    def __init__(self, case: Case, dataset: FederatedDataset, backend: Any) -> None:
        self.case, self.dataset = case, dataset
        self.n_clusters = len(dataset.classes)
        self.estimator: Any = make_estimator(case, self.n_clusters, backend)
        self.config: Any = self.estimator.config(dataset)

    @abc.abstractmethod
    def train(self, checkpoint: Path) -> Trained:
        """Trains and scores the federated estimator, with a checkpoint after every round."""

    def fit(self, X: np.ndarray) -> Predict:
        """Trains on samples in one place, from the same initial weights with the same budget.

        Args:
          X: `(n_samples, n_features)`.

        Returns:
          Function that predicts labels.

        Raises:
          InputError: If the algorithm finds no clusters.
        """
        del X
        raise InputError(f"{self.case.algorithm!r} finds no clusters. Compare it on backends only.")

    def get_initial_weights(self) -> list[np.ndarray]:
        """Returns the weights that clients train, before the first round of training."""
        trained = [phase for phase in self._phases() if not isinstance(phase, MomentsPhase)]
        return [np.ascontiguousarray(weight) for weight in trained[0].begin({}).weights]

    @abc.abstractmethod
    def _phases(self) -> Sequence[Phase]:
        """Returns the phases of the federated estimator, at least up to the first of training."""


class _Autoencoder(Model):
    def train(self, checkpoint: Path) -> Trained:
        seed = self.case.seed
        with self.estimator.begin(self.dataset, seed, checkpoint=checkpoint) as fit:
            at = fit.run(self._phases())
        arrays = [w for name in ("encoder", "decoder") for w in unpack_arrays(name, at.artifacts)]
        return Trained(at.history, arrays, {})

    def _phases(self) -> Sequence[Phase]:
        return pretraining_phases(self.dataset.n_features, self.config, self.case.seed)


class _DEC(_Autoencoder):
    _trainer: DECTrainer | None = None  # compiled once for all clients of local-only training

    def train(self, checkpoint: Path) -> Trained:
        found = self.estimator.fit(self.dataset, checkpoint=checkpoint)
        dec = found.to_dec()
        arrays = [*dec.encoder_weights_, *dec.decoder_weights_, dec.cluster_centers_]
        return Trained(found.history_, arrays, found.scores_)

    def fit(self, X: np.ndarray) -> Predict:
        config = self.config
        assert isinstance(config.model.pretraining, EndToEnd)
        passes = config.n_pretrain_rounds * config.pretraining.epochs
        model = override(
            config.model,
            {
                "pretraining.epochs": passes,
                "max_steps": config.rounds // 2 * config.clustering.steps,
                "update_interval": config.clustering.steps,
            },
        )
        x, seed = tf.constant(X), self.case.seed
        self._trainer = trainer = self._trainer or DECTrainer(x.shape[1], self.n_clusters, model)
        trainer.reset(seed)
        run_phases([*trainer.pretraining_phases(x, seed), *trainer.clustering_phases(x, seed)])
        encoder, decoder = trainer.encoder.get_weights(), trainer.pretraining.get_decoder_weights()
        centroids = trainer.clustering.clusters.numpy()
        return DEC.from_weights(encoder, decoder, centroids, model).predict


class _GAN(Model):
    _trainer: GANTrainer | None = None

    def train(self, checkpoint: Path) -> Trained:
        found = self.estimator.fit(self.dataset, checkpoint=checkpoint)
        gan = found.to_clustergan()
        networks = [weight for network in gan.network_weights_ for weight in network]
        return Trained(found.history_, [*networks, gan.cluster_centers_], found.scores_)

    def fit(self, X: np.ndarray) -> Predict:
        steps = self.config.n_rounds * self.config.work.iterations
        model = dataclasses.replace(self.config.model, steps=steps)
        self._trainer = self._trainer or GANTrainer(X.shape[1], self.n_clusters, model)
        return train_centralized_gan(self._trainer, X, self.case.seed).predict

    def _phases(self) -> Sequence[Phase]:
        n_features = self.dataset.n_features
        return build_gan_phases(n_features, self.n_clusters, self.config, self.case.seed)
