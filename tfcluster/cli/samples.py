"""The samples of a training command, and in which units its model takes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from rich.console import Console

from tfcluster.data.catalog import DATASETS, needs_scaling
from tfcluster.data.loading import Dataset, load_data
from tfcluster.data.table_options import TableOptions
from tfcluster.scaling import Standardizer


class _HasUnits(Protocol):
    @property
    def units(self) -> Standardizer | None: ...


def load_samples(
    dataset: str,
    standardize: bool | None,
    split: str = "all",
    table: TableOptions | None = None,
) -> Dataset:
    """Returns the samples that the estimator gets.

    Args:
      dataset: What `load_data` takes.
      standardize: The command's option; None leaves it to `Dataset.has_units`.
      split: As for `load_data`.
      table: Likewise.

    Raises:
      InputError: If the data cannot be downloaded, read or used.
    """
    # `load_data` standardizes some named data sets itself, unless the option decides
    scale = standardize is None or dataset not in DATASETS
    return load_data(dataset, split, standardize=scale, table=table)


def find_units(dataset: str, data: _HasUnits) -> Standardizer | None:
    """Returns how samples were scaled before the estimator got them, as part of its model.

    So the model takes new samples as they are in a file: the pixels of a file of bytes, the values
    of `heart_disease`. Other named data sets are always loaded scaled.

    Args:
      dataset: The name or file of the samples.
      data: The samples, or the clients, that were loaded.
    """
    return data.units if dataset not in DATASETS or needs_scaling(dataset) else None


def show_scaling(console: Console, samples: Iterable[np.ndarray], standardize: bool) -> None:
    """Prints that features are standardized, and how many missing values that fills.

    Args:
      console: Where to print.
      samples: `(n_samples, n_features)` of each client, or of all.
      standardize: Whether they are standardized; if not, nothing is printed.
    """
    if not standardize:
        return
    n_missing = sum(int(np.isnan(x).sum()) for x in samples)
    become = "value becomes" if n_missing == 1 else "values become"
    filled = f", and {n_missing:,} missing {become} the mean" if n_missing else ""
    console.print(f"Features get mean 0 and standard deviation 1{filled} (--standardize).")


def standardized(data: Dataset, standardizer: Standardizer | None) -> Dataset:
    """Returns samples as the networks see them, for scores and pictures.

    Args:
      data: The samples as the estimator gets them.
      standardizer: The estimator's; None if it has none.
    """
    if standardizer is None:
        return data
    X: np.ndarray = standardizer(data.X)
    return dataclasses.replace(data, X=X, units=standardizer.after(data.units))
