"""The spread of ClusterGAN's runs by first weights and by draws, as Markdown."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scipy import stats

from benchmarks.reproduce.table import figure, markdown_row

Result = Mapping[str, Any]

Groups = Sequence[Sequence[float]]
"""Scores of the runs that began with the same weights."""

_PARTS = ("validation", "test")


def spread_table(lines: Sequence[Result]) -> str:
    """Purity by first weights and draws, its deviation over either, and whether silhouette tells.

    Args:
      lines: Those with most steps are shown.
    """
    by_weights = _by_weights(lines)
    purities = [_by_part(own, "purity") for own in by_weights.values()]
    rows: list[tuple[str, ...]] = [
        ("first weights", "purity of the validation rows, draw by draw", "of the test rows"),
        ("---",) * 3,
    ]
    for weights, parts in zip(by_weights, purities, strict=True):
        rows.append((str(weights), *(", ".join(map(figure, part)) for part in parts)))
    if len(purities) > 1 and min(map(len, by_weights.values())) > 1:
        groups_by_part: list[Groups] = [list(groups) for groups in zip(*purities, strict=True)]
        for title, summary in _SUMMARIES.items():
            rows.append((title, *(figure(summary(groups)) for groups in groups_by_part)))
        rows.append(("rank correlation with silhouette", *_rank_correlations(by_weights)))
    return "".join(f"{markdown_row(row)}\n" for row in rows)


def _by_weights(lines: Sequence[Result]) -> dict[int, list[Result]]:
    steps = max((line["steps"] for line in lines), default=0)
    found: dict[int, list[Result]] = {}
    for line in sorted(lines, key=lambda line: (line["weights"], line["draws"])):
        if line["steps"] == steps:
            found.setdefault(line["weights"], []).append(line)
    return found


def _by_part(lines: Sequence[Result], score: str) -> list[list[float]]:
    return [[line[part][score] for line in lines] for part in _PARTS]


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


def _rank_correlations(by_weights: Mapping[int, Sequence[Result]]) -> list[str]:
    """Spearman's, of purity with what is there without labels."""
    lines = list(itertools.chain(*by_weights.values()))
    pairs = zip(_by_part(lines, "purity"), _by_part(lines, "silhouette"), strict=True)
    return [f"{stats.spearmanr(purity, other).statistic:.2f}" for purity, other in pairs]
