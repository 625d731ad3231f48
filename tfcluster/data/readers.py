"""Readers of users' files: arrays here, tables in `tables`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.columns import take_columns
from tfcluster.data.dataset import RawData
from tfcluster.data.table_options import TableOptions
from tfcluster.data.table_text import STDIN
from tfcluster.data.tables import TEXT_SUFFIXES, read_table
from tfcluster.errors import InputError
from tfcluster.files import check_inflated_size

ARRAY_SUFFIXES = (".npy", ".npz")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".h5ad", *ARRAY_SUFFIXES)


def read_file(path: Path, options: TableOptions) -> RawData:
    """Returns what a user's file holds.

    Args:
      path: A file with one of the endings in `SUFFIXES`; `-` for a table in standard input.
      options: How a table is written, and what its columns are.

    Raises:
      InputError: If there is no such file, or it cannot be read or used.
    """
    if str(path) == STDIN:
        return take_columns(read_table(path, options), options)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"A data file ends in {', '.join(SUFFIXES)}; received {str(path)!r}.")
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"Looked for the data file {str(path)!r} and found {found} there.")
    if suffix in ARRAY_SUFFIXES:
        if not options.partial:
            refuse_options(str(path), options)
        return read_arrays(path)
    return take_columns(read_table(path, options), options)


def refuse_options(where: str, options: TableOptions) -> None:
    """Raises `InputError` if something is said about tables where there is none.

    Args:
      where: The file or folder, for the message.
      options: What is said.
    """
    if asked := options.list_asked():
        raise InputError(
            f"{where} holds arrays; {', '.join(asked)} are for tables, whose columns have names. "
            "Leave them out."
        )


def _make_unreadable(path: Path, rule: str, error: Exception) -> InputError:
    return InputError(f"{path} cannot be read: {rule} ({type(error).__name__}: {error}).")


def read_numpy(path: Path, wanted: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Returns some arrays of an .npz file, or the array of an .npy file as `X`.

    Args:
      path: The file.
      wanted: Names of arrays; those the file does not hold are left out.

    Raises:
      InputError: If the file is damaged or holds Python objects.
    """
    check_inflated_size(path)
    try:
        # NumPy does not close a file that it opened itself and that is not a whole archive
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"X": content}
            with content:
                # a member that is no array comes as bytes
                return {name: np.asarray(content[name]) for name in wanted if name in content.files}
    # a damaged file fails in NumPy, zipfile, zlib or the parser of the header
    except Exception as error:
        rule = "it must be a whole .npy or .npz file of plain arrays, without Python objects"
        raise _make_unreadable(path, rule, error) from error


def read_arrays(path: Path) -> RawData:
    """Returns what an .npz or .npy file holds.

    Args:
      path: The file.

    Raises:
      InputError: If it cannot be read or used.
    """
    found = read_numpy(
        path, ("X", "x", "y", "x_train", "y_train", "x_test", "y_test", "feature_names")
    )
    names = tuple(map(str, found.pop("feature_names", np.array([])).ravel()))
    if "X" in found or "x" in found:
        X = found["X" if "X" in found else "x"]
        return _check_raw(path, RawData(X, found.get("y"), feature_names=names))
    parts = [found[name] for name in ("x_train", "x_test") if name in found]
    labels = [found[name] for name in ("y_train", "y_test") if name in found]
    if len(parts) != 2 or len(labels) == 1:
        raise InputError(
            f"{path} must hold X or x (and optionally y), or x_train and x_test (and optionally "
            f"y_train and y_test); of these it holds: {', '.join(found) or 'none'}."
        )
    train, test = (
        _check_raw(path, RawData(*part)) for part in itertools.zip_longest(parts, labels)
    )
    if train.X.shape[1:] != test.X.shape[1:]:
        raise InputError(
            f"{path}: x_train and x_test must have samples of one shape, "
            f"received {train.X.shape} and {test.X.shape}."
        )
    _check_one_kind(path, "x", train.X, test.X, lambda part: part.dtype == np.uint8)
    if train.y is not None and test.y is not None:
        _check_one_kind(path, "y", train.y, test.y, lambda part: part.dtype.kind in "biuf")
    y = np.concatenate([train.y, test.y]) if labels else None
    return _check_raw(path, RawData(np.concatenate(parts), y, len(train.X), names))


def _check_one_kind(
    path: Path,
    name: str,
    train: NDArray[Any],
    test: NDArray[Any],
    kind: Callable[[NDArray[Any]], bool],
) -> None:
    """Raises `InputError` for bytes beside scaled gray values, or numbers beside text."""
    if kind(train) != kind(test):
        raise InputError(
            f"{path}: {name}_train and {name}_test must be of one kind, received "
            f"{train.dtype} and {test.dtype}."
        )


def _check_raw(path: Path, raw: RawData) -> RawData:
    """Returns checked data: numbers of a usable shape, a label for each sample, and names."""
    X = raw.X
    if X.ndim not in (2, 3) or X.size == 0:
        raise InputError(
            f"{path}: features must be (n_samples, n_features) or images (n, h, w), with no axis "
            f"of length 0; received the shape {X.shape}."
        )
    if X.dtype.kind not in "biuf":
        raise InputError(f"{path}: features must be real numbers, received {X.dtype}.")
    if raw.y is not None and raw.y.shape not in ((len(X),), (len(X), 1)):
        raise InputError(
            f"{path}: there must be one label for each of the {len(X)} samples, "
            f"received labels of shape {raw.y.shape}."
        )
    n_features = math.prod(X.shape[1:])
    if len(raw.feature_names) not in (0, n_features):
        raise InputError(
            f"{path}: feature_names must name each of the {n_features} features, received "
            f"{len(raw.feature_names)} names."
        )
    return raw if raw.y is None else raw._replace(y=raw.y.reshape(-1))
