"""`tfcluster train clustergan`: trains on a data set and writes a folder of results."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from tfcluster import metrics
from tfcluster.cli import published
from tfcluster.cli.cluster_tables import print_clusters, print_profile
from tfcluster.cli.dry_run import plan_clustergan, print_training_plan
from tfcluster.cli.options import GANExecution, GANOptions
from tfcluster.cli.problems import find_problems
from tfcluster.cli.run_folder import RunFolder, open_run_folder, settle_threads
from tfcluster.cli.samples import find_units, load_samples, show_scaling, standardized
from tfcluster.cli.score_tables import (
    MethodScores,
    compute_mean_and_sd,
    print_scores,
    print_trials,
    rank_trial,
)
from tfcluster.cli.tables import find_ids, get_column_names, get_tables, show_tables, with_names
from tfcluster.clustergan.codes import cluster_codes
from tfcluster.clustergan.estimator import ClusterGAN
from tfcluster.clustergan.networks import check_samples
from tfcluster.config import GANConfig
from tfcluster.data.loading import DATASETS, Dataset
from tfcluster.data.table_options import TableOptions
from tfcluster.errors import InputError
from tfcluster.profile import ClusterProfile
from tfcluster.runtime import collect_provenance, set_threads
from tfcluster.scaling import Standardizer
from tfcluster.training.kmeans import fit_kmeans
from tfcluster.training.progress import TrainingProgress
from tfcluster.validation import check_matrix

# Back-propagation takes thousands of steps for each sample: minutes for this many.
_N_RECOVERED = {"image": 128, "gene": 1_000, "pendigits": 1_000}
_N_EVALUATIONS = 50
_N_SHOWN = 10  # generated samples of a cluster, or steps of an interpolation
_LAST_SEED = 2**32 - 1  # the largest that NumPy's generator takes


class Splits(NamedTuple):
    """The samples of a run: the authors' splits if they have some, or else all samples each time.

    Attributes:
      fit: Train the networks.
      validation: Choose among trials.
      test: Are scored.
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
    out = execution.choose_folder(options)
    options = settle_threads(options)
    config = options.build_config()
    splits = load_splits(options.dataset, options.standardize, options.table_options())
    n_clusters = _choose_n_clusters(options, splits)
    standardize = options.decide_standardize(splits.fit.has_units)
    X = check_matrix(
        ClusterGAN(),
        splits.fit.X,
        min_samples=n_clusters,
        reset=True,
        allow_missing=standardize,
    )
    standardizer = Standardizer.fit(X) if standardize else None
    check_samples(X if standardizer is None else standardizer(X), config)
    tables = get_tables(splits.fit)
    show_tables(console, tables)
    show_scaling(console, [X], standardize)
    if execution.dry_run:
        phases = plan_clustergan(X.shape[1], n_clusters, config, options.trials)
        print_training_plan(console, options, X.shape, phases)
        return
    run = open_run_folder(options, config, out, execution, tables)
    set_threads(options.n_threads, per_operation=config.has_large_products)
    shown = Splits(*(standardized(part, standardizer) for part in splits))
    task = _Task(
        options,
        config,
        splits,
        shown,
        standardize,
        n_clusters,
        execution.checkpoint_seconds,
        console,
    )
    with run.announce(console):
        _train(task, run)


def _choose_n_clusters(options: GANOptions, splits: Splits) -> int:
    """Returns the number of clusters; raises `InputError` if there is none, or no criterion."""
    numbers = options.parse_n_clusters(splits.fit.y)
    if len(numbers) > 1:
        raise InputError(
            "ClusterGAN takes a single number of clusters, no range. Received: --n-clusters "
            f"{options.n_clusters}."
        )
    if options.choose_by == "purity" and splits.validation.y is None:
        raise InputError(
            f"--choose-by purity needs labels, and {options.dataset} has none. Leave it out."
        )
    return numbers[0]


def _check_seeds(options: GANOptions) -> None:
    """Raises `InputError` if the last trial would have no seed."""
    if options.seed + options.trials - 1 > _LAST_SEED:
        raise InputError(
            f"The trials' seeds, from --seed on, must not be above {_LAST_SEED}. Received: "
            f"--seed {options.seed} --trials {options.trials}. Lower one of them."
        )


def load_splits(
    dataset: str, standardize: bool | None = None, table: TableOptions | None = None
) -> Splits:
    """Returns the samples of a named data set or a file.

    Args:
      dataset: What `load_data` takes.
      standardize: As for `load_samples`.
      table: How a table is written, and what its columns are.

    Raises:
      InputError: If the data cannot be downloaded, read or used.
    """

    def load(split: str) -> Dataset:
        return load_samples(dataset, standardize, split, table)

    info = DATASETS.get(dataset)
    if info is None or "fit" not in info.splits:
        everything = load("all")
        return Splits(everything, everything, everything)
    return Splits(*map(load, Splits._fields))


@dataclasses.dataclass(frozen=True)
class _Task:
    """A run whose options and data have been checked.

    `splits` are what the estimator gets, `shown` what its networks see, for scores and pictures.
    """

    options: GANOptions
    config: GANConfig
    splits: Splits
    shown: Splits
    standardize: bool
    n_clusters: int
    checkpoint_seconds: float
    console: Console


def _train(task: _Task, run: RunFolder) -> None:
    seeds = range(task.options.seed, task.options.seed + task.options.trials)
    trials = [_train_trial(task, run, seed, is_only=len(seeds) == 1) for seed in seeds]
    best = max(trials, key=lambda trial: rank_trial(trial.record))
    data, labels = task.splits.fit, best.gan.labels_
    confidence = _encode_clusters(best.gan, data.X).max(axis=1)
    print_clusters(task.console, labels, confidence, task.n_clusters, data.y)
    run.report(find_problems(labels, confidence, task.n_clusters, best.scores["ClusterGAN"]))
    print_profile(task.console, _make_profile(best.gan, task.shown.fit))
    print_scores(task.console, {**best.scores, **_find_published(task)}, {})
    task.console.print(_explain_methods(task))
    if len(trials) > 1:
        _write_trials(task, run, trials, best)


def _explain_methods(task: _Task) -> str:
    text = (
        "ClusterGAN: k-means fitted on the codes of the samples that are scored, as in the "
        "original. k-means of fit: the labels of `predict`. Back-propagation: on the first "
        f"{_N_RECOVERED[task.config.networks]:,} samples."
    )
    if task.splits.validation is task.splits.test:
        return text
    return f"{text} Validation rows: ClusterGAN on the samples its authors validate on."


def _write_trials(task: _Task, run: RunFolder, trials: Sequence[_Trial], best: _Trial) -> None:
    """Writes and prints the comparison of trials, and keeps the best model."""
    records = [trial.record for trial in trials]
    result = {**_make_result(task, run, best), "trials": records, "summary": _summarize(records)}
    _save(best.gan, task, run)
    if math.isfinite(best.record["selection"]):
        run.pictures.draw_trials(run.path / "trials.png", records)
    run.write_json("result.json", {**result, **collect_provenance()})
    print_trials(task.console, records, _name_criterion(task))


def _make_profile(gan: ClusterGAN, data: Dataset) -> ClusterProfile:
    return ClusterProfile.from_samples(
        data.X, gan.labels_, len(gan.cluster_centers_), data.feature_names, units=data.units
    )


def _find_published(task: _Task) -> Mapping[str, Mapping[str, float]]:
    """Returns the published scores if this run has their protocol."""
    options = task.options
    is_same = options.preset in ("auto", options.dataset) and not options.overrides
    return published.find_clustergan_scores(options.dataset) if is_same else {}


class _Trial(NamedTuple):
    gan: ClusterGAN
    scores: MethodScores
    record: dict[str, Any]


def _train_trial(task: _Task, run: RunFolder, seed: int, is_only: bool) -> _Trial:
    """Trains one model, scores it and writes its folder."""
    if not is_only:
        task.console.print(f"Seed {seed}")
        run = run.open_subfolder(f"seed_{seed}", seed=seed, trials=1)
    gan = ClusterGAN(
        task.n_clusters, preset=task.config, standardize=task.standardize, random_state=seed
    )
    with TrainingProgress(task.console) as progress:
        gan.fit(
            task.splits.fit.X,
            callbacks=(run.log, progress),
            checkpoint=run.path / "checkpoint.npz",
            checkpoint_seconds=task.checkpoint_seconds,
            evaluate=_make_evaluation(task),
            evaluate_every=task.options.probe_every or max(1, task.config.steps // _N_EVALUATIONS),
        )
    task.console.print("Scoring and drawing ...")
    scores = _compare_methods(gan, task)
    names = ("purity", "accuracy", "nmi", "ari", "silhouette")
    own = {name: value for name, value in scores["ClusterGAN"].items() if name in names}
    record = {"seed": seed, **_compute_criteria(gan, task), **own}
    trial = _Trial(gan, scores, record)
    _write_results(trial, task, run)
    return trial


def _make_evaluation(
    task: _Task,
) -> Callable[[Callable[[np.ndarray], np.ndarray]], Mapping[str, float]]:
    """Returns a function that scores the validation samples, if they have labels."""
    X, y, *_ = task.splits.validation

    def evaluate(encode: Callable[[np.ndarray], np.ndarray]) -> Mapping[str, float]:
        if y is None:
            return {}
        codes = encode(X)
        labels = _refit_labels(task, codes, y)
        z_c = codes[:, task.config.n_noise :].argmax(axis=1)
        return {
            "purity": metrics.purity(y, labels),
            "nmi": metrics.nmi(y, labels),
            "ari": metrics.ari(y, labels),
            "argmax_purity": metrics.purity(y, z_c),
        }

    return evaluate


def _refit_labels(task: _Task, codes: np.ndarray, y: np.ndarray | None) -> np.ndarray:
    """Returns the labels the original scores: k-means fitted on the codes that are scored."""
    k = task.n_clusters if y is None else max(task.n_clusters, len(np.unique(y)))
    labels: np.ndarray = cluster_codes(codes, k, task.config).labels_
    return labels


def _compute_criteria(gan: ClusterGAN, task: _Task) -> dict[str, float]:
    """Returns `selection`, which the best trial has most of, and the purity if there are labels."""
    X, y, *_ = task.splits.validation
    found = {}
    if y is not None:
        found["validation_purity"] = metrics.purity(y, _refit_labels(task, gan.transform(X), y))
    if task.options.choose_by == "purity":
        return {"selection": found["validation_purity"], **found}
    silhouette = metrics.silhouette(task.shown.validation.X, gan.predict(X))
    return {"selection": silhouette, **found}


def _name_criterion(task: _Task) -> str:
    if task.options.choose_by == "silhouette":
        return "silhouette in the input space, which needs no labels"
    if task.splits.validation is task.splits.test:
        return "purity of the very samples that are scored, which needs their labels"
    return "purity of the validation samples, which needs their labels"


def _compare_methods(gan: ClusterGAN, task: _Task) -> MethodScores:
    """Returns scores in the input space of k-means and of every decoder of ClusterGAN."""
    X, y, *_ = task.splits.test
    shown = task.shown.test.X
    start = time.perf_counter()
    kmeans = fit_kmeans(shown, task.n_clusters, restarts=10, seed=0).labels_
    seconds = {"k-means": time.perf_counter() - start, "ClusterGAN": gan.history_[-1]["seconds"]}
    labels = {
        "k-means": kmeans,
        "ClusterGAN": _refit_labels(task, gan.transform(X), y),
        "k-means of fit": gan.predict(X),
        "argmax of z_c": gan.predict(X, "argmax"),
    }
    scores = {name: metrics.score(shown, found, y) for name, found in labels.items()}
    first = slice(_N_RECOVERED[task.config.networks])
    recovered = gan.predict(X[first], "backpropagation")
    scores["back-propagation"] = metrics.score(
        shown[first], recovered, None if y is None else y[first]
    )
    X, y, *_ = task.splits.validation
    if task.splits.validation is not task.splits.test:
        labels_found = _refit_labels(task, gan.transform(X), y)
        scores["validation rows"] = metrics.score(task.shown.validation.X, labels_found, y)
    for method, value in seconds.items():
        scores[method]["seconds"] = round(value, 1)
    return scores


def _write_results(trial: _Trial, task: _Task, run: RunFolder) -> None:
    gan = trial.gan
    _save(gan, task, run)
    for network in gan.networks_:
        run.write_network(network)
    z_c = _encode_clusters(gan, task.splits.fit.X)
    run.write_labels(gan.labels_, z_c.max(axis=1), find_ids(task.splits.fit.table))
    run.write_history(gan.history_)
    profile = _make_profile(gan, task.shown.fit)
    run.write_text("profile.csv", profile.to_csv())
    run.pictures.draw_profile(run.path / "profile.png", profile, task.splits.fit.picture)
    _draw(gan, task, run)
    run.write_json("result.json", {**_make_result(task, run, trial), **collect_provenance()})


def _save(gan: ClusterGAN, task: _Task, run: RunFolder) -> None:
    data = task.splits.fit
    units = find_units(task.options.dataset, data)
    run.save_model(with_names(gan, get_column_names(data)), units)


def _make_result(task: _Task, run: RunFolder, trial: _Trial) -> dict[str, Any]:
    return {
        **run.describe(),
        "n_clusters": task.n_clusters,
        "n_samples": {name: len(part.X) for name, part in task.splits._asdict().items()},
        "steps": trial.gan.n_iter_,
        "choose_by": task.options.choose_by,
        **{k: trial.record[k] for k in ("selection", "validation_purity") if k in trial.record},
        "scores": trial.scores,
    }


def _encode_clusters(gan: ClusterGAN, X: np.ndarray) -> np.ndarray:
    return gan.transform(X)[:, gan.config_.n_noise :]


def _summarize(records: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Returns mean and standard deviation over trials, by score."""
    return {
        name: list(compute_mean_and_sd([record[name] for record in records]))
        for name in records[0]
        if name != "seed"
    }


def _draw(gan: ClusterGAN, task: _Task, run: RunFolder) -> None:
    folder, pictures = run.path, run.pictures
    X, y, picture = task.splits.test
    names = task.splits.test.feature_names
    codes = gan.transform(X)
    labels = gan.predict(X)
    pictures.draw_adversarial_curves(folder / "curves.png", gan.history_)
    pictures.draw_embedding(folder / "embedding.png", codes, labels, y=y)
    samples = np.stack([gan.sample(_N_SHOWN, k) for k in range(task.n_clusters)])
    pictures.draw_generated_samples(folder / "samples.png", samples, picture, names)
    first = slice(min(16, len(X)))
    given = task.shown.test.X[first]
    if gan.standardizer_ is not None:  # with missing values filled
        given = gan.standardizer_.inverse(given)
    pictures.draw_reconstructions(
        folder / "reconstructions.png", given, gan.reconstruct(X)[first], picture, names
    )
    pairs = list(itertools.pairwise(range(min(task.n_clusters, _N_SHOWN))))
    steps = np.stack([gan.interpolate(a, b, _N_SHOWN) for a, b in pairs])
    pictures.draw_interpolation(folder / "interpolation.png", steps, picture, pairs, names)
    if y is not None:
        pictures.draw_confusion(folder / "confusion.png", y, labels)
