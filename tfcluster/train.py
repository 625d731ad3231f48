"""`tfcluster train dec`: from a data set's name to a folder of results."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from tfcluster import metrics, plots, presets, published
from tfcluster.autoencoder import Pretrained, pretrained_weights
from tfcluster.data import Dataset, load_data
from tfcluster.dec import DEC
from tfcluster.errors import InputError
from tfcluster.presets import DECConfig
from tfcluster.progress import TrainingProgress
from tfcluster.runs import RunFolder
from tfcluster.runtime import available_cores, provenance, set_threads
from tfcluster.self_training import fit_kmeans
from tfcluster.tables import print_cluster_numbers, print_clusters, print_scores
from tfcluster.training import Monitor, Record
from tfcluster.validation import check_matrix, check_n_clusters

MethodScores = dict[str, dict[str, Any]]
"""Method to its scores, `seconds` among them."""


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """What a run of DEC was asked for; everything its weights depend on.

    Attributes:
      dataset: A name or a file.
      preset: A protocol's name.
      n_clusters: A number ("10"), a range ("2:15"), or None for the data set's classes.
      seed: Of everything random.
      threads: Operations TensorFlow runs side by side; 0 for what the run was begun with, or as
        many as there are cores, two at most.
      overrides: Fields of the configuration that are set otherwise.
      pretrained: DEC-keras' `ae_weights.h5`, to start from.
    """

    dataset: str = "digits"
    preset: str = "keras"
    n_clusters: str | None = None
    seed: int = 0
    threads: int = 0
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pretrained: str | None = None

    def config(self) -> DECConfig:
        """The configuration, the data set's own form of the protocol where there is one."""
        config: DECConfig = presets.override(
            presets.dec_config(self.preset, self.dataset), self.overrides
        )
        return config


def train_dec(
    options: TrainOptions,
    out: Path,
    *,
    resume: bool,
    checkpoint_seconds: float,
    console: Console,
) -> None:
    """Trains DEC, writes the run's folder and prints the comparison.

    Everything is checked before anything is written.

    Args:
      options: What to train; must be the same again for `resume`.
      out: The run's folder.
      resume: Whether to go on with the run that is there.
      checkpoint_seconds: Least time between two checkpoints.
      console: Where progress and tables go.

    Raises:
      InputError: If an option, the data or the folder does not fit.
      TrainingError: If the loss stops being finite.
    """
    options = _settled(options, out, resume)
    config = options.config()
    data = load_data(options.dataset)
    numbers = _numbers_of_clusters(options, data)
    check_n_clusters(numbers[0])
    check_matrix(DEC(), data.X, min_rows=numbers[-1], reset=True)
    if options.pretrained is not None:
        pretrained_weights(options.pretrained, data.X.shape[1], config)
    run = _open_folder(options, config, out, resume)
    set_threads(options.threads)
    task = _Task(options, config, data, checkpoint_seconds, console)
    try:
        if len(numbers) == 1:
            _train_one(task, numbers[0], run)
        else:
            _train_range(task, numbers, run)
    except KeyboardInterrupt:
        console.print("The same command with --resume goes on from the last checkpoint.")
        raise
    console.print(f"Everything is in {escape(str(out))}")


@dataclasses.dataclass(frozen=True)
class _Task:
    """A run that was checked and may begin."""

    options: TrainOptions
    config: DECConfig
    data: Dataset
    checkpoint_seconds: float
    console: Console

    def estimator(self, n_clusters: int) -> DEC:
        return DEC(n_clusters, preset=self.config, random_state=self.options.seed)


def _settled(options: TrainOptions, out: Path, resume: bool) -> TrainOptions:
    """The options with their number of threads."""
    if options.threads:
        return options
    begun = RunFolder.open(out).config().get("threads") if resume else None
    return dataclasses.replace(options, threads=begun or min(2, available_cores()))


def _open_folder(options: TrainOptions, config: DECConfig, out: Path, resume: bool) -> RunFolder:
    asked = {**dataclasses.asdict(options), "config": presets.to_dict(config)}
    if not resume:
        return RunFolder.create(out, {"algorithm": "dec", **asked, **provenance()})
    run = RunFolder.open(out)
    begun = run.config()
    names = [field.name for field in dataclasses.fields(options)]
    now = json.loads(json.dumps(asked))
    differing = [
        f"{name} was {begun.get(name)!r}, now {now[name]!r}"
        for name in names
        if begun.get(name) != now[name]
    ]
    if differing:
        raise InputError(
            f"{out} was begun with other options: {', '.join(differing)}. Repeat the call that "
            "began it, with --resume."
        )
    return run


def _numbers_of_clusters(options: TrainOptions, data: Dataset) -> range:
    text = options.n_clusters
    if text is None:
        if data.y is None:
            raise InputError(
                f"{options.dataset} has no labels to count, so --n-clusters must say how many "
                "clusters to find, or a range to compare, as 2:15."
            )
        n_classes = len(np.unique(data.y))
        return range(n_classes, n_classes + 1)
    first, _, last = text.partition(":")
    try:
        numbers = range(int(first), int(last or first) + 1)
    except ValueError:
        numbers = range(0)
    if not numbers or numbers[0] < 2:
        raise InputError(
            f"--n-clusters must be a number from 2 on, or a range as 2:15. Received: {text!r}."
        )
    return numbers


def _train_one(task: _Task, n_clusters: int, run: RunFolder) -> None:
    dec, scores = _fit(task, n_clusters, run, task.options.pretrained)
    print_clusters(task.console, dec.soft_assign(task.data.X), task.data.y)
    print_scores(task.console, scores, _published(task, n_clusters))


def _published(task: _Task, n_clusters: int) -> Mapping[str, Mapping[str, float]]:
    """The published lines, if this run is of their kind."""
    data, options = task.data, task.options
    is_same = not options.overrides and data.y is not None and n_clusters == len(np.unique(data.y))
    return published.dec_lines(options.preset, options.dataset) if is_same else {}


def _train_range(task: _Task, numbers: range, run: RunFolder) -> None:
    """One pretraining, then a run for each number of clusters, compared without labels."""
    pretrained = task.options.pretrained or _pretrain(task, numbers[0], run)
    table = []
    for n_clusters in numbers:
        task.console.print(f"{n_clusters} clusters")
        _, scores = _fit(task, n_clusters, _folder_of(run, n_clusters), pretrained)
        table.append({"n_clusters": n_clusters, **scores["DEC"]})
    run.write_json("result.json", {**_asked(run), "table": table, **provenance()})
    plots.cluster_numbers(run.path / "cluster_numbers.png", table)
    print_cluster_numbers(task.console, table)


def _folder_of(run: RunFolder, n_clusters: int) -> RunFolder:
    """The folder of one number of clusters within that of a range; made if it is not there."""
    folder = run.path / f"{n_clusters}_clusters"
    if (folder / "config.json").exists():
        return RunFolder.open(folder)
    return RunFolder.create(folder, {**run.config(), "n_clusters": str(n_clusters)})


def _pretrain(task: _Task, n_clusters: int, run: RunFolder) -> list[np.ndarray]:
    with TrainingProgress(task.console) as progress:
        return task.estimator(n_clusters).pretrain(
            task.data.X,
            monitor=_monitor(run, progress),
            checkpoint=run.path / "pretrain.npz",
            checkpoint_seconds=task.checkpoint_seconds,
        )


def _fit(
    task: _Task, n_clusters: int, run: RunFolder, pretrained: Pretrained | None
) -> tuple[DEC, MethodScores]:
    """Fits, scores, and fills a run's folder."""
    dec = task.estimator(n_clusters)
    with TrainingProgress(task.console) as progress:
        dec.fit(
            task.data.X,
            monitor=_monitor(run, progress),
            checkpoint=run.path / "checkpoint.npz",
            checkpoint_seconds=task.checkpoint_seconds,
            pretrained=pretrained,
        )
    task.console.print("Scoring and drawing ...")
    scores = _compare_methods(dec, task)
    _write_results(dec, task, run, scores)
    return dec, scores


def _monitor(run: RunFolder, progress: Monitor) -> Monitor:
    """Writes every record, then shows it, which may stop the run."""

    def monitor(record: Record) -> None:
        run.log(record)
        progress(record)

    return monitor


def _compare_methods(dec: DEC, task: _Task) -> MethodScores:
    """k-means, AE + k-means and DEC, all scored in the input space."""
    data, restarts = task.data, task.config.kmeans_restarts
    start = time.perf_counter()
    kmeans = fit_kmeans(data.X, len(dec.cluster_centers_), restarts, task.options.seed)
    kmeans_seconds = time.perf_counter() - start
    autoencoder_seconds = next(
        record["seconds"] for record in dec.history_ if record["phase"] == "centroids"
    )
    results = {
        "k-means": (kmeans.labels_, kmeans_seconds),
        "AE + k-means": (dec.initial_labels_, autoencoder_seconds),
        "DEC": (dec.labels_, dec.history_[-1]["seconds"]),
    }
    scores = {
        name: {**metrics.score(data.X, labels, data.y), "seconds": round(seconds, 1)}
        for name, (labels, seconds) in results.items()
    }
    scores["DEC"] |= metrics.score_embedding(dec.transform(data.X), dec.labels_)
    if dec.has_decoder_:
        reconstructed = dec.predict(dec.reconstruct(data.X))
        scores["DEC"]["cycle_accuracy"] = metrics.cycle_accuracy(dec.labels_, reconstructed)
    return scores


def _write_results(dec: DEC, task: _Task, run: RunFolder, scores: MethodScores) -> None:
    q = dec.soft_assign(task.data.X)
    dec.save(run.path / "model.npz")
    run.write_labels(dec.labels_, q.max(axis=1))
    run.write_history(dec.history_)
    _draw(dec, task, run.path, q)
    result = {
        **_asked(run),
        "n_clusters": len(dec.cluster_centers_),
        "n_rows": len(q),
        "steps": dec.n_iter_,
    }
    run.write_json("result.json", {**result, "scores": scores, **provenance()})


def _asked(run: RunFolder) -> dict[str, Any]:
    asked = run.config()
    names = ("algorithm", "dataset", "preset", "seed", "threads", "overrides")
    return {name: asked[name] for name in names}


def _draw(dec: DEC, task: _Task, folder: Path, q: np.ndarray) -> None:
    data = task.data
    embedding = dec.transform(data.X)
    plots.embedding(
        folder / "embedding.png", embedding, dec.labels_, centers=dec.cluster_centers_, y=data.y
    )
    plots.curves(folder / "curves.png", dec.history_, tol=task.config.tol)
    plots.top_confidence(folder / "top_confidence.png", data.X, q, data.picture)
    if data.y is not None:
        plots.confusion(folder / "confusion.png", data.y, dec.labels_)
