"""A run's folder: its options, its history, and its results.

A run holds the folder's lock. `config.json` is written first and marks the folder as taken.
`metrics.jsonl` and TensorBoard events grow during the run. All other files are written at the end,
each whole or not at all. `config.json` and `model.npz` hold the same random `id`, so that a model
of another run is refused.

Nothing here imports TensorFlow before the first record.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import io
import json
import math
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from rich.console import Console
from rich.markup import escape

from tfcluster.cli.folder_lock import LOCK_NAME, FolderLock
from tfcluster.cli.options import ExecutionOptions, RunOptions
from tfcluster.cli.pictures import ARE_POSSIBLE, get_pictures
from tfcluster.cli.tables import Ids
from tfcluster.config import to_dict
from tfcluster.data.table_options import TableReport
from tfcluster.errors import InputError
from tfcluster.files import atomic_write, is_temporary
from tfcluster.runtime import collect_provenance, refuse_newer

if TYPE_CHECKING:
    from tfcluster.scaling import Standardizer
    from tfcluster.training.phases import Record

Options = TypeVar("Options", bound=RunOptions)


class RunFolder:
    """Reads and writes one run's files.

    Args:
      path: The folder, which exists.
      config: What its `config.json` holds. It is kept, so that a run does not depend on the file.
      lock: The lock on the folder; None for a folder that is only read, or lies in a locked one.

    Attributes:
      draws: Whether pictures are drawn; true unless it is set to false.
    """

    def __init__(
        self, path: Path, config: Mapping[str, Any], lock: FolderLock | None = None
    ) -> None:
        self.path = path
        self.config = dict(config)
        self._lock = lock
        self._events: Any = None
        self._problems: list[str] = []
        self.draws = True

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Mapping[str, Any]) -> RunFolder:
        """Returns the folder of a new run, locked, with its `config.json`.

        Args:
          path: A folder that does not exist, or is empty but for what a killed run left.
          config: What `config.json` holds, beside the run's `id`.

        Raises:
          InputError: If the folder is not empty, belongs to a run or cannot be written.
        """
        folder = Path(path)
        check_new_folder(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"Cannot write {folder}: {error.strerror}. Choose another --out."
            ) from error
        lock = FolderLock(folder)
        try:
            check_new_folder(folder)  # another run may have begun and ended before the lock
            return cls._begin(folder, config, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Returns the folder of a run that was started, locked.

        Raises:
          InputError: If it holds no run, or the run is still alive.
        """
        found = cls.open(path)
        lock = FolderLock(found.path)
        _remove_temporaries(found.path)
        return cls(found.path, found.config, lock)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Returns the folder of a run that was started.

        Args:
          path: The folder.

        Raises:
          InputError: If it holds no run, or its `config.json` cannot be read.
        """
        folder = Path(path)
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} holds no run: there is no config.json in it.")
        return cls(folder, _read_config(folder / "config.json"))

    @classmethod
    def _begin(
        cls, folder: Path, config: Mapping[str, Any], lock: FolderLock | None = None
    ) -> RunFolder:
        _remove_temporaries(folder)
        run = cls(folder, {**config, "id": secrets.token_hex(8)}, lock)
        run.write_json("config.json", run.config)
        return run

    @property
    def id(self) -> str | None:
        """The run's random name, which its model file holds too; None if it is of an old run."""
        return self.config.get("id")

    @functools.cached_property
    def pictures(self) -> Any:
        """The module `tfcluster.plots`; if `draws` is false, an object that draws nothing."""
        return get_pictures(self.draws)

    def open_subfolder(self, name: str, **changes: Any) -> RunFolder:
        """Returns a folder for one of several fits, within this one; creates it if necessary.

        Args:
          name: Name of the folder.
          **changes: Options that differ, for its `config.json`.
        """
        folder = self.path / name
        if (folder / "config.json").exists():
            found = RunFolder.open(folder)
        else:
            check_new_folder(folder)
            found = RunFolder._begin(folder, {**self.config, **changes})
        found.draws = self.draws
        return found

    def describe(self) -> dict[str, Any]:
        """Returns the options that a result is reported with."""
        names = ("algorithm", "dataset", "preset", "seed", "threads", "overrides")
        return {name: self.config[name] for name in names}

    def save_model(self, model: Any, units: Standardizer | None) -> None:
        """Writes `model.npz`, which only this folder accepts.

        Args:
          model: The estimator.
          units: How samples were scaled before the estimator got them; see `DEC.save`.
        """
        model.save(self.path / "model.npz", units=units, run=self.id)

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
        """Prints what was reported and where the results are, or how to resume; ends the lock.

        Args:
          console: Where to print.
        """
        try:
            yield
        except KeyboardInterrupt:
            console.print("The same command with --resume continues from the last checkpoint.")
            raise
        finally:
            if self._lock:
                self._lock.release()
        if self.draws and not ARE_POSSIBLE:
            console.print("No pictures: they need matplotlib and pillow, e.g. by pip install.")
        for problem in self._problems:
            console.print(f"[bold yellow]Warning:[/] {escape(problem)}", highlight=False)
        console.print(f"Everything is in {escape(str(self.path))}")

    def write_network(self, network: Any) -> None:
        """Writes a Keras model to a file of its name, whole or not at all.

        Raises:
          InputError: If it cannot be written.
        """
        path = self.path / f"{network.name}.keras"
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / path.name  # Keras writes only to files that end like this
            try:
                network.save(made)
                content = made.read_bytes()
            except OSError as error:
                raise InputError(
                    f"Cannot write {path}: {error.strerror or error}. It is made in {folder}; free "
                    "some space there, or set TMPDIR."
                ) from error
        with atomic_write(path) as file:
            file.write(content)

    def report(self, problems: Iterable[str]) -> None:
        """Keeps sentences about the result for the end of the command; see `announce`."""
        self._problems.extend(problems)

    def _log_events(self, record: Record) -> None:
        import tensorflow as tf

        folder = self.path / "events"
        if folder.is_file():
            raise InputError(f"{folder} must be a folder of TensorBoard's. Remove the file.")
        try:
            if self._events is None:
                # as bytes: a name may hold some that are no UTF-8
                self._events = tf.summary.create_file_writer(os.fsencode(folder))
            with self._events.as_default(step=record["step"]):
                for name, value in record.items():
                    if isinstance(value, (int, float)) and name not in ("step", "of", "converged"):
                        tf.summary.scalar(f"{record['phase']}/{name}", value)
        except tf.errors.OpError as error:  # e.g. a link to nowhere
            raise InputError(f"Cannot write TensorBoard's files: {error.message}.") from error

    def write_text(self, name: str, text: str) -> Path:
        """Writes a file, whole or not at all.

        Raises:
          InputError: If it cannot be written.
        """
        with atomic_write(self.path / name) as file:
            file.write(text.encode())
        return self.path / name


def check_new_folder(folder: Path) -> None:
    """Raises `InputError` if a folder holds a run or anything else but what a killed run left."""
    # looked at once: another run may begin at any moment
    found = list(folder.iterdir()) if folder.is_dir() else []
    names = {path.name for path in found if not is_temporary(path)} - {LOCK_NAME}
    if "config.json" in names:
        raise InputError(
            f"{folder} already holds a run. Resume it with --resume, or choose another --out."
        )
    if names:
        raise InputError(f"{folder} is not empty. Choose another --out.")


def _remove_temporaries(folder: Path) -> None:
    """Removes the unfinished files of killed runs from a folder that no run is alive in."""
    for path in folder.rglob(".*"):
        if is_temporary(path):
            with contextlib.suppress(OSError):
                path.unlink()


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} must hold a JSON object.")
    refuse_newer(path, config.get("tfcluster"))
    return config


def open_run_folder(
    options: RunOptions,
    config: Any,
    out: Path,
    execution: ExecutionOptions,
    tables: Sequence[TableReport] = (),
) -> RunFolder:
    """Returns a new run's folder, or that of the run to resume; both are locked.

    Args:
      options: What is trained; must be those of the run to resume.
      config: The configuration.
      out: The folder.
      execution: How it is trained; says whether to resume.
      tables: What the columns of the run's tables were taken as, for `config.json`.

    Raises:
      InputError: If `out` is taken, or its run has other options.
    """
    if execution.resume:
        check_recorded(out, RunFolder.open(out).config, options)
        run = RunFolder.resume(out)
    else:
        run = RunFolder.create(out, _describe_run(options, config, execution, tables))
    run.draws = execution.pictures
    return run


def _describe_run(
    options: RunOptions, config: Any, execution: ExecutionOptions, tables: Sequence[TableReport]
) -> dict[str, Any]:
    """Returns what the `config.json` of a new run holds, beside its `id`."""
    asked = {
        "algorithm": options.algorithm,
        **dataclasses.asdict(options),
        "config": to_dict(config),
        "execution": execution.to_record(),
    }
    described = [{"file": table.file, **table.to_dict()} for table in tables]
    columns = {"tables": described} if described else {}
    return {**asked, **columns, **collect_provenance()}


def check_recorded(out: Path, recorded: Mapping[str, Any], options: RunOptions) -> None:
    """Raises `InputError`, which names the differences, if a run has other options.

    Args:
      out: The run's folder.
      recorded: What its `config.json` holds.
      options: What is asked for.
    """
    asked = {"algorithm": options.algorithm, **dataclasses.asdict(options)}
    now = json.loads(json.dumps(asked))
    differing = [
        f"{name} was {recorded.get(name)!r}, now {value!r}"
        for name, value in now.items()
        if recorded.get(name) != value
    ]
    if differing:
        raise InputError(
            f"{out} holds a run with other options: {', '.join(differing)}. --resume needs only "
            "--out; leave out the options that differ."
        )


def settle_threads(options: Options) -> Options:
    """Returns the options with their number of threads."""
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
