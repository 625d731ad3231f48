"""What a user should know about a result before using it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_MARGIN = 0.1  # of the way from chance to certainty


class DoubtfulResultWarning(UserWarning):
    """A result that may mean nothing."""


def find_problems(
    labels: np.ndarray, confidence: np.ndarray, n_clusters: int, scores: Mapping[str, Any]
) -> list[str]:
    """Returns a sentence for each sign that the clusters of a training mean little.

    Args:
      labels: `(n_samples,)` clusters.
      confidence: `(n_samples,)` certainty of each label, in `[0, 1]`.
      n_clusters: Number of clusters.
      scores: Scores of the labels, by name.
    """
    problems = []
    n_empty = n_clusters - len(np.unique(labels))
    if n_empty:
        problems.append(f"{n_empty} of {n_clusters} clusters own no samples.")
    undefined = [name for name, value in scores.items() if _is_undefined(value)]
    if undefined:
        problems.append(f"These scores cannot be computed: {', '.join(undefined)}.")
    return [*problems, *find_uncertainty(confidence, n_clusters)]


def find_problems_of_new(labels: np.ndarray, confidence: np.ndarray, n_clusters: int) -> list[str]:
    """Returns the same for the labels of new samples, which may be few, and of few clusters."""
    problems = []
    if len(labels) >= 10 * n_clusters and len(np.unique(labels)) == 1:
        problems.append(f"All {len(labels)} samples are in cluster {labels[0]}.")
    return [*problems, *find_uncertainty(confidence, n_clusters)]


def find_uncertainty(confidence: np.ndarray, n_clusters: int) -> list[str]:
    """Returns a sentence if a model is hardly more certain of its labels than chance."""
    chance, mean = 1 / n_clusters, float(np.mean(confidence))
    if mean >= chance + _MARGIN * (1 - chance):
        return []
    return [
        f"The mean confidence of the labels is {mean:.2f}; guessing one of {n_clusters} clusters "
        f"has {chance:.2f}."
    ]


def _is_undefined(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and math.isnan(value)
