"""Which number of clusters to choose, when there are no labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from tfcluster.errors import InputError

Record = Mapping[str, Any]
"""Scores of one number of clusters: `n_clusters`, and any of `silhouette` or
`simplified_silhouette`, `calinski_harabasz`, `davies_bouldin`, and `stability`: the mean adjusted
Rand index between the labels of repeated runs."""

STABILITY_MARGIN = 0.1
"""A number of clusters is clearly less stable if it is by more than this below the median."""

_NAMES = {
    "silhouette": "silhouette",
    "simplified_silhouette": "simplified silhouette",
    "calinski_harabasz": "Calinski-Harabasz",
    "davies_bouldin": "Davies-Bouldin",
}


class Recommendation(NamedTuple):
    """A number of clusters and the reason to choose it.

    Attributes:
      n_clusters: The number; None if the records do not support any.
      reason: One paragraph of plain English.
    """

    n_clusters: int | None
    reason: str


def recommend_n_clusters(records: Sequence[Record]) -> Recommendation:
    """Returns the number of clusters that the scores support best, and why.

    The rule: set aside the numbers whose stability is more than `STABILITY_MARGIN` below the
    median of all numbers; of the others, take the number with the highest silhouette (the
    simplified one if there is no other), and the smaller number if two are equal. The median
    serves, and not the highest stability, because a small number may be very stable without being
    right. Calinski-Harabasz and Davies-Bouldin do not decide: the reason tells whether they agree.
    Missing scores and NaN are left out: a number without a stability is not set aside, and one
    without a silhouette is not taken.

    Args:
      records: One for each number of clusters.

    Raises:
      InputError: If there are no records, or two with the same number.
    """
    records = _sorted(records)
    score = "silhouette" if _values(records, "silhouette") else "simplified_silhouette"
    unstable = _unstable(records)
    values = {k: v for k, v in _values(records, score).items() if k not in unstable}
    if not values:
        return Recommendation(
            None, "No number of clusters is recommended: no silhouette could be computed."
        )
    best = max(values, key=values.__getitem__)
    sentences = [
        _silhouette_sentence(score, best, values),
        _stability_sentence(records, unstable),
        _agreement_sentence(records, best),
        _range_sentence(records, best),
    ]
    return Recommendation(best, " ".join(filter(None, sentences)))


def _sorted(records: Sequence[Record]) -> list[Record]:
    ordered = sorted(records, key=lambda record: record["n_clusters"])
    numbers = [record["n_clusters"] for record in ordered]
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(
            "`records` needs one record for each number of clusters. Received the numbers: "
            f"{numbers}. Average repeated runs of one number first."
        )
    return ordered


def _values(records: Sequence[Record], name: str) -> dict[int, float]:
    """Returns the finite values of a score by number of clusters."""
    found = ((record["n_clusters"], record.get(name)) for record in records)
    return {k: float(v) for k, v in found if v is not None and math.isfinite(v)}


def _unstable(records: Sequence[Record]) -> list[int]:
    """Returns the numbers that are clearly less stable than most."""
    values = _values(records, "stability")
    return [k for k, v in values.items() if v < median(values.values()) - STABILITY_MARGIN]


def _silhouette_sentence(score: str, best: int, values: Mapping[int, float]) -> str:
    others = f", the highest of {len(values)} numbers" if len(values) > 1 else ""
    return f"{best} clusters: the {_NAMES[score]} is {values[best]:.3f}{others}."


def _stability_sentence(records: Sequence[Record], unstable: Sequence[int]) -> str:
    values = _values(records, "stability")
    if not values:
        return "Stability over repeated runs was not measured."
    middle = f"({median(values.values()):.2f})"
    if not unstable:
        return f"No number is clearly less stable than the median {middle}."
    return (
        f"Set aside because their stability is more than {STABILITY_MARGIN} below the median "
        f"{middle}: {_list(unstable)} clusters."
    )


def _agreement_sentence(records: Sequence[Record], best: int) -> str:
    """Tells whether Calinski-Harabasz (higher is better) and Davies-Bouldin (lower) agree."""
    favorites = {}
    if higher := _values(records, "calinski_harabasz"):
        favorites["calinski_harabasz"] = max(higher, key=higher.__getitem__)
    if lower := _values(records, "davies_bouldin"):
        favorites["davies_bouldin"] = min(lower, key=lower.__getitem__)
    agreeing = [_NAMES[name] for name, k in favorites.items() if k == best]
    parts = []
    if agreeing:
        verb = "agree" if len(agreeing) > 1 else "agrees"
        parts.append(f"{_list(agreeing)} {verb}")
    parts += [f"{_NAMES[name]} prefers {k}" for name, k in favorites.items() if k != best]
    return f"{'; '.join(parts)}." if parts else ""


def _range_sentence(records: Sequence[Record], best: int) -> str:
    """Warns that a number at the upper end of the range may not be the best one."""
    if len(records) > 2 and best == records[-1]["n_clusters"]:
        return "This is the largest number compared; a larger one may be better."
    return ""


def _list(items: Sequence[object]) -> str:
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last
