"""Tables of clusters and clients on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from tfcluster.profile import ClusterProfile

_LOOK: Mapping[str, Any] = {"box": None, "padding": (0, 2, 0, 0)}
_CLOSE: Mapping[str, Any] = {"box": None, "padding": (0, 1, 0, 0)}  # three features in 80 columns
_EXTREMES = 9  # clients shown from either end if there are many


def print_clusters(
    console: Console,
    labels: np.ndarray,
    confidence: np.ndarray,
    n_clusters: int,
    y: np.ndarray | None,
) -> None:
    """Prints each cluster's size, mean confidence, and most frequent class.

    Args:
      console: Where to print.
      labels: `(n_samples,)` clusters.
      confidence: `(n_samples,)` how certain the model is of each label, in `[0, 1]`.
      n_clusters: Number of clusters.
      y: `(n_samples,)` classes, or None.
    """
    table = Table("cluster", **_LOOK)
    titles = () if y is None else ("most are", "share")
    for title in ("samples", "confidence", *titles):
        table.add_column(title, justify="right")
    for cluster in range(n_clusters):
        own = labels == cluster
        cells = [f"{own.sum():,}", f"{confidence[own].mean():.2f}" if own.any() else "-"]
        if y is not None and own.any():
            classes, counts = np.unique(y[own], return_counts=True)
            share = f"{100 * counts.max() / own.sum():.0f} %"
            cells += [f"class {classes[counts.argmax()]}", share]
        table.add_row(str(cluster), *cells)
    console.print(table)


def print_profile(console: Console, profile: ClusterProfile) -> None:
    """Prints each cluster's size and its three most distinct features.

    Args:
      console: Where to print.
      profile: Mean and spread of the clusters.
    """
    table = Table("cluster", Column("samples", justify="right"), **_CLOSE)
    for title in ("most distinct", "second", "third"):
        table.add_column(title, overflow="fold")
    differences = profile.standardized_differences
    for cluster, count in enumerate(profile.counts):
        features = profile.most_distinct(3, cluster) if count else ()
        cells = [
            f"{profile.feature_names[i]} {_format_mean(profile.mean[cluster, i])} "
            f"{differences[cluster, i]:+.1f}"
            for i in features
        ]
        table.add_row(str(cluster), f"{count:,}", *map(escape, cells))
    console.print(table)
    console.print(
        "Features: mean in the cluster, and its distance from the mean of all samples in standard "
        "deviations."
    )


def _format_mean(mean: float) -> str:
    """Returns at least three digits of a mean, without an exponent below a million."""
    return f"{mean:,.0f}" if 100 <= abs(mean) < 1e6 else f"{mean:.3g}"


def print_partition(
    console: Console, counts: np.ndarray, names: Sequence[str], classes: Sequence[object]
) -> None:
    """Prints each client's size and most frequent class; if clients are many, the extremes.

    Args:
      console: Where to print.
      counts: `(n_clients, n_classes)` number of samples; a single column without labels.
      names: Names of the clients.
      classes: Names of the classes.
    """
    has_classes = len(classes) > 1
    table = Table("client", **_LOOK)
    for title in ("samples", *(("classes", "most are", "share") if has_classes else ())):
        table.add_column(title, justify="right")
    sizes = counts.sum(axis=1)
    shown = _clients_shown(sizes)
    for row, client in enumerate(shown):
        cells = [names[client], f"{sizes[client]:,}"]
        if has_classes:
            most = counts[client].argmax()
            share = f"{100 * counts[client, most] / max(sizes[client], 1):.0f} %"
            cells += [f"{np.count_nonzero(counts[client])}", f"class {classes[most]}", share]
        table.add_row(*map(escape, cells))
        if len(shown) < len(names) and row == _EXTREMES - 1:
            table.add_row("...")
    console.print(table)
    console.print(
        f"Clients: {len(names):,}. Samples of a client: smallest {sizes.min():,}, "
        f"median {np.median(sizes):,.0f}, largest {sizes.max():,}."
    )


def _clients_shown(sizes: np.ndarray) -> list[int]:
    """Returns all clients, or the largest and the smallest ones."""
    if len(sizes) <= 2 * _EXTREMES:
        return list(range(len(sizes)))
    by_size: list[int] = np.argsort(-sizes, kind="stable").tolist()
    return by_size[:_EXTREMES] + by_size[-_EXTREMES:]
