"""`tfcluster federate dec`: from clients to a folder of results."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from federated.algorithms.evaluation import ClusterPass, DECLabelling, federated_scores
from federated.algorithms.standardization import rms_factor
from federated.cli.run import (
    FederatedRun,
    FederateOptions,
    begun,
    checked,
    parted,
    scores_of,
    write_client_labels,
    write_scaling,
)
from federated.core.aggregation import aggregation
from federated.core.algorithm import ServerState
from federated.core.local_training import LocalWork
from federated.core.rounds import Stage
from federated.phases.centroids import Centroids, check_offers
from federated.phases.dec import FederatedDECConfig, dec_stages
from tfcluster import plots
from tfcluster.config import EndToEnd, dec_config, override
from tfcluster.dec.estimator import DEC
from tfcluster.estimator import unnumbered
from tfcluster.files import Arrays
from tfcluster.training.phases import Record

_PRETRAINING_ROUNDS = 100  # where protocol or clients count steps and not passes


@dataclasses.dataclass(frozen=True)
class FederatedDECOptions(FederateOptions):
    """What a run of federated DEC was asked for; numbers left at 0 are the protocol's.

    Attributes:
      aggregation: How the server moves, by name.
      centroids: How first centres are found.
      target: Over whose rows the target of eq. 3 is taken.
      pretraining_rounds: 0 for as many passes as the central protocol's.
      rounds: Bound on the rounds of clustering.
      local_epochs: Passes of a client over its rows in a round of pretraining.
      local_steps: Steps of a client in a round of clustering; 0 for as many as the central
        protocol takes between two targets.
    """

    preset: str = "keras"
    aggregation: str = "fedavg"
    centroids: Centroids = "lloyd"
    target: Any = "global"
    pretraining_rounds: int = 0
    rounds: int = 0
    local_epochs: int = 2
    local_steps: int = 0

    def config(self) -> FederatedDECConfig:
        """The configuration, with the overrides: the model's first, for rounds depend on it."""
        of_model, others = parted(self.overrides, "model")
        model = override(dec_config(self.preset, self.dataset), of_model)
        steps = self.local_steps or model.update_interval  # 0 is a pass there, and one epoch here
        named = FederatedDECConfig(
            model=model,
            aggregation=aggregation(self.aggregation),
            pretraining_rounds=self.pretraining_rounds,
            pretraining=LocalWork(self.local_epochs, batch_size=model.batch_size),
            clustering=LocalWork(steps=steps, batch_size=model.batch_size),
            centroids=self.centroids,
            target=self.target,
        )
        if self.rounds:
            named = dataclasses.replace(named, rounds=self.rounds)
        config: FederatedDECConfig = override(named, others)
        if self.pretraining_rounds or "pretraining_rounds" in others:
            return config
        return dataclasses.replace(config, pretraining_rounds=_usual_rounds(config))


def _usual_rounds(config: FederatedDECConfig) -> int:
    """Rounds of pretraining in which a client takes the protocol's passes."""
    protocol = config.model.pretraining
    if not isinstance(protocol, EndToEnd) or config.pretraining.steps:
        return _PRETRAINING_ROUNDS
    return -(-protocol.epochs // config.pretraining.epochs)


def federate_dec(
    options: FederatedDECOptions, out: Path, *, backend: str, resume: bool, console: Console
) -> None:
    """Trains DEC over clients, writes the run's folder and prints the scores.

    Everything is checked before anything is written.

    Args:
      options: What to train; must be the same again for `resume`.
      out: The run's folder.
      backend: Which carrier takes the rounds; may be another one after a resume.
      resume: Whether to go on with the run that is there.
      console: Where progress and tables go.

    Raises:
      InputError: If an option, the data or the folder does not fit.
      TrainingError: If the loss stops being finite.
    """
    config = options.config()
    options, federation, n_clusters = checked(options, out, backend, resume)
    check_offers(config.centroids, len(federation.names), n_clusters, config.client_centers)
    with begun(
        "federated_dec", options, config, federation, n_clusters,
        out=out, backend=backend, resume=resume, console=console,
    ) as fields:  # fmt: skip
        _Run(**fields, config=config).take()


@dataclasses.dataclass(frozen=True)
class _Run(FederatedRun):
    config: FederatedDECConfig

    def take(self) -> None:
        """Trains, labels, scores and draws."""
        scale = self._scale()
        kept, history = self._train()
        dec = _estimator(kept, self.config, scale, self.options.seed, history)
        dec.save(self.run.path / "model.npz")
        self.run.write_history(history)
        write_scaling(self.run, self.at.scaling)
        labels = write_client_labels(self.run, self.at, lambda x: _labelled(dec, x / scale))
        self.console.print("Scoring and drawing ...")
        scores = self._scores(history, labels, scale)
        self._draw(dec, history, labels, scale)
        self.write_result(history, scores)
        self.console.print(
            "Scores of AE and DEC are exact, from sums over clients. The silhouette, and k-means, "
            "are of all rows in one place, which only a simulation has."
        )

    def _scale(self) -> float:
        """What features are multiplied by, and multiplies them at the clients."""
        scaling = self.config.model.scaling
        if scaling == "rms":
            scaling = rms_factor(self.at.carrier, self.at.everyone, self.at.store.n_features)
        factor = np.float32(scaling)
        if factor != 1:
            self.at.store.change(lambda x: x * factor)
        return float(factor)

    def _train(self) -> tuple[Arrays, list[Record]]:
        stages = dec_stages(
            self.at.store.n_features, self.n_clusters, self.config, self.options.seed
        )
        return self.train(stages, self._score)

    def _score(self, stage: Stage, state: ServerState, record: Record) -> Record:
        """Scores where labels are counted: at the start, now and then, and at the end."""
        if "clusters_used" not in record:
            return {}
        is_end = record["converged"] or record["step"] == stage.n_rounds
        interval = self.config.rounds_per_exchange + 1
        exchange = (record["step"] - 1) // interval
        every = max(1, self.options.evaluate_every // interval)
        if exchange % every and not is_end:
            return {}
        labelling = DECLabelling(self.n_clusters, self.config.model)
        first = ClusterPass(self.at.store.n_features, labelling, len(self.at.federation.classes))
        return federated_scores(self.at.carrier, self.at.everyone, first, state.weights).scores

    def _unscaled(self, scale: float) -> tuple[np.ndarray, np.ndarray | None]:
        X, y = self.pooled()
        return np.asarray(X) / np.float32(scale), y

    def _scores(self, history: list[Record], labels: list[np.ndarray], scale: float) -> Any:
        """k-means on the pooled rows, and the records that were scored first and last."""
        X, y = self._unscaled(scale)
        scores = self.kmeans_scores(X, y, self.config.model.kmeans_restarts)
        scored = [r for r in history if "calinski_harabasz" in r]
        if scored:
            names = ("AE + centres", "DEC")
            for name, record in zip(names, (scored[0], scored[-1]), strict=True):
                scores[name] = scores_of(record)
        scores.setdefault("DEC", {"seconds": 0.0})
        self.add_silhouette(scores["DEC"], X, labels)
        return scores

    def _draw(
        self, dec: DEC, history: list[Record], labels: list[np.ndarray], scale: float
    ) -> None:
        folder, federation = self.run.path, self.at.federation
        X, y = self._unscaled(scale)
        found = np.concatenate(labels)
        plots.draw_training_curves(
            folder / "curves.png", history, tol=self.config.model.tol, unit="round"
        )
        plots.draw_embedding(
            folder / "embedding.png", dec.transform(X), found, centroids=dec.cluster_centers_, y=y
        )
        plots.draw_top_confidence(
            folder / "top_confidence.png", X, dec.soft_assign(X), federation.picture
        )
        if y is not None:
            plots.draw_confusion(folder / "confusion.png", y, found)
        self.draw_client_clusters(labels)


def _estimator(
    kept: Arrays, config: FederatedDECConfig, scale: float, seed: int, history: list[Record]
) -> DEC:
    return DEC.from_weights(
        unnumbered("encoder", kept),
        unnumbered("decoder", kept),
        kept.get("clusters", kept["initial_centers"]),
        config.model,
        scale=scale,
        random_state=seed,
        history=history,
    )


def _labelled(dec: DEC, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q = dec.soft_assign(x)
    return q.argmax(axis=1), q.max(axis=1)
