"""The partition: how samples and classes are split over clients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from tfcluster.errors import InputError
from tfcluster.plots.figure import (
    INK,
    PALETTE,
    PathLike,
    add_colorbar,
    check_finite_matrix,
    make_figure,
    save,
    set_title,
)

MAX_BARS = 30  # more clients are lines of a heat map
MAX_NAMES = 100  # for the names of more clients there is no room
MAX_TICKS = 60  # of more classes only some are named


def draw_partition(
    path: PathLike,
    counts: ArrayLike,
    names: Sequence[str],
    classes: Sequence[object],
    *,
    parts: str = "class",
) -> Path:
    """Draws the samples of each client by class: stacked bars, or a heat map if clients are many.

    More than 100 clients are drawn without names, sorted by their most frequent class.

    Args:
      path: The PNG to write.
      counts: `(n_clients, n_classes)` number of samples; a single column without labels.
      names: Names of the clients.
      classes: Names of the classes.
      parts: What a column of `counts` is: "class" or "cluster".

    Returns:
      `path`.

    Raises:
      InputError: If `counts` is no matrix of this shape, or has values below 0.
    """
    table = check_finite_matrix(counts, "counts")
    if table.shape != (len(names), len(classes)) or table.min() < 0:
        raise InputError(
            f"`counts` must hold 0 or more samples for {len(names)} clients and {len(classes)} "
            f"classes. Received shape {table.shape}, least {table.min():g}. Pass one name for each."
        )
    if len(names) > MAX_NAMES:
        table, names = table[_sort_by_largest_class(table)], []
    if len(classes) == 1 or (len(table) <= MAX_BARS and len(classes) <= len(PALETTE)):
        figure = _draw_bars(table, classes, parts)
    else:
        figure = _draw_heat_map(table, classes, parts)
    ax, sizes = figure.axes[0], table.sum(axis=1)
    ax.set(ylim=(len(table) - 0.5, -0.5), yticks=range(len(names)), yticklabels=names)
    if not names:
        order = f"most frequent {parts}" if len(classes) > 1 else "size"
        ax.set_ylabel(f"clients, sorted by {order}")
    title = f"{len(table):,} clients with {sizes.min():,.0f} to {sizes.max():,.0f} samples"
    set_title(ax, f"{title}, median {np.median(sizes):,.0f}")
    return save(figure, path)


def _sort_by_largest_class(table: np.ndarray) -> np.ndarray:
    """Returns the order of clients by most frequent class, those with its largest share first."""
    sizes = table.sum(axis=1)
    return np.lexsort((-sizes, -table.max(axis=1) / np.maximum(sizes, 1), table.argmax(axis=1)))


def _draw_bars(table: np.ndarray, classes: Sequence[object], parts: str) -> Figure:
    figure = make_figure(9, 1.3 + _choose_height(table, 0.3), least=(9, 3))
    ax = figure.subplots()
    ends = table.cumsum(axis=1)
    for k, name in enumerate(classes):
        bars = ax.barh(range(len(table)), table[:, k], left=ends[:, k] - table[:, k],
                       height=_choose_thickness(table), color=PALETTE[k], label=name)  # fmt: skip
    if len(table) <= MAX_BARS:
        totals = [f"{size:,.0f}" for size in ends[:, -1]]
        ax.bar_label(bars, totals, padding=3, fontsize=8, color=INK)
    if len(classes) > 1:
        ax.legend(title=parts, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False,
                  fontsize=8, title_fontsize=8)  # fmt: skip
    _set_samples_axis(ax, ends.max(), 8)
    return figure


def _draw_heat_map(table: np.ndarray, classes: Sequence[object], parts: str) -> Figure:
    """Draws shares of classes at left, and at right the sizes, which shares do not show."""
    sizes = table.sum(axis=1, keepdims=True)
    shares = table / np.maximum(sizes, 1)
    # A few clients of one class, or with a handful of samples, would pale all others.
    limit = np.quantile(shares.max(axis=1), 0.95)
    figure = make_figure(5 + 0.3 * len(classes), 1.3 + _choose_height(table, 0.15), least=(8, 5))
    ax, bars = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    image = ax.imshow(
        shares, cmap="Blues", vmin=0, vmax=limit, aspect="auto", interpolation="nearest"
    )
    cut = f", cut at {limit:.0%}" if limit < shares.max() else ""
    add_colorbar(figure, image, bars, f"share of the client's samples{cut}", "{x:.0%}")
    bars.barh(range(len(table)), sizes[:, 0], height=_choose_thickness(table), color=PALETTE[0])
    ticks = range(0, len(classes), -(-len(classes) // MAX_TICKS))
    upright = len(classes) <= 20 and max(len(str(name)) for name in classes) <= 3
    ax.set_xticks(ticks, [classes[k] for k in ticks], rotation=0 if upright else 90)
    ax.set_xlabel(parts)
    _set_samples_axis(bars, sizes.max(), 4)
    set_title(bars, "")
    return figure


def _choose_height(table: np.ndarray, per_client: float) -> float:
    """Returns inches; clients without names need no room for them."""
    return per_client * len(table) if len(table) <= MAX_NAMES else 8


def _choose_thickness(table: np.ndarray) -> float:
    """Returns the thickness of a bar: gaps between very many bars would only flicker."""
    return 0.8 if len(table) <= MAX_NAMES else 1


def _set_samples_axis(ax: Axes, most: float, n_ticks: int) -> None:
    ax.set(xlim=(0, 1.07 * most or 1), xlabel="samples")
    ax.xaxis.set_major_locator(MaxNLocator(n_ticks, integer=True))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
