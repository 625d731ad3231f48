"""`tfcluster train clustergan`: from a data set's name to a folder of results."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from tfcluster import metrics, plots
from tfcluster.cli import published
from tfcluster.cli.options import GANExecution, GANOptions
from tfcluster.cli.run import (
    MethodScores,
    asked,
    logged,
    numbers_of_clusters,
    open_folder,
    subfolder,
    told_how_to_resume,
    with_threads,
)
from tfcluster.cli.run_folder import RunFolder
from tfcluster.cli.tables import (
    mean_and_sd,
    print_clusters,
    print_profile,
    print_scores,
    print_trials,
    selection_rank,
)
from tfcluster.clustergan.estimator import ClusterGAN, check_rows, cluster_codes
from tfcluster.config import GANConfig
from tfcluster.data.loading import DATASETS, Dataset, load_data
from tfcluster.dec.self_training import fit_kmeans
from tfcluster.errors import InputError
from tfcluster.profile import ClusterProfile
from tfcluster.runtime import provenance, set_threads
from tfcluster.training.progress import TrainingProgress
from tfcluster.validation import check_matrix

# Back-propagation takes thousands of passes a row: minutes for so many.
_RECOVERED_ROWS = {"image": 128, "gene": 1_000, "pendigits": 1_000}
_PROBES = 50
_SHOWN = 10  # rows or steps of a picture
_LAST_SEED = 2**32 - 1  # that NumPy's generator takes


class Rows(NamedTuple):
    """The rows of a run: the authors' splits where they have some, else all rows three times.

    Attributes:
      fit: What the networks see.
      validation: What chooses among trials.
      test: What is reported.
    """

    fit: Dataset
    validation: Dataset
    test: Dataset


def train_clustergan(options: GANOptions, execution: GANExecution, *, console: Console) -> None:
    """Trains ClusterGAN, writes the run's folder and prints the comparison.

    Everything is checked before anything is written.

    Args:
      options: What to train; must be the same again to resume.
      execution: Where the results go, and how often progress is saved.
      console: Where progress and tables are printed.

    Raises:
      InputError: If an option, the data or the folder does not fit.
      TrainingError: If a loss stops being finite.
    """
    _check_seeds(options)
    out = execution.folder("clustergan", options)
    options = with_threads(options, out, execution.resume)
    config = options.config()
    rows = load_rows(options.dataset)
    numbers = numbers_of_clusters(options, rows.fit.y)
    if len(numbers) > 1:
        raise InputError("ClusterGAN takes one number as --n-clusters, no range.")
    X = check_matrix(ClusterGAN(), rows.fit.X, min_rows=numbers[0], reset=True)
    check_rows(X, config)
    run = open_folder("clustergan", options, config, out, execution.resume)
    set_threads(options.n_threads, per_operation=config.has_large_products)
    task = _Task(options, config, rows, numbers[0], execution.checkpoint_seconds, console)
    with told_how_to_resume(out, console):
        _train(task, run)


def _check_seeds(options: GANOptions) -> None:
    """Raises `InputError` before the first trial if a later one would have no seed."""
    if options.seed + options.trials - 1 > _LAST_SEED:
        raise InputError(
            f"The trials' seeds, from --seed on, must not be above {_LAST_SEED}. Received: "
            f"--seed {options.seed} --trials {options.trials}. Lower one of them."
        )


def load_rows(dataset: str) -> Rows:
    """The rows of a named data set or a file."""
    info = DATASETS.get(dataset)
    if info is None or "fit" not in info.splits:
        everything = load_data(dataset)
        return Rows(everything, everything, everything)
    return Rows(*(load_data(dataset, split) for split in Rows._fields))


@dataclasses.dataclass(frozen=True)
class _Task:
    """A run that was checked and may begin."""

    options: GANOptions
    config: GANConfig
    rows: Rows
    n_clusters: int
    checkpoint_seconds: float
    console: Console


def _train(task: _Task, run: RunFolder) -> None:
    seeds = range(task.options.seed, task.options.seed + task.options.trials)
    trials = [_trial(task, run, seed, alone=len(seeds) == 1) for seed in seeds]
    best = max(trials, key=lambda trial: selection_rank(trial.line))
    data, labels = task.rows.fit, best.gan.labels_
    confidence = _z_c(best.gan, data.X).max(axis=1)
    print_clusters(task.console, labels, confidence, task.n_clusters, data.y)
    print_profile(task.console, _profile(best.gan, data))
    print_scores(task.console, {**best.scores, **_published(task)}, {})
    task.console.print(
        "ClusterGAN: k-means fitted anew on the codes of the rows scored, as the original does. "
        "Below it the labels `predict` gives (k-means of fit) and other decoders, back-propagation "
        f"on the first {_RECOVERED_ROWS[task.config.networks]:,} rows. Validation rows: ClusterGAN "
        "on those its authors validate on."
    )
    if len(trials) == 1:
        return
    lines = [trial.line for trial in trials]
    result = {**_result(task, run, best), "trials": lines, "summary": _summary(lines)}
    best.gan.save(run.path / "model.npz")
    if math.isfinite(best.line["selection"]):
        plots.trials(run.path / "trials.png", lines)
    run.write_json("result.json", {**result, **provenance()})
    print_trials(task.console, lines, _selected_by(task))


def _profile(gan: ClusterGAN, data: Dataset) -> ClusterProfile:
    return ClusterProfile.from_samples(
        data.X, gan.labels_, len(gan.cluster_centers_), data.feature_names, units=data.units
    )


def _published(task: _Task) -> Mapping[str, Mapping[str, float]]:
    """The published lines, if this run is of their kind."""
    options = task.options
    is_same = options.preset in ("auto", options.dataset) and not options.overrides
    return published.clustergan_lines(options.dataset) if is_same else {}


class _Trial(NamedTuple):
    gan: ClusterGAN
    scores: MethodScores
    line: dict[str, Any]


def _trial(task: _Task, run: RunFolder, seed: int, alone: bool) -> _Trial:
    """Trains one model, scores it and fills its folder."""
    if not alone:
        task.console.print(f"Seed {seed}")
        run = subfolder(run, f"seed_{seed}", seed=seed, trials=1)
    gan = ClusterGAN(task.n_clusters, preset=task.config, random_state=seed)
    with TrainingProgress(task.console) as progress:
        gan.fit(
            task.rows.fit.X,
            monitor=logged(run, progress),
            checkpoint=run.path / "checkpoint.npz",
            checkpoint_seconds=task.checkpoint_seconds,
            probe=_probe(task),
            probe_every=task.options.probe_every or max(1, task.config.steps // _PROBES),
        )
    task.console.print("Scoring and drawing ...")
    scores = _compare_methods(gan, task)
    names = ("purity", "accuracy", "nmi", "ari", "silhouette")
    kept = {name: value for name, value in scores["ClusterGAN"].items() if name in names}
    trial = _Trial(gan, scores, {"seed": seed, "selection": _selection(gan, task), **kept})
    _write_results(trial, task, run)
    return trial


def _probe(task: _Task) -> Callable[[Callable[[np.ndarray], np.ndarray]], Mapping[str, float]]:
    """Scores the validation rows' clusters; nothing without labels."""
    X, y, *_ = task.rows.validation

    def probe(encode: Callable[[np.ndarray], np.ndarray]) -> Mapping[str, float]:
        if y is None:
            return {}
        codes = encode(X)
        labels = _refit(task, codes, y)
        z_c = codes[:, task.config.n_noise :].argmax(axis=1)
        return {
            "purity": metrics.purity(y, labels),
            "nmi": metrics.nmi(y, labels),
            "ari": metrics.ari(y, labels),
            "argmax_purity": metrics.purity(y, z_c),
        }

    return probe


def _refit(task: _Task, codes: np.ndarray, y: np.ndarray | None) -> np.ndarray:
    """The original's evaluation: k-means anew on the codes of the rows that are scored."""
    k = task.n_clusters if y is None else max(task.n_clusters, len(np.unique(y)))
    labels: np.ndarray = cluster_codes(codes, k, task.config).labels_
    return labels


def _selection(gan: ClusterGAN, task: _Task) -> float:
    """What the best trial is highest in: validation purity, or without labels the silhouette."""
    X, y, *_ = task.rows.validation
    if y is None:
        return metrics.silhouette(X, gan.predict(X))
    return metrics.purity(y, _refit(task, gan.transform(X), y))


def _selected_by(task: _Task) -> str:
    if task.rows.validation.y is None:
        return "silhouette in the input space, higher is better: there are no labels"
    return "purity of the validation rows"


def _compare_methods(gan: ClusterGAN, task: _Task) -> MethodScores:
    """k-means on the rows and every decoder of ClusterGAN, all scored in the input space."""
    X, y, *_ = task.rows.test
    start = time.perf_counter()
    kmeans = fit_kmeans(X, task.n_clusters, restarts=10, seed=0).labels_
    seconds = {"k-means": time.perf_counter() - start, "ClusterGAN": gan.history_[-1]["seconds"]}
    labels = {
        "k-means": kmeans,
        "ClusterGAN": _refit(task, gan.transform(X), y),
        "k-means of fit": gan.predict(X),
        "argmax of z_c": gan.predict(X, "argmax"),
    }
    scores = {name: metrics.score(X, found, y) for name, found in labels.items()}
    some = slice(_RECOVERED_ROWS[task.config.networks])
    recovered = gan.predict(X[some], "backpropagation")
    scores["back-propagation"] = metrics.score(X[some], recovered, None if y is None else y[some])
    X, y, *_ = task.rows.validation
    if X is not task.rows.test.X:
        scores["validation rows"] = metrics.score(X, _refit(task, gan.transform(X), y), y)
    for method, value in seconds.items():
        scores[method]["seconds"] = round(value, 1)
    return scores


def _write_results(trial: _Trial, task: _Task, run: RunFolder) -> None:
    gan = trial.gan
    gan.save(run.path / "model.npz")
    for network in gan.networks_:
        network.save(run.path / f"{network.name}.keras")
    z_c = _z_c(gan, task.rows.fit.X)
    run.write_labels(gan.labels_, z_c.max(axis=1))
    run.write_history(gan.history_)
    profile = _profile(gan, task.rows.fit)
    run.write_text("profile.csv", profile.to_csv())
    plots.profile(run.path / "profile.png", profile, task.rows.fit.picture)
    _draw(gan, task, run.path)
    run.write_json("result.json", {**_result(task, run, trial), **provenance()})


def _result(task: _Task, run: RunFolder, trial: _Trial) -> dict[str, Any]:
    return {
        **asked(run),
        "n_clusters": task.n_clusters,
        "n_rows": {name: len(part.X) for name, part in task.rows._asdict().items()},
        "steps": trial.gan.n_iter_,
        "selection": trial.line["selection"],
        "scores": trial.scores,
    }


def _z_c(gan: ClusterGAN, X: np.ndarray) -> np.ndarray:
    return gan.transform(X)[:, gan.config_.n_noise :]


def _summary(lines: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Mean and standard deviation over trials, by score."""
    return {
        name: list(mean_and_sd([line[name] for line in lines]))
        for name in lines[0]
        if name != "seed"
    }


def _draw(gan: ClusterGAN, task: _Task, folder: Path) -> None:
    X, y, picture, names, _ = task.rows.test
    codes = gan.transform(X)
    labels = gan.predict(X)
    plots.adversarial_curves(folder / "curves.png", gan.history_)
    plots.embedding(folder / "embedding.png", codes, labels, y=y)
    samples = np.stack([gan.sample(_SHOWN, k) for k in range(task.n_clusters)])
    plots.samples(folder / "samples.png", samples, picture, names)
    shown = min(16, len(X))
    plots.reconstructions(
        folder / "reconstructions.png", X[:shown], gan.reconstruct(X)[:shown], picture, names
    )
    pairs = list(itertools.pairwise(range(min(task.n_clusters, _SHOWN))))
    steps = np.stack([gan.interpolate(a, b, _SHOWN) for a, b in pairs])
    plots.interpolation(folder / "interpolation.png", steps, picture, pairs, names)
    if y is not None:
        plots.confusion(folder / "confusion.png", y, labels)
