"""Losses and scores during training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from tfcluster.plots.figure import (
    FAINT,
    PALETTE,
    PathLike,
    make_figure,
    save,
    set_title,
    write_note,
)
from tfcluster.plots.trials import SCORE_LABELS

Record = Mapping[str, Any]  # one line of a run's metrics.jsonl

MAX_RECORDS = 1_000  # more losses are drawn as `BINS` medians
BINS = 200
MAX_MARKS = 60  # of a longer line of scores the points are not marked
LOSSES = {"loss": "Loss of generator and encoder", "critic_loss": "Loss of the critic"}


def draw_training_curves(
    path: PathLike, history: Iterable[Record], *, tol: float | None = None, unit: str = "step"
) -> Path:
    """Draws a run's losses: reconstruction at left, clustering and scores at right.

    Args:
      path: The PNG to write.
      history: Records with `phase`, `step` and any of `loss`, `changed` (share of labels that
        changed, in `[0, 1]`), `purity`, `nmi`, `ari`. Phase "cluster" is drawn at right, all
        others at left, one after another. Steps count from the start of each phase. Missing values
        and NaN are left out.
      tol: Share of changed labels below which training stops; drawn as a line.
      unit: The unit of `step`.

    Returns:
      `path`.
    """
    records = list(history)
    clustering = [r for r in records if r.get("phase") == "cluster"]
    pretraining = _collect_phases(r for r in records if r.get("phase") != "cluster")
    kl, changed = _collect_series(clustering, "loss"), _collect_series(clustering, "changed")
    scores = _collect_scores(clustering)
    right = [name for name, (steps, _) in {"kl": kl, "changed": changed}.items() if len(steps)]
    right += ["scores"] * bool(scores)
    left = ["reconstruction"] * bool(pretraining)
    layout: list[Any] = [left + [name] for name in right] or [left or ["nothing"]]
    figure = make_figure(5.8 * len(layout[0]), 2.2 * max(2, len(layout)))
    panels = figure.subplot_mosaic(layout)
    if pretraining:
        _draw_phases(panels["reconstruction"], pretraining)
    if "kl" in right:
        _draw_line(panels["kl"], *kl, "Clustering loss KL(P || Q)", "loss (nats per sample)")
    for name in right[1:]:
        panels[name].sharex(panels[right[0]])
    if "changed" in right:
        _draw_changed(panels["changed"], *changed, tol)
    if scores:
        _draw_scores(panels["scores"], scores)
        panels["scores"].set_xlabel(unit)
    if "nothing" in panels:
        write_note(panels["nothing"], "no losses were recorded")
    for ax in panels.values():
        if ax.get_xlabel():
            ax.set_xlabel(unit)
    return save(figure, path)


def draw_adversarial_curves(
    path: PathLike, history: Iterable[Record], *, unit: str = "step of the generator"
) -> Path:
    """Draws the losses of adversarial training and, below, the scores recorded with them.

    More than 1,000 records are drawn as medians in a band of quantiles. A few outliers do not count
    for the range of the axis, whose label then says how many there are.

    Args:
      path: The PNG to write.
      history: Records with `phase` "adversarial", `step` and any of `loss`, `critic_loss`,
        `purity`, `argmax_purity`, `nmi`, `ari`. Missing values and NaN are left out.
      unit: The unit of `step`.

    Returns:
      `path`.
    """
    records = [r for r in history if r.get("phase") == "adversarial"]
    losses = {name: _collect_series(records, key) for key, name in LOSSES.items()}
    losses = {name: series for name, series in losses.items() if len(series[0])}
    scores = _collect_scores(records)
    layout = [*losses, *["scores"] * bool(scores)] or ["nothing"]
    figure = make_figure(9, 0.8 + 2.4 * len(layout))
    panels = figure.subplot_mosaic([[name] for name in layout], sharex=True)
    # each has its own axis: the critic's loss may be a hundred times smaller
    for i, (name, series) in enumerate(losses.items()):
        _draw_loss(panels[name], *series, name, PALETTE[2 * i])
    if scores:
        _draw_scores(panels["scores"], scores)
    if "nothing" in panels:
        write_note(panels["nothing"], "no losses were recorded")
    else:
        lowest = panels[layout[-1]]
        lowest.set_xlabel(unit)
        lowest.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        lowest.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return save(figure, path)


def _collect_scores(records: Sequence[Record]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the recorded scores by the names they are drawn with."""
    scores = {name: _collect_series(records, key) for key, name in SCORE_LABELS.items()}
    return {name: series for name, series in scores.items() if len(series[0])}


def _collect_series(records: Iterable[Record], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns sorted steps and the finite values of `key` at them."""
    pairs = [(r["step"], r[key]) for r in records if r.get(key) is not None and "step" in r]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    steps, values = table[np.argsort(table[:, 0], kind="stable")].T
    return steps, values


def _collect_phases(records: Iterable[Record]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns steps and losses of each phase, with steps that count from the first phase on."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(str(record.get("phase", "training")), []).append(record)
    phases, end = {}, 0.0
    for name, group in groups.items():
        steps, losses = _collect_series(group, "loss")
        if len(steps):
            phases[name] = steps + end, losses
            end += steps[-1]
    return phases


def _draw_phases(ax: Axes, phases: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for i, (name, (steps, losses)) in enumerate(phases.items()):
        color = PALETTE[i % len(PALETTE)]
        ax.plot(steps, losses, color=color, linewidth=1.4, label=name, marker=_choose_marker(steps))
        if i:
            ax.axvline(steps[0], color=FAINT, linewidth=1, zorder=0)
    if any((losses > 0).any() for _, losses in phases.values()):
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="loss (squared units of the input)")
    ax.legend(title="phase", frameon=False, fontsize=8, title_fontsize=8)
    set_title(ax, "Reconstruction loss in pretraining")


def _draw_line(ax: Axes, x: np.ndarray, y: np.ndarray, title: str, ylabel: str) -> None:
    ax.plot(x, y, color=PALETTE[0], linewidth=1.4, marker=_choose_marker(x))
    ax.set(xlabel="step", ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    set_title(ax, title)


def _choose_marker(x: np.ndarray) -> str:
    """Returns a marker for a single point, which no line would show."""
    return "o" if len(x) == 1 else ""


def _draw_changed(ax: Axes, steps: np.ndarray, changed: np.ndarray, tol: float | None) -> None:
    _draw_line(
        ax,
        steps,
        changed,
        "Samples that changed cluster between target updates",
        "share of samples",
    )
    # logarithmic down to the tolerance and linear below it, where zero is
    ax.set_yscale("symlog", linthresh=tol or 1e-3)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    if tol is not None:
        label = f"stops below {tol:.2%}"
        ax.axhline(tol, color=PALETTE[2], linewidth=1, linestyle="--", label=label)
        ax.legend(frameon=False, fontsize=8)


def _draw_loss(ax: Axes, steps: np.ndarray, values: np.ndarray, title: str, color: str) -> None:
    x, (low, middle, high) = _bin(steps, values)
    ax.plot(x, middle, color=color, linewidth=1.4, marker=_choose_marker(x))
    if len(x) < len(steps):
        ax.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0)
        title += f": median and 5 to 95 % of {len(steps) / len(x):.0f} records each"
    limits = _find_robust_range(values)
    outside = np.count_nonzero((values < limits[0]) | (values > limits[1]))
    cut = f" (outside: {outside:,} of {len(values):,} records)" if outside else ""
    ax.set(ylim=limits, ylabel="loss" + cut)
    set_title(ax, title)


def _bin(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps, fewer if many, and the 5, 50 and 95 % quantiles of the values around them."""
    count = len(steps) if len(steps) <= MAX_RECORDS else BINS
    x = [np.median(part) for part in np.array_split(steps, count)]
    bands = [np.quantile(part, [0.05, 0.5, 0.95]) for part in np.array_split(values, count)]
    return np.array(x), np.transpose(bands)


def _find_robust_range(values: np.ndarray) -> tuple[float, float]:
    """Returns limits that show all values but a few outliers, which would flatten the rest."""
    low, high = np.quantile(values, [0.05, 0.95])
    spread = (high - low) or 1.0
    low, high = max(values.min(), low - spread), min(values.max(), high + spread)
    margin = 0.05 * ((high - low) or 1.0)
    return low - margin, high + margin


def _draw_scores(ax: Axes, scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    # in the order in which the lines end, so that the legend reads like labels
    for name, (steps, values) in sorted(scores.items(), key=lambda item: -item[1][1][-1]):
        color = PALETTE[list(SCORE_LABELS.values()).index(name)]
        # dashed and on top, because the two purities are often equal
        style, order = ("--", 3) if name == SCORE_LABELS["argmax_purity"] else ("-", 2)
        marker = "." if len(steps) <= MAX_MARKS else ""
        ax.plot(steps, values, style, color=color, linewidth=1.4, marker=marker, zorder=order,
                label=name)  # fmt: skip
    ax.set_ylabel("score")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    set_title(ax, "Scores during training")
