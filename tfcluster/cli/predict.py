"""`tfcluster predict`: labels new samples."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from tfcluster.cli.options import PredictOptions, TableArguments
from tfcluster.cli.problems import DoubtfulResultWarning, find_problems_of_new
from tfcluster.cli.recorded_options import check_values
from tfcluster.cli.run_folder import RunFolder, format_labels
from tfcluster.cli.tables import Ids, find_ids, get_categories, get_tables, show_tables
from tfcluster.clustergan.estimator import ClusterGAN
from tfcluster.data.columns import check_features
from tfcluster.data.dataset import Dataset
from tfcluster.data.loading import DATASETS, load_data
from tfcluster.data.table_options import TableOptions
from tfcluster.dec.estimator import DEC
from tfcluster.errors import InputError
from tfcluster.files import atomic_write, load_arrays


def predict(options: PredictOptions, *, console: Console) -> None:
    """Labels samples with a finished run's model and writes a table of the labels.

    Args:
      options: The run, the samples, and where the table goes.
      console: Where the table is printed unless it goes to a file.

    Raises:
      InputError: If the run is not finished, the samples are not like those it was trained on, or
        the file cannot be written.
    """
    found = _label_file(options.run, options.file, options)
    table = format_labels(found.labels, found.confidence, found.ids)
    if options.out is None:
        console.file.write(table)  # as it is: the console would wrap it
    else:
        with atomic_write(options.out) as stream:
            stream.write(table.encode())
    for problem in find_problems_of_new(found.labels, found.confidence, found.n_clusters):
        warnings.warn(problem, DoubtfulResultWarning, stacklevel=2)


def predict_file(run: Path, file: str, arguments: TableArguments | None = None) -> str:
    """Returns labels of a file's samples as CSV text, by a finished run's model.

    Columns are matched by name, in any order, if both the model and the file have names. What was
    decided about columns otherwise is printed to standard error.

    Args:
      run: Folder that `tfcluster train` or `tfcluster federate` wrote.
      file: What `load_data` takes.
      arguments: What is said about the file; columns that are no features are the run's otherwise.

    Returns:
      Row of the file, its id if there is one, label, and confidence: q of the label (DEC), or the
      largest entry of z_c (ClusterGAN).

    Raises:
      InputError: If the run is not finished, or the samples do not have the features it was trained
        on.
    """
    found = _label_file(run, file, arguments or TableArguments())
    return format_labels(found.labels, found.confidence, found.ids)


class _Labels(NamedTuple):
    labels: np.ndarray
    confidence: np.ndarray
    n_clusters: int
    ids: Ids | None


def _label_file(run: Path, file: str, arguments: TableArguments) -> _Labels:
    """Labels a file's samples; see `predict_file`."""
    folder = RunFolder.open(run)
    path = folder.path / "model.npz"
    if not path.exists():
        raise _no_model(folder)
    _, meta = load_arrays(path)
    kind, run_id = (
        (meta.get(name) for name in ("estimator", "run")) if isinstance(meta, dict) else ("", None)
    )
    if run_id != folder.id:
        raise InputError(
            f"{path} is not of the run in this folder: config.json and model.npz hold different "
            "ids. Put the run's own file back, or load the model with `DEC.load`."
        )
    model = ClusterGAN.load(path) if kind == ClusterGAN.kind else DEC.load(path)
    names = tuple(getattr(model, "feature_names_in_", ()))
    options = _complete_options(folder, arguments, names)
    # a model that knows the scaling takes samples as they are in the file
    data = load_data(
        file,
        standardize=model.standardizer_ is None,
        table=None if file in DATASETS else options,
    )
    console = Console(stderr=True)
    show_tables(console, get_tables(data))
    X = _match_columns(file, data, names, console)
    return _Labels(*_label(model, X), len(model.cluster_centers_), find_ids(data.table))


def _no_model(folder: RunFolder) -> InputError:
    """Returns the error for a folder without a model, which names the folders within that have."""
    found = sorted(path.parent.name for path in folder.path.glob("*/model.npz"))
    if found:
        numbers = sorted(found, key=lambda name: (len(name), name))
        return InputError(
            f"{folder.path} holds several models. Give the folder of one: "
            f"{', '.join(str(folder.path / name) for name in numbers)}."
        )
    return InputError(
        f"{folder.path} holds no model: the run is not finished. Finish it with --resume."
    )


def _complete_options(
    folder: RunFolder, arguments: TableArguments, names: tuple[str, ...]
) -> TableOptions:
    """Returns what is said about the new file, and otherwise about the columns of the run's."""
    recorded = check_values(TableArguments, folder.config, folder.path / "config.json")
    of_columns = (
        "label_column", "id_column", "group_column", "drop", "keep", "categorical", "missing",
    )  # fmt: skip
    inherited = {n: recorded.get(n) for n in of_columns if getattr(arguments, n) is None}
    known = TableArguments(**{**_to_dict(arguments), **inherited}).table_options()
    categories = get_categories(folder.path, folder.config)
    if set(known.categorical) != set(categories):
        raise InputError(
            "The columns of --categorical must be those of the run, "
            f"{', '.join(map(repr, categories)) or 'none'}. Received: "
            f"{', '.join(map(repr, known.categorical)) or 'none'}. Leave the option out."
        )
    return dataclasses.replace(
        known, features=names or None, categories=categories or None, partial=True
    )


def _to_dict(arguments: TableArguments) -> dict[str, Any]:
    return {
        field.name: getattr(arguments, field.name) for field in dataclasses.fields(TableArguments)
    }


def _match_columns(file: str, data: Dataset, names: tuple[str, ...], console: Console) -> Any:
    """Returns samples with the features in the model's order; a data frame if it knows names."""
    if not names:
        if data.has_columns:
            _say(console, f"The model knows no names, so the columns of {file} go by position.")
        return data.X
    import pandas as pd

    X = data.X
    if data.has_columns:
        check_features(file, data.feature_names, names)
        X = X[:, [data.feature_names.index(name) for name in names]]
    elif X.shape[1] == len(names):
        _say(console, f"{file} names no columns, so they go by position: {', '.join(names)}.")
    else:
        raise InputError(
            f"{file}: the model has {len(names)} features, {', '.join(names)}. Received "
            f"{X.shape[1]} columns without names."
        )
    return pd.DataFrame(X, columns=list(names))


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _label(model: DEC | ClusterGAN, X: Any) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(model, ClusterGAN):
        z_c = model.transform(X)[:, model.config_.n_noise :]
        return model.predict(X), z_c.max(axis=1)
    q = model.soft_assign(X)
    return q.argmax(axis=1), q.max(axis=1)
