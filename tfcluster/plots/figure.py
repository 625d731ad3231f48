"""What the pictures share: the figure and its file, colours, small text and a check.

Figures are made without pyplot, so nothing global changes and threads do not meet.
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

# A font cache that is being built or is out of date is no news to whoever clusters.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

PathLike = str | os.PathLike[str]

# Ten colours told apart with any colour vision: Petroff 2021, arXiv:2107.02270.
PALETTE = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
           "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")  # fmt: skip
INK, FAINT = "#333333", "#dddddd"
MAX_BYTES = 300_000


def new_figure(width: float, height: float, least: tuple[float, float] = (0, 0)) -> Figure:
    """A figure in inches, no larger than what still makes a readable file."""
    size = min(max(width, least[0]), 14), min(max(height, least[1]), 20)
    return Figure(figsize=size, layout="constrained", facecolor="white")


def save(figure: Figure, path: PathLike) -> Path:
    """Writes the PNG at the first resolution that fits `MAX_BYTES`."""
    for dpi in (130, 100, 75, 50):
        png = _png(figure, dpi)
        if len(png) <= MAX_BYTES:
            break
    with atomic_write(path) as file:
        file.write(png)
    return Path(path)


def _png(figure: Figure, dpi: int) -> bytes:
    """The figure as a PNG, in 256 colours if it would be too large with all of them."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.1)
    if full.tell() <= MAX_BYTES:
        return full.getvalue()
    Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "png")
    return small.getvalue()


def colorbar(figure: Figure, image: AxesImage, ax: Axes, label: str, form: str = "{x:g}") -> None:
    """Adds a colour bar without a frame beside the axes."""
    bar = figure.colorbar(image, ax=ax, format=StrMethodFormatter(form), pad=0.02)
    bar.set_label(label, size=9, color=INK)
    bar.ax.tick_params(colors=INK, length=0, labelsize=8)
    bar.ax.spines[:].set_visible(False)


def titled(ax: Axes, title: str) -> None:
    """Sets the title, and the colours and sizes of the axes' text."""
    ax.set_title(title, fontsize=10, color=INK, loc="left")
    ax.spines[:].set_color(FAINT)
    ax.tick_params(which="both", colors=INK, length=0, labelsize=8)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(size=9, color=INK)


def note(ax: Axes, text: str) -> None:
    """Writes a text where nothing can be drawn."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=INK)
    ax.set_axis_off()


def finite_matrix(values: ArrayLike, name: str) -> np.ndarray:
    """The values as a float64 matrix, or an error that names them."""
    return finite_array(values, name, 2, "matrix, one line a row")


def finite_array(values: ArrayLike, name: str, axes: int, layout: str) -> np.ndarray:
    """The values as a float64 array of so many axes, or an error that names them."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != axes or not array.size or not np.isfinite(array).all():
        bad = np.count_nonzero(~np.isfinite(array))
        raise InputError(
            f"`{name}` must be a finite {layout}. Received shape {array.shape} "
            f"with {bad} values NaN or inf. Reshape it, or look for a training that diverged."
        )
    return array
