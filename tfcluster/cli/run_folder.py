"""A run's folder: its options, its history, and its results.

`config.json` is written first and marks the folder as taken. `metrics.jsonl` and TensorBoard events
grow during the run. All other files are written at the end, each whole or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.markup import escape

from tfcluster.cli import pictures
from tfcluster.cli.options import RunOptions
from tfcluster.cli.tables import Ids
from tfcluster.config import to_dict
from tfcluster.data.table_options import TableReport
from tfcluster.errors import InputError
from tfcluster.files import atomic_write
from tfcluster.runtime import collect_provenance
from tfcluster.training.phases import Record

Options = TypeVar("Options", bound=RunOptions)


class RunFolder:
    """Reads and writes one run's files.

    Args:
      path: The folder, which exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: Any = None

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Mapping[str, Any]) -> RunFolder:
        """Returns the folder of a new run, with its `config.json`.

        Args:
          path: A folder that does not exist or is empty.
          config: What `config.json` holds.

        Raises:
          InputError: If the folder is not empty or cannot be written.
        """
        folder = Path(path)
        if (folder / "config.json").exists():
            raise InputError(
                f"{folder} already holds a run. Resume it with --resume, or choose another --out."
            )
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty. Choose another --out.")
        run = cls(folder)
        run.write_json("config.json", config)
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Returns the folder of a run that was started.

        Args:
          path: The folder.

        Raises:
          InputError: If it holds no run.
        """
        folder = Path(path)
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} holds no run: there is no config.json in it.")
        return cls(folder)

    def read_config(self) -> dict[str, Any]:
        """Returns what `config.json` holds: options, configuration and versions.

        Raises:
          InputError: If `config.json` cannot be read.
        """
        path = self.path / "config.json"
        try:
            config = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}.") from error
        if not isinstance(config, dict):
            raise InputError(f"{path} must hold a JSON object.")
        return config

    def open_subfolder(self, name: str, **changes: Any) -> RunFolder:
        """Returns a folder for one of several fits, within this one; creates it if necessary.

        Args:
          name: Name of the folder.
          **changes: Options that differ, for its `config.json`.
        """
        if (self.path / name / "config.json").exists():
            return RunFolder.open(self.path / name)
        return RunFolder.create(self.path / name, {**self.read_config(), **changes})

    def describe(self) -> dict[str, Any]:
        """Returns the options that a result is reported with."""
        config = self.read_config()
        names = ("algorithm", "dataset", "preset", "seed", "threads", "overrides")
        return {name: config[name] for name in names}

    def write_json(self, name: str, value: Any) -> None:
        """Writes plain values as JSON, with null for NaN.

        Args:
          name: Name of the file.
          value: Numbers, text, mappings and sequences of them.
        """
        self.write_text(name, json.dumps(replace_nan(value), indent=2) + "\n")

    def write_labels(
        self, labels: np.ndarray, confidence: np.ndarray, ids: Ids | None = None
    ) -> Path:
        """Writes `labels.csv`: row of the data, its id if there is one, label, and confidence.

        Args:
          labels: `(n_samples,)` clusters.
          confidence: `(n_samples,)` how certain the model is of each label.
          ids: Names of the samples, or None.

        Returns:
          The file.
        """
        return self.write_text("labels.csv", format_labels(labels, confidence, ids))

    def write_history(self, history: Sequence[Record]) -> None:
        """Replaces `metrics.jsonl`, in which an interrupted run may have records twice."""
        self.write_text(
            "metrics.jsonl", "".join(json.dumps(replace_nan(r)) + "\n" for r in history)
        )

    def log(self, record: Record, numbers: Record | None = None) -> None:
        """Appends a record to `metrics.jsonl` and its numbers to TensorBoard's events.

        Args:
          record: `phase`, `step` and whatever else.
          numbers: The record with all numbers at one level; `record` itself if left out.

        Raises:
          InputError: If the disk is full or the folder cannot be written.
        """
        try:
            with (self.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(replace_nan(record)) + "\n")
        except OSError as error:
            raise InputError(f"Cannot write to {self.path}: {error.strerror}.") from error
        self._log_events(numbers or record)

    @contextlib.contextmanager
    def announce(self, console: Console) -> Iterator[None]:
        """Prints at the end where the results are, or how to resume after an interrupt.

        Args:
          console: Where to print.
        """
        try:
            yield
        except KeyboardInterrupt:
            console.print("The same command with --resume continues from the last checkpoint.")
            raise
        if not pictures.ARE_DRAWN:
            console.print("No pictures: they need matplotlib and pillow, e.g. by pip install.")
        console.print(f"Everything is in {escape(str(self.path))}")

    def _log_events(self, record: Record) -> None:
        import tensorflow as tf

        if self._events is None:
            self._events = tf.summary.create_file_writer(str(self.path / "events"))
        with self._events.as_default(step=record["step"]):
            for name, value in record.items():
                if isinstance(value, (int, float)) and name not in ("step", "of", "converged"):
                    tf.summary.scalar(f"{record['phase']}/{name}", value)

    def write_text(self, name: str, text: str) -> Path:
        """Writes a file, whole or not at all.

        Raises:
          InputError: If it cannot be written.
        """
        with atomic_write(self.path / name) as file:
            file.write(text.encode())
        return self.path / name


def open_run_folder(
    algorithm: str,
    options: RunOptions,
    config: Any,
    out: Path,
    resume: bool,
    tables: Sequence[TableReport] = (),
) -> RunFolder:
    """Returns a new run's folder, or that of the run to resume.

    Args:
      algorithm: Name of the algorithm.
      options: What is trained; must be those of the run to resume.
      config: The configuration.
      out: The folder.
      resume: Whether to resume the run in `out`.
      tables: What the columns of the run's tables were taken as, for `config.json`.

    Raises:
      InputError: If `out` is taken, or its run has other options.
    """
    asked = {"algorithm": algorithm, **dataclasses.asdict(options), "config": to_dict(config)}
    if not resume:
        described = [{"file": table.file, **table.to_dict()} for table in tables]
        columns = {"tables": described} if described else {}
        return RunFolder.create(out, {**asked, **columns, **collect_provenance()})
    run = RunFolder.open(out)
    before, now = run.read_config(), json.loads(json.dumps(asked))
    names = ["algorithm", *(field.name for field in dataclasses.fields(options))]
    differing = [
        f"{name} was {before.get(name)!r}, now {now[name]!r}"
        for name in names
        if before.get(name) != now[name]
    ]
    if differing:
        raise InputError(
            f"{out} holds a run with other options: {', '.join(differing)}. Repeat the command "
            "that started it, with --resume."
        )
    return run


def settle_threads(options: Options, out: Path, resume: bool) -> Options:
    """Returns the options with their number of threads.

    Args:
      options: What is trained.
      out: The run's folder.
      resume: Whether to resume the run in `out`, whose number is taken if none was given.
    """
    if options.threads is None and resume:
        options = dataclasses.replace(
            options, threads=RunFolder.open(out).read_config().get("threads")
        )
    return dataclasses.replace(options, threads=options.n_threads)


def format_labels(labels: np.ndarray, confidence: np.ndarray, ids: Ids | None = None) -> str:
    """Returns CSV text of a table of row, id if there is one, label and confidence.

    Args:
      labels: `(n_samples,)` clusters.
      confidence: `(n_samples,)` how certain the model is of each label.
      ids: Names of the samples, or None.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns: dict[str, Sequence[Any]] = {"row": range(len(labels))}
    if ids is not None:
        name = f"id {ids.name}" if ids.name in ("row", "label", "confidence") else ids.name
        columns[name] = ids.values
    columns["label"] = labels.tolist()
    columns["confidence"] = [f"{q:.6f}" for q in confidence.tolist()]
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def replace_nan(value: Any) -> Any:
    """Returns a value that JSON can hold: NumPy scalars as numbers, NaN and infinities as None.

    Args:
      value: Numbers, text, mappings and sequences of them.
    """
    if isinstance(value, Mapping):
        return {key: replace_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_nan(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
