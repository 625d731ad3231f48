"""Parts that all pictures share: figure, file, colors, text, and checks.

Figures are made without pyplot, so nothing global changes and threads do not interfere.
"""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import ArrayLike
from PIL import Image

from tfcluster.errors import InputError
from tfcluster.files import atomic_write

# Users need not know that matplotlib builds its font cache.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

PathLike = str | os.PathLike[str]

# Ten colors that can be told apart with any color vision: Petroff 2021, arXiv:2107.02270.
PALETTE = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
           "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")  # fmt: skip
INK, FAINT = "#333333", "#dddddd"
MAX_BYTES = 300_000


def make_figure(width: float, height: float, least: tuple[float, float] = (0, 0)) -> Figure:
    """Returns a figure of at most 14 x 20 inches, which still makes a readable file.

    Args:
      width: Inches.
      height: Inches.
      least: Smallest width and height.
    """
    size = min(max(width, least[0]), 14), min(max(height, least[1]), 20)
    return Figure(figsize=size, layout="constrained", facecolor="white")


def save(figure: Figure, path: PathLike) -> Path:
    """Writes a PNG at the highest resolution that fits `MAX_BYTES`.

    Args:
      figure: The figure.
      path: The PNG to write.

    Returns:
      `path`.
    """
    for dpi in (130, 100, 75, 50):
        png = _make_png(figure, dpi)
        if len(png) <= MAX_BYTES:
            break
    with atomic_write(path) as file:
        file.write(png)
    return Path(path)


def _make_png(figure: Figure, dpi: int) -> bytes:
    """Returns the figure as a PNG, in 256 colors if it is too large with all of them."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.1)
    if full.tell() <= MAX_BYTES:
        return full.getvalue()
    Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "png")
    return small.getvalue()


def add_colorbar(
    figure: Figure, image: AxesImage, ax: Axes, label: str, form: str = "{x:g}"
) -> None:
    """Adds a color bar without a frame beside the axes.

    Args:
      figure: The figure.
      image: What the colors belong to.
      ax: The axes.
      label: Title of the bar.
      form: Format of its numbers.
    """
    bar = figure.colorbar(image, ax=ax, format=StrMethodFormatter(form), pad=0.02)
    bar.set_label(label, size=9, color=INK)
    bar.ax.tick_params(colors=INK, length=0, labelsize=8)
    bar.ax.spines[:].set_visible(False)


def set_title(ax: Axes, title: str) -> None:
    """Sets the title, and the colors and sizes of the axes' text.

    Args:
      ax: The axes, with their labels set.
      title: The title.
    """
    ax.set_title(title, fontsize=10, color=INK, loc="left")
    ax.spines[:].set_color(FAINT)
    ax.tick_params(which="both", colors=INK, length=0, labelsize=8)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(size=9, color=INK)


def write_note(ax: Axes, text: str) -> None:
    """Writes a text in axes that stay empty.

    Args:
      ax: The axes.
      text: Why there is nothing to draw.
    """
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=INK)
    ax.set_axis_off()


def check_finite_matrix(values: ArrayLike, name: str) -> np.ndarray:
    """Returns a float64 matrix.

    Args:
      values: `(n_samples, n_columns)`.
      name: Name of the argument, for the error.

    Raises:
      InputError: If the values are not a finite matrix.
    """
    return check_finite_array(values, name, 2, "matrix with a line for each sample")


def check_finite_array(values: ArrayLike, name: str, n_axes: int, layout: str) -> np.ndarray:
    """Returns a float64 array.

    Args:
      values: The array.
      name: Name of the argument, for the error.
      n_axes: Number of axes.
      layout: What the axes are, for the error.

    Raises:
      InputError: If the values are not finite or have another number of axes.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != n_axes or not array.size or not np.isfinite(array).all():
        bad = np.count_nonzero(~np.isfinite(array))
        raise InputError(
            f"`{name}` must be a finite {layout}. Received shape {array.shape} "
            f"with {bad} values NaN or inf. Reshape it, or check whether training diverged."
        )
    return array
