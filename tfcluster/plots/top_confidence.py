"""The samples that each cluster is most certain of.

For pictures this is figure 3 of Xie, Girshick, Farhadi, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tfcluster.errors import InputError
from tfcluster.plots.figure import PathLike, check_finite_matrix, save, set_title
from tfcluster.plots.sample_grids import (
    Picture,
    draw_picture_grid,
    draw_profile_grid,
    find_most_different,
    mark_empty,
    name_selection,
    standardize,
)


def draw_top_confidence(
    path: PathLike,
    X: ArrayLike,
    q: ArrayLike,
    picture: Picture | None,
    feature_names: Sequence[str] | None = None,
    *,
    per_cluster: int = 10,
) -> Path:
    """Draws the samples that each cluster is most certain of.

    Args:
      path: The PNG to write.
      X: `(n_samples, n_features)` the inputs, or `(n_samples, *picture.shape)`.
      q: `(n_samples, n_clusters)` soft assignments; a sample belongs to the cluster of its largest
        one.
      picture: Kind "image" (shape height, width[, channels]; small is dark) or "strokes" (points
        x, y in the order they were drawn, y upwards); None for tables, which are drawn as a heat
        map.
      feature_names: Names of the features of a table; None to draw their indices.
      per_cluster: Samples of each cluster.

    Returns:
      `path`.

    Raises:
      InputError: If `X` and `q` have different numbers of samples, or `picture` does not fit.
    """
    samples, soft = np.asarray(X, dtype=np.float64), check_finite_matrix(q, "q")
    if len(samples) != len(soft):
        raise InputError(
            "`X` and `q` need the same number of samples. Received: X has "
            f"{len(samples)}, q has {len(soft)}. Pass the samples q was computed from."
        )
    best = _find_most_confident(soft, per_cluster)
    names, counts = _name_clusters(soft, best), [len(chosen) for chosen in best]
    title = "Most confident samples of each cluster, best "
    if picture is None:
        table = samples.reshape(len(samples), -1)
        bands = _stack_bands(standardize(table, table), best)
        features = find_most_different(bands.reshape(-1, table.shape[1]))
        figure, ax = draw_profile_grid(bands, names, features, feature_names)
        mark_empty(ax, counts, 0, bands.shape[1] / 2, bands.shape[1] + 1)
        title += "at the top" + name_selection(features, table.shape[1])
    else:
        lines = [samples[chosen] for chosen in best]
        figure, ax = draw_picture_grid(lines, names, picture, columns=per_cluster, one_scale=False)
        mark_empty(ax, counts, 0.1, 0.5)
        title += "at left"
    set_title(ax, title)
    return save(figure, path)


def _stack_bands(table: np.ndarray, best: Sequence[np.ndarray]) -> np.ndarray:
    """Returns `(n_clusters, n_lines, n_features)`, with NaN where a cluster has fewer samples."""
    bands = np.full((len(best), max(map(len, best)), table.shape[1]), np.nan)
    for band, chosen in zip(bands, best, strict=True):
        band[: len(chosen)] = table[chosen]
    return bands


def _find_most_confident(q: np.ndarray, per_cluster: int) -> list[np.ndarray]:
    """Returns for each cluster the indices of its own samples with the largest q, best first."""
    own = q.argmax(axis=1)
    members = [np.flatnonzero(own == k) for k in range(q.shape[1])]
    return [m[np.argsort(-q[m, k], kind="stable")][:per_cluster] for k, m in enumerate(members)]


def _name_clusters(q: np.ndarray, best: Sequence[np.ndarray]) -> list[str]:
    """Returns for each cluster its number of samples, and the lowest q that is drawn."""
    owned = np.bincount(q.argmax(axis=1), minlength=len(best))
    least = [f", q ≥ {q[own, k].min():.2f}" if len(own) else "" for k, own in enumerate(best)]
    return [f"cluster {k}: {owned[k]:,} samples{text}" for k, text in enumerate(least)]
