"""How rows and classes are split over clients."""

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
    colorbar,
    finite_matrix,
    new_figure,
    save,
    titled,
)

MAX_BARS = 30  # clients; more are lines of a heat map
MAX_NAMES = 100  # of clients; for more there is no room
MAX_TICKS = 60  # classes; of more only some are named


def draw_partition(
    path: PathLike,
    counts: ArrayLike,
    names: Sequence[str],
    classes: Sequence[object],
    *,
    parts: str = "class",
) -> Path:
    """Draws the rows of each client by class: stacked bars, or a heat map if there are many.

    More than 100 clients are drawn without names, sorted by the class they have most of.

    Args:
      path: The PNG to write.
      counts: `(clients, classes)` rows; a single column if there are no labels.
      names: Of the clients.
      classes: What each class is called.
      parts: What a column of `counts` is: a class, or a cluster.

    Returns:
      `path`.

    Raises:
      InputError: If `counts` is no matrix of this shape, or has values below 0.
    """
    rows = finite_matrix(counts, "counts")
    if rows.shape != (len(names), len(classes)) or rows.min() < 0:
        raise InputError(
            f"`counts` must hold 0 or more rows for {len(names)} clients and {len(classes)} "
            f"classes. Received shape {rows.shape}, least {rows.min():g}. Pass one name for each."
        )
    if len(names) > MAX_NAMES:
        rows, names = rows[_by_largest_class(rows)], []
    if len(classes) == 1 or (len(rows) <= MAX_BARS and len(classes) <= len(PALETTE)):
        figure = _bars(rows, classes, parts)
    else:
        figure = _heat_map(rows, classes, parts)
    ax, sizes = figure.axes[0], rows.sum(axis=1)
    ax.set(ylim=(len(rows) - 0.5, -0.5), yticks=range(len(names)), yticklabels=names)
    if not names:
        order = f"the {parts} they have most of" if len(classes) > 1 else "their rows"
        ax.set_ylabel(f"clients, sorted by {order}")
    title = f"{len(rows):,} clients of {sizes.min():,.0f} to {sizes.max():,.0f} rows"
    titled(ax, f"{title}, median {np.median(sizes):,.0f}")
    return save(figure, path)


def _by_largest_class(rows: np.ndarray) -> np.ndarray:
    """The order of clients by the class they have most of, those with the largest share first."""
    sizes = rows.sum(axis=1)
    return np.lexsort((-sizes, -rows.max(axis=1) / np.maximum(sizes, 1), rows.argmax(axis=1)))


def _bars(rows: np.ndarray, classes: Sequence[object], parts: str) -> Figure:
    figure = new_figure(9, 1.3 + _height(rows, 0.3), least=(9, 3))
    ax = figure.subplots()
    ends = rows.cumsum(axis=1)
    for k, name in enumerate(classes):
        bars = ax.barh(range(len(rows)), rows[:, k], left=ends[:, k] - rows[:, k],
                       height=_thickness(rows), color=PALETTE[k], label=name)  # fmt: skip
    if len(rows) <= MAX_BARS:
        totals = [f"{size:,.0f}" for size in ends[:, -1]]
        ax.bar_label(bars, totals, padding=3, fontsize=8, color=INK)
    if len(classes) > 1:
        ax.legend(title=parts, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False,
                  fontsize=8, title_fontsize=8)  # fmt: skip
    _rows_axis(ax, ends.max(), 8)
    return figure


def _heat_map(rows: np.ndarray, classes: Sequence[object], parts: str) -> Figure:
    """Draws shares of classes at left, and at right the rows, which shares do not show."""
    sizes = rows.sum(axis=1, keepdims=True)
    shares = rows / np.maximum(sizes, 1)
    # A few clients of one class, or of a handful of rows, would pale all others.
    limit = np.quantile(shares.max(axis=1), 0.95)
    figure = new_figure(5 + 0.3 * len(classes), 1.3 + _height(rows, 0.15), least=(8, 5))
    ax, bars = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    image = ax.imshow(
        shares, cmap="Blues", vmin=0, vmax=limit, aspect="auto", interpolation="nearest"
    )
    cut = f", cut at {limit:.0%}" if limit < shares.max() else ""
    colorbar(figure, image, bars, f"share of the client's rows{cut}", "{x:.0%}")
    bars.barh(range(len(rows)), sizes[:, 0], height=_thickness(rows), color=PALETTE[0])
    ticks = range(0, len(classes), -(-len(classes) // MAX_TICKS))
    upright = len(classes) <= 20 and max(len(str(name)) for name in classes) <= 3
    ax.set_xticks(ticks, [classes[k] for k in ticks], rotation=0 if upright else 90)
    ax.set_xlabel(parts)
    _rows_axis(bars, sizes.max(), 4)
    titled(bars, "")
    return figure


def _height(rows: np.ndarray, of_client: float) -> float:
    """Inches; clients without names need no room for them."""
    return of_client * len(rows) if len(rows) <= MAX_NAMES else 8


def _thickness(rows: np.ndarray) -> float:
    """Of a bar: gaps between very many would only flicker."""
    return 0.8 if len(rows) <= MAX_NAMES else 1


def _rows_axis(ax: Axes, most: float, n_ticks: int) -> None:
    ax.set(xlim=(0, 1.07 * most or 1), xlabel="rows")
    ax.xaxis.set_major_locator(MaxNLocator(n_ticks, integer=True))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
