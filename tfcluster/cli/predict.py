"""`tfcluster predict`: labels new samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from tfcluster.cli.options import PredictOptions, TableArguments
from tfcluster.cli.run_folder import RunFolder, format_labels
from tfcluster.cli.tables import find_ids, get_tables, show_tables
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
    table = predict_file(options.run, options.file, options)
    if options.out is None:
        console.file.write(table)  # as it is: the console would wrap it
        return
    with atomic_write(options.out) as stream:
        stream.write(table.encode())


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
    folder = RunFolder.open(run)
    path = folder.path / "model.npz"
    if not path.exists():
        raise InputError(
            f"{run} holds no model: the run is not finished, or it compares numbers of clusters. "
            "Finish it with --resume, or give the folder of one number of clusters."
        )
    is_gan = load_arrays(path)[1].get("estimator") == ClusterGAN.kind
    model = ClusterGAN.load(path) if is_gan else DEC.load(path)
    names = tuple(getattr(model, "feature_names_in_", ()))
    options = _complete_options(folder, arguments or TableArguments(), names)
    # a model that standardizes takes samples as they are in the file
    data = load_data(
        file,
        standardize=model.standardizer_ is None,
        table=None if file in DATASETS else options,
    )
    console = Console(stderr=True)
    show_tables(console, get_tables(data))
    X = _match_columns(file, data, names, console)
    labels, confidence = _label(model, X)
    return format_labels(labels, confidence, find_ids(data.table))


def _complete_options(
    folder: RunFolder, arguments: TableArguments, names: tuple[str, ...]
) -> TableOptions:
    """Returns what is said about the new file, and otherwise about the columns of the run's."""
    config = folder.read_config()
    of_columns = ("label_column", "id_column", "group_column", "drop", "keep", "missing")
    inherited = {name: config.get(name) for name in of_columns if getattr(arguments, name) is None}
    known = TableArguments(**{**_to_dict(arguments), **inherited})
    return dataclasses.replace(known.table_options(), features=names or None, partial=True)


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
