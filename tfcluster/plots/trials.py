"""Scores of several trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcluster.errors import InputError
from tfcluster.plots.figure import FAINT, INK, PALETTE, PathLike, make_figure, save, set_title

SCORE_LABELS = {
    "purity": "purity",
    "nmi": "NMI",
    "ari": "ARI",
    "argmax_purity": "purity of argmax",
}


def draw_trials(path: PathLike, records: Sequence[Mapping[str, Any]]) -> Path:
    """Draws the scores of several trials as dots, with the selected trial marked.

    Args:
      path: The PNG to write.
      records: One for each trial, with `seed`, `selection` (the highest is selected) and scores of
        any other name on the same scale. Missing values, text and NaN are left out.

    Returns:
      `path`.

    Raises:
      InputError: If no record has a finite `selection`.
    """
    selection = _collect_column(records, "selection")
    if not np.isfinite(selection).any():
        raise InputError(
            "`records` needs a record with a finite `selection` for each trial. "
            f"Received {len(records)} records, none with one. Leave out trials that diverged."
        )
    best = int(np.nanargmax(selection))
    keys = dict.fromkeys(["selection", *(key for record in records for key in record)])
    columns = {key: _collect_column(records, key) for key in keys if key != "seed"}
    scores = {key: values for key, values in columns.items() if np.isfinite(values).any()}
    figure = make_figure(7, 1.2 + 0.4 * len(scores), least=(7, 2.4))
    ax = figure.subplots()
    spread = "; at right mean ± standard deviation" if len(records) > 1 else ""
    for i, values in enumerate(scores.values()):
        seen = values[np.isfinite(values)]
        others = np.delete(values, best)
        ax.axhline(i, color=FAINT, linewidth=0.8, zorder=0)
        ax.plot(others, np.full(len(others), i), "o", color=PALETTE[0], markersize=7, alpha=0.6,
                markeredgewidth=0)  # fmt: skip
        ax.plot(values[best], i, "D", color=PALETTE[6], markersize=8, markeredgecolor="white")
        text = f"{seen.mean():.3f} ± {seen.std(ddof=1):.3f}" if len(seen) > 1 else ""
        ax.text(1.02, i, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8,
                color=INK)  # fmt: skip
    ax.set(ylim=(len(scores) - 0.5, -0.5), xlabel="score" + spread)
    ax.set_yticks(
        range(len(scores)), [SCORE_LABELS.get(key, key.replace("_", " ")) for key in scores]
    )
    set_title(
        ax, f"{len(records)} trials; diamonds: the selected one, seed {records[best].get('seed')}"
    )
    return save(figure, path)


def _collect_column(records: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """Returns the values of `key`, NaN where there is no finite number."""
    values = [record.get(key) for record in records]
    numbers = [v if isinstance(v, (int, float, np.number)) else np.nan for v in values]
    column = np.array(numbers, dtype=np.float64)
    return np.where(np.isfinite(column), column, np.nan)
