"""`--dry-run` of the federated commands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from federated.cli.clients import show_clients
from federated.cli.options import FederateExecution, FederateOptions
from federated.core.local_training import LocalWork
from federated.data.federated_dataset import FederatedDataset
from federated.phases.clustergan import FederatedGANConfig
from federated.phases.dec import FederatedDECConfig
from tfcluster.cli.dry_run import (
    PlannedPhase,
    count_dec_weights,
    count_gan_products,
    print_plan,
)

_FLOAT_BYTES = 4


def print_federated_plan(
    options: FederateOptions,
    execution: FederateExecution,
    dataset: FederatedDataset,
    numbers: Sequence[int],
    config: Any,
    console: Console,
) -> None:
    """Prints the clients, the rounds, the bytes and an estimate of the time.

    Args:
      options: What is asked for.
      execution: How it is asked for.
      dataset: The clients.
      numbers: Numbers of clusters.
      config: The `FederatedDECConfig` or `FederatedGANConfig`.
      console: Where to print.
    """
    show_clients(options, dataset, console)
    n_clients = options.clients_per_round or len(dataset.names)
    if isinstance(config, FederatedDECConfig):
        phases = _plan_dec(dataset, n_clients, numbers, config)
    else:
        phases = _plan_clustergan(dataset, n_clients, numbers[0], config)
    n_samples, n_features = sum(dataset.sizes), dataset.n_features
    data = (
        f"{n_samples:,} samples of {n_features:,} features at {len(dataset.names):,} clients, "
        f"{n_clients:,} of them a round, on the {execution.backend} backend."
    )
    print_plan(console, data, phases, "rounds", options.n_threads)


def _plan_dec(
    dataset: FederatedDataset, n_clients: int, numbers: Sequence[int], config: FederatedDECConfig
) -> list[PlannedPhase]:
    weights = count_dec_weights(dataset.n_features, config.model)

    def plan(name: str, rounds: int, work: LocalWork) -> PlannedPhase:
        products = 3.0 * weights * _count_samples(work, dataset) * n_clients
        return PlannedPhase(name, rounds, products, 2 * _FLOAT_BYTES * weights * n_clients)

    centroid_bytes = 2 * _FLOAT_BYTES * max(numbers) * config.model.dims[-1] * n_clients
    return [
        plan("pretrain", config.n_pretrain_rounds, config.pretraining),
        PlannedPhase("centroids", config.lloyd_rounds, 0.0, centroid_bytes),
        *(plan(f"cluster, {k}", config.rounds, config.clustering) for k in numbers),
    ]


def _plan_clustergan(
    dataset: FederatedDataset, n_clients: int, n_clusters: int, config: FederatedGANConfig
) -> list[PlannedPhase]:
    model = config.model
    weights, per_sample = count_gan_products(dataset.n_features, n_clusters, model)
    n_samples = config.work.iterations * model.batch_size * (model.critic_steps + 1)
    n_bytes = 2 * _FLOAT_BYTES * weights * n_clients
    products = 3.0 * per_sample * n_samples * n_clients
    return [PlannedPhase("adversarial", config.n_rounds, products, n_bytes)]


def _count_samples(work: LocalWork, dataset: FederatedDataset) -> float:
    """Returns the samples that a client passes through its networks in a round, on average."""
    if work.steps:
        return work.steps * work.batch_size
    return work.epochs * math.ceil(sum(dataset.sizes) / len(dataset.sizes))
