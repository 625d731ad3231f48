"""The model of a case: its federated phases, its centralized training, and its scores."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.compare.cases import Case
from benchmarks.compare.centralized_gan import train_centralized_gan
from federated.algorithms.evaluation import ClusterPass, DECLabelling, Labelling, federated_scores
from federated.algorithms.gan_codes import GANArgmax, GANCodes, NearestCenter
from federated.cli.run import Carried
from federated.core.aggregation import aggregation
from federated.core.algorithm import ServerState
from federated.core.local_training import LocalWork
from federated.core.rounds import Stage
from federated.data.federated_dataset import Federation
from federated.phases.clustergan import AdversarialStage, FederatedGANConfig, gan_stages
from federated.phases.dec import FederatedDECConfig, dec_stages
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import EndToEnd, get_dec_config, get_gan_config, override
from tfcluster.dec.estimator import DEC
from tfcluster.dec.self_training import DECTrainer
from tfcluster.errors import InputError
from tfcluster.files import Arrays, unpack_arrays
from tfcluster.training.phases import run_phases

SCORES = ("accuracy", "nmi", "ari", "purity")

Predict = Callable[[np.ndarray], np.ndarray]
"""Returns the labels `(n_samples,)` of `(n_samples, n_features)`."""


def make_model(case: Case, federation: Federation) -> Model:
    """Returns the model of a case.

    Raises:
      InputError: If a setting is not valid.
    """
    kind = {"autoencoder": _Autoencoder, "dec": _DEC, "clustergan": _GAN}[case.algorithm]
    model: Model = kind(case, len(federation.classes))
    return model


def _apply_settings(config: Any, case: Case) -> Any:
    """Returns the configuration with the settings of the case."""
    settings = dict(case.settings)
    if "generator" in settings:  # the configuration's field and values have older names
        generator = settings.pop("generator")
        settings["placement"] = {"clients": "average", "server": "split"}[generator]
    rule = settings.pop("aggregation", "fedavg")
    parts = {k: settings.pop(k) for k in list(settings) if k.startswith("aggregation.")}
    numbers = {name.partition(".")[2]: value for name, value in parts.items()}
    config = dataclasses.replace(config, aggregation=aggregation(rule, **numbers))
    return override(config, settings)


def get_initial_weights(stages: Sequence[Stage]) -> list[np.ndarray]:
    """Returns the weights before the first round."""
    return [np.ascontiguousarray(weight) for weight in stages[0].begin({}).weights]


class Model(abc.ABC):
    """An algorithm with its configuration.

    Args:
      case: The case.
      n_clusters: Number of clusters, which is the number of classes.
    """

    def __init__(self, case: Case, n_clusters: int) -> None:
        self.case, self.n_clusters = case, n_clusters

    @abc.abstractmethod
    def stages(self, n_features: int) -> Sequence[Stage]:
        """Returns the phases of federated training."""

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

    def scores_of(self, at: Carried, stage: Stage, state: ServerState) -> dict[str, float]:
        """Returns exact scores during training; empty while there are no clusters."""
        del at, stage, state
        return {}

    def final_scores(self, at: Carried, kept: Arrays) -> dict[str, float]:
        """Returns exact scores of the result."""
        del at, kept
        return {}

    def _scores(
        self, at: Carried, labelling: Labelling, weights: Sequence[Any]
    ) -> dict[str, float]:
        first = ClusterPass(at.store.n_features, labelling, self.n_clusters)
        found = federated_scores(at.carrier, at.everyone, first, weights, with_distances=False)
        return {name: round(found.scores[name], 5) for name in SCORES}


class _Autoencoder(Model):
    def __init__(self, case: Case, n_clusters: int) -> None:
        super().__init__(case, n_clusters)
        model = get_dec_config("keras", case.dataset)
        size = model.batch_size
        usual = FederatedDECConfig(
            model=model,
            pretraining=LocalWork(2, batch_size=size),
            clustering=LocalWork(steps=model.update_interval or 30, batch_size=size),
        )
        self.config: FederatedDECConfig = _apply_settings(usual, case)

    def stages(self, n_features: int) -> Sequence[Stage]:
        return self._all_stages(n_features)[:1]

    def _all_stages(self, n_features: int) -> Sequence[Stage]:
        return dec_stages(n_features, self.n_clusters, self.config, self.case.seed)


class _DEC(_Autoencoder):
    _trainer: DECTrainer | None = None  # compiled once for all clients of local-only training

    def stages(self, n_features: int) -> Sequence[Stage]:
        return self._all_stages(n_features)

    def fit(self, X: np.ndarray) -> Predict:
        config = self.config
        assert isinstance(config.model.pretraining, EndToEnd)
        passes = config.pretraining_rounds * config.pretraining.epochs
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
        encoder, decoder = trainer.encoder.get_weights(), trainer.pretraining.decoder_weights()
        centers = trainer.clustering.clusters.numpy()
        return DEC.from_weights(encoder, decoder, centers, model).predict

    def scores_of(self, at: Carried, stage: Stage, state: ServerState) -> dict[str, float]:
        if stage.name != "cluster":
            return {}
        return self._scores(at, self._labelling(), state.weights)

    def final_scores(self, at: Carried, kept: Arrays) -> dict[str, float]:
        weights = [*unpack_arrays("encoder", kept), kept["clusters"]]
        return self._scores(at, self._labelling(), weights)

    def _labelling(self) -> DECLabelling:
        return DECLabelling(self.n_clusters, self.config.model)


class _GAN(Model):
    _trainer: GANTrainer | None = None

    def __init__(self, case: Case, n_clusters: int) -> None:
        super().__init__(case, n_clusters)
        model = get_gan_config("auto", case.dataset)
        self.config: FederatedGANConfig = _apply_settings(FederatedGANConfig(model=model), case)

    def stages(self, n_features: int) -> Sequence[Stage]:
        return gan_stages(n_features, self.n_clusters, self.config, self.case.seed)

    def fit(self, X: np.ndarray) -> Predict:
        steps = self.config.rounds * self.config.work.iterations
        model = dataclasses.replace(self.config.model, steps=steps)
        self._trainer = self._trainer or GANTrainer(X.shape[1], self.n_clusters, model)
        return train_centralized_gan(self._trainer, X, self.case.seed).predict

    def scores_of(self, at: Carried, stage: Stage, state: ServerState) -> dict[str, float]:
        if not isinstance(stage, AdversarialStage):
            return {}
        generator, _, encoder = stage.networks(state)
        labelling = GANArgmax(self.n_clusters, self.config.model)
        return self._scores(at, labelling, [*generator, *encoder])

    def final_scores(self, at: Carried, kept: Arrays) -> dict[str, float]:
        parts = [w for name in ("generator", "encoder") for w in unpack_arrays(name, kept)]
        labelling = NearestCenter(GANCodes(self.n_clusters, self.config.model), self.n_clusters)
        return self._scores(at, labelling, [*parts, kept["centers"]])
