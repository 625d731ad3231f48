"""The frame of the federated commands: folder, progress, labels, pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console

from federated.backends.descriptions import BACKENDS, TFF, BackendDescription, Flower
from federated.cli.clients import show_clients
from federated.cli.options import FederateExecution, FederateOptions
from federated.core.records import RoundRecord
from federated.data.federated_dataset import FederatedDataset
from tfcluster import metrics
from tfcluster.cli.cluster_tables import print_clusters, print_profile
from tfcluster.cli.problems import find_problems
from tfcluster.cli.run_folder import RunFolder, format_labels, open_run_folder, settle_threads
from tfcluster.cli.score_tables import MethodScores, print_scores
from tfcluster.cli.tables import Ids, with_names
from tfcluster.clustergan.estimator import ClusterGAN
from tfcluster.dec.estimator import DEC
from tfcluster.errors import InputError, unknown_name
from tfcluster.runtime import collect_provenance, set_threads
from tfcluster.scaling import Standardizer
from tfcluster.training.kmeans import fit_kmeans
from tfcluster.training.progress import TrainingProgress

AnyOptions = TypeVar("AnyOptions", bound=FederateOptions)

Confidence = Callable[[np.ndarray], np.ndarray]
"""Maps samples as they were given to how certain the model is of each one's label, in [0, 1]."""


def find_workers(execution: FederateExecution, n_workers: int) -> BackendDescription:
    """Returns the backend that was asked for, with a number of workers.

    Raises:
      InputError: If there is no such backend, or it does not have an option.
    """
    name = execution.backend
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    settings: dict[str, Any] = {}
    for value, field, owner in (
        (execution.num_gpus, "num_gpus", Flower),
        (execution.insecure_worker, "insecure_worker", TFF),
    ):
        if value and name != owner.name:
            option = field.replace("_", "-")
            raise InputError(
                f"--{option} is for --backend {owner.name}. Received: --backend {name}."
            )
        settings |= {field: value} if value else {}
    return BACKENDS[name](n_workers=n_workers, **settings)


def prepare(
    options: AnyOptions, execution: FederateExecution
) -> tuple[AnyOptions, Path, FederatedDataset]:
    """Returns the options with their threads, the run's folder, and the clients.

    Raises:
      InputError: If an option or the data does not fit.
    """
    find_workers(execution, 1)
    out = execution.choose_folder(options)
    return settle_threads(options), out, options.load()


def choose_numbers(options: FederateOptions, dataset: FederatedDataset) -> range:
    """Returns the numbers of clusters asked for, or the number of classes."""
    classes = np.arange(len(dataset.classes)) if dataset.classes else None
    return options.parse_n_clusters(classes)


@dataclasses.dataclass(frozen=True)
class FederatedRun:
    """A run that may begin.

    Attributes:
      options: What was asked for.
      backend: Name of the backend.
      dataset: The clients.
      folder: The run's folder.
      console: Where progress and tables are printed.
    """

    options: FederateOptions
    backend: str
    dataset: FederatedDataset
    folder: RunFolder
    console: Console

    @property
    def path(self) -> Path:
        """Path of the folder."""
        return self.folder.path

    def fit(self, model: Any) -> None:
        """Fits the estimator on the clients, with progress, records and a checkpoint."""
        with TrainingProgress(self.console, unit="rounds") as progress:
            model.fit(
                self.dataset,
                callbacks=(self._log, lambda record: progress(record.flat())),
                checkpoint=self.path / "checkpoint.npz",
            )
        self.folder.write_history([record.to_dict() for record in model.history_])

    def _log(self, record: RoundRecord) -> None:
        self.folder.log(record.to_dict(), record.flat())

    def write_client_labels(self, model: Any, confidence: Confidence) -> None:
        """Writes `clients/NAME/labels.csv` for every client, and prints the clusters."""
        found = []
        for i, (name, (x, _)) in enumerate(
            zip(self.dataset.names, self.dataset.clients, strict=True)
        ):
            labels, certainty = model.client_labels_[name], confidence(x)
            path = Path("clients") / name.replace("/", "_") / "labels.csv"
            self.folder.write_text(str(path), format_labels(labels, certainty, self._ids(i)))
            found.append(certainty)
        _, y = self.dataset.pooled()
        labels, certainty = pool_labels(model), np.concatenate(found)
        print_clusters(self.console, labels, certainty, model.n_clusters_, y)
        self.folder.report(find_problems(labels, certainty, model.n_clusters_, model.scores_))

    def _ids(self, client: int) -> Ids | None:
        dataset = self.dataset
        return Ids(dataset.id_column, dataset.ids[client].tolist()) if dataset.ids else None

    def save(self, model: DEC | ClusterGAN, units: Standardizer | None) -> None:
        """Writes the model with the names of its features; `units` as for `DEC.save`."""
        self.folder.save_model(with_names(model, self.dataset.column_names), units)

    def show_profile(self, model: Any) -> None:
        """Prints, writes and draws the mean and spread of each cluster's features."""
        print_profile(self.console, model.profile_)
        self.folder.write_text("profile.csv", model.profile_.to_csv())
        self.folder.pictures.draw_profile(
            self.path / "profile.png", model.profile_, self.dataset.picture
        )

    def pooled_scores(self, model: Any, X: np.ndarray, restarts: int) -> tuple[Any, Any]:
        """Returns k-means of the pooled samples, and the silhouette of the model's labels.

        Both need all samples in one place, which only a simulation has.

        Args:
          model: The fitted estimator.
          X: `(n_samples, n_features)` pooled samples, standardized if the model standardizes.
          restarts: Starts of k-means.
        """
        _, y = self.dataset.pooled()
        kmeans = fit_kmeans(X, model.n_clusters_, restarts, 0)
        found = metrics.score(X, pool_labels(model))
        names = ("silhouette", "silhouette_samples", "silhouette_seed")
        silhouette: dict[str, Any] = {name: found[name] for name in names if name in found}
        silhouette["silhouette_of"] = "pooled samples, which only a simulation has"
        return metrics.score(X, kmeans.labels_, y), silhouette

    def draw_client_clusters(self, model: Any) -> None:
        """Draws the samples of each cluster at each client."""
        counts = np.stack(
            [
                np.bincount(labels, minlength=model.n_clusters_)
                for labels in model.client_labels_.values()
            ]
        )
        self.folder.pictures.draw_partition(
            self.path / "client_clusters.png",
            counts,
            self.dataset.names,
            range(model.n_clusters_),
            parts="cluster",
        )

    def write_result(self, model: Any, scores: MethodScores, **more: Any) -> None:
        """Writes `result.json` and prints the scores."""
        phases = dict.fromkeys(record.phase for record in model.history_)
        result = {
            **self.folder.describe(),
            "backend": self.backend,
            "n_clusters": model.n_clusters_,
            "clients": len(self.dataset.names),
            "n_samples": sum(self.dataset.sizes),
            "rounds": {p: sum(r.phase == p for r in model.history_) for p in phases},
            **more,
        }
        self.folder.write_json("result.json", {**result, "scores": scores, **collect_provenance()})
        print_scores(self.console, scores, {})


@contextlib.contextmanager
def begin_run(
    options: FederateOptions,
    config: Any,
    dataset: FederatedDataset,
    out: Path,
    execution: FederateExecution,
    console: Console,
) -> Iterator[FederatedRun]:
    """Opens a run's folder and shows the clients, once everything was checked."""
    folder = open_run_folder(options, config, out, execution, dataset.tables)
    set_threads(options.n_threads)
    with folder.announce(console):
        show_clients(options, dataset, console)
        counts, classes = dataset.counts(), dataset.classes or ("samples",)
        folder.pictures.draw_partition(
            folder.path / "partition.png", counts, dataset.names, classes
        )
        console.print(f"Starting the {execution.backend} backend ...")
        with _show_log(console):
            yield FederatedRun(options, execution.backend, dataset, folder, console)


class _ConsoleHandler(logging.Handler):
    """Prints what backends log, e.g. the devices that compute."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(record.getMessage(), markup=False)


@contextlib.contextmanager
def _show_log(console: Console) -> Iterator[None]:
    log, handler = logging.getLogger("federated"), _ConsoleHandler(console)
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def pool_labels(model: Any) -> np.ndarray:
    """Returns the model's labels of all samples, in client order."""
    return np.concatenate(list(model.client_labels_.values()))
