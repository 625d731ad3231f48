"""Tables of scores on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from tfcluster.n_clusters import Recommendation

MethodScores = dict[str, dict[str, Any]]
"""Method to its scores, `seconds` among them."""

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
_N_CLUSTERS_COLUMNS = {
    **_COLUMNS,
    "simplified_silhouette": ("simpl. silh.", ".3f"),
    "stability": ("stability", ".2f"),
}

_LEGEND = (
    "ACC: best one-to-one match; silh.: silhouette, CH: Calinski-Harabasz (higher is better), "
    "DB: Davies-Bouldin (lower), in the input space, where methods can be compared."
)

_CLOSE: Mapping[str, Any] = {"box": None, "padding": (0, 1, 0, 0)}  # all scores in 80 columns


def print_scores(
    console: Console,
    scores: Mapping[str, Mapping[str, Any]],
    published: Mapping[str, Mapping[str, float]],
) -> None:
    """Prints a row for each method, and below it the published scores.

    Args:
      console: Where to print.
      scores: Method to scores, in the input space.
      published: Method to the scores the originals published.
    """
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for method, values in scores.items():
        rows.append((method, values))
        if method in published:
            rows.append(("  published", published[method]))
    console.print(_make_table("method", rows))
    first = next(iter(scores.values()))
    if "silhouette_samples" in first:
        console.print(
            f"Silhouette on {first['silhouette_samples']} samples "
            f"(seed {first['silhouette_seed']})."
        )
    console.print(_LEGEND)


def print_n_clusters(
    console: Console, records: Sequence[Mapping[str, Any]], recommendation: Recommendation
) -> None:
    """Prints a row for each number of clusters, and which number is recommended and why.

    Args:
      console: Where to print.
      records: Scores of each number, as for `recommend_n_clusters`.
      recommendation: What it returned.
    """
    rows = [(str(record["n_clusters"]), record) for record in records]
    console.print(_make_table("clusters", rows, _N_CLUSTERS_COLUMNS))
    has_number = recommendation.n_clusters is not None
    console.print(("Recommended: " if has_number else "") + recommendation.reason)


def compute_mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Returns mean and standard deviation of a score over trials; NaN if one is NaN.

    Args:
      values: At least two.
    """
    # `statistics.stdev` fails on NaN
    return float(np.mean(values)), float(np.std(values, ddof=1))


def rank_trial(record: Mapping[str, Any]) -> float:
    """Returns what the best trial is highest in: its `selection`, NaN being below all others.

    Args:
      record: The trial, with `selection`.
    """
    selection = float(record["selection"])
    return -math.inf if math.isnan(selection) else selection


def print_trials(console: Console, records: Sequence[Mapping[str, Any]], criterion: str) -> None:
    """Prints a row for each trial, then mean and standard deviation, and which trial is kept.

    Args:
      console: Where to print.
      records: A trial each, with `seed`, `selection` and scores.
      criterion: Name of `selection`.
    """
    rows = [(str(record["seed"]), record) for record in records]
    both = {key: compute_mean_and_sd([record[key] for record in records]) for key in records[0]}
    for i, title in enumerate(("mean", "sd")):
        rows.append((title, {key: values[i] for key, values in both.items()}))
    console.print(_make_table("seed", rows))
    best = max(records, key=rank_trial)
    console.print(
        f"Seed {best['seed']} is kept: the best of {len(records)} by {criterion} "
        f"({best['selection']:.3f})."
    )


def _make_table(
    first: str,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    columns: Mapping[str, tuple[str, str]] = _COLUMNS,
) -> Table:
    """Returns a table of the columns that have values; titles wrap in a narrow terminal."""
    table = Table(Column(first, overflow="fold"), **_CLOSE)
    shown = [name for name in columns if any(v.get(name) is not None for _, v in rows)]
    for name in shown:
        table.add_column(columns[name][0], justify="right", no_wrap=True)
    for title, values in rows:
        cells = ("" if values.get(n) is None else format(values[n], columns[n][1]) for n in shown)
        table.add_row(title, *cells)
    return table
