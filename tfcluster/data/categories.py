"""Columns of categories, each encoded as one feature per category: 1 where it holds, else 0."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.table_text import NumberFormat
from tfcluster.errors import InputError

Categories = Mapping[str, Sequence[str]]
"""The categories of each column, sorted."""


def name_features(column: str, categories: Iterable[str]) -> list[str]:
    """Returns the names of a column's features, e.g. `sex=female`."""
    return [f"{column}={category}" for category in categories]


def unfold_names(columns: Iterable[str], categories: Categories) -> list[str]:
    """Returns the names of the features that columns become.

    Args:
      columns: Names of columns.
      categories: The categories of those that are encoded.
    """
    features = []
    for column in columns:
        known = categories.get(column)
        features += [column] if known is None else name_features(column, known)
    return features


def fold_names(features: Iterable[str], categories: Categories) -> list[str]:
    """Returns the names of the columns that `features` come from; undoes `unfold_names`."""
    columns = {
        feature: column
        for column, known in categories.items()
        for feature in name_features(column, known)
    }
    return list(dict.fromkeys(columns.get(feature, feature) for feature in features))


def shorten_numbers(values: NDArray[np.str_], number_format: NumberFormat) -> NDArray[np.str_]:
    """Returns categories `(n_rows,)` in which 1, 1.0 and 1,0 are one; 01 and 1e5 are others."""
    mark = re.escape(number_format.decimal)
    number = re.compile(rf"[+-]?(0|[1-9]\d{{0,14}})({mark}\d+)?", re.ASCII)

    def shorten(text: str) -> str:
        return f"{number_format.parse(text):.15g}" if number.fullmatch(text) else text

    texts, codes = np.unique(values, return_inverse=True)
    shortened: NDArray[np.str_] = np.array([shorten(text) for text in texts.tolist()])[codes]
    return shortened


def encode(values: NDArray[np.str_], known: Sequence[str]) -> NDArray[np.float64]:
    """Returns a feature per category, `(n_rows, n_categories)`.

    Args:
      values: The category of each row, `(n_rows,)`, all of them known.
      known: The categories.
    """
    return (values[:, np.newaxis] == np.array(known)).astype(np.float64)


def merge(found: Iterable[Categories]) -> dict[str, tuple[str, ...]]:
    """Returns the union of the categories that several tables have, sorted."""
    union: dict[str, set[str]] = {}
    for categories in found:
        for column, known in categories.items():
            union.setdefault(column, set()).update(known)
    return {column: tuple(sorted(known)) for column, known in union.items()}


def check_feature_names(where: str, features: Sequence[str]) -> None:
    """Raises `InputError` for two features of one name, as a column `sex=f` beside `sex`."""
    if len(set(features)) < len(features):
        twice = next(name for name in features if features.count(name) > 1)
        raise InputError(
            f"{where}: every feature needs a name of its own. Received {twice!r} twice, at least "
            "once for a category. Rename a column."
        )
