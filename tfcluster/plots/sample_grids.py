"""Samples in a grid: images and pen strokes in cells, tables as lines of a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcluster.errors import InputError
from tfcluster.plots.figure import INK, PALETTE, add_colorbar, make_figure

MAX_PROFILE_FEATURES = 64
MAX_NAME = 24  # characters of a feature's name
MAX_DEVIATIONS = 3.0  # a single outlier would pale all others


class Picture(Protocol):
    """How a sample is drawn; `tfcluster.data.dataset.Picture` is one."""

    @property
    def kind(self) -> str:
        """Either "image" or "strokes"."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample: (height, width[, channels]) or (points, 2)."""


def draw_picture_grid(
    lines: Sequence[np.ndarray],
    names: Sequence[str],
    picture: Picture,
    *,
    columns: int = 0,
    tops: Sequence[float] | None = None,
    one_scale: bool = True,
) -> tuple[Figure, Axes]:
    """Draws lines of pictures; a cell is one unit of the axes wide and high.

    Args:
      lines: `(n_pictures, n_features)` each, or with the picture's shape; may be empty.
      names: Text at the left of each line.
      picture: Kind and shape.
      columns: Least number of cells of a line.
      tops: Distance of each line from the top; one after another if None.
      one_scale: Whether pen strokes keep place and size; otherwise each fills its cell.
        Images always share one gray scale.

    Returns:
      The figure and its axes.

    Raises:
      InputError: If `picture` is of no known kind or does not fit.
    """
    if picture.kind not in ("image", "strokes"):
        raise InputError(
            f'`picture.kind` must be "image" or "strokes". Received: {picture.kind!r}. '
            "Pass None for tables."
        )
    columns = max(columns, *map(len, lines), 1)
    starts = np.arange(len(lines)) if tops is None else np.asarray(tops)
    height = starts[-1] + 1
    figure = make_figure(2 + 0.62 * columns, 0.9 + 0.62 * height, least=(4.5, 2.4))
    ax = figure.subplots()
    ax.set(xlim=(0, columns), ylim=(height, 0), xticks=[], aspect="equal")
    filled = {
        t: _reshape(line, picture) for t, line in zip(starts, lines, strict=True) if len(line)
    }
    if picture.kind == "image":
        _draw_images(ax, filled)
    else:
        _draw_strokes(ax, filled, one_scale)
    ax.set_yticks(starts + 0.5, names)
    return figure, ax


def draw_profile_grid(
    bands: np.ndarray,
    names: Sequence[str],
    features: np.ndarray,
    feature_names: Sequence[str] | None,
    *,
    column_width: float = 0.22,
) -> tuple[Figure, Axes]:
    """Draws a heat map with a line for each sample or mean, in bands that stand apart.

    Args:
      bands: `(n_bands, n_lines, n_features)`, in standard deviations; lines of NaN stay white.
      names: Text at the left of each band.
      features: The features to draw, by index.
      feature_names: `(n_features,)` names; None to draw indices.
      column_width: Inches of a feature.

    Returns:
      The figure and its axes.
    """
    n_lines = bands.shape[1]
    gap = int(n_lines > 1)
    apart = np.pad(bands[:, :, features], [(0, 0), (0, gap), (0, 0)], constant_values=np.nan)
    sheet = np.concatenate(apart)[: -gap or None]
    height = max(0.32 / n_lines, 0.09) * len(sheet)
    figure = make_figure(3 + column_width * len(features), 1.6 + height, least=(6, 2.4))
    ax = figure.subplots()
    most = np.nanmax(np.abs(sheet)) or 1.0
    limit = min(most, MAX_DEVIATIONS)
    image = ax.imshow(
        sheet, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    cut = f",\ncut at ±{limit:g}" if limit < most else ""
    add_colorbar(figure, image, ax, f"standard deviations from\nthe mean of all samples{cut}")
    ax.set_yticks(np.arange(len(bands)) * (n_lines + gap) + (n_lines - 1) / 2, names)
    ticks = [_shorten(feature_names[i]) if feature_names else str(i) for i in features]
    is_upright = len(ticks) <= 20 and max(map(len, ticks)) <= 3
    ax.set_xticks(range(len(ticks)), ticks, rotation=0 if is_upright else 90)
    ax.set_xlabel("feature" if feature_names else "feature (column of the input)")
    return figure, ax


def standardize(samples: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Returns samples in standard deviations from the mean.

    Args:
      samples: `(..., n_features)`.
      by: `(n_samples, n_features)` of which mean and standard deviation are taken.
    """
    spread = by.std(axis=0)
    return (samples - by.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def find_most_different(samples: np.ndarray) -> np.ndarray:
    """Returns the `MAX_PROFILE_FEATURES` features in which samples differ most, in their order.

    Args:
      samples: `(n_samples, n_features)`, in common units.
    """
    apart = np.nanmax(samples, axis=0) - np.nanmin(samples, axis=0)
    return np.sort(np.argsort(-apart, kind="stable")[:MAX_PROFILE_FEATURES])


def name_selection(features: np.ndarray, n_features: int) -> str:
    """Returns the end of a title that says which features are drawn, if not all.

    Args:
      features: Those that are drawn.
      n_features: Number of all.
    """
    some = f": {len(features)} of {n_features:,} features, those that differ most"
    return some if len(features) < n_features else ""


def mark_empty(
    ax: Axes, counts: Sequence[int] | np.ndarray, x: float, down: float, height: float = 1
) -> None:
    """Writes in the place of each cluster without samples that it has none.

    Args:
      ax: The axes of a grid.
      counts: `(n_clusters,)` number of samples.
      x: Position of the text.
      down: Its distance from the top of its cluster.
      height: Height of a cluster.
    """
    for k in np.flatnonzero(np.asarray(counts) == 0):
        ax.text(x, k * height + down, "no samples", va="center", fontsize=8, color=INK)


def _shorten(name: str) -> str:
    """Returns a name of at most `MAX_NAME` characters."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _reshape(samples: np.ndarray, picture: Picture) -> np.ndarray:
    shape = (-1, 2) if picture.kind == "strokes" else tuple(picture.shape)
    try:
        return samples.reshape(len(samples), *shape)
    except ValueError as error:
        raise InputError(
            f"`picture.shape` must be that of a sample. Received {tuple(picture.shape)} for "
            f"samples of {samples[0].size} values. Pass picture=None to draw a table."
        ) from error


def _draw_images(ax: Axes, lines: dict[float, np.ndarray]) -> None:
    """Draws each line as one image, with a white pixel between pictures and below them."""
    drawn = np.concatenate(list(lines.values()))
    low, spread = drawn.min(), np.ptp(drawn) or 1.0
    height, width = drawn.shape[1:3]
    for top, images in lines.items():
        tiles = ((images - low) / spread).reshape(len(images), height, width, -1)
        tiles = np.pad(tiles, [(0, 0), (0, 1), (0, 1), (0, 0)], constant_values=1.0)
        sheet = tiles.swapaxes(0, 1).reshape(height + 1, len(images) * (width + 1), -1)
        ax.imshow(sheet, cmap="gray", vmin=0, vmax=1, extent=(0, len(images), top + 1, top))
    ax.set_aspect(height / width)


def _draw_strokes(ax: Axes, lines: dict[float, np.ndarray], one_scale: bool) -> None:
    """Draws each sample as the path of a pen, with its start marked."""
    everything = np.concatenate([strokes.reshape(-1, 2) for strokes in lines.values()])
    for top, strokes in lines.items():
        for j, points in enumerate(strokes):
            frame = everything if one_scale else points
            low, high = frame.min(axis=0), frame.max(axis=0)
            x, y = 0.8 * ((points - (low + high) / 2) / ((high - low).max() or 1.0)).T
            x, y = x + j + 0.5, top + 0.5 - y
            ax.plot(x, y, color=INK, linewidth=1.3, solid_joinstyle="round")
            ax.plot(x[0], y[0], "o", color=PALETTE[6], markersize=3.5)
