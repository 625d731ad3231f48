"""`--dry-run`: what a run would do, how much of it, and about how long it would take."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tfcluster.cli.options import RunOptions
from tfcluster.config import DECConfig, EndToEnd, GANConfig, LayerWise
from tfcluster.runtime import single_threaded

_PASSES = 3  # forwards, and backwards for weights and inputs


@dataclasses.dataclass(frozen=True)
class PlannedPhase:
    """A phase of a run that is planned.

    Attributes:
      name: Name of the phase.
      amount: Steps or rounds, at most.
      products: Multiplications of a step or a round, over all clients.
      n_bytes: Bytes that travel in a round, over all clients in both directions; 0 in one place.
    """

    name: str
    amount: int
    products: float
    n_bytes: int = 0


def count_dec_weights(n_features: int, config: DECConfig) -> int:
    """Returns the number of weights of the autoencoder."""
    from tfcluster.dec.autoencoder import list_weight_shapes

    return sum(math.prod(shape) for shape in list_weight_shapes(n_features, config))


def plan_dec(
    n_samples: int, n_features: int, numbers: Sequence[int], config: DECConfig, is_pretrained: bool
) -> list[PlannedPhase]:
    """Returns the phases of `DEC`, for one or several numbers of clusters."""
    weights = count_dec_weights(n_features, config)
    products = float(_PASSES * weights * min(config.batch_size, n_samples))
    phases, protocol = [], None if is_pretrained else config.pretraining
    if isinstance(protocol, EndToEnd):
        steps = protocol.epochs * math.ceil(n_samples / config.batch_size)
        phases.append(PlannedPhase("pretrain", steps, products))
    elif isinstance(protocol, LayerWise):
        n_layers = len(config.dims)
        steps = n_layers * protocol.steps_per_layer
        phases.append(PlannedPhase("layers", steps, products / n_layers))
        phases.append(PlannedPhase("finetune", protocol.finetune_steps, products))
    return [*phases, *(PlannedPhase(f"cluster, {k}", config.max_steps, products) for k in numbers)]


def count_gan_products(n_features: int, n_clusters: int, config: GANConfig) -> tuple[int, int]:
    """Returns the number of weights of ClusterGAN's networks, and of products for a sample."""
    from tfcluster.clustergan.networks import build_networks

    networks = build_networks(n_features, n_clusters, config)
    layers = [layer for network in networks for layer in network.layers]
    return (
        sum(int(network.count_params()) for network in networks),
        sum(_count_products(layer) for layer in layers),
    )


def _count_products(layer: Any) -> int:
    """Returns the multiplications of a layer for a sample: its kernel at every place."""
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    is_up = "Transpose" in type(layer).__name__
    places = (layer.input if is_up else layer.output).shape[1:-1]
    return math.prod(kernel.shape) * math.prod(places)


def plan_clustergan(
    n_features: int, n_clusters: int, config: GANConfig, trials: int
) -> list[PlannedPhase]:
    """Returns the phases of `ClusterGAN`, for every trial."""
    _, per_sample = count_gan_products(n_features, n_clusters, config)
    products = float(_PASSES * per_sample * config.batch_size * (config.critic_steps + 1))
    return [PlannedPhase("adversarial", config.steps, products)] * trials


def print_training_plan(
    console: Console, options: RunOptions, shape: tuple[int, ...], phases: Iterable[PlannedPhase]
) -> None:
    """Prints the plan of training in one place.

    Args:
      console: Where to print.
      options: What is trained.
      shape: Number of samples and of features.
      phases: The phases, in order.
    """
    n_samples, n_features = shape
    data = f"{options.dataset}: {n_samples:,} samples of {n_features:,} features."
    print_plan(console, data, phases, "steps", options.n_threads)


def print_plan(
    console: Console,
    data: str,
    phases: Iterable[PlannedPhase],
    unit: str,
    n_threads: int,
) -> None:
    """Prints a plan and an estimate of its time.

    Args:
      console: Where to print.
      data: The data, in words.
      phases: The phases, in order.
      unit: "steps" or "rounds".
      n_threads: Threads that compute.
    """
    console.print(data)
    planned = list(phases)
    has_bytes = any(phase.n_bytes for phase in planned)
    table = Table("phase", box=None, padding=(0, 2, 0, 0))
    for title in (f"{unit}, at most", *(["bytes a round"] if has_bytes else [])):
        table.add_column(title, justify="right")
    for phase in planned:
        cells = [f"{phase.amount:,}", *([f"{phase.n_bytes:,}"] if has_bytes else [])]
        table.add_row(phase.name, *cells)
    console.print(table)
    if has_bytes:
        total = sum(phase.amount * phase.n_bytes for phase in planned)
        console.print(f"Travels in all, at most: {total / 2**20:,.1f} MiB.")
    products = sum(phase.amount * phase.products for phase in planned)
    seconds = products / (measure_products() * n_threads)
    console.print(
        f"Arithmetic alone takes about {_format_time(seconds)} on {n_threads} thread(s) of this "
        "machine if all phases run to their end; scores, pictures and starting come on top."
    )
    console.print("Everything was checked; nothing was trained or written.")


def measure_products() -> float:
    """Returns the multiplications of a matrix product that a thread does in a second."""
    a, b = np.ones((256, 512), np.float32), np.ones((512, 512), np.float32)
    with single_threaded():
        a @ b
        start = time.perf_counter()
        for _ in range(10):
            a @ b
        seconds = time.perf_counter() - start
    return 10 * a.size * b.shape[1] / seconds


def _format_time(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{max(seconds, 1):,.0f} s"
