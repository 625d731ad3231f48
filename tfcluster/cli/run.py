"""What every training command does around its estimator: options, folder, progress."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.markup import escape

from tfcluster.cli.options import RunOptions
from tfcluster.cli.run_folder import RunFolder
from tfcluster.config import to_dict
from tfcluster.errors import InputError
from tfcluster.runtime import provenance
from tfcluster.training.phases import Monitor, Record

MethodScores = dict[str, dict[str, Any]]
"""Method to its scores, `seconds` among them."""


Options = TypeVar("Options", bound=RunOptions)


def with_threads(options: Options, out: Path, resume: bool) -> Options:
    """Returns the options with their number of threads, that of the run to resume if not given."""
    if options.threads is None and resume:
        options = dataclasses.replace(options, threads=RunFolder.open(out).config().get("threads"))
    return dataclasses.replace(options, threads=options.n_threads)


def open_folder(
    algorithm: str, options: RunOptions, config: Any, out: Path, resume: bool
) -> RunFolder:
    """The run's folder, new or, for `resume`, the one this very run was begun in.

    Raises:
      InputError: If it is taken, or was begun with other options.
    """
    asked = {
        "algorithm": algorithm,
        **dataclasses.asdict(options),
        "config": to_dict(config),
    }
    if not resume:
        return RunFolder.create(out, {**asked, **provenance()})
    run = RunFolder.open(out)
    begun = run.config()
    names = ["algorithm", *(field.name for field in dataclasses.fields(options))]
    now = json.loads(json.dumps(asked))
    differing = [
        f"{name} was {begun.get(name)!r}, now {now[name]!r}"
        for name in names
        if begun.get(name) != now[name]
    ]
    if differing:
        raise InputError(
            f"{out} was begun with other options: {', '.join(differing)}. Repeat the call that "
            "began it, with --resume."
        )
    return run


def subfolder(run: RunFolder, name: str, **changes: Any) -> RunFolder:
    """The folder of one fit within that of several; made if it is not there.

    Args:
      run: The folder of all.
      name: Of the folder.
      changes: In what its `config.json` differs.
    """
    folder = run.path / name
    if (folder / "config.json").exists():
        return RunFolder.open(folder)
    return RunFolder.create(folder, {**run.config(), **changes})


def numbers_of_clusters(options: RunOptions, y: np.ndarray | None) -> range:
    """The numbers of clusters asked for, or the number of classes.

    Raises:
      InputError: If there is neither, or the text is no number and no range.
    """
    text = options.n_clusters
    if text is None:
        if y is None:
            raise InputError(
                f"{options.dataset} has no labels to count, so --n-clusters must say how many "
                "clusters to find."
            )
        n_classes = len(np.unique(y))
        return range(n_classes, n_classes + 1)
    first, _, last = text.partition(":")
    try:
        numbers = range(int(first), int(last or first) + 1)
    except ValueError:
        numbers = range(0)
    if not numbers or numbers[0] < 2:
        raise InputError(
            f"--n-clusters must be a number from 2 on, or a range as 2:15. Received: {text!r}."
        )
    return numbers


def logged(run: RunFolder, progress: Monitor) -> Monitor:
    """Writes every record, then shows it, which may stop the run."""

    def monitor(record: Record) -> None:
        run.log(record)
        progress(record)

    return monitor


@contextlib.contextmanager
def told_how_to_resume(out: Path, console: Console) -> Iterator[None]:
    """Says where everything is, or how to go on after an interrupt."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("The same command with --resume goes on from the last checkpoint.")
        raise
    console.print(f"Everything is in {escape(str(out))}")


def asked(run: RunFolder) -> dict[str, Any]:
    """What a result line says of the question."""
    config = run.config()
    names = ("algorithm", "dataset", "preset", "seed", "threads", "overrides")
    return {name: config[name] for name in names}
