"""A run's folder: what was asked for, what happened, and what came out.

`config.json` is written first and marks the folder as taken; `metrics.jsonl` and TensorBoard
events grow while the run goes on; everything else is written at the end, each file whole or not
at all.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcluster.errors import InputError
from tfcluster.files import atomic_write
from tfcluster.training.phases import Record


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
        """Makes the folder of a new run.

        Args:
          path: A folder that does not exist or is empty.
          config: What `config.json` will hold.

        Raises:
          InputError: If the folder holds something already or cannot be written.
        """
        folder = Path(path)
        if (folder / "config.json").exists():
            raise InputError(
                f"{folder} already holds a run. Go on with it by --resume, or choose another --out."
            )
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty. Choose another --out.")
        run = cls(folder)
        run.write_json("config.json", config)
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The folder of a run that was begun.

        Raises:
          InputError: If there is no run.
        """
        folder = Path(path)
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} holds no run: there is no config.json in it.")
        return cls(folder)

    def config(self) -> dict[str, Any]:
        """What the run was asked for.

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

    def write_json(self, name: str, value: Any) -> None:
        """Writes plain values as JSON; NaN becomes null, which JSON has."""
        self.write_text(name, json.dumps(without_nan(value), indent=2) + "\n")

    def write_labels(self, labels: np.ndarray, confidence: np.ndarray) -> Path:
        """Writes `labels.csv`: row, label, and q of the label."""
        rows = zip(range(len(labels)), labels.tolist(), confidence.tolist(), strict=True)
        return self.write_text("labels.csv", label_table(rows))

    def write_history(self, history: Sequence[Record]) -> None:
        """Writes `metrics.jsonl` anew, without what an interrupted run wrote twice."""
        self.write_text(
            "metrics.jsonl", "".join(json.dumps(without_nan(r)) + "\n" for r in history)
        )

    def log(self, record: Record, scalars: Record | None = None) -> None:
        """Adds a record to `metrics.jsonl` and its numbers to TensorBoard's events.

        Args:
          record: `phase`, `step` and whatever else.
          scalars: The record with all numbers at one level, if it has several.

        Raises:
          InputError: If the disk is full or the folder cannot be written.
        """
        try:
            with (self.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(without_nan(record)) + "\n")
        except OSError as error:
            raise InputError(f"Cannot write to {self.path}: {error.strerror}.") from error
        self._log_events(scalars or record)

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


def label_table(rows: Any) -> str:
    """CSV text of (row, label, confidence)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "label", "confidence"))
    writer.writerows((row, label, f"{q:.6f}") for row, label, q in rows)
    return text.getvalue()


def without_nan(value: Any) -> Any:
    """A value as JSON can hold it: numpy scalars plain, NaN and infinities None."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
