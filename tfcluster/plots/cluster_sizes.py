"""Sizes of the clusters during training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from tfcluster.plots.figure import (
    PALETTE,
    PathLike,
    add_colorbar,
    make_figure,
    save,
    set_title,
    write_note,
)

MAX_COLUMNS = 400  # records drawn
MAX_MARKS = 60  # of a longer line the points are not marked


def draw_cluster_sizes(
    path: PathLike, history: Iterable[Mapping[str, Any]], unit: str = "step"
) -> Path:
    """Draws each cluster's share of the samples by step and, below, how even the shares are.

    Evenness is the entropy of the shares divided by the entropy of equal shares. Clusters without
    samples are white; a line that is all white is a cluster that was never used.

    Args:
      path: The PNG to write.
      history: Records with `step` and `cluster_sizes`, the number of samples of each cluster;
        others are left out. Of more than 400 records, every second, third, ... is drawn.
      unit: The unit of `step`.

    Returns:
      `path`.
    """
    records = [record for record in history if record.get("cluster_sizes")]
    records = records[:: -(-len(records) // MAX_COLUMNS) or 1]
    figure = make_figure(9, 5.2)
    if not records:
        write_note(figure.subplots(), "cluster sizes were not recorded")
        return save(figure, path)
    steps = np.array([record["step"] for record in records], dtype=np.float64)
    sizes = np.array([record["cluster_sizes"] for record in records], dtype=np.float64).T
    shares = sizes / np.maximum(sizes.sum(axis=0), 1)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    shown = np.ma.masked_equal(shares, 0)
    edges = np.concatenate(
        [[min(0, steps[0] - 1)], steps]
    )  # a record stands for the steps before it
    lines = np.arange(len(sizes) + 1) - 0.5
    image = top.pcolormesh(edges, lines, shown, cmap="viridis_r", vmin=0)
    add_colorbar(figure, image, top, "share of the samples", "{x:.0%}")
    top.yaxis.set_major_locator(MaxNLocator(integer=True))
    top.set_ylabel("cluster")
    used = int((sizes[:, -1] > 0).sum())
    set_title(top, f"Samples of each cluster; {used} of {len(sizes)} in use at the end")
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    evenness = -(shares * logs).sum(axis=0) / np.log(max(len(sizes), 2))
    marker = "." if len(steps) <= MAX_MARKS else ""
    bottom.plot(steps, evenness, color=PALETTE[0], linewidth=1.4, marker=marker)
    bottom.set(ylim=(-0.02, 1.02), xlabel=unit, ylabel="evenness")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    set_title(bottom, "Evenness: entropy of the shares, relative to equal shares")
    return save(figure, path)
