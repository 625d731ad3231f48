"""Clients from a user's folder with a data file for each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcluster.data.categories import merge
from tfcluster.data.columns import check_features, check_few_categories
from tfcluster.data.dataset import Dataset, RawData
from tfcluster.data.loading import build_dataset
from tfcluster.data.readers import read_file, refuse_options
from tfcluster.data.table_options import TableOptions
from tfcluster.errors import InputError
from tfcluster.metrics import encode_labels


def load_folder(
    path: str | os.PathLike[str], table: TableOptions | None = None
) -> tuple[tuple[str, ...], list[Dataset]]:
    """Loads clients from a folder with a file for each, as `load_data` does.

    Columns of tables are matched by name, in any order; files without a header go by position.

    Args:
      path: The folder; hidden files in it are ignored.
      table: How tables are written, and what their columns are. The id and the columns to drop may
        be absent from some files. Columns of categories are encoded alike, by the categories that
        any file has.

    Returns:
      The names of the clients (of the files, without suffix), sorted by file, and their samples.
      Labels that are not whole numbers are numbered over all files together.

    Raises:
      InputError: There is no such folder or no file in it, a file cannot be read, two have one
        name, or clients differ in their features, their pictures or in having labels.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"Looked for a folder with a file per client and found none at {folder}.")
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    names = tuple(_client_name(file) for file in files)
    if not len(set(names)) == len(names) > 0:
        raise InputError(
            f"{folder} must hold a data file per client, all of different names without the "
            f"suffix. Received: {', '.join(file.name for file in files) or 'none'}."
        )
    options = dataclasses.replace(table or TableOptions(), partial=True)
    if options.categorical:
        options = dataclasses.replace(options, categories=_agree(folder, files, options))
    raws = [read_file(file, options) for file in files]
    _check_found(folder, raws, options)
    datasets = [build_dataset(file, raw) for file, raw in zip(files, raws, strict=True)]
    datasets = _match_columns(files, datasets)
    first, *others = map(_kind, datasets)
    for file, kind in zip(files[1:], others, strict=True):
        if kind != first:
            raise InputError(
                f"The clients of {folder} must be alike. Received {first} in {files[0].name}, "
                f"{kind} in {file.name}."
            )
    return names, datasets if datasets[0].y is None else _with_common_labels(raws, datasets)


def _agree(
    folder: Path, files: Sequence[Path], options: TableOptions
) -> dict[str, tuple[str, ...]]:
    """Returns the categories that all clients encode: those that any of them has."""
    tables = [raw.table for raw in (read_file(file, options) for file in files) if raw.table]
    union = merge(table.categories for table in tables)
    check_few_categories(str(folder), union, sum(table.n_samples for table in tables))
    return union


def _client_name(file: Path) -> str:
    return Path(file.stem).stem if file.suffix.lower() == ".gz" else file.stem


def _check_found(folder: Path, raws: Sequence[RawData], options: TableOptions) -> None:
    """Raises `InputError` for an id or a column to drop that no file has."""
    tables = [raw.table for raw in raws if raw.table is not None]
    if not tables:
        refuse_options(str(folder), options)
    found = {name for table in tables for name in (*table.dropped, table.id_column)}
    for option, name in [("--id-column", options.id_column)] + [
        ("--drop", name) for name in options.drop
    ]:
        if name is not None and name not in found:
            raise InputError(
                f"{option} must name a column of a file in {folder}. Received {name!r}, which none "
                "has."
            )


def _match_columns(files: Sequence[Path], datasets: Sequence[Dataset]) -> list[Dataset]:
    """Returns the samples with the features in the order of the first file that names them."""
    known = next((data.feature_names for data in datasets if data.has_columns), None)
    if known is None:
        return list(datasets)
    matched = []
    for file, data in zip(files, datasets, strict=True):
        if data.has_columns:
            check_features(str(file), data.feature_names, known)
            order = [data.feature_names.index(name) for name in known]
            X: Any = np.ascontiguousarray(data.X[:, order])
            data = dataclasses.replace(data, X=X, feature_names=known)
        elif data.X.shape[1] == len(known):
            data = dataclasses.replace(data, feature_names=known, has_columns=True)
        matched.append(data)
    return matched


def _kind(data: Dataset) -> str:
    """Returns what all clients must have alike."""
    drawn = f" drawn as {data.picture.kind} {data.picture.shape}" if data.picture else ""
    if data.units is not None:  # pixels of other clients would not be divided
        drawn += f" in bytes, 0 to {data.units.sd[0]:g},"
    return f"{data.X.shape[1]} features{drawn} with{'out' if data.y is None else ''} labels"


def _with_common_labels(raws: Sequence[RawData], datasets: Sequence[Dataset]) -> list[Dataset]:
    """Numbers text over all files: in one file alone, 0 may be another class."""
    labels = np.concatenate([raw.y for raw in raws if raw.y is not None])
    with contextlib.suppress(ValueError):
        if np.array_equal(labels.astype(np.float64), np.concatenate([d.y for d in datasets])):
            return list(datasets)
    codes = encode_labels(labels)[1]
    parts = np.split(codes, np.cumsum([len(data.X) for data in datasets])[:-1])
    return [dataclasses.replace(data, y=part) for data, part in zip(datasets, parts, strict=True)]
