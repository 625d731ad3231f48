"""The rows each cluster is most certain of, or their mean profiles.

The grid of confident rows is figure 3 of Xie, Girshick, Farhadi, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
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

MAX_PROFILE_FEATURES = 64


class Picture(Protocol):
    """How a row is drawn; `tfcluster.data_files.Picture` is one."""

    @property
    def kind(self) -> str:
        """Either "image" or "strokes"."""

    @property
    def shape(self) -> tuple[int, ...]:
        """What a row is reshaped to."""


def top_confidence(
    path: PathLike, X: ArrayLike, q: ArrayLike, picture: Picture | None, *, per_cluster: int = 10
) -> Path:
    """Draws the rows each cluster is most certain of; mean profiles if rows are no pictures.

    Args:
      path: The PNG to write.
      X: `(rows, features)` the inputs, or `(rows, *picture.shape)`.
      q: `(rows, clusters)` soft assignments; a row belongs to the cluster of its largest one.
      picture: Kind "image" (shape height, width[, channels]; small is dark) or "strokes" (points
        x, y in the order they were drawn, y upwards); None for tables.
      per_cluster: Pictures a cluster.

    Returns:
      `path`.

    Raises:
      InputError: If `X` and `q` have different numbers of rows, or `picture` does not fit.
    """
    rows, soft = np.asarray(X, dtype=np.float64), finite_matrix(q, "q")
    if len(rows) != len(soft):
        raise InputError(
            "`X` and `q` need the same number of rows. "
            f"Received: X has {len(rows)}, q has {len(soft)}. Pass the rows q was computed from."
        )
    if picture is None:
        return _profiles(path, rows.reshape(len(rows), -1), soft)
    if picture.kind not in ("image", "strokes"):
        raise InputError(
            f'`picture.kind` must be "image" or "strokes". Received: {picture.kind!r}. '
            "Pass None for tables."
        )
    best = _most_confident(soft, per_cluster)
    figure = new_figure(2 + 0.62 * per_cluster, 0.9 + 0.62 * len(best), least=(4.5, 2.4))
    ax = figure.subplots()
    ax.set(xlim=(0, per_cluster), ylim=(len(best), 0), xticks=[], aspect="equal")
    draw = _draw_images if picture.kind == "image" else _draw_strokes
    draw(ax, [_shaped(rows[chosen], picture) for chosen in best], per_cluster)
    _name_clusters(ax, soft, best)
    titled(ax, "Most confident rows of each cluster, best at left")
    return save(figure, path)


def _shaped(rows: np.ndarray, picture: Picture) -> np.ndarray:
    shape = (-1, 2) if picture.kind == "strokes" else tuple(picture.shape)
    try:
        return rows.reshape(len(rows), *shape) if len(rows) else rows
    except ValueError as error:
        raise InputError(
            f"`picture.shape` must hold one row. Received {tuple(picture.shape)} for rows of "
            f"{rows[0].size} values. Pass picture=None to draw a table."
        ) from error


def _most_confident(q: np.ndarray, per_cluster: int) -> list[np.ndarray]:
    """For each cluster the indices of its own rows with the largest q, best first."""
    own = q.argmax(axis=1)
    members = [np.flatnonzero(own == k) for k in range(q.shape[1])]
    return [m[np.argsort(-q[m, k], kind="stable")][:per_cluster] for k, m in enumerate(members)]


def _draw_images(ax: Axes, lines: Sequence[np.ndarray], columns: int) -> None:
    """Tiles the images, a pixel of white between them, one cell a unit of the axes."""
    drawn = np.concatenate([images for images in lines if len(images)])
    drawn = drawn.reshape(*drawn.shape[:3], -1)
    _, height, width, channels = drawn.shape
    low, spread = drawn.min(), np.ptp(drawn) or 1.0
    cell = height + 1, width + 1
    sheet = np.ones((len(lines) * cell[0], columns * cell[1], channels))
    for i, images in enumerate(lines):
        for j, image in enumerate(images):
            top, left = i * cell[0], j * cell[1]
            tile = (image.reshape(height, width, channels) - low) / spread
            sheet[top : top + height, left : left + width] = tile
    extent = (0, columns, len(lines), 0)
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=1, extent=extent)
    ax.set_aspect(height / width)


def _draw_strokes(ax: Axes, lines: Sequence[np.ndarray], columns: int) -> None:
    """Draws each row as the path of a pen, its start marked, one cell a unit of the axes."""
    del columns  # strokes need no sheet
    for i, strokes in enumerate(lines):
        for j, points in enumerate(strokes):
            low, high = points.min(axis=0), points.max(axis=0)
            x, y = 0.8 * ((points - (low + high) / 2) / ((high - low).max() or 1.0)).T
            x, y = x + j + 0.5, i + 0.5 - y
            ax.plot(x, y, color=INK, linewidth=1.3, solid_joinstyle="round")
            ax.plot(x[0], y[0], "o", color=PALETTE[6], markersize=3.5)


def _name_clusters(ax: Axes, q: np.ndarray, best: Sequence[np.ndarray]) -> None:
    """Labels each line with its cluster, the rows it owns, and the lowest q that is drawn."""
    owned = np.bincount(q.argmax(axis=1), minlength=len(best))
    names = []
    for k, rows in enumerate(best):
        least = f", q ≥ {q[rows, k].min():.2f}" if len(rows) else ""
        names.append(f"cluster {k}: {owned[k]:,} rows{least}")
        if not len(rows):
            ax.text(0.1, k + 0.5, "owns no rows", va="center", fontsize=8, color=INK)
    ax.set_yticks(np.arange(len(best)) + 0.5, names)


def _profiles(path: PathLike, rows: np.ndarray, q: np.ndarray) -> Path:
    """A heat map of cluster means, in standard deviations from the mean of all rows."""
    own = q.argmax(axis=1)
    spread = rows.std(axis=0)
    scaled = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    counts = np.bincount(own, minlength=q.shape[1])
    means = np.full((q.shape[1], rows.shape[1]), np.nan)
    for k in np.flatnonzero(counts):
        means[k] = scaled[own == k].mean(axis=0)
    features = _most_different(means)
    figure = new_figure(3 + 0.22 * len(features), 1.6 + 0.32 * len(means), least=(6, 2.4))
    ax = figure.subplots()
    limit = np.nanmax(np.abs(means)) or 1.0
    image = ax.imshow(means[:, features], cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    colorbar(figure, image, ax, "standard deviations from the mean of all rows")
    for k in np.flatnonzero(counts == 0):
        ax.text(0, k, "owns no rows", va="center", fontsize=8, color=INK)
    ax.set_yticks(range(len(means)), [f"{k}: {n:,} rows" for k, n in enumerate(counts)])
    ax.set_xticks(range(len(features)), features, rotation=90 if len(features) > 20 else 0)
    ax.set(xlabel="feature (column of the input)", ylabel="cluster")
    shown = f"{len(features)} of {rows.shape[1]:,} features, those that differ most"
    whole = len(features) == rows.shape[1]
    titled(ax, "Mean profile of each cluster" + ("" if whole else f": {shown}"))
    return save(figure, path)


def _most_different(means: np.ndarray) -> np.ndarray:
    """The `MAX_PROFILE_FEATURES` columns in which cluster means lie furthest apart, in order."""
    apart = np.nanmax(means, axis=0) - np.nanmin(means, axis=0)
    return np.sort(np.argsort(-apart, kind="stable")[:MAX_PROFILE_FEATURES])
