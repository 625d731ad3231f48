"""Data sets by name or from a user's file.

A named data set is looked for in the folder that the environment variable `TFCLUSTER_DATA` names,
then in Keras' cache, and is otherwise downloaded by Keras or scikit-learn. If they cannot download
it, the error says which file to get, from where, and where to put it. No file is ever unpickled.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.catalog import (
    DATASETS,
    GROUPS,
    DatasetInfo,
    divide,
    list_splits,
    needs_scaling,
)
from tfcluster.data.dataset import Dataset, Picture, RawData, number_features
from tfcluster.data.readers import SUFFIXES, read_arrays, read_file, read_numpy
from tfcluster.data.synthetic import make_synthetic
from tfcluster.data.table_options import TableOptions
from tfcluster.data.table_text import STDIN
from tfcluster.data.tables import is_missing
from tfcluster.errors import InputError, unknown_name
from tfcluster.scaling import narrow

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "Picture",
    "TableOptions",
    "load_data",
    "load_groups",
    "make_synthetic",
]

FOLDER_VARIABLE = "TFCLUSTER_DATA"


def load_data(
    name: str | os.PathLike[str],
    split: str = "all",
    *,
    standardize: bool = True,
    table: TableOptions | None = None,
) -> Dataset:
    """Loads a data set by name, or a user's file by path.

    A name is one of `DATASETS`. Its features are scaled to [0, 1], except those of `heart_disease`
    and `mice_protein`: missing values become the feature's mean, and every feature gets mean 0 and
    standard deviation 1.

    A path has a separator or one of the endings below; `-` is a table in standard input. Its
    features are used as they are, NaN included, in float32, or in float64 where float32 would round
    them (so that time stamps 30 s apart stay apart until they are standardized):

    - .npz: `X` or `x`, and optionally `y` and `feature_names`; or Keras' `x_train`, `x_test` and
      optionally `y_train`, `y_test`. Images (n, h, w) are flattened, and divided by 255 if they are
      uint8.
    - .npy: the features alone, under the same rules.
    - .csv, .tsv, .txt, .data, and any of them as .gz: a table of numbers, see `tables.read_table`
      for what is a header. Empty cells, `?`, `NA`, `N/A`, `NaN` and `null` are NaN. A column
      `label` holds the labels. Columns that may be labels, ids or row numbers are refused until
      `table` says what they are.
    - .parquet and .h5ad: a table, likewise.

    Labels that are not whole numbers (any text) are numbered 0, 1, ... in sorted order.

    Args:
      name: A name or a path.
      split: "all" (train samples, then test samples, in the original order), "train" or "test".
        MNIST, Fashion-MNIST (and `fashion5`) and Pendigits also have the train samples as
        ClusterGAN's authors use them: "validation", by which they choose a model (the first 5,000;
        the last 1,000 of Pendigits), and "fit", on which they train it (the other 55,000; all train
        samples of Pendigits).
      standardize: If False, `heart_disease`, `mice_protein` and images of a user's file are as in
        the file, with NaN where values are missing, for clients or a model to scale. Other sets
        stay the same, because their scaling depends on no statistics.
      table: How a table is written, and what its columns are.

    Returns:
      The samples of the split, with names and units of their features.

    Raises:
      InputError: If the name or split is unknown, or the data cannot be downloaded, read or used.
    """
    name = os.fspath(name)
    if _is_path(name):
        path = Path(os.path.expanduser(name))
        return build_dataset(path, read_file(path, table or TableOptions()), split, standardize)
    if table not in (None, TableOptions()):
        raise InputError(
            f"Options of tables are for a file. Received {name!r}, which is no path, with {table}."
        )
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    info = DATASETS[name]
    part = _split(name, split, info.splits)
    raw, y = _obtain(info)
    X, units = _as_features(raw.X[part]), None
    if standardize or not needs_scaling(name):
        X, units = info.scale(X, name)
    names = _feature_names(raw, info.picture, info.feature_names)
    has_columns = bool(raw.feature_names or info.feature_names)
    return Dataset(X, _as_labels(y, name)[part], info.picture, names, units, has_columns)


def check_exists(name: str) -> None:
    """Raises the error of `load_data` for an unknown name or a file that does not exist.

    It reads nothing; a folder may be given where files are the clients.
    """
    if name not in (*DATASETS, STDIN) and not Path(os.path.expanduser(name)).exists():
        load_data(name)


def load_groups(name: str, split: str = "all") -> NDArray[np.int64]:
    """Returns the natural group of each sample: the writer, the hospital or the mouse.

    Args:
      name: "mnist" (the NIST writer: 539 in train, 297 others in test), "heart_disease"
        (0 Cleveland, 1 Hungarian, 2 Switzerland, 3 VA Long Beach) or "mice_protein" (72 mice).
      split: As for `load_data`.

    Returns:
      int64 (n_samples,), in the order of `load_data(name, split)`.

    Raises:
      InputError: If the set has no groups, or their file is absent or does not fit.
    """
    if name not in GROUPS:
        raise unknown_name("data set with groups", name, GROUPS)
    info = DATASETS[name]
    part = _split(name, split, info.splits)
    file, arrays, source = GROUPS[name]
    path = _find_file(file)
    if path is None:
        raise InputError(f"The groups of {name!r} need a file. {_advice(file, arrays, source)}")
    found = read_numpy(path, arrays)
    groups = [found[array].reshape(-1) for array in arrays if array in found]
    if len(groups) < len(arrays) or sum(map(len, groups)) != info.n_samples:
        raise InputError(
            f"{path} must hold {' and '.join(arrays)}, {info.n_samples} values in all."
        )
    return _as_labels(np.concatenate(groups), str(path))[part]


def _obtain(info: DatasetInfo) -> tuple[RawData, NDArray[Any]]:
    """Returns a named set from its file, or else downloaded, and its labels."""
    path = _find_file(info.file) if info.file else None
    raw = _fetch(info) if path is None else read_arrays(path)
    shape = (len(raw.X), math.prod(raw.X.shape[1:]))
    expected = (info.n_samples, info.n_features or shape[1])
    if raw.y is None or shape != expected or raw.n_train != info.n_train:
        raise InputError(
            f"{path or info.name} must hold {info.layout}; received features {raw.X.shape} "
            f"{'without' if raw.y is None else 'with'} labels, train samples: {raw.n_train}."
        )
    if info.relabel is None:
        return raw, raw.y
    top, is_whole = len(info.relabel) - 1, raw.y.dtype.kind in "iu"
    if not is_whole or raw.y.min() < 0 or raw.y.max() > top:
        received = f"{raw.y.min()} to {raw.y.max()}" if is_whole else raw.y.dtype
        raise InputError(
            f"{path or info.name}: labels must be integers from 0 to {top}, received {received}."
        )
    return raw, info.relabel[raw.y]


def _fetch(info: DatasetInfo) -> RawData:
    if info.fetch is None:
        raise _absent(info, "no loader downloads it")
    try:
        return info.fetch()
    # Keras' downloads fail with a plain Exception
    except Exception as error:
        reason = f"it could not be downloaded ({type(error).__name__}: {error})"
        raise _absent(info, reason) from error


def _absent(info: DatasetInfo, reason: str) -> InputError:
    advice = _advice(str(info.file), [info.layout], info.source)
    return InputError(f"The data set {info.name!r} is not on this machine, and {reason}. {advice}")


def _advice(file: str, arrays: Iterable[str], source: str) -> str:
    folder = os.environ.get(FOLDER_VARIABLE) or "not set"
    return (
        f"Get it from {source}. Save it as {file} in the folder that the environment variable "
        f"{FOLDER_VARIABLE} names (now: {folder}), with the arrays {' and '.join(arrays)}."
    )


def _find_file(file: str) -> Path | None:
    keras = Path(os.environ.get("KERAS_HOME") or "~/.keras") / "datasets"
    chosen = os.environ.get(FOLDER_VARIABLE)
    folders = [Path(chosen), keras] if chosen else [keras]
    paths = (folder.expanduser() / file for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def _is_path(name: str) -> bool:
    has_separator = any(mark in name for mark in {os.sep, "/"})
    return name == STDIN or has_separator or name.lower().endswith(SUFFIXES)


def build_dataset(path: Path, raw: RawData, split: str = "all", scale: bool = True) -> Dataset:
    """Returns a split of the samples that `read_file` read.

    Args:
      path: The file, for messages.
      raw: The samples.
      split: As for `load_data`.
      scale: Whether pixels in bytes are divided by 255.

    Raises:
      InputError: If there is no such split, or a label is missing.
    """
    part = _split(str(path), split, list_splits(raw.n_train))
    X: NDArray[Any] = narrow(raw.X[part].reshape(len(raw.X[part]), -1))
    y = None if raw.y is None else _as_labels(raw.y, str(path))[part]
    picture = None if raw.X.ndim == 2 else Picture("image", raw.X.shape[1:])
    units = None
    if scale and picture and raw.X.dtype == np.uint8:
        X, units = divide(X, 255)
    is_table = picture is None and (raw.table is not None or bool(raw.feature_names))
    names, has_columns = _feature_names(raw, picture), bool(raw.feature_names)
    return Dataset(X, y, picture, names, units, has_columns, raw.table, is_table)


def _split(name: str, split: str, splits: Mapping[str, slice]) -> slice:
    if split not in splits:
        raise InputError(f"{name!r} has no split {split!r}. There is: {', '.join(splits)}.")
    return splits[split]


def _feature_names(
    raw: RawData, picture: Picture | None, known: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Returns names as read, as known, by place in the picture, or else `x0`, `x1`, ..."""
    placed = picture.feature_names if picture else ()
    return raw.feature_names or known or placed or number_features(math.prod(raw.X.shape[1:]))


def _as_features(X: NDArray[Any]) -> NDArray[np.float32]:
    """Returns a new float32 (n_samples, n_features) array, C-contiguous."""
    return X.reshape(len(X), -1).astype(np.float32, order="C")


def _as_labels(y: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Returns whole numbers as they are; numbers anything else in sorted order."""
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise InputError(f"{where}: every sample needs a label, received NaN.")
    if y.dtype.kind == "U" and any(is_missing(label) for label in np.unique(y)):
        row = next(i for i, label in enumerate(y) if is_missing(label))
        received = repr(str(y[row]))
        raise InputError(f"{where}, row {row}: every sample needs a label, received {received}.")
    with contextlib.suppress(ValueError):
        numbers = y.astype(np.float64)
        if (numbers == np.round(numbers)).all() and (np.abs(numbers) < 2**53).all():
            return numbers.astype(np.int64)
    codes: NDArray[np.int64] = np.unique(y, return_inverse=True)[1].astype(np.int64)
    return codes
