"""Drawings of the report: their style, their axes, and their SVG."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import io
import math
import re
from collections.abc import Mapping
from importlib import resources

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure with its words.

    Attributes:
      title: What it shows.
      caption: How to read it.
      figure: The matplotlib figure.
    """

    title: str
    caption: str
    figure: Figure

    def to_svg(self, suite: str) -> str:
        """Returns the figure as SVG whose identifiers differ from those of other figures."""
        file = io.StringIO()
        with use_style({"svg.hashsalt": f"{suite} {self.title}"}):
            self.figure.savefig(file, format="svg", metadata={"Date": None})
        text = _NOISE.sub("", file.getvalue())
        text = re.sub(r' (?:d|x|y)="[^"]*"', _round_numbers, text)
        label = f'<svg role="img" aria-label="{html.escape(self.title)}"'
        return text.replace("<svg", label, 1)


# What the page defines itself, names that repeat in every figure, and white space.
_NOISE = re.compile(
    r"""^.*?(?=<svg)|<metadata>.*?</metadata>|<!--.*?-->|<defs>\s*<style.*?</defs>"""
    r"""| xmlns[^ >]*|(?<=<g) id="[^"]*"| transform="rotate\(-0 [^"]*"| font-family: [^;"]*;?"""
    r"""|(?<=>)\s+(?=<)""",
    re.DOTALL,
)


def _round_numbers(attribute: re.Match[str]) -> str:
    return re.sub(r"(\.\d)\d+", r"\1", attribute[0])


def use_style(more: Mapping[str, str] | None = None) -> contextlib.AbstractContextManager[None]:
    """Returns a context in which figures have the style of the report, and settings `more`."""
    path = resources.files("benchmarks.compare").joinpath("templates", "report.mplstyle")
    return matplotlib.style.context([str(path), dict(more or {})])


def make_axes(height: float = 3.0) -> Axes:
    """Returns the axes of a new figure, `height` inches high."""
    return Figure(figsize=(4.9, height)).subplots()


def finish_drawing(axes: Axes, title: str, caption: str, columns: int = 0) -> Drawing:
    """Adds the legend, above the axes if it has `columns`, and returns the drawing."""
    if axes.get_legend_handles_labels()[0]:
        above = {"ncols": columns, "loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
        axes.legend(**(above if columns else {}))
    figure = axes.get_figure(root=True)
    assert figure is not None
    return Drawing(title, caption, figure)


def set_log(axes: Axes, which: str) -> None:
    """Makes the axis "x" or "y" logarithmic, with plain numbers.

    A short y axis also has labels between powers of ten.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    low, high = axis.get_view_interval()
    axis.set_major_formatter(FuncFormatter(_format_plain))
    axis.set_minor_formatter(NullFormatter())
    if which == "y" and high / low < 100:
        digits = (1, 2, 5) if high / low > 5 else range(1, 10)
        axis.set_minor_formatter(
            FuncFormatter(lambda v, _: _format_plain(v, 0) if _get_first_digit(v) in digits else "")
        )


def _format_plain(value: float, _: int) -> str:
    return f"{value:,.10g}"


def _get_first_digit(value: float) -> int:
    return round(value / 10 ** math.floor(math.log10(value) + 1e-9))
