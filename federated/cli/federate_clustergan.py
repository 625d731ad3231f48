"""`tfcluster federate clustergan`: from clients to a folder of results."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console

from federated.cli.dry_run import print_federated_plan
from federated.cli.options import FederatedGANOptions, FederateExecution
from federated.cli.run import (
    FederatedRun,
    begin_run,
    choose_numbers,
    find_workers,
    pool_labels,
    prepare,
)
from federated.core.records import RoundRecord
from federated.estimators.clustergan import FederatedClusterGAN
from tfcluster.cli.samples import find_units
from tfcluster.cli.score_tables import MethodScores
from tfcluster.config import get_gan_config

_KMEANS_RESTARTS = 20
_SHOWN = 10  # samples of a cluster in a picture


def federate_clustergan(
    options: FederatedGANOptions, execution: FederateExecution, *, console: Console
) -> None:
    """Trains ClusterGAN over clients, writes the run's folder and prints the scores.

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
    model = FederatedClusterGAN(
        numbers[0] if len(numbers) == 1 else numbers,  # type: ignore[arg-type]
        preset=get_gan_config(options.preset, options.dataset),
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
        run.save(model.to_clustergan(), find_units(options.dataset, dataset))
        run.write_client_labels(model, lambda x: _z_c(model, x).max(axis=1))
        console.print("Scoring and drawing ...")
        scores = _scores(model, run)
        _draw(model, run)
        run.show_profile(model)
        run.write_result(model, scores)
        console.print(
            "ClusterGAN: the nearest centroid among the codes. Both of its decoders are scored "
            "exactly, from sums over clients. The silhouette, and k-means on the samples, are of "
            "all samples in one place, which only a simulation has."
        )


def _z_c(model: FederatedClusterGAN, x: np.ndarray) -> np.ndarray:
    return model.transform(x)[:, model.config_.model.n_noise :]


def _scores(model: FederatedClusterGAN, run: FederatedRun) -> MethodScores:
    X = model.standardized(run.dataset.pooled()[0])
    kmeans, silhouette = run.pooled_scores(model, X, _KMEANS_RESTARTS)
    seconds = {record.phase: record.seconds for record in model.history_ if record.scores}
    scores: MethodScores = {"k-means": kmeans}
    if model.argmax_scores_:
        argmax = {**model.argmax_scores_, "seconds": seconds["adversarial"]}
        scores["argmax of z_c"] = argmax
    last = max(seconds.values(), default=0.0)
    scores["ClusterGAN"] = {**model.scores_, "seconds": last, **silhouette}
    return scores


def _draw(model: FederatedClusterGAN, run: FederatedRun) -> None:
    folder, pictures, dataset = run.path, run.folder.pictures, run.dataset
    _, y = dataset.pooled()
    labels = pool_labels(model)
    codes = np.concatenate([model.transform(x) for x, _ in dataset.clients])
    history = [_drawn(record) for record in model.history_]
    pictures.draw_adversarial_curves(folder / "curves.png", history, unit="round")
    training = [record for record in history if record["phase"] == "adversarial"]
    pictures.draw_cluster_sizes(folder / "cluster_sizes.png", training, unit="round")
    pictures.draw_embedding(folder / "embedding.png", codes, labels, y=y)
    samples = np.stack([model.sample(_SHOWN, k) for k in range(model.n_clusters_)])
    pictures.draw_generated_samples(
        folder / "samples.png", samples, dataset.picture, dataset.feature_names or None
    )
    if y is not None:
        pictures.draw_confusion(folder / "confusion.png", y, labels)
    run.draw_client_clusters(model)


def _drawn(record: RoundRecord) -> dict[str, Any]:
    """Returns a record as pictures read it: purity during training is that of argmax."""
    values = record.flat()
    if record.phase == "adversarial" and "purity" in values:
        values["argmax_purity"] = values.pop("purity")
    return values
