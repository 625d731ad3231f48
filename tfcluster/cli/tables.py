"""What the commands say and keep about tables: columns, ids, and names of features."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from rich.console import Console

from tfcluster.data.dataset import Dataset
from tfcluster.data.table_options import TableReport
from tfcluster.errors import InputError

Model = TypeVar("Model")


class Ids(NamedTuple):
    """Names of samples, which tables of labels repeat.

    Attributes:
      name: Name of the column.
      values: `(n_samples,)` texts.
    """

    name: str
    values: Sequence[str]


def find_ids(table: TableReport | None) -> Ids | None:
    """Returns the ids of a table's samples; None without any."""
    if table is None or table.ids is None or table.id_column is None:
        return None
    return Ids(table.id_column, table.ids.tolist())


def show_tables(console: Console, tables: Sequence[TableReport]) -> None:
    """Prints a line about each table, its columns and what was guessed, and the categories.

    Tables of several clients have the categories of all of them.
    """
    lines = [table.describe() for table in tables]
    known = tables[0].categories if tables else {}
    over = f" over all {len(tables)} files" * (len(tables) > 1)
    lines += [f"Categories of {name!r}{over}: {', '.join(known[name])}" for name in known]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def get_tables(data: Dataset) -> tuple[TableReport, ...]:
    """Returns what a data set was taken as, if it is a table."""
    return () if data.table is None else (data.table,)


def get_categories(folder: Path, config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Returns the categories of each column that a run encoded.

    Args:
      folder: The run's folder, for the error.
      config: What its `config.json` holds.

    Raises:
      InputError: If it is damaged there.
    """
    try:
        found = [table.get("categories", {}) for table in config.get("tables", [])[:1]]
        return {str(name): tuple(map(str, known)) for each in found for name, known in each.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / 'config.json'} is damaged: `tables` must hold the categories of columns "
            f"({error}). Put the run's own file back."
        ) from error


def get_column_names(data: Dataset) -> tuple[str, ...]:
    """Returns the names of a table's features; none if they are not its own."""
    return data.feature_names if data.has_columns else ()


def with_names(model: Model, names: Sequence[str]) -> Model:
    """Returns a fitted model to save with the names of its features, by which `predict` finds them.

    The model itself stays without names: it is given matrices, of which scikit-learn would warn.

    Args:
      model: A `DEC` or a `ClusterGAN`.
      names: Names of the features; empty for none.
    """
    if not names:
        return model
    named: Any = copy.copy(model)
    named.feature_names_in_ = np.array(names, dtype=object)
    return cast(Model, named)
