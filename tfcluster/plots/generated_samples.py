"""Samples that a generator makes: of each cluster, reconstructions, and interpolations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tfcluster.errors import InputError
from tfcluster.plots.figure import (
    PathLike,
    check_finite_array,
    check_finite_matrix,
    save,
    set_title,
)
from tfcluster.plots.sample_grids import (
    Picture,
    draw_picture_grid,
    draw_profile_grid,
    find_most_different,
    name_selection,
    standardize,
)

MAX_COLUMNS = 8  # samples beside each other


def draw_generated_samples(
    path: PathLike,
    samples: ArrayLike,
    picture: Picture | None,
    feature_names: Sequence[str] | None = None,
) -> Path:
    """Draws generated samples, with a line of pictures or a band of a heat map for each cluster.

    Args:
      path: The PNG to write.
      samples: `(n_clusters, n_samples_of_each, n_features)` generated samples.
      picture: How a sample is drawn, as for `draw_top_confidence`; None for tables.
      feature_names: Names of the features of a table; None to draw their indices.

    Returns:
      `path`.

    Raises:
      InputError: If `samples` is not a finite array of this shape, or `picture` does not fit.
    """
    stack = check_finite_array(samples, "samples", 3, "array (clusters, samples of each, features)")
    names = [str(k) for k in range(len(stack))]
    title = f"Generated samples, {stack.shape[1]} of each cluster"
    return _draw_stack(
        path, stack, names, picture, title, stack.mean(axis=1), "cluster", feature_names
    )


def draw_interpolation(
    path: PathLike,
    steps: ArrayLike,
    picture: Picture | None,
    clusters: Sequence[tuple[int, int]],
    feature_names: Sequence[str] | None = None,
) -> Path:
    """Draws interpolations from one cluster to another, from left to right or from top to bottom.

    Args:
      path: The PNG to write.
      steps: `(n_pairs, n_steps, n_features)` generated samples, from the first cluster of a pair
        to the second one.
      picture: How a sample is drawn, as for `draw_top_confidence`; None for tables.
      clusters: The two clusters of each pair.
      feature_names: Names of the features of a table; None to draw their indices.

    Returns:
      `path`.

    Raises:
      InputError: If `steps` is not a finite array of this shape, there is another number of
        `clusters`, or `picture` does not fit.
    """
    stack = check_finite_array(steps, "steps", 3, "array (pairs, steps, features)")
    if len(clusters) != len(stack):
        raise InputError(
            f"`clusters` needs a pair for each interpolation in `steps`. Received {len(clusters)} "
            f"pairs for {len(stack)} interpolations. Pass the pairs they were generated for."
        )
    names = [f"{a} → {b}" for a, b in clusters]
    title = "Interpolations between clusters"
    title += ", first at the top" if picture is None else ""
    ends = stack[:, [0, -1]].reshape(-1, stack.shape[2])
    return _draw_stack(path, stack, names, picture, title, ends, "clusters", feature_names)


def draw_reconstructions(
    path: PathLike,
    X: ArrayLike,
    reconstructed: ArrayLike,
    picture: Picture | None,
    feature_names: Sequence[str] | None = None,
) -> Path:
    """Draws samples above their reconstructions G(E(x)), as pictures or lines of a heat map.

    Args:
      path: The PNG to write.
      X: `(n_samples, n_features)`; about 16 samples make a good picture.
      reconstructed: `(n_samples, n_features)` what the generator makes of their codes.
      picture: How a sample is drawn, as for `draw_top_confidence`; None for tables.
      feature_names: Names of the features of a table; None to draw their indices.

    Returns:
      `path`.

    Raises:
      InputError: If the shapes differ, values are not finite, or `picture` does not fit.
    """
    real, made = check_finite_matrix(X, "X"), check_finite_matrix(reconstructed, "reconstructed")
    if real.shape != made.shape:
        raise InputError(
            "`X` and `reconstructed` need the same shape. "
            f"Received {real.shape} and {made.shape}. Pass G(E(X)) of the same samples."
        )
    title = "Samples above their reconstructions"
    if picture is None:
        pairs = standardize(np.stack([real, made], axis=1), real)
        names, features = [str(i) for i in range(len(real))], find_most_different(pairs[:, 0])
        figure, ax = draw_profile_grid(pairs, names, features, feature_names)
        ax.set_ylabel("sample (above) and reconstruction (below)")
        title += name_selection(features, real.shape[1])
    else:
        if picture.kind == "image":  # or else a few extreme values would pale all others
            made = made.clip(real.min(), real.max())
        parts = -(-len(real) // MAX_COLUMNS)
        bands = zip(np.array_split(real, parts), np.array_split(made, parts), strict=True)
        # a sample and its reconstruction touch; between pairs there is a third of a cell
        tops = [2.33 * i + j for i in range(parts) for j in (0, 1)]
        lines = [line for band in bands for line in band]
        figure, ax = draw_picture_grid(lines, ["x", "G(E(x))"] * parts, picture, tops=tops)
    set_title(ax, title)
    return save(figure, path)


def _draw_stack(
    path: PathLike,
    stack: np.ndarray,
    names: Sequence[str],
    picture: Picture | None,
    title: str,
    apart: np.ndarray,
    ylabel: str,
    feature_names: Sequence[str] | None,
) -> Path:
    """Draws a line or band for each entry; of a table the features in which `apart` differ most."""
    if picture is None:
        everything = stack.reshape(-1, stack.shape[2])
        features = find_most_different(standardize(apart, everything))
        figure, ax = draw_profile_grid(
            standardize(stack, everything), names, features, feature_names
        )
        title += name_selection(features, stack.shape[2])
    else:
        figure, ax = draw_picture_grid(list(stack), names, picture)
    ax.set_ylabel(ylabel)
    set_title(ax, title)
    return save(figure, path)
