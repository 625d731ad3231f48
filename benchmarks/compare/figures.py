"""Figures as SVG that stands inside a page: colours are the page's, for light and dark."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, StrMethodFormatter

from benchmarks.compare import statistics as numbers
from benchmarks.compare import summary
from benchmarks.compare.cases import ALONE, CENTRAL, DEFAULTS, HETEROGENEITY
from benchmarks.compare.summary import NAMES, PARTS, Line

# What is drawn with, and what the page makes of it.
INK, FAINT = "#22262b", "#d5d9de"
COLORS = {
    "local": "#6f7780",
    "flower": "#d95f02",
    "tff": "#2a78c8",
    CENTRAL: "#832db6",
    ALONE: "#8a6d3b",
}
_PARTS = ("#92a8bd", "#a96b59", "#d9a21b", "#bd1f01", "#3f90da", "#5aa39f", "#832db7", "#7d7f5a")
_AVERAGE, _SPLIT = "#1b7f79", "#b5305f"
_VARIABLES = {
    INK: "ink",
    _AVERAGE: "average",
    _SPLIT: "split",
    FAINT: "line",
    **{color: name for name, color in COLORS.items()},
    **{color: f"part-{i}" for i, color in enumerate(_PARTS, 1)},
}
# Engines may lie on one another: the local loop is a broad line below, TFF dashed on top.
STYLES: Mapping[str, Mapping[str, object]] = {
    "local": {"linewidth": 3.2, "alpha": 0.6, "marker": "s"},
    "flower": {"linewidth": 1.4, "marker": "o"},
    "tff": {"linewidth": 1.4, "linestyle": (0, (4, 2)), "marker": "^"},
    CENTRAL: {"linewidth": 1.4, "linestyle": (0, (1, 1.5)), "marker": "D"},
    ALONE: {"linewidth": 1.4, "linestyle": (0, (6, 1.5, 1, 1.5)), "marker": "v"},
}
WIDTH = 4.9  # inches of a figure, which the page scales


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
      title: What it shows.
      caption: How to read it.
      svg: Markup, with names of its own for its parts.
      is_wide: Whether it takes the whole width.
    """

    title: str
    caption: str
    svg: str
    is_wide: bool = False


def of_suite(suite: str, lines: Sequence[Line]) -> list[Drawing]:
    """The figures the lines of a suite have data for."""
    ended = summary.untuned(summary.done(lines))
    if suite == "aggregation":
        makers = [_procedures]
    elif suite == "heterogeneity":
        makers = [_partitions]
    elif suite == "scaling":
        makers = [_scaling, _memory]
    else:
        makers = [_curves, _apart, _rounds, _memory]
    return [drawing for make in makers for drawing in make(suite, ended)]


def _new(height: float = 3.0) -> tuple[Canvas, Axes]:
    figure = Canvas(figsize=(WIDTH, height), layout="constrained")
    figure.patch.set_alpha(0)
    ax = figure.subplots()
    ax.patch.set_alpha(0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[:].set_color(FAINT)
    ax.tick_params(which="both", colors=INK, length=0, labelsize=9.5)
    ax.grid(True, color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(size=10, color=INK)
    return figure, ax


def _legend(ax: Axes, **words: object) -> None:
    if ax.get_legend_handles_labels()[0]:
        settings = {"frameon": False, "fontsize": 9, "labelcolor": INK, **words}
        ax.legend(**settings)


def _above(ax: Axes, columns: int) -> None:
    """The legend above the axes, where it hides nothing."""
    _legend(ax, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.2)


def _plain_numbers(ax: Axes) -> None:
    """Labels a logarithmic y axis in plain numbers, between powers of ten too if there are few."""
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))
    low, high = ax.get_ylim()
    is_short = high / low < 100
    ax.yaxis.set_minor_formatter(FuncFormatter(_one_two_five) if is_short else NullFormatter())
    ax.tick_params(which="minor", labelsize=9.5)


def markup(figure: Canvas, name: str, label: str) -> str:
    """The figure as SVG for a page.

    Args:
      figure: Drawn in the colours of this module.
      name: Salts all identifiers, so that several figures fit into one page.
      label: Read aloud in its place.
    """
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text,
                  flags=re.S)  # fmt: skip
    text = text.replace("xlink:href=", "href=")
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # nothing refers to groups
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)  # the page's
    text = re.sub(r' (?:d|x|y|transform)="[^"]*"', _with_two_decimals, text)
    text = re.sub(r">\s+<", "><", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var(--{variable})")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    words = label.replace("&", "and").replace('"', "'").replace("<", "").replace(">", "")
    return text.replace("<svg", f'<svg role="img" aria-label="{words}"', 1).strip()


def _with_two_decimals(attribute: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def _drawing(figure: Canvas, name: str, title: str, caption: str, is_wide: bool = False) -> Drawing:
    safe = re.sub(r"[^a-z0-9]+", "-", f"{name} {title}".lower()).strip("-")
    return Drawing(title, caption, markup(figure, safe, f"{title}. {caption}"), is_wide)


# -- scores on the way ---------------------------------------------------------------------------


def _curves(suite: str, lines: Sequence[Line]) -> Iterator[Drawing]:
    for group in summary.side_by_side(lines):
        known = summary.same_seeds([line for line in group if line.get("curve")])
        for score in ("accuracy", "nmi"):
            for by in ("round", "seconds"):
                if any(score in point for line in known for point in line["curve"]):
                    yield _curve(suite, known, score, by, summary.title(group[0]))


def _curve(suite: str, lines: Sequence[Line], score: str, by: str, case: str) -> Drawing:
    figure, ax = _new()
    for name in summary.backends(lines):
        runs = [_points(line, score) for line in summary.of(lines, name)]
        rounds = sorted(set.intersection(*(set(run) for run in runs)))
        if not rounds:
            continue
        values = np.array([[run[r][1] for r in rounds] for run in runs])
        seconds = np.array([[run[r][0] for r in rounds] for run in runs])
        x = np.array(rounds) if by == "round" else seconds.mean(axis=0)
        ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=COLORS[name], alpha=0.15,
                        linewidth=0)  # fmt: skip
        ax.plot(x, values.mean(axis=0), color=COLORS[name], label=NAMES[name], markersize=3,
                **STYLES[name])  # type: ignore[arg-type]  # fmt: skip
    label = summary.SCORES[score]
    ax.set(xlabel="round" if by == "round" else "seconds of training", ylabel=label)
    if by == "round":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(ax)
    title = f"{label} by {'round' if by == 'round' else 'second'}: {case}"
    caption = "Mean over the seeds all have; the band is from the worst seed to the best."
    if lines[0]["case"]["algorithm"] == "clustergan":
        caption += (
            " Scored is the argmax of z_c; the scores at the end are of k-means centres on the "
            "codes."
        )
    return _drawing(figure, suite, title, caption)


def _points(line: Line, score: str) -> dict[int, tuple[float, float]]:
    """Round to seconds and score, in the last phase that was scored."""
    phase = line["curve"][-1]["phase"]
    return {
        point["round"]: (point["seconds"], point[score])
        for point in line["curve"]
        if point["phase"] == phase and score in point
    }


# -- seconds -------------------------------------------------------------------------------------


def _apart(suite: str, lines: Sequence[Line]) -> Iterator[Drawing]:
    for group in summary.side_by_side(lines):
        names = summary.backends(group)
        figure, ax = _new(1.6 + 0.32 * len(names))
        ends = np.zeros(len(names))
        for i, (part, words) in enumerate(PARTS.items()):
            seconds = np.array([_median(summary.of(group, n), summary.part(part)) for n in names])
            if seconds.any():
                ax.barh(range(len(names)), seconds, 0.62, ends, color=_PARTS[i], label=words)
                ends = ends + seconds
        ax.set_yticks(range(len(names)), [NAMES[name] for name in names])
        ax.invert_yaxis()
        ax.set_xlim(0, 1.03 * ends.max())
        ax.grid(False, axis="y")
        ax.set_xlabel("seconds")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3,
                      frameon=False, fontsize=9, labelcolor=INK)  # fmt: skip
        title = f"Time taken apart: {summary.title(group[0])}"
        yield _drawing(figure, suite, title, "Medians over seeds, one part after another.")


def _median(lines: Sequence[Line], value: Callable[[Line], float | None]) -> float:
    return summary.median_of(lines, value) or 0.0


def _rounds(suite: str, lines: Sequence[Line]) -> Iterator[Drawing]:
    for group in summary.side_by_side(lines):
        known = [line for line in group if line.get("rounds")]
        if not known:
            continue
        figure, ax = _new()
        for name in summary.backends(known):
            x, y = _warm_rounds(summary.of(known, name))
            ax.plot(x, y, markersize=3, color=COLORS[name], label=NAMES[name],
                    marker=STYLES[name]["marker"], linestyle="", alpha=0.75)  # fmt: skip
        ax.margins(y=0.15)
        ax.set_yscale("log")
        _plain_numbers(ax)
        _divide(ax, known[0]["rounds"])
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlim(0.5, 0.5 + sum(map(len, known[0]["rounds"].values())))
        ax.set(xlabel="round, all phases one after another", ylabel="seconds of a round")
        _above(ax, 3)
        title = f"Warm rounds: {summary.title(group[0])}"
        caption = "Median over seeds; the first rounds of each phase, which compile, are left out."
        yield _drawing(figure, suite, title, caption)


def _warm_rounds(lines: Sequence[Line]) -> tuple[list[int], list[float]]:
    """Numbers of rounds over all phases, and median seconds of those that are warm."""
    x, y, before = [], [], 0
    for phase in lines[0]["rounds"]:
        runs = [line["rounds"][phase] for line in lines if phase in line["rounds"]]
        length = min(map(len, runs))
        for i in range(summary.n_cold(phase), length):
            x.append(before + i + 1)
            y.append(float(np.median([run[i] for run in runs])))
        before += len(lines[0]["rounds"][phase])
    return x, y


def _divide(ax: Axes, rounds: Mapping[str, Sequence[float]]) -> None:
    """Names the phases at the lower edge."""
    start = 0.5
    for phase, seconds in rounds.items():
        ax.axvline(start, color=FAINT, linewidth=1, zorder=0)
        if len(seconds) >= 0.08 * sum(map(len, rounds.values())):
            ax.text(start + 0.3, 0.01, phase, transform=ax.get_xaxis_transform(), fontsize=8.5,
                    color=INK, va="bottom", ha="left")  # fmt: skip
        start += len(seconds)


# -- memory --------------------------------------------------------------------------------------


def _memory(suite: str, lines: Sequence[Line]) -> Iterator[Drawing]:
    groups = summary.side_by_side(lines)
    if suite == "scaling":  # the longest runs tell most
        groups = [g for g in groups if g[0]["case"]["procedure"] in ("clients=1000", "steps=300")]
    for group in groups:
        figure, ax = _new()
        for name in summary.backends(group):
            for i, line in enumerate(summary.of(group, name)):
                samples = np.array(line["memory"]["samples"], float).reshape(-1, 2)
                style = {**STYLES[name], "linewidth": 1.4, "marker": "", "alpha": 0.9}
                ax.plot(*samples.T, color=COLORS[name], label=NAMES[name] if i == 0 else None,
                        **style)  # type: ignore[arg-type]  # fmt: skip
        ax.set(xlabel="seconds", ylabel="MB, all processes")
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        _above(ax, 4)
        caption = "A line a run; pages that processes share count once (PSS)."
        yield _drawing(figure, suite, f"Memory: {summary.title(group[0])}", caption)


# -- scaling -------------------------------------------------------------------------------------


def _scaling(suite: str, lines: Sequence[Line]) -> Iterator[Drawing]:
    measures: dict[str, tuple[str, Callable[[Line], float | None]]] = {
        "Seconds of a warm round": ("seconds", summary.warm_round),
        "Peak memory": ("MB", lambda line: float(line["memory"]["peak_mb"])),
    }
    for kind, words in summary.SWEEPS.items():
        for title, (unit, value) in measures.items():
            figure, ax = _new()
            ax.margins(y=0.15)
            drawn = [
                _grow(ax, summary.sweep(lines, kind, name), name, value)
                for name in summary.backends(lines)
            ]
            if not any(drawn):
                continue
            ax.set(xscale="log", yscale="log", xlabel=words, ylabel=unit)
            ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))
            ax.xaxis.set_minor_formatter(NullFormatter())
            _plain_numbers(ax)
            _above(ax, 2)
            caption = "Both axes logarithmic; the exponent is the slope of the line."
            yield _drawing(figure, suite, f"{title} by {words}", caption)


def _one_two_five(value: float, _: int) -> str:
    first = round(value / 10 ** math.floor(math.log10(value) + 1e-9))
    return f"{value:,.10g}" if first in (1, 2, 5) else ""


def _grow(
    ax: Axes,
    points: Sequence[tuple[float, Line]],
    name: str,
    value: Callable[[Line], float | None],
) -> bool:
    known = [(x, y) for x, line in points if (y := value(line))]
    if not known:
        return False
    x, heights = [a for a, _ in known], [b for _, b in known]
    slope = numbers.exponent(x, heights)
    words = "" if math.isnan(slope.value) else f", exponent {slope.value:.2f}"
    ax.plot(x, heights, color=COLORS[name], label=NAMES[name] + words, markersize=4,
            **STYLES[name])  # type: ignore[arg-type]  # fmt: skip
    return True


# -- partitions ----------------------------------------------------------------------------------


def _partitions(suite: str, lines: Sequence[Line]) -> Iterator[Drawing]:
    sets = dict.fromkeys((line["case"]["algorithm"], line["case"]["dataset"]) for line in lines)
    for algorithm, dataset in sets:
        own = [
            line
            for line in lines
            if (line["case"]["algorithm"], line["case"]["dataset"]) == (algorithm, dataset)
        ]
        for score in ("accuracy", "nmi"):
            if any(score in line["scores"] for line in own):
                yield _partition(suite, own, score, algorithm, dataset)


def _partition(
    suite: str, lines: Sequence[Line], score: str, algorithm: str, dataset: str
) -> Drawing:
    figure, ax = _new()
    spread = [line for line in lines if summary.backend(line) != CENTRAL]
    there = {line["case"]["partition"] for line in spread}
    names = [p for p in HETEROGENEITY if p in there] + sorted(there - set(HETEROGENEITY))
    _pooled(ax, summary.of(lines, CENTRAL), score)
    series = list(_series(spread))
    for i, (label, color, style, runs) in enumerate(series):
        marks = [(names.index(p), summary.score(own, score)) for p, own in _by_partition(runs)]
        known = [(x, e) for x, e in sorted(marks, key=lambda mark: mark[0]) if e]
        x = [x + 0.12 * (i - (len(series) - 1) / 2) for x, _ in known]
        half = [0 if math.isnan(e.half) else e.half for _, e in known]
        ax.errorbar(x, [e.value for _, e in known], half, color=color, label=label, markersize=5,
                    elinewidth=1, capsize=2, **style)  # type: ignore[arg-type]  # fmt: skip
    ax.set_xticks(range(len(names)), [n.replace("_", " ").replace(" ", "\n") for n in names])
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set(ylabel=summary.SCORES[score])
    ax.grid(False, axis="x")
    _above(ax, 3)
    words = {"dec": "DEC", "clustergan": "ClusterGAN"}.get(algorithm, algorithm)
    title = f"{summary.SCORES[score]} by partition: {words}, {dataset}"
    return _drawing(figure, suite, title, "Mean over seeds with its 95 % interval.")


def _series(lines: Sequence[Line]) -> Iterator[tuple[str, str, dict[str, object], list[Line]]]:
    """What is drawn as a line each: federated, by procedure if there are several, and alone."""
    federated = [line for line in lines if summary.backend(line) != ALONE]
    procedures = list(dict.fromkeys(line["case"]["procedure"] for line in federated))
    looks = [(_AVERAGE, "o"), (_SPLIT, "s"), (INK, "^")]
    for (color, marker), procedure in zip(looks, procedures, strict=False):
        label = "federated" if len(procedures) == 1 else f"federated, {procedure}"
        runs = [line for line in federated if line["case"]["procedure"] == procedure]
        yield label, color, {"linewidth": 1.2, "marker": marker}, runs
    alone = summary.of(lines, ALONE)
    if alone:
        yield (
            NAMES[ALONE],
            COLORS[ALONE],
            {"linewidth": 1.2, "marker": "v", "linestyle": "--"},
            alone,
        )


def _by_partition(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    names = dict.fromkeys(line["case"]["partition"] for line in lines)
    return [(n, [line for line in lines if line["case"]["partition"] == n]) for n in names]


def _pooled(ax: Axes, lines: Sequence[Line], score: str) -> None:
    """Central training knows no partition: a line across, with its interval."""
    found = summary.score(lines, score)
    if found is None:
        return
    color = COLORS[CENTRAL]
    ax.axhline(found.value, color=color, linewidth=1.2, linestyle=(0, (1, 1.5)),
               label=NAMES[CENTRAL])  # fmt: skip
    if not math.isnan(found.half):
        ax.axhspan(found.low, found.high, color=color, alpha=0.12, linewidth=0)


# -- procedures ----------------------------------------------------------------------------------


def _procedures(suite: str, lines: Sequence[Line]) -> Iterator[Drawing]:
    found = [c for c in summary.comparisons(lines, DEFAULTS) if not c.is_same]
    for partition in dict.fromkeys(c.partition for c in found):
        own = [c for c in found if c.partition == partition]
        figure, ax = _new(1.0 + 0.24 * len(own))
        for i, c in enumerate(own):
            half = 0 if math.isnan(c.difference.half) else c.difference.half
            ax.errorbar(c.difference.value, i, xerr=half, fmt="o", markersize=5, capsize=2,
                        color=INK if c.is_significant else COLORS["local"],
                        markerfacecolor=INK if c.is_significant else "none")  # fmt: skip
        ax.axvline(0, color=INK, linewidth=0.8)
        labels = [f"{c.procedure} {'*' if c.is_significant else ''}".strip() for c in own]
        ax.set_yticks(range(len(own)), labels)
        ax.invert_yaxis()
        ax.set_xlabel("NMI, less that of what it replaces")
        title = f"Procedures on {partition} rows"
        caption = (
            "Paired differences with 95 % intervals: rules against tuned fedavg, the others "
            "against the defaults; filled and * where p < 0.05 after Holm."
        )
        yield _drawing(figure, suite, title, caption)
