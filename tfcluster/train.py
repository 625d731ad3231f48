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

from tfcluster import metrics, plots, presets, published
from tfcluster.autoencoder import pretrained_weights
from tfcluster.data import Dataset, load_data
from tfcluster.dec import DEC
from tfcluster.errors import InputError
from tfcluster.presets import DECConfig
from tfcluster.progress import TrainingProgress
from tfcluster.runs import RunFolder
from tfcluster.runtime import provenance, set_threads
from tfcluster.self_training import fit_kmeans
from tfcluster.tables import print_cluster_numbers, print_clusters, print_scores
from tfcluster.training import Record
from tfcluster.validation import check_matrix

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
      threads: Operations TensorFlow runs side by side.
      overrides: Fields of the configuration that are set otherwise.
      pretrained: DEC-keras' `ae_weights.h5`, to start from.
    """

    dataset: str = "digits"
    preset: str = "keras"
    n_clusters: str | None = None
    seed: int = 0
    threads: int = 2
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
    config = options.config()
    data = load_data(options.dataset)
    numbers = _numbers_of_clusters(options, data)
    check_matrix(DEC(), data.X, min_rows=max(numbers), reset=True)
    if options.pretrained is not None:
        pretrained_weights(options.pretrained, data.X.shape[1], config)
    run = _open_folder(options, config, out, resume)
    set_threads(options.threads)
    task = _Task(options, config, data, run, checkpoint_seconds, console)
    if len(numbers) == 1:
        _train_one(task, numbers[0])
    else:
        _train_range(task, numbers)


@dataclasses.dataclass(frozen=True)
class _Task:
    """A run that was checked and may begin."""

    options: TrainOptions
    config: DECConfig
    data: Dataset
    run: RunFolder
    checkpoint_seconds: float
    console: Console

    def estimator(self, n_clusters: int) -> DEC:
        return DEC(n_clusters, preset=self.config, random_state=self.options.seed)


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


def _numbers_of_clusters(options: TrainOptions, data: Dataset) -> list[int]:
    text = options.n_clusters
    if text is None:
        if data.y is None:
            raise InputError(
                f"{options.dataset} has no labels to count, so --n-clusters must say how many "
                "clusters to find, or a range to compare, as 2:15."
            )
        return [len(np.unique(data.y))]
    first, _, last = text.partition(":")
    try:
        numbers = list(range(int(first), int(last or first) + 1))
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 2:
        raise InputError(
            f"--n-clusters must be a number from 2 on, or a range as 2:15. Received: {text!r}."
        )
    return numbers


def _train_one(task: _Task, n_clusters: int) -> None:
    dec, run = task.estimator(n_clusters), task.run
    with TrainingProgress(task.console) as progress:

        def monitor(record: Record) -> None:
            run.log(record)
            progress(record)

        dec.fit(
            task.data.X,
            monitor=monitor,
            checkpoint=run.path / "checkpoint.npz",
            checkpoint_seconds=task.checkpoint_seconds,
            pretrained=task.options.pretrained,
        )
    task.console.print("Scoring and drawing ...")
    scores, q = _compare_methods(dec, task), dec.soft_assign(task.data.X)
    _write_results(dec, task, scores, q)
    print_clusters(task.console, q, task.data.y)
    lines = published.dec_lines(task.options.preset, task.options.dataset)
    print_scores(task.console, scores, lines)
    task.console.print(f"Model, labels and pictures (*.png) are in {run.path}")


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


def _write_results(dec: DEC, task: _Task, scores: MethodScores, q: np.ndarray) -> None:
    run = task.run
    dec.save(run.path / "model.npz")
    run.write_labels(dec.labels_, q.max(axis=1))
    run.write_history(dec.history_)
    _draw(dec, task, q)
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


def _draw(dec: DEC, task: _Task, q: np.ndarray) -> None:
    data, folder = task.data, task.run.path
    embedding = dec.transform(data.X)
    plots.embedding(
        folder / "embedding.png", embedding, dec.labels_, centers=dec.cluster_centers_, y=data.y
    )
    plots.curves(folder / "curves.png", dec.history_, tol=task.config.tol)
    plots.top_confidence(folder / "top_confidence.png", data.X, q, data.picture)
    if data.y is not None:
        plots.confusion(folder / "confusion.png", data.y, dec.labels_)


def _train_range(task: _Task, numbers: list[int]) -> None:
    """One pretraining, then a fit for each number of clusters, compared without labels."""
    data, run = task.data, task.run
    weights = task.options.pretrained or _pretrain(task, numbers[0])
    table = []
    for n_clusters in numbers:
        saved = run.path / f"model_{n_clusters}.npz"
        if not saved.exists():
            task.console.print(f"{n_clusters} clusters")
            with TrainingProgress(task.console) as progress:
                dec = task.estimator(n_clusters)
                dec.fit(data.X, monitor=progress, pretrained=weights).save(saved)
        labels = DEC.load(saved).labels_
        table.append({"n_clusters": n_clusters, **metrics.score(data.X, labels, data.y)})
    run.write_json("result.json", {**_asked(run), "table": table, **provenance()})
    plots.cluster_numbers(run.path / "cluster_numbers.png", table)
    print_cluster_numbers(task.console, table)
    task.console.print(f"Everything is in {run.path}")


def _pretrain(task: _Task, n_clusters: int) -> list[np.ndarray]:
    with TrainingProgress(task.console) as progress:
        return task.estimator(n_clusters).pretrain(
            task.data.X,
            monitor=progress,
            checkpoint=task.run.path / "pretrain.npz",
            checkpoint_seconds=task.checkpoint_seconds,
        )
