"""The spread of ClusterGAN's runs over initial weights and over draws, as Markdown."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scipy import stats

from benchmarks.markdown import format_table
from benchmarks.reproduce.published_tables import format_score

Result = Mapping[str, Any]

Groups = Sequence[Sequence[float]]
"""Scores of runs, grouped by initial weights."""

_PARTS = ("validation", "test")


def tabulate_spread(lines: Sequence[Result]) -> str:
    """Tabulates purity by initial weights and draws, its deviations, and its rank correlation.

    Args:
      lines: Result lines; only those with the largest number of steps are shown.
    """
    by_weights = _group_by_weights(lines)
    purities = [_list_scores(own, "purity") for own in by_weights.values()]
    header = ("initial weights", "purity of the validation samples by draw", "of the test samples")
    rows: list[Sequence[str]] = []
    for weights, parts in zip(by_weights, purities, strict=True):
        rows.append((str(weights), *(", ".join(map(format_score, part)) for part in parts)))
    if len(purities) > 1 and min(map(len, by_weights.values())) > 1:
        groups_by_part: list[Groups] = [list(groups) for groups in zip(*purities, strict=True)]
        for title, summary in _SUMMARIES.items():
            rows.append((title, *(format_score(summary(groups)) for groups in groups_by_part)))
        rows.append(("rank correlation with silhouette", *_correlate_ranks(by_weights)))
    return format_table(header, rows)


def _group_by_weights(lines: Sequence[Result]) -> dict[int, list[Result]]:
    steps = max((line["steps"] for line in lines), default=0)
    found: dict[int, list[Result]] = {}
    for line in sorted(lines, key=lambda line: (line["weights"], line["draws"])):
        if line["steps"] == steps:
            found.setdefault(line["weights"], []).append(line)
    return found


def _list_scores(lines: Sequence[Result], score: str) -> list[list[float]]:
    return [[line[part][score] for line in lines] for part in _PARTS]


def compute_within(groups: Groups) -> float:
    """Returns the standard deviation over draws: the root of the mean variance of the groups."""
    return float(statistics.mean(map(statistics.variance, groups)) ** 0.5)


def compute_between(groups: Groups) -> float:
    """Returns the standard deviation over initial weights, without the variance of the draws."""
    n_draws = statistics.harmonic_mean(map(len, groups))
    variance = (
        statistics.variance(map(statistics.mean, groups)) - compute_within(groups) ** 2 / n_draws
    )
    return float(max(0.0, variance) ** 0.5)


_SUMMARIES: Mapping[str, Callable[[Groups], float]] = {
    "mean of all": lambda groups: statistics.mean(itertools.chain(*groups)),
    "deviation over draws": compute_within,
    "deviation over initial weights": compute_between,
}


def _correlate_ranks(by_weights: Mapping[int, Sequence[Result]]) -> list[str]:
    """Returns Spearman's rank correlation of purity with silhouette, which needs no labels."""
    lines = list(itertools.chain(*by_weights.values()))
    pairs = zip(_list_scores(lines, "purity"), _list_scores(lines, "silhouette"), strict=True)
    return [f"{stats.spearmanr(purity, other).statistic:.2f}" for purity, other in pairs]
