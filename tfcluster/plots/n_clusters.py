"""Scores against the number of clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tfcluster.errors import InputError
from tfcluster.plots.figure import (
    FAINT,
    INK,
    PALETTE,
    PathLike,
    make_figure,
    save,
    set_title,
    write_note,
)

SCORES: Mapping[str, tuple[str, str, Callable[[np.ndarray], np.intp]]] = {
    "silhouette": ("Silhouette", "higher", np.argmax),
    "simplified_silhouette": ("Simplified silhouette", "higher", np.argmax),
    "calinski_harabasz": ("Calinski-Harabasz", "higher", np.argmax),
    "davies_bouldin": ("Davies-Bouldin", "lower", np.argmin),
    "stability": ("Stability (mean ARI of repeats)", "higher", np.argmax),
}


def draw_n_clusters(
    path: PathLike, records: Sequence[Mapping[str, Any]], recommended: int | None = None
) -> Path:
    """Draws each score against the number of clusters, with its best value marked.

    Args:
      path: The PNG to write.
      records: One for each number of clusters, as for `recommend_n_clusters`; missing scores and
        NaN are left out.
      recommended: The number to mark in every panel.

    Returns:
      `path`.

    Raises:
      InputError: If there are no records.
    """
    if not records:
        raise InputError("`records` needs one record for each number of clusters. Received none.")
    series = {name: _collect_series(records, name) for name in SCORES}
    series = {name: found for name, found in series.items() if len(found[0])}
    figure = make_figure(3.7 * max(len(series), 1), 3.4, least=(5, 3.4))
    panels = figure.subplots(1, max(len(series), 1), squeeze=False)[0]
    if not series:
        write_note(panels[0], "no score could be computed")
    for ax, (name, (numbers, values)) in zip(panels, series.items(), strict=False):
        if recommended is not None:
            ax.axvline(recommended, color=INK, linestyle="--", linewidth=1, zorder=0)
        _draw_score(ax, name, numbers, values)
    if recommended is not None:
        figure.suptitle(f"Dashed: {recommended} clusters are recommended", fontsize=9, color=INK)
    return save(figure, path)


def _draw_score(ax: Axes, name: str, numbers: np.ndarray, values: np.ndarray) -> None:
    title, better, pick = SCORES[name]
    best = pick(values)
    ax.plot(numbers, values, "o-", color=PALETTE[0], linewidth=1.4, markersize=4)
    ax.plot(numbers[best], values[best], "o", color=PALETTE[2], markersize=9)
    ax.set(xlabel="number of clusters", ylabel=title)
    ax.grid(axis="y", color=FAINT, linewidth=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    set_title(ax, f"Best at {numbers[best]:.0f} ({better} is better)")


def _collect_series(
    records: Sequence[Mapping[str, Any]], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns sorted numbers of clusters and the finite values of a score at them."""
    pairs = [(r["n_clusters"], r[name]) for r in records if r.get(name) is not None]
    table = np.array(sorted(pairs), dtype=np.float64).reshape(-1, 2)
    numbers, values = table[np.isfinite(table[:, 1])].T
    return numbers, values
