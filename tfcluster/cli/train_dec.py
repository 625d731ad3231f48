"""`tfcluster train dec`: trains on a data set and writes a folder of results."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping

import numpy as np
from rich.console import Console

from tfcluster import metrics
from tfcluster.cli import published
from tfcluster.cli.cluster_tables import print_clusters, print_profile
from tfcluster.cli.dry_run import plan_dec, print_training_plan
from tfcluster.cli.options import DECExecution, DECOptions
from tfcluster.cli.problems import find_problems
from tfcluster.cli.run_folder import RunFolder, open_run_folder, settle_threads
from tfcluster.cli.samples import find_units, load_samples, show_scaling, standardized
from tfcluster.cli.score_tables import (
    MethodScores,
    print_n_clusters,
    print_scores,
)
from tfcluster.cli.tables import find_ids, get_column_names, get_tables, show_tables, with_names
from tfcluster.config import DECConfig
from tfcluster.data.loading import Dataset
from tfcluster.dec.autoencoder import Pretrained, load_pretrained
from tfcluster.dec.estimator import DEC
from tfcluster.n_clusters import recommend_n_clusters
from tfcluster.profile import ClusterProfile
from tfcluster.runtime import collect_provenance, set_threads
from tfcluster.scaling import Standardizer
from tfcluster.shift import FarSamplesWarning
from tfcluster.training.kmeans import fit_kmeans
from tfcluster.training.progress import TrainingProgress
from tfcluster.validation import check_matrix, check_n_clusters


def train_dec(options: DECOptions, execution: DECExecution, *, console: Console) -> None:
    """Trains DEC, writes the run's folder and prints the comparison.

    Everything is checked before anything is written.

    Args:
      options: What to train; must be the same again to resume.
      execution: Where the results go, and how often progress is saved.
      console: Where progress and tables are printed.

    Raises:
      InputError: If an option, the data or the folder does not fit.
      TrainingError: If the loss stops being finite.
    """
    out = execution.choose_folder(options)
    options = settle_threads(options)
    config = options.build_config()
    data = load_samples(options.dataset, options.standardize, table=options.table_options())
    numbers = options.parse_n_clusters(data.y)
    check_n_clusters(numbers[0])
    standardize = options.decide_standardize(data.has_units)
    X = check_matrix(DEC(), data.X, min_samples=numbers[-1], reset=True, allow_missing=standardize)
    shown = standardized(data, Standardizer.fit(X) if standardize else None)
    if options.pretrained is not None:
        load_pretrained(options.pretrained, data.X.shape[1], config)
    tables = get_tables(data)
    show_tables(console, tables)
    show_scaling(console, [data.X], standardize)
    if execution.dry_run:
        n_samples, n_features = data.X.shape
        is_pretrained = options.pretrained is not None
        phases = plan_dec(n_samples, n_features, numbers, config, is_pretrained)
        print_training_plan(console, options, data.X.shape, phases)
        return
    run = open_run_folder(options, config, out, execution, tables)
    set_threads(options.n_threads)
    task = _Task(options, config, data, shown, standardize, execution.checkpoint_seconds, console)
    with run.announce(console):
        if len(numbers) == 1:
            _train_one(task, numbers[0], run)
        else:
            _train_range(task, numbers, run)


@dataclasses.dataclass(frozen=True)
class _Task:
    """A run whose options and data have been checked.

    `data` is what the estimator gets, `shown` what its networks see, for scores and pictures.
    """

    options: DECOptions
    config: DECConfig
    data: Dataset
    shown: Dataset
    standardize: bool
    checkpoint_seconds: float
    console: Console

    def estimator(self, n_clusters: int) -> DEC:
        return DEC(
            n_clusters,
            preset=self.config,
            standardize=self.standardize,
            random_state=self.options.seed,
        )


def _train_one(task: _Task, n_clusters: int, run: RunFolder) -> None:
    dec, scores = _fit(task, n_clusters, run, task.options.pretrained)
    confidence = dec.soft_assign(task.data.X).max(axis=1)
    print_clusters(task.console, dec.labels_, confidence, n_clusters, task.data.y)
    run.report(find_problems(dec.labels_, confidence, n_clusters, scores["DEC"]))
    print_profile(task.console, _make_profile(dec, task.shown))
    print_scores(task.console, scores, _find_published(task, n_clusters))


def _make_profile(dec: DEC, data: Dataset) -> ClusterProfile:
    return ClusterProfile.from_samples(
        data.X, dec.labels_, len(dec.cluster_centers_), data.feature_names, units=data.units
    )


def _find_published(task: _Task, n_clusters: int) -> Mapping[str, Mapping[str, float]]:
    """Returns the published scores if this run has their protocol."""
    data, options = task.data, task.options
    is_same = not options.overrides and data.y is not None and n_clusters == len(np.unique(data.y))
    return published.find_dec_scores(options.preset, options.dataset) if is_same else {}


def _train_range(task: _Task, numbers: range, run: RunFolder) -> None:
    """Pretrains once, trains with each number of clusters, and compares them without labels."""
    pretrained = task.options.pretrained or _pretrain(task, numbers[0], run)
    records = []
    for n_clusters in numbers:
        task.console.print(f"{n_clusters} clusters")
        folder = run.open_subfolder(f"{n_clusters}_clusters", n_clusters=str(n_clusters))
        dec, scores = _fit(task, n_clusters, folder, pretrained)
        confidence = dec.soft_assign(task.data.X).max(axis=1)
        problems = find_problems(dec.labels_, confidence, n_clusters, scores["DEC"])
        run.report(f"{n_clusters} clusters: {problem}" for problem in problems)
        records.append({"n_clusters": n_clusters, **scores["DEC"]})
    recommendation = recommend_n_clusters(records)
    result = {"table": records, "recommendation": recommendation._asdict()}
    run.write_json("result.json", {**run.describe(), **result, **collect_provenance()})
    run.pictures.draw_n_clusters(run.path / "n_clusters.png", records, recommendation.n_clusters)
    print_n_clusters(task.console, records, recommendation)
    best = recommendation.n_clusters or numbers[0]
    task.console.print(f"Each number has its own folder, e.g. {best}_clusters.")


def _pretrain(task: _Task, n_clusters: int, run: RunFolder) -> list[np.ndarray]:
    with TrainingProgress(task.console) as progress:
        return task.estimator(n_clusters).pretrain(
            task.data.X,
            callbacks=(run.log, progress),
            checkpoint=run.path / "pretrain.npz",
            checkpoint_seconds=task.checkpoint_seconds,
        )


def _fit(
    task: _Task, n_clusters: int, run: RunFolder, pretrained: Pretrained | None
) -> tuple[DEC, MethodScores]:
    """Fits and scores one model, and writes its folder."""
    dec = task.estimator(n_clusters)
    with TrainingProgress(task.console) as progress:
        dec.fit(
            task.data.X,
            callbacks=(run.log, progress),
            checkpoint=run.path / "checkpoint.npz",
            checkpoint_seconds=task.checkpoint_seconds,
            pretrained=pretrained,
        )
    task.console.print("Scoring and drawing ...")
    scores = _compare_methods(dec, task)
    _write_results(dec, task, run, scores)
    return dec, scores


def _compare_methods(dec: DEC, task: _Task) -> MethodScores:
    """Returns scores in the input space of k-means, AE + k-means and DEC."""
    data, restarts = task.shown, task.config.kmeans_restarts
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
    scores["DEC"] |= metrics.score_embedding(dec.transform(task.data.X), dec.labels_)
    if dec.has_decoder_:
        with warnings.catch_warnings():  # a bad reconstruction is what this score is about
            warnings.simplefilter("ignore", FarSamplesWarning)
            reconstructed = dec.predict(dec.reconstruct(task.data.X))
        scores["DEC"]["cycle_accuracy"] = metrics.cycle_accuracy(dec.labels_, reconstructed)
    return scores


def _write_results(dec: DEC, task: _Task, run: RunFolder, scores: MethodScores) -> None:
    q = dec.soft_assign(task.data.X)
    units = find_units(task.options.dataset, task.data)
    run.save_model(with_names(dec, get_column_names(task.data)), units)
    run.write_labels(dec.labels_, q.max(axis=1), find_ids(task.data.table))
    run.write_history(dec.history_)
    profile = _make_profile(dec, task.shown)
    run.write_text("profile.csv", profile.to_csv())
    run.pictures.draw_profile(run.path / "profile.png", profile, task.data.picture)
    _draw(dec, task, run, q)
    result = {
        **run.describe(),
        "n_clusters": len(dec.cluster_centers_),
        "n_samples": len(q),
        "steps": dec.n_iter_,
    }
    run.write_json("result.json", {**result, "scores": scores, **collect_provenance()})


def _draw(dec: DEC, task: _Task, run: RunFolder, q: np.ndarray) -> None:
    data, folder, pictures = task.data, run.path, run.pictures
    embedding = dec.transform(data.X)
    pictures.draw_embedding(
        folder / "embedding.png", embedding, dec.labels_, centroids=dec.cluster_centers_, y=data.y
    )
    pictures.draw_training_curves(folder / "curves.png", dec.history_, tol=task.config.tol)
    pictures.draw_top_confidence(
        folder / "top_confidence.png", task.shown.X, q, data.picture, data.feature_names
    )
    if data.y is not None:
        pictures.draw_confusion(folder / "confusion.png", data.y, dec.labels_)
