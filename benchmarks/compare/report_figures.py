"""The figures of the report, drawn by matplotlib and embedded as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.compare.cases import CENTRALIZED, LOCAL_ONLY, LOCAL_TFF
from benchmarks.compare.comparisons import compare_procedures
from benchmarks.compare.drawings import Drawing, finish_drawing, make_axes, set_log, use_style
from benchmarks.compare.estimates import Estimate, fit_exponent
from benchmarks.compare.result_lines import (
    ALGORITHMS,
    NAMES,
    PARTS,
    SCORES,
    Line,
    compute_median,
    describe_case,
    drop_tuning,
    estimate_score,
    get_seconds,
    group_over_backends,
    list_backends,
    select_backend,
    select_common_seeds,
    select_finished,
)
from benchmarks.compare.run_costs import (
    SWEEPS,
    compute_warm_round,
    count_cold_rounds,
    select_sweep,
)
from benchmarks.compare.suites import HETEROGENEITY

INK, FAINT = "#000000", "#d5d9de"
COLORS = {
    "local": "#6f7780",
    "flower": "#d95f02",
    LOCAL_TFF: "#9fb4c7",
    "tff": "#2a78c8",
    CENTRALIZED: "#832db6",
    LOCAL_ONLY: "#8a6d3b",
}
# Curves of backends may coincide: the local loop is a broad line below, TFF is dashed on top.
STYLES: Mapping[str, Mapping[str, Any]] = {
    "local": {"linewidth": 3.2, "alpha": 0.6, "marker": "s"},
    "flower": {"marker": "o"},
    LOCAL_TFF: {"linewidth": 2.4, "alpha": 0.6, "marker": "P"},
    "tff": {"linestyle": (0, (4, 2)), "marker": "^"},
    CENTRALIZED: {"linestyle": (0, (1, 1.5)), "marker": "D"},
    LOCAL_ONLY: {"linestyle": (0, (6, 1.5, 1, 1.5)), "marker": "v"},
}
_PART_COLORS = (
    "#92a8bd", "#a96b59", "#d9a21b", "#bd1f01", "#3f90da", "#5aa39f", "#832db7", "#7d7f5a",
)  # fmt: skip


def make_figures(suite: str, lines: Sequence[Line]) -> list[Drawing]:
    """Returns the figures that the lines of a suite have data for."""
    found = drop_tuning(select_finished(lines))
    with use_style():
        return [drawing for draw in _CHOICE.get(suite, _USUAL) for drawing in draw(found)]


# -- scores during training ----------------------------------------------------------------------


def _draw_curves(lines: Sequence[Line]) -> Iterator[Drawing]:
    for group in group_over_backends(lines):
        known = select_common_seeds([line for line in group if line.get("curve")])
        for score in ("accuracy", "nmi"):
            if any(score in point for line in known for point in line["curve"]):
                yield _draw_curve(known, score, "round")
                yield _draw_curve(known, score, "second")


def _draw_curve(lines: Sequence[Line], score: str, by: str) -> Drawing:
    axes = make_axes()
    for name in list_backends(lines):
        runs = [_read_curve(line, score) for line in select_backend(lines, name)]
        rounds = sorted(set.intersection(*(set(run) for run in runs)))
        if not rounds:
            continue
        values = np.array([[run[r][1] for r in rounds] for run in runs])
        seconds = np.array([[run[r][0] for r in rounds] for run in runs])
        x = np.array(rounds) if by == "round" else seconds.mean(axis=0)
        band = values.min(axis=0), values.max(axis=0)
        axes.fill_between(x, *band, color=COLORS[name], alpha=0.15, linewidth=0)
        axes.plot(x, values.mean(axis=0), color=COLORS[name], label=NAMES[name], **STYLES[name])
    label = SCORES[score]
    axes.set(xlabel="round" if by == "round" else "seconds of training", ylabel=label)
    if by == "round":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    caption = "Mean over the seeds that all backends have; the band spans all seeds."
    if lines[0]["case"]["algorithm"] == "clustergan":
        caption += " The curve scores the argmax of z_c; final scores use k-means of the codes."
    return finish_drawing(axes, f"{label} by {by}: {describe_case(lines[0])}", caption)


def _read_curve(line: Line, score: str) -> dict[int, tuple[float, float]]:
    """Returns round to seconds and score in the last phase that was scored."""
    phase = line["curve"][-1]["phase"]
    return {
        point["round"]: (point["seconds"], point[score])
        for point in line["curve"]
        if point["phase"] == phase and score in point
    }


# -- seconds -------------------------------------------------------------------------------------


def _draw_parts(lines: Sequence[Line]) -> Iterator[Drawing]:
    for group in group_over_backends(lines):
        names = list_backends(group)
        axes = make_axes(1.6 + 0.32 * len(names))
        ends = np.zeros(len(names))
        for color, (part, words) in zip(_PART_COLORS, PARTS.items(), strict=True):
            medians = (compute_median(select_backend(group, n), get_seconds(part)) for n in names)
            seconds = np.array([median or 0.0 for median in medians])
            if seconds.any():
                axes.barh(range(len(names)), seconds, 0.62, ends, color=color, label=words)
                ends = ends + seconds
        axes.set_yticks(range(len(names)), [NAMES[name] for name in names])
        axes.invert_yaxis()
        axes.grid(False)
        axes.grid(True, axis="x")
        axes.set(xlim=(0, 1.03 * ends.max()), xlabel="seconds")
        title = f"Seconds by part: {describe_case(group[0])}"
        yield finish_drawing(axes, title, "Medians over seeds, in the order of the run.", 3)


def _draw_rounds(lines: Sequence[Line]) -> Iterator[Drawing]:
    for group in group_over_backends(lines):
        known = [line for line in group if line.get("rounds")]
        if not known:
            continue
        lengths = {
            phase: max(len(line["rounds"].get(phase, ())) for line in known)
            for phase in known[0]["rounds"]
        }
        axes = make_axes()
        for name in list_backends(known):
            x, y = _read_warm_rounds(select_backend(known, name), lengths)
            style = {**STYLES[name], "linewidth": 1.4, "marker": "", "alpha": 0.9}
            axes.plot(x, y, color=COLORS[name], label=NAMES[name], **style)
        axes.margins(y=0.15)
        set_log(axes, "y")
        _name_phases(axes, lengths)
        axes.set(xlabel="round, one phase after another", ylabel="seconds of a round")
        title = f"Warm rounds: {describe_case(group[0])}"
        caption = "Median over seeds without the first rounds of each phase, which compile."
        yield finish_drawing(axes, title, caption, 3)


def _read_warm_rounds(
    lines: Sequence[Line], lengths: Mapping[str, int]
) -> tuple[list[int], list[float]]:
    """Returns numbers of rounds over all phases and median seconds; NaN where rounds are cold.

    Args:
      lines: Runs of a backend; rounds that only some of them took are left out.
      lengths: Phase to its largest number of rounds on any backend.
    """
    x: list[int] = []
    y: list[float] = []
    before = 0
    for phase, length in lengths.items():
        runs = [line["rounds"][phase] for line in lines if phase in line["rounds"]]
        cold = count_cold_rounds(phase)
        medians = [float(np.median(seconds)) for seconds in zip(*runs, strict=False)]
        x += range(before + 1, before + 1 + len(medians))
        y += [math.nan] * min(cold, len(medians)) + medians[cold:]
        before += length
    return x, y


def _name_phases(axes: Axes, lengths: Mapping[str, int]) -> None:
    """Separates the phases and writes their names at the lower edge."""
    start, n_rounds = 0.5, sum(lengths.values())
    for phase, length in lengths.items():
        axes.axvline(start, color=FAINT, linewidth=1, zorder=0)
        if length >= 0.08 * n_rounds:
            axes.text(start + 0.3, 0.01, phase, transform=axes.get_xaxis_transform(), fontsize=8.5)
        start += length
    axes.set_xlim(0.5, 0.5 + n_rounds)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


# -- memory --------------------------------------------------------------------------------------


def _draw_memory(lines: Sequence[Line]) -> Iterator[Drawing]:
    for group in group_over_backends(lines):
        axes = make_axes()
        for name in list_backends(group):
            style = {**STYLES[name], "linewidth": 1.4, "marker": "", "alpha": 0.9}
            for i, line in enumerate(select_backend(group, name)):
                x, y = np.array(line["memory"]["readings"], float).reshape(-1, 2).T
                label = NAMES[name] if i == 0 else None
                axes.plot(x, y, color=COLORS[name], label=label, **style)
        axes.set(xlabel="seconds", ylabel="MB, all processes", ylim=(0, None))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        caption = "One line per run; memory pages that processes share count once (PSS)."
        yield finish_drawing(axes, f"Memory: {describe_case(group[0])}", caption, 4)


def _draw_long_memory(lines: Sequence[Line]) -> Iterator[Drawing]:
    longest = ("clients=1000", "steps=300")
    yield from _draw_memory([line for line in lines if line["case"]["procedure"] in longest])


# -- scaling -------------------------------------------------------------------------------------

_MEASURES: Mapping[str, tuple[str, Callable[[Line], float | None]]] = {
    "Seconds of a warm round": ("seconds", compute_warm_round),
    "Peak memory": ("MB", lambda line: float(line["memory"]["peak_mb"])),
}


def _draw_scaling(lines: Sequence[Line]) -> Iterator[Drawing]:
    for kind, words in SWEEPS.items():
        for title, (unit, value) in _MEASURES.items():
            axes = make_axes()
            axes.margins(y=0.15)
            for name in list_backends(lines):
                _draw_growth(axes, select_sweep(lines, kind, name), name, value)
            if axes.lines:
                axes.set(xlabel=words, ylabel=unit)
                set_log(axes, "x")
                set_log(axes, "y")
                caption = "Both axes are logarithmic; the exponent is the slope of the line."
                yield finish_drawing(axes, f"{title} by {words}", caption, 2)


def _draw_growth(
    axes: Axes,
    points: Sequence[tuple[float, Line]],
    name: str,
    value: Callable[[Line], float | None],
) -> None:
    known = [(x, y) for x, line in points if (y := value(line))]
    if known:
        x, heights = [a for a, _ in known], [b for _, b in known]
        slope = fit_exponent(x, heights).value
        words = "" if math.isnan(slope) else f", exponent {slope:.2f}"
        axes.plot(x, heights, color=COLORS[name], label=NAMES[name] + words, **STYLES[name])


# -- partitions ----------------------------------------------------------------------------------


def _draw_partitions(lines: Sequence[Line]) -> Iterator[Drawing]:
    by_data: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        key = line["case"]["algorithm"], line["case"]["dataset"]
        by_data.setdefault(key, []).append(line)
    for (algorithm, dataset), own in by_data.items():
        for score in ("accuracy", "nmi"):
            if any(score in line["scores"] for line in own):
                data = f"{ALGORITHMS.get(algorithm, algorithm)}, {dataset}"
                yield _draw_partition(own, score, f"{SCORES[score]} by partition: {data}")


def _draw_partition(lines: Sequence[Line], score: str, title: str) -> Drawing:
    axes = make_axes()
    spread = [line for line in lines if line["case"]["backend"] != CENTRALIZED]
    found = {line["case"]["partition"] for line in spread}
    names = [p for p in HETEROGENEITY if p in found] + sorted(found - set(HETEROGENEITY))
    _draw_centralized(axes, estimate_score(select_backend(lines, CENTRALIZED), score))
    series = list(_list_series(spread))
    for i, (label, style, runs) in enumerate(series):
        at = {p: [line for line in runs if line["case"]["partition"] == p] for p in names}
        marks = [(x, estimate_score(at[p], score)) for x, p in enumerate(names)]
        known = [(x + 0.12 * (i - (len(series) - 1) / 2), e) for x, e in marks if e]
        _draw_errors(axes, known, label=label, linewidth=1.2, markersize=5, **style)
    axes.set_xticks(range(len(names)), [n.replace("_", " ").replace(" ", "\n") for n in names])
    axes.set(xlim=(-0.5, len(names) - 0.5), ylabel=SCORES[score])
    return finish_drawing(axes, title, "Mean over seeds with its 95 % interval.", 2)


def _draw_errors(axes: Axes, points: Iterable[tuple[float, Estimate]], **style: Any) -> None:
    x, estimates = zip(*points, strict=True)
    half = [0 if math.isnan(e.half) else e.half for e in estimates]
    axes.errorbar(x, [e.value for e in estimates], half, elinewidth=1, **style)


def _list_series(lines: Sequence[Line]) -> Iterator[tuple[str, dict[str, Any], list[Line]]]:
    """Yields label, style and runs of each line: federated procedures, and local only."""
    federated = [line for line in lines if line["case"]["backend"] != LOCAL_ONLY]
    procedures = list(dict.fromkeys(line["case"]["procedure"] for line in federated))
    looks = [("#1b7f79", "o"), ("#b5305f", "s"), (INK, "^")]
    for (color, marker), procedure in zip(looks, procedures, strict=False):
        label = "federated" if len(procedures) == 1 else procedure
        runs = [line for line in federated if line["case"]["procedure"] == procedure]
        yield label, {"color": color, "marker": marker}, runs
    if own := select_backend(lines, LOCAL_ONLY):
        style = {"color": COLORS[LOCAL_ONLY], "marker": "v", "linestyle": "--"}
        yield NAMES[LOCAL_ONLY], style, own


def _draw_centralized(axes: Axes, found: Estimate | None) -> None:
    """Draws centralized training as a horizontal line, since it has no partition."""
    if found is None:
        return
    color = COLORS[CENTRALIZED]
    axes.axhline(found.value, color=color, linewidth=1.2, linestyle=(0, (1, 1.5)),
                 label=NAMES[CENTRALIZED])  # fmt: skip
    if not math.isnan(found.half):
        axes.axhspan(found.low, found.high, color=color, alpha=0.12, linewidth=0)


# -- procedures ----------------------------------------------------------------------------------


def _draw_procedures(lines: Sequence[Line]) -> Iterator[Drawing]:
    found = [c for c in compare_procedures(lines) if not c.is_same]
    for partition in dict.fromkeys(c.partition for c in found):
        own = [c for c in found if c.partition == partition]
        axes = make_axes(1.0 + 0.24 * len(own))
        for i, c in enumerate(own):
            half = 0 if math.isnan(c.difference.half) else c.difference.half
            axes.errorbar(c.difference.value, i, xerr=half, fmt="o", markersize=5,
                          color=INK if c.is_significant else COLORS["local"],
                          markerfacecolor=INK if c.is_significant else "none")  # fmt: skip
        axes.axvline(0, color=INK, linewidth=0.8)
        labels = [f"{c.procedure}{' *' if c.is_significant else ''}" for c in own]
        axes.set_yticks(range(len(own)), labels)
        axes.invert_yaxis()
        axes.grid(False)
        axes.grid(True, axis="x")
        axes.set_xlabel("NMI difference (procedure - reference)")
        caption = (
            "Paired differences with 95 % intervals: rules against tuned fedavg, the others "
            "against the defaults; filled and * if p < 0.05 after Holm's correction."
        )
        yield finish_drawing(axes, f"Procedures on {partition}", caption)


_Draw = Callable[[Sequence[Line]], Iterator[Drawing]]
_USUAL: Sequence[_Draw] = (_draw_curves, _draw_parts, _draw_rounds, _draw_memory)
_CHOICE: Mapping[str, Sequence[_Draw]] = {
    "aggregation": (_draw_procedures,),
    "heterogeneity": (_draw_partitions,),
    "scaling": (_draw_scaling, _draw_long_memory),
}
