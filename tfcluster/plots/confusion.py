"""The confusion matrix: classes against clusters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from tfcluster.metrics import accuracy, best_map, contingency
from tfcluster.plots.figure import (
    INK,
    PALETTE,
    PathLike,
    add_colorbar,
    make_figure,
    save,
    set_title,
)


def draw_confusion(path: PathLike, y_true: ArrayLike, y_pred: ArrayLike) -> Path:
    """Draws the confusion matrix, with matched clusters first and in the order of their classes.

    Args:
      path: The PNG to write.
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      `path`.

    Raises:
      InputError: If the lengths differ, or labels are not labels.
    """
    counts = contingency(y_true, y_pred)
    classes, clusters = np.unique(y_true).tolist(), np.unique(y_pred).tolist()
    matched = best_map(y_true, y_pred)
    order = [*matched, *(c for c in clusters if c not in matched)]
    counts = counts[:, [clusters.index(c) for c in order]]
    shares = counts / counts.sum(axis=1, keepdims=True)
    figure = make_figure(2.6 + 0.5 * len(order), 1.8 + 0.42 * len(classes), least=(5.5, 4.2))
    ax = figure.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    add_colorbar(figure, image, ax, "share of the class", "{x:.0%}")
    _annotate(ax, counts, shares)
    for column, cluster in enumerate(matched):
        corner = column - 0.5, classes.index(matched[cluster]) - 0.5
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=PALETTE[6], linewidth=1.5))
    ax.set_xticks(range(len(order)), order, rotation=90 if _long(order) else 0)
    ax.set_yticks(range(len(classes)), classes)
    ax.set(xlabel="cluster (outlined: matched to the class)", ylabel="class")
    set_title(ax, f"Accuracy {accuracy(y_true, y_pred):.3f} on {counts.sum():,} samples")
    return save(figure, path)


def _annotate(ax: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    """Writes counts into the cells, or shares of the class if counts are too wide."""
    if max(counts.shape) > 30:
        return
    percent = counts.max() >= 10_000
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column]:
            text = f"{share:.1%}" if percent else f"{counts[row, column]:,}"
            color = "white" if share > 0.55 else INK
            ax.text(column, row, text, ha="center", va="center", fontsize=7, color=color)


def _long(names: Sequence[object]) -> bool:
    return max(len(str(name)) for name in names) > 3
