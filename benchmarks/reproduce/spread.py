"""The spread of ClusterGAN's runs by first weights and by draws, as Markdown."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.reproduce.table import figure

Result = Mapping[str, Any]


Groups = Sequence[Sequence[float]]
"""Scores of the runs that began with the same weights."""

_PARTS = ("validation", "test")


def spread_table(lines: Sequence[Result]) -> str:
    """Purity by first weights and draws, and its deviation over either.

    Args:
      lines: Those with most steps are shown.
    """
    rows = [
        "| first weights | purity of the validation rows, draw by draw | of the test rows |",
        "|---|---|---|",
    ]
    by_weights = _by_weights(lines)
    for weights, own in by_weights.items():
        cells = (", ".join(figure(purity) for purity in _purities(own, part)) for part in _PARTS)
        rows.append(f"| {weights} | {' | '.join(cells)} |")
    if len(by_weights) > 1 and min(map(len, by_weights.values())) > 1:
        of_part = [[_purities(own, part) for own in by_weights.values()] for part in _PARTS]
        for title, summary in _SUMMARIES.items():
            rows.append(f"| {title} | {' | '.join(figure(summary(g)) for g in of_part)} |")
    return "\n".join(rows) + "\n"


def _by_weights(lines: Sequence[Result]) -> dict[int, list[Result]]:
    steps = max((line["steps"] for line in lines), default=0)
    found: dict[int, list[Result]] = {}
    for line in sorted(lines, key=lambda line: (line["weights"], line["draws"])):
        if line["steps"] == steps:
            found.setdefault(line["weights"], []).append(line)
    return found


def _purities(lines: Sequence[Result], part: str) -> list[float]:
    return [line[part]["purity"] for line in lines]


def within(groups: Groups) -> float:
    """The deviation that draws alone give: root of the groups' mean variance."""
    return float(statistics.mean(map(statistics.variance, groups)) ** 0.5)


def between(groups: Groups) -> float:
    """The deviation that first weights alone give: what draws move the means by is taken off."""
    n_draws = statistics.harmonic_mean(map(len, groups))
    variance = statistics.variance(map(statistics.mean, groups)) - within(groups) ** 2 / n_draws
    return float(max(0.0, variance) ** 0.5)


_SUMMARIES: Mapping[str, Callable[[Groups], float]] = {
    "mean of all": lambda groups: statistics.mean(itertools.chain(*groups)),
    "deviation by draws": within,
    "deviation by first weights": between,
}
