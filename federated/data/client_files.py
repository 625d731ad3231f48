"""Clients from a user's folder with a data file for each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfcluster.data.loading import Dataset, load_data
from tfcluster.data.readers import read_file
from tfcluster.errors import InputError
from tfcluster.metrics import encode_labels


def load_folder(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], list[Dataset]]:
    """Loads clients from a folder with a .npz, .npy or .csv file for each, as `load_data` does.

    Args:
      path: The folder; hidden files in it are ignored.

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
    names = tuple(file.stem for file in files)
    if not len(set(names)) == len(names) > 0:
        raise InputError(
            f"{folder} must hold a data file per client, all of different names without the "
            f"suffix. Received: {', '.join(file.name for file in files) or 'none'}."
        )
    datasets = [load_data(file) for file in files]
    first, *others = map(_kind, datasets)
    for file, kind in zip(files[1:], others, strict=True):
        if kind != first:
            raise InputError(
                f"The clients of {folder} must be alike. Received {first} in {files[0].name}, "
                f"{kind} in {file.name}."
            )
    _check_columns(folder, files, datasets)
    return names, datasets if datasets[0].y is None else _with_common_labels(files, datasets)


def _check_columns(folder: Path, files: Sequence[Path], datasets: Sequence[Dataset]) -> None:
    """Raises `InputError` if the columns of two files have other names or another order."""
    for file, data in zip(files, datasets, strict=True):
        pairs = zip(datasets[0].feature_names, data.feature_names, strict=True)
        place = next((i for i, (first, own) in enumerate(pairs) if first != own), None)
        if place is not None:
            raise InputError(
                f"The clients of {folder} must have the same columns in the same order. Received "
                f"{datasets[0].feature_names[place]!r} as feature {place} in {files[0].name}, "
                f"{data.feature_names[place]!r} in {file.name}. Give all files the same columns."
            )


def _kind(data: Dataset) -> str:
    """Returns what all clients must have alike."""
    drawn = f" drawn as {data.picture.kind} {data.picture.shape}" if data.picture else ""
    if data.units is not None:  # pixels of other clients would not be divided
        drawn += f" in bytes, 0 to {data.units.sd[0]:g},"
    return f"{data.X.shape[1]} features{drawn} with{'out' if data.y is None else ''} labels"


def _with_common_labels(files: Sequence[Path], datasets: Sequence[Dataset]) -> list[Dataset]:
    """Numbers text over all files: `load_data` sees one, where 0 may be another class."""
    labels = np.concatenate([read_file(file).y for file in files])
    with contextlib.suppress(ValueError):
        if np.array_equal(labels.astype(np.float64), np.concatenate([d.y for d in datasets])):
            return list(datasets)
    codes = encode_labels(labels)[1]
    parts = np.split(codes, np.cumsum([len(data.X) for data in datasets])[:-1])
    return [dataclasses.replace(data, y=part) for data, part in zip(datasets, parts, strict=True)]
