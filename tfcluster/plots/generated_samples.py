"""What a generator makes: rows of each cluster, reconstructions, ways between clusters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tfcluster.errors import InputError
from tfcluster.plots.figure import PathLike, finite_array, finite_matrix, save, titled
from tfcluster.plots.sample_grids import (
    Picture,
    most_different,
    picture_grid,
    profile_grid,
    shown_of,
    standardised,
)

MAX_COLUMNS = 8  # pairs beside each other


def draw_generated_samples(
    path: PathLike,
    rows: ArrayLike,
    picture: Picture | None,
    feature_names: Sequence[str] | None = None,
) -> Path:
    """Draws generated rows, a line of pictures a cluster; a heat map if rows are no pictures.

    Args:
      path: The PNG to write.
      rows: `(clusters, rows of each, features)` generated rows.
      picture: How a sample is drawn, as for `draw_top_confidence`; None for tables.
      feature_names: Names of the features of a table; None to draw their indices.

    Returns:
      `path`.

    Raises:
      InputError: If `rows` is not a finite array of this shape, or `picture` does not fit.
    """
    stack = finite_array(rows, "rows", 3, "array (clusters, rows of each, features)")
    names = [str(k) for k in range(len(stack))]
    title = f"Generated rows, {stack.shape[1]} of each cluster"
    return _stack(path, stack, names, picture, title, stack.mean(axis=1), "cluster", feature_names)


def draw_interpolation(
    path: PathLike,
    steps: ArrayLike,
    picture: Picture | None,
    clusters: Sequence[tuple[int, int]],
    feature_names: Sequence[str] | None = None,
) -> Path:
    """Draws the ways from one cluster to another, one line a pair; downwards in a heat map.

    Args:
      path: The PNG to write.
      steps: `(pairs, steps, features)` generated rows, from the first cluster to the second.
      picture: How a sample is drawn, as for `draw_top_confidence`; None for tables.
      clusters: The two clusters of each pair.
      feature_names: Names of the features of a table; None to draw their indices.

    Returns:
      `path`.

    Raises:
      InputError: If `steps` is not a finite array of this shape, there is another number of
        `clusters`, or `picture` does not fit.
    """
    stack = finite_array(steps, "steps", 3, "array (pairs, steps, features)")
    if len(clusters) != len(stack):
        raise InputError(
            f"`clusters` needs a pair for each line of `steps`. Received {len(clusters)} pairs "
            f"for {len(stack)} lines. Pass those the steps were generated for."
        )
    names = [f"{a} → {b}" for a, b in clusters]
    title = "Generated rows on the way between clusters"
    title += ", first at the top" if picture is None else ""
    ends = stack[:, [0, -1]].reshape(-1, stack.shape[2])
    return _stack(path, stack, names, picture, title, ends, "clusters", feature_names)


def draw_reconstructions(
    path: PathLike,
    X: ArrayLike,
    reconstructed: ArrayLike,
    picture: Picture | None,
    feature_names: Sequence[str] | None = None,
) -> Path:
    """Draws rows above their reconstructions G(E(x)); lines of a heat map if no pictures.

    Args:
      path: The PNG to write.
      X: `(rows, features)`; about 16 rows make a good picture.
      reconstructed: `(rows, features)` what the generator makes of their codes.
      picture: How a sample is drawn, as for `draw_top_confidence`; None for tables.
      feature_names: Names of the features of a table; None to draw their indices.

    Returns:
      `path`.

    Raises:
      InputError: If the shapes differ, values are not finite, or `picture` does not fit.
    """
    real, made = finite_matrix(X, "X"), finite_matrix(reconstructed, "reconstructed")
    if real.shape != made.shape:
        raise InputError(
            "`X` and `reconstructed` need the same shape. "
            f"Received {real.shape} and {made.shape}. Pass G(E(X)) of these rows."
        )
    title = "Rows above their reconstructions"
    if picture is None:
        pairs = standardised(np.stack([real, made], axis=1), real)
        names, features = [str(i) for i in range(len(real))], most_different(pairs[:, 0])
        figure, ax = profile_grid(pairs, names, features, feature_names)
        ax.set_ylabel("row (above) and reconstruction (below)")
        title += shown_of(features, real.shape[1])
    else:
        if picture.kind == "image":  # else a few values beyond those of the rows pale them all
            made = made.clip(real.min(), real.max())
        parts = -(-len(real) // MAX_COLUMNS)
        bands = zip(np.array_split(real, parts), np.array_split(made, parts), strict=True)
        # Pairs stand close, and a third of a cell apart from the next.
        tops = [2.33 * i + j for i in range(parts) for j in (0, 1)]
        lines = [line for band in bands for line in band]
        figure, ax = picture_grid(lines, ["x", "G(E(x))"] * parts, picture, tops=tops)
    titled(ax, title)
    return save(figure, path)


def _stack(
    path: PathLike,
    stack: np.ndarray,
    names: Sequence[str],
    picture: Picture | None,
    title: str,
    apart: np.ndarray,
    ylabel: str,
    feature_names: Sequence[str] | None,
) -> Path:
    """Draws a line or band for each entry; a table's features are those that tell `apart`."""
    if picture is None:
        everything = stack.reshape(-1, stack.shape[2])
        features = most_different(standardised(apart, everything))
        figure, ax = profile_grid(standardised(stack, everything), names, features, feature_names)
        title += shown_of(features, stack.shape[2])
    else:
        figure, ax = picture_grid(list(stack), names, picture)
    ax.set_ylabel(ylabel)
    titled(ax, title)
    return save(figure, path)
