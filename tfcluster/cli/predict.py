"""`tfcluster predict`: labels new samples."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from rich.console import Console

from tfcluster.cli.options import PredictOptions
from tfcluster.cli.problems import DoubtfulResultWarning, find_problems_of_new
from tfcluster.cli.run_folder import RunFolder, format_labels
from tfcluster.clustergan.estimator import ClusterGAN
from tfcluster.data.loading import load_data
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
    labels, confidence, n_clusters = _label_file(options.run, options.file)
    table = _format(labels, confidence)
    if options.out is None:
        console.file.write(table)  # as it is: the console would wrap it
    else:
        with atomic_write(options.out) as stream:
            stream.write(table.encode())
    for problem in find_problems_of_new(labels, confidence, n_clusters):
        warnings.warn(problem, DoubtfulResultWarning, stacklevel=2)


def predict_file(run: Path, file: str) -> str:
    """Returns labels of a file's samples as CSV text, by a finished run's model.

    Args:
      run: Folder that `tfcluster train` or `tfcluster federate` wrote.
      file: What `load_data` takes.

    Returns:
      Row of the file, label, and confidence: q of the label (DEC), or the largest entry of z_c
      (ClusterGAN).

    Raises:
      InputError: If the run is not finished, or the samples do not have the features it was trained
        on.
    """
    labels, confidence, _ = _label_file(run, file)
    return _format(labels, confidence)


def _format(labels: np.ndarray, confidence: np.ndarray) -> str:
    rows = zip(range(len(labels)), labels.tolist(), confidence.tolist(), strict=True)
    return format_labels(rows)


def _label_file(run: Path, file: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns labels, confidence, and the number of clusters; see `predict_file`."""
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
    # a model that knows the scaling takes samples as they are in the file
    X = load_data(file, standardize=model.standardizer_ is None).X
    return *_label(model, X), len(model.cluster_centers_)


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


def _label(model: DEC | ClusterGAN, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(model, ClusterGAN):
        z_c = model.transform(X)[:, model.config_.n_noise :]
        return model.predict(X), z_c.max(axis=1)
    q = model.soft_assign(X)
    return q.argmax(axis=1), q.max(axis=1)
