"""`tfcluster federate dec`: from clients to a folder of results."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from federated.cli.dry_run import print_federated_plan
from federated.cli.options import FederatedDECOptions, FederateExecution
from federated.cli.run import (
    FederatedRun,
    begin_run,
    choose_numbers,
    find_workers,
    pool_labels,
    prepare,
)
from federated.estimators.dec import FederatedDEC
from tfcluster.cli.samples import find_units
from tfcluster.cli.score_tables import MethodScores, print_n_clusters
from tfcluster.config import get_dec_config


def federate_dec(
    options: FederatedDECOptions, execution: FederateExecution, *, console: Console
) -> None:
    """Trains DEC over clients, writes the run's folder and prints the scores.

    Everything is checked before anything is written.

    Args:
      options: What to train; must be the same again to resume.
      execution: Where the results go, and the backend.
      console: Where progress and tables are printed.

    Raises:
      InputError: If an option, the data or the folder does not fit.
      TrainingError: If training diverges or a client fails.
    """
    options, out, dataset = prepare(options, execution)
    numbers = choose_numbers(options, dataset)
    model = FederatedDEC(
        numbers[0] if len(numbers) == 1 else numbers,
        preset=get_dec_config(options.preset, options.dataset),
        backend=find_workers(execution, options.n_threads),
        **options.estimator_arguments(),
    )
    config = model.config(dataset)
    model.check(dataset, config)
    if execution.dry_run:
        print_federated_plan(options, execution, dataset, numbers, config, console)
        return
    with begin_run(options, config, dataset, out, execution, console) as run:
        run.fit(model)
        run.save(model.to_dec(), find_units(options.dataset, dataset))
        run.write_client_labels(model, lambda x: model.soft_assign(x).max(axis=1))
        console.print("Scoring and drawing ...")
        X = model.standardized(dataset.pooled()[0])
        scores = _scores(model, run, X)
        _draw(model, run, X)
        run.show_profile(model)
        run.write_result(model, scores, **_show_selection(model, run))
        console.print(
            "Scores of AE and DEC are exact, from sums over clients. The silhouette, and k-means, "
            "are of all samples in one place, which only a simulation has."
        )


def _scores(model: FederatedDEC, run: FederatedRun, X: np.ndarray) -> MethodScores:
    """Returns k-means of the pooled samples, the initial centroids and the model."""
    assert model.config_ is not None
    kmeans, silhouette = run.pooled_scores(model, X, model.config_.model.kmeans_restarts)
    own = [record for record in model.history_ if record.n_clusters == model.n_clusters_]
    scored = [record for record in own if record.scores]
    scores: MethodScores = {"k-means": kmeans}
    if scored:
        first = {**model.initial_scores_, "seconds": scored[0].seconds}
        scores["AE + centroids"] = first
    last = scored[-1].seconds if scored else 0.0
    scores["DEC"] = {**model.scores_, "seconds": last, **silhouette}
    return scores


def _show_selection(model: FederatedDEC, run: FederatedRun) -> dict[str, object]:
    """Prints and draws the comparison of several numbers of clusters; returns it as a result."""
    found = model.recommendation_
    if found is None:
        return {}
    print_n_clusters(run.console, model.selection_, found)
    run.folder.pictures.draw_n_clusters(
        run.path / "n_clusters.png", model.selection_, found.n_clusters
    )
    return {"table": model.selection_, "recommendation": found._asdict()}


def _draw(model: FederatedDEC, run: FederatedRun, X: np.ndarray) -> None:
    folder, pictures, dec = run.path, run.folder.pictures, model.to_dec()
    samples, y = run.dataset.pooled()
    labels = pool_labels(model)
    of_model = (None, model.n_clusters_)
    history = [record.flat() for record in model.history_ if record.n_clusters in of_model]
    pictures.draw_training_curves(
        folder / "curves.png", history, tol=model.config_.model.tol, unit="round"
    )
    pictures.draw_embedding(
        folder / "embedding.png",
        dec.transform(samples),
        labels,
        centroids=dec.cluster_centers_,
        y=y,
    )
    pictures.draw_top_confidence(
        folder / "top_confidence.png",
        X,
        dec.soft_assign(samples),
        run.dataset.picture,
        run.dataset.feature_names or None,
    )
    if y is not None:
        pictures.draw_confusion(folder / "confusion.png", y, labels)
    run.draw_client_clusters(model)
