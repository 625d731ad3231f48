"""Cluster profiles: means of the clusters, as pictures or as a heat map."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcluster.plots.figure import INK, PathLike, save, set_title
from tfcluster.plots.sample_grids import (
    MAX_DEVIATIONS,
    Picture,
    draw_picture_grid,
    draw_profile_grid,
    mark_empty,
    name_selection,
)
from tfcluster.profile import ClusterProfile

MAX_FEATURES = 40
MAX_FEATURES_WITH_MEANS = 15  # of more features there is no room for the numbers
MAX_COLUMNS = 10  # pictures beside each other


def draw_profile(path: PathLike, clusters: ClusterProfile, picture: Picture | None) -> Path:
    """Draws the mean of each cluster: a picture, or its distance from the mean of all samples.

    Args:
      path: The PNG to write.
      clusters: Their means and spreads.
      picture: How a sample is drawn, as for `draw_top_confidence`; None for tables, of which a
        heat map shows the 40 features that differ most.

    Returns:
      `path`.

    Raises:
      InputError: If `picture` does not fit.
    """
    figure = _draw_heat_map(clusters) if picture is None else _draw_pictures(clusters, picture)
    return save(figure, path)


def _draw_heat_map(clusters: ClusterProfile) -> Figure:
    features = clusters.most_distinct(MAX_FEATURES)
    has_room = len(features) <= MAX_FEATURES_WITH_MEANS
    figure, ax = draw_profile_grid(
        clusters.standardized_differences[:, np.newaxis],
        [f"{k}: {n:,} samples" for k, n in enumerate(clusters.counts)],
        features,
        clusters.feature_names,
        column_width=0.4 if has_room else 0.22,
    )
    mark_empty(ax, clusters.counts, 0, 0)
    if has_room:
        _write_means(ax, clusters, features)
    ax.set_ylabel("cluster")
    title = "Mean of each cluster" + (", numbers in the units of the data" if has_room else "")
    set_title(ax, title + name_selection(features, len(clusters.feature_names)))
    return figure


def _write_means(ax: Axes, clusters: ClusterProfile, features: np.ndarray) -> None:
    differences = np.abs(clusters.standardized_differences[:, features])
    dark = 0.6 * min(np.nanmax(differences), MAX_DEVIATIONS)
    for column, means in enumerate(clusters.mean[:, features].T):
        form = _choose_format(float(np.nanmax(np.abs(means))))
        for row in np.flatnonzero(clusters.counts):
            color = "white" if differences[row, column] > dark else INK
            text = form.format(means[row])
            ax.text(column, int(row), text, ha="center", va="center", fontsize=7, color=color)


def _choose_format(largest: float) -> str:
    """Returns a format that shows three digits of a feature's largest mean, in few characters."""
    if not 1e-3 <= largest < 1e5:
        return "{:.1e}" if largest else "{:.0f}"
    return f"{{:.{max(0, 2 - math.floor(math.log10(largest)))}f}}"


def _draw_pictures(clusters: ClusterProfile, picture: Picture) -> Figure:
    shown = np.flatnonzero(clusters.counts)
    columns = min(len(shown), MAX_COLUMNS)
    lines = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    tops = [1.3 * line for line in range(len(lines))]
    means = [clusters.mean[line] for line in lines]
    figure, ax = draw_picture_grid(means, [""] * len(lines), picture, columns=columns, tops=tops)
    ax.set_ylim(tops[-1] + 1, -0.3)
    for top, line in zip(tops, lines, strict=True):
        for column, k in enumerate(line):
            text = f"{k}: {clusters.counts[k]:,}"
            ax.text(column + 0.5, top - 0.05, text, ha="center", fontsize=8, color=INK)
    empty = np.flatnonzero(clusters.counts == 0)
    without = f"; without samples: {', '.join(map(str, empty))}" if len(empty) else ""
    set_title(ax, f"Mean of each cluster, below its number of samples{without}")
    return figure
