"""Tables for a person to read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from tfcluster.profile import ClusterProfile

_COLUMNS = {
    "accuracy": ("ACC", ".3f"),
    "nmi": ("NMI", ".3f"),
    "ari": ("ARI", ".3f"),
    "purity": ("purity", ".3f"),
    "silhouette": ("silh.", ".3f"),
    "calinski_harabasz": ("CH", ".1f"),
    "davies_bouldin": ("DB", ".3f"),
    "seconds": ("sec.", ".0f"),
}


_LEGEND = (
    "ACC: best one-to-one match; silh.: silhouette, CH: Calinski-Harabasz (higher is better), "
    "DB: Davies-Bouldin (lower), in the input space, where methods can be compared."
)

_LOOK: Mapping[str, Any] = {"box": None, "padding": (0, 2, 0, 0)}
_CLOSE: Mapping[str, Any] = {"box": None, "padding": (0, 1, 0, 0)}  # all scores in 80 columns
_EXTREMES = 9  # clients shown from either end if there are many


def print_scores(
    console: Console,
    scores: Mapping[str, Mapping[str, Any]],
    published: Mapping[str, Mapping[str, float]],
) -> None:
    """Prints methods side by side, each published line below ours.

    Args:
      console: Where to.
      scores: Method to scores, in the input space.
      published: Method to the scores the originals published.
    """
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for method, values in scores.items():
        rows.append((method, values))
        if method in published:
            rows.append(("  published", published[method]))
    console.print(_table("method", rows))
    first = next(iter(scores.values()))
    if "silhouette_rows" in first:
        console.print(
            f"Silhouette on {first['silhouette_rows']} rows (seed {first['silhouette_seed']})."
        )
    console.print(_LEGEND)


def print_clusters(
    console: Console,
    labels: np.ndarray,
    confidence: np.ndarray,
    n_clusters: int,
    y: np.ndarray | None,
) -> None:
    """Prints each cluster's size, mean confidence, and most frequent class.

    Args:
      console: Where to.
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
      console: Where to.
      profile: Mean and spread of the clusters.
    """
    table = Table("cluster", Column("samples", justify="right"), **_CLOSE)
    for title in ("most distinct", "second", "third"):
        table.add_column(title, overflow="fold")
    differences = profile.standardized_differences
    for cluster, count in enumerate(profile.counts):
        features = profile.most_distinct(3, cluster) if count else ()
        cells = [
            f"{profile.feature_names[i]} {profile.mean[cluster, i]:.3g} "
            f"{differences[cluster, i]:+.1f}"
            for i in features
        ]
        table.add_row(str(cluster), f"{count:,}", *map(escape, cells))
    console.print(table)
    console.print(
        "Feature, its mean in the cluster, and the distance from its mean in all samples, in "
        "standard deviations of all samples."
    )


def print_partition(
    console: Console, counts: np.ndarray, names: Sequence[str], classes: Sequence[object]
) -> None:
    """Prints each client's rows and the class it holds most of; of many clients the extremes.

    Args:
      console: Where to.
      counts: `(clients, classes)` rows; a single column if there are no labels.
      names: Of the clients.
      classes: What each class is called.
    """
    table = Table("client", **_LOOK)
    for title in ("rows", *(("classes", "most are", "share") if len(classes) > 1 else ())):
        table.add_column(title, justify="right")
    sizes = counts.sum(axis=1)
    shown = list(range(len(names)))
    if len(names) > 2 * _EXTREMES:
        by_size = np.argsort(-sizes, kind="stable").tolist()
        shown = by_size[:_EXTREMES] + by_size[-_EXTREMES:]
    for line, client in enumerate(shown):
        cells = [names[client], f"{sizes[client]:,}"]
        if len(classes) > 1:
            most = counts[client].argmax()
            share = f"{100 * counts[client, most] / max(sizes[client], 1):.0f} %"
            cells += [f"{np.count_nonzero(counts[client])}", f"class {classes[most]}", share]
        table.add_row(*map(escape, cells))
        if len(shown) < len(names) and line == _EXTREMES - 1:
            table.add_row("...")
    console.print(table)
    console.print(
        f"Clients: {len(names):,}. Rows of a client: smallest {sizes.min():,}, "
        f"median {np.median(sizes):,.0f}, largest {sizes.max():,}."
    )


def print_cluster_numbers(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a row per number of clusters and says which the silhouette prefers."""
    console.print(_table("clusters", [(str(row["n_clusters"]), row) for row in rows]))
    defined = [row for row in rows if math.isfinite(row["silhouette"])]
    if defined:
        best = max(defined, key=lambda row: row["silhouette"])
        console.print(f"The silhouette is best at {best['n_clusters']} clusters.")


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Of a score over trials; NaN if one of them has no number."""
    # not `statistics`, whose `stdev` fails on NaN
    return float(np.mean(values)), float(np.std(values, ddof=1))


def selection_rank(line: Mapping[str, Any]) -> float:
    """What the best trial is highest in: its `selection`; one that is NaN is below all others."""
    selection = float(line["selection"])
    return -math.inf if math.isnan(selection) else selection


def print_trials(console: Console, lines: Sequence[Mapping[str, Any]], selected_by: str) -> None:
    """Prints a row per trial, then mean and standard deviation, and says which is kept.

    Args:
      console: Where to.
      lines: Each with `seed`, `selection` and scores.
      selected_by: What `selection` is.
    """
    rows = [(str(line["seed"]), line) for line in lines]
    both = {key: mean_and_sd([line[key] for line in lines]) for key in lines[0]}
    for i, title in enumerate(("mean", "sd")):
        rows.append((title, {key: values[i] for key, values in both.items()}))
    console.print(_table("seed", rows))
    best = max(lines, key=selection_rank)
    console.print(
        f"Seed {best['seed']} is kept: the best of {len(lines)} by {selected_by} "
        f"({best['selection']:.3f})."
    )


def _table(first: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """Only columns that some row has a value for; where room is short, it is titles that wrap."""
    table = Table(Column(first, overflow="fold"), **_CLOSE)
    columns = [name for name in _COLUMNS if any(name in values for _, values in rows)]
    for name in columns:
        table.add_column(_COLUMNS[name][0], justify="right", no_wrap=True)
    for title, values in rows:
        cells = [format(values[key], _COLUMNS[key][1]) if key in values else "" for key in columns]
        table.add_row(title, *cells)
    return table
