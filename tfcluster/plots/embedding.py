"""An embedding, drawn in two dimensions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from tfcluster.errors import InputError
from tfcluster.metrics import best_map, encode_labels
from tfcluster.plots.figure import (
    INK,
    PALETTE,
    PathLike,
    check_finite_matrix,
    make_figure,
    save,
    set_title,
)
from tfcluster.runtime import single_threaded

MARKERS = "o^sDvP*X<>"  # the eleventh cluster has the color of the first and another marker
LEGENDS = {"cluster": "cluster", "class": "class, in the color\nof its best cluster"}
MAX_TSNE_SAMPLES = 2_000


def draw_embedding(
    path: PathLike,
    Z: ArrayLike,
    labels: ArrayLike,
    *,
    centroids: ArrayLike | None = None,
    y: ArrayLike | None = None,
    max_samples: int = 5_000,
    seed: int = 0,
) -> Path:
    """Draws an embedding by its principal components and by t-SNE, colored by cluster.

    Args:
      path: The PNG to write.
      Z: `(n_samples, n_dimensions)` embedding.
      labels: `(n_samples,)` clusters.
      centroids: `(n_clusters, n_dimensions)`, drawn as crosses in the left panel.
      y: `(n_samples,)` classes; adds a second row of panels colored by class, each class in the
        color of the cluster matched to it.
      max_samples: Samples drawn in the left panel; the right one has at most 2,000 of them.
      seed: Seed of the sample and of t-SNE.

    Returns:
      `path`.

    Raises:
      InputError: If `Z` is not a finite matrix, or labels or classes do not fit it.
    """
    points = check_finite_matrix(Z, "Z")
    colorings = {"cluster": _encode(points, labels, "labels")}
    if y is not None:
        colorings["class"] = _match_colors(_encode(points, y, "y"), y, labels)
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(points))[:max_samples]
    few = some[:MAX_TSNE_SAMPLES]
    flat, mean, axes = _find_principal_plane(points[some])
    panels = [
        (some, flat, f"Principal components, {_describe_share(len(some), len(points))}"),
        (
            few,
            _compute_tsne(points[few], seed),
            f"t-SNE, {_describe_share(len(few), len(points))}, seed {seed}",
        ),
    ]
    figure = make_figure(11, 4.6 * len(colorings))
    grid = figure.subplots(len(colorings), 2, squeeze=False)
    for line, (kind, (names, codes)) in zip(grid, colorings.items(), strict=True):
        for ax, (drawn, xy, title) in zip(line, panels, strict=True):
            _scatter(ax, xy, codes[drawn], len(names))
            set_title(ax, f"{title}, by {kind}")
        _name_axes(line[0], line[1], flat.shape[1])
        _add_legend(line[1], names, LEGENDS[kind])
    if centroids is not None:
        _draw_centroids(grid[0, 0], (check_finite_matrix(centroids, "centroids") - mean) @ axes.T)
    return save(figure, path)


def _encode(points: np.ndarray, labels: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    names, codes = encode_labels(labels, name)
    if len(codes) != len(points):
        raise InputError(
            f"`{name}` needs one label for each sample of Z. Received {len(codes)} labels for "
            f"{len(points)} samples. Pass the labels of the same samples."
        )
    return names, codes


def _describe_share(n_drawn: int, n: int) -> str:
    return f"all {n:,} samples" if n_drawn == n else f"{n_drawn:,} of {n:,} samples"


def _find_principal_plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns coordinates in the first two principal axes (or the only one), mean, and axes."""
    mean = points.mean(axis=0)
    axes = np.linalg.svd(points - mean, full_matrices=False)[2][:2]
    return (points - mean) @ axes.T, mean, axes


def _compute_tsne(points: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    n, spread = len(points), points.std(axis=0).max()
    if n < 2:
        return np.zeros((n, 2))
    # Initialization by PCA divides by the spread of the first component and needs two of them.
    init = "pca" if min(points.shape) >= 2 and spread > 0 else "random"
    perplexity = min(30.0, (n - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init=init, random_state=seed)
    # Its threads wait actively: next to a training run, 200 samples took 18 s instead of 0.5 s.
    with single_threaded():
        return tsne.fit_transform(points)


def _match_colors(
    encoded: tuple[np.ndarray, np.ndarray], y: ArrayLike, labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Renumbers classes so that each has the number, and so the color, of its matched cluster."""
    names, codes = encoded
    clusters = np.unique(labels).tolist()
    number = {kind: clusters.index(c) for c, kind in best_map(y, labels).items()}
    free = (i for i in range(len(names) + len(clusters)) if i not in number.values())
    numbers = np.array([number[n] if n in number else next(free) for n in names.tolist()])
    ordered = np.full(numbers.max() + 1, None, dtype=object)
    ordered[numbers] = names
    return ordered, numbers[codes]


def _scatter(ax: Axes, xy: np.ndarray, codes: np.ndarray, n_labels: int) -> None:
    if xy.shape[1] == 1:
        heights = np.random.default_rng(0).uniform(-1, 1, len(xy))
        xy = np.column_stack([xy[:, 0], heights])
    size = float(np.clip(9_000 / len(xy), 4, 40))
    for code in range(n_labels):
        x, y = xy[codes == code].T
        color, marker = _choose_style(code)
        ax.scatter(x, y, s=size, linewidths=0, alpha=0.75, color=color, marker=marker)


def _choose_style(code: int) -> tuple[str, str]:
    """Returns color and marker of a label."""
    return PALETTE[code % len(PALETTE)], MARKERS[code // len(PALETTE) % len(MARKERS)]


def _name_axes(plane: Axes, tsne: Axes, dimensions: int) -> None:
    second = "second component" if dimensions > 1 else "jitter (the embedding has 1 dimension)"
    plane.set(xlabel="first component (units of the embedding)", ylabel=second)
    tsne.set(xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)", xticks=[], yticks=[])
    if dimensions == 1:
        plane.set_yticks([])


def _add_legend(ax: Axes, names: np.ndarray, title: str) -> None:
    """Lists the labels beside the panel, unless there are too many."""
    named = sorted((name, code) for code, name in enumerate(names.tolist()) if name is not None)
    if len(named) > 45:
        return
    for name, code in named:
        color, marker = _choose_style(code)
        ax.plot([], [], marker, color=color, markersize=6, label=str(name))
    columns = -(-len(named) // 15)
    ax.legend(
        title=title, alignment="left", loc="center left", bbox_to_anchor=(1, 0.5), ncols=columns,
        frameon=False, fontsize=8, title_fontsize=8,
    )  # fmt: skip


def _draw_centroids(ax: Axes, xy: np.ndarray) -> None:
    x, y = xy[:, 0], xy[:, 1] if xy.shape[1] > 1 else np.zeros(len(xy))
    ax.scatter(x, y, marker="X", s=75, color=INK, edgecolors="white", label="centroid")
    ax.legend(loc="best", fontsize=8, frameon=False)
