"""The rows each cluster is most certain of, or their mean profiles.

The grid of confident rows is figure 3 of Xie, Girshick, Farhadi, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from tfcluster.errors import InputError
from tfcluster.plots.cells import (
    Picture,
    most_different,
    picture_grid,
    profile_grid,
    shown_of,
    standardised,
)
from tfcluster.plots.figure import INK, PathLike, finite_matrix, save, titled


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
    best = _most_confident(soft, per_cluster)
    figure, ax = picture_grid(
        [rows[chosen] for chosen in best],
        _names(soft, best),
        picture,
        columns=per_cluster,
        one_scale=False,
    )
    _mark_empty(ax, [len(chosen) for chosen in best], 0.1, 0.5)
    titled(ax, "Most confident rows of each cluster, best at left")
    return save(figure, path)


def _most_confident(q: np.ndarray, per_cluster: int) -> list[np.ndarray]:
    """For each cluster the indices of its own rows with the largest q, best first."""
    own = q.argmax(axis=1)
    members = [np.flatnonzero(own == k) for k in range(q.shape[1])]
    return [m[np.argsort(-q[m, k], kind="stable")][:per_cluster] for k, m in enumerate(members)]


def _names(q: np.ndarray, best: Sequence[np.ndarray]) -> list[str]:
    """For each line its cluster, the rows it owns, and the lowest q that is drawn."""
    owned = np.bincount(q.argmax(axis=1), minlength=len(best))
    least = [f", q ≥ {q[rows, k].min():.2f}" if len(rows) else "" for k, rows in enumerate(best)]
    return [f"cluster {k}: {owned[k]:,} rows{text}" for k, text in enumerate(least)]


def _mark_empty(ax: Axes, counts: Sequence[int] | np.ndarray, x: float, down: float) -> None:
    """Says in the line of a cluster why nothing is drawn there."""
    for k in np.flatnonzero(np.asarray(counts) == 0):
        ax.text(x, k + down, "owns no rows", va="center", fontsize=8, color=INK)


def _profiles(path: PathLike, rows: np.ndarray, q: np.ndarray) -> Path:
    """A heat map of cluster means, in standard deviations from the mean of all rows."""
    own = q.argmax(axis=1)
    scaled = standardised(rows, rows)
    counts = np.bincount(own, minlength=q.shape[1])
    means = np.full((q.shape[1], rows.shape[1]), np.nan)
    for k in np.flatnonzero(counts):
        means[k] = scaled[own == k].mean(axis=0)
    features = most_different(means)
    names = [f"{k}: {n:,} rows" for k, n in enumerate(counts)]
    figure, ax = profile_grid(means[:, np.newaxis], names, features)
    _mark_empty(ax, counts, 0, 0)
    ax.set_ylabel("cluster")
    titled(ax, "Mean profile of each cluster" + shown_of(features, rows.shape[1]))
    return save(figure, path)
