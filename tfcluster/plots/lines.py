"""The losses of a run, and scores against the number of clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tfcluster.errors import InputError
from tfcluster.plots.figure import FAINT, PALETTE, PathLike, new_figure, note, save, titled

Record = Mapping[str, Any]  # one line of a run's metrics.jsonl


def curves(path: PathLike, history: Iterable[Record], *, tol: float | None = None) -> Path:
    """Draws the losses of a run: reconstruction at left, clustering at right.

    Args:
      path: The PNG to write.
      history: Records with `phase`, `step` and any of `loss`, `changed` (share of labels changed,
        in `[0, 1]`). Phase "cluster" is drawn at right, all others at left, one after another.
        Steps count from the start of each phase. What is missing or not finite is left out.
      tol: Share of changed labels below which training stops, drawn as a line.

    Returns:
      `path`.
    """
    records = list(history)
    clustering = [r for r in records if r.get("phase") == "cluster"]
    pretraining = _phases(r for r in records if r.get("phase") != "cluster")
    kl, changed = _series(clustering, "loss"), _series(clustering, "changed")
    right = [name for name, (steps, _) in {"kl": kl, "changed": changed}.items() if len(steps)]
    left = ["reconstruction"] * bool(pretraining)
    layout: list[Any] = [left + [name] for name in right] or [left or ["nothing"]]
    figure = new_figure(5.8 * len(layout[0]), 4.4)
    panels = figure.subplot_mosaic(layout)
    if pretraining:
        _draw_phases(panels["reconstruction"], pretraining)
    if "kl" in right:
        _line(panels["kl"], *kl, "Clustering loss KL(P || Q)", "loss (nats per row)")
    if len(right) == 2:
        panels["changed"].sharex(panels["kl"])
    if "changed" in right:
        _draw_changed(panels["changed"], *changed, tol)
    if "nothing" in panels:
        note(panels["nothing"], "no losses were recorded")
    return save(figure, path)


def cluster_numbers(path: PathLike, table: Sequence[Record]) -> Path:
    """Draws three scores against the number of clusters, with the best value marked.

    Args:
      path: The PNG to write.
      table: One record a number of clusters, with `n_clusters` and any of `silhouette`,
        `calinski_harabasz`, `davies_bouldin`; missing values and NaN are left out.

    Returns:
      `path`.

    Raises:
      InputError: If the table is empty.
    """
    if not table:
        raise InputError("`table` needs a record for each number of clusters. Received none.")
    scores = {
        "silhouette": ("Silhouette", "higher", np.argmax),
        "calinski_harabasz": ("Calinski-Harabasz", "higher", np.argmax),
        "davies_bouldin": ("Davies-Bouldin", "lower", np.argmin),
    }
    figure = new_figure(11, 3.4)
    for ax, (key, (name, better, pick)) in zip(figure.subplots(1, 3), scores.items(), strict=True):
        numbers, values = _series(table, key, by="n_clusters")
        if not len(values):
            note(ax, f"no {name} score")
            continue
        best = pick(values)
        _line(ax, numbers, values, f"Best at {numbers[best]:.0f} ({better} is better)", name)
        ax.plot(numbers, values, "o", color=PALETTE[0], markersize=4)
        ax.plot(numbers[best], values[best], "o", color=PALETTE[2], markersize=9)
        ax.set_xlabel("number of clusters")
    return save(figure, path)


def _series(records: Iterable[Record], key: str, by: str = "step") -> tuple[np.ndarray, np.ndarray]:
    """Sorted steps (or another column), and the finite values of `key` seen at them."""
    pairs = [(r[by], r[key]) for r in records if r.get(key) is not None and by in r]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    steps, values = table[np.argsort(table[:, 0], kind="stable")].T
    return steps, values


def _phases(records: Iterable[Record]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps and losses of each phase, in the order met, moved to follow one another."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(str(record.get("phase", "training")), []).append(record)
    phases, end = {}, 0.0
    for name, group in groups.items():
        steps, losses = _series(group, "loss")
        if len(steps):
            phases[name] = steps + end, losses
            end += steps[-1]
    return phases


def _draw_phases(ax: Axes, phases: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for i, (name, (steps, losses)) in enumerate(phases.items()):
        color = PALETTE[i % len(PALETTE)]
        ax.plot(steps, losses, color=color, linewidth=1.4, label=name, marker=_marker(steps))
        if i:
            ax.axvline(steps[0], color=FAINT, linewidth=1, zorder=0)
    if any((losses > 0).any() for _, losses in phases.values()):
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="loss (squared units of the input)")
    ax.legend(title="phase", frameon=False, fontsize=8, title_fontsize=8)
    titled(ax, "Reconstruction loss in pretraining")


def _line(ax: Axes, x: np.ndarray, y: np.ndarray, title: str, ylabel: str) -> None:
    ax.plot(x, y, color=PALETTE[0], linewidth=1.4, marker=_marker(x))
    ax.set(xlabel="step", ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    titled(ax, title)


def _marker(x: np.ndarray) -> str:
    """A point alone has no line to show it."""
    return "o" if len(x) == 1 else ""


def _draw_changed(ax: Axes, steps: np.ndarray, changed: np.ndarray, tol: float | None) -> None:
    _line(ax, steps, changed, "Rows that changed cluster between target updates", "share of rows")
    # Logarithmic down to the tolerance and linear below it, so that zero can be seen.
    ax.set_yscale("symlog", linthresh=tol or 1e-3)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    if tol is not None:
        label = f"stops below {tol:.2%}"
        ax.axhline(tol, color=PALETTE[2], linewidth=1, linestyle="--", label=label)
        ax.legend(frameon=False, fontsize=8)
