"""Options of the commands, each written once; see `tfcluster.cli.commands`.

Nothing here imports TensorFlow or scikit-learn.
"""

from __future__ import annotations

import ast
import csv
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import typer

from tfcluster.cli.commands import Parsed
from tfcluster.config import DECConfig, GANConfig, get_dec_config, get_gan_config, override
from tfcluster.data.loading import DATASETS, load_data
from tfcluster.data.table_options import TableOptions
from tfcluster.errors import InputError
from tfcluster.runtime import MOST_THREADS, count_cores

_MOST_CLUSTERS = 1_000_000  # a larger number is a mistake, and a range of them fills the memory


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Returns what `--set` received as a mapping from field to value.

    Args:
      texts: Each FIELD=VALUE; a value that is not a Python literal is text.

    Raises:
      InputError: If a text is not an assignment.
    """
    values = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError(f"--set takes FIELD=VALUE, e.g. max_steps=2000. Received: {text!r}.")
        try:
            values[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            values[name] = value  # what `literal_eval` raises for texts that are no literals
    return values


ASSIGNMENTS = Parsed(list[str], parse_assignments)


def make_set_option(examples: str) -> Any:
    """Returns the option `--set`, for fields that are `Annotated` with `ASSIGNMENTS` too.

    Args:
      examples: Assignments, for its help.
    """
    help_text = f"Change a field of the preset, e.g. {examples}."
    return typer.Option("--set", metavar="FIELD=VALUE", help=help_text)


def split_names(text: str | None) -> tuple[str, ...]:
    """Returns names that a comma separates; a name with a comma stands in quotes.

    Args:
      text: E.g. `age,"height, cm"`; None for no names.

    Raises:
      InputError: If it is no line of names.
    """
    if text is None:
        return ()
    try:
        names = next(csv.reader([text], skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"Names must stand in one line. Received: {text[:40]!r}.") from error
    return tuple(name.strip() for name in names if name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableArguments:
    """Options about tables; see `tfcluster.data.TableOptions`.

    Attributes:
      label_column: Column of the labels, or "none".
      id_column: Column that names the samples.
      group_column: Column with the group of each sample.
      drop: Columns to leave out, separated by commas.
      keep: Columns that are features although they look like ids, separated by commas.
      categorical: Columns of categories to encode as features, separated by commas.
      missing: Marks of missing values, separated by commas.
      header: Whether the first row names the columns; None to decide by its cells.
      separator: What separates columns; None to detect it.
      decimal: The decimal mark; None to detect it.
      thousands: What stands between thousands; None to detect it.
    """

    label_column: Annotated[
        str | None,
        typer.Option(metavar="NAME|none", help="Column of the labels. [default: label]"),
    ] = None
    id_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column that names the samples, for labels.csv."),
    ] = None
    group_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of the clients of --partition natural."),
    ] = None
    drop: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to leave out.")] = None
    keep: Annotated[
        str | None, typer.Option(metavar="A,B", help="Features although they look like ids.")
    ] = None
    categorical: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns of categories: a feature for each, 0 or 1."),
    ] = None
    missing: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Marks of missing values, e.g. -999, beside ?, NA, null."),
    ] = None
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether the first row names the columns."),
    ] = None
    separator: Annotated[
        str | None,
        typer.Option(help="A character, or comma, semicolon, tab or space. [default: detected]"),
    ] = None
    decimal: Annotated[
        str | None, typer.Option(help="Decimal mark, . or , [default: detected]")
    ] = None
    thousands: Annotated[
        str | None, typer.Option(help="Mark between thousands. [default: detected]")
    ] = None

    def table_options(self) -> TableOptions:
        """Returns how tables are written, and what their columns are."""
        values = {field.name: getattr(self, field.name) for field in _TABLE_FIELDS}
        names = ("drop", "keep", "categorical", "missing")
        lists = {name: split_names(values[name]) for name in names}
        return TableOptions(**{**values, **lists})


_TABLE_FIELDS = dataclasses.fields(TableArguments)


@dataclasses.dataclass(frozen=True)
class RunOptions(TableArguments):
    """Options of every training command that the trained weights depend on.

    Attributes:
      dataset: A name or a file.
      preset: Name of a protocol.
      n_clusters: A number ("10") or a range ("2:15"); None for the number of classes.
      seed: Random seed.
      threads: Operations that TensorFlow runs at a time; None for the number of cores, at most
        two.
      overrides: Fields of the configuration that differ from the preset, by name.
      standardize: Whether features get mean 0 and standard deviation 1, and missing values the
        mean; None for tables and wherever values are missing.
    """

    algorithm: ClassVar[str]
    """Name of the algorithm in results."""

    dataset: Annotated[
        str, typer.Option(help="Name of a data set, or a file: .csv, .npz, ... or - for a table.")
    ] = "digits"
    preset: Annotated[
        str,
        typer.Option(
            help="Protocol: a data set's name, gene (samples of any width), or auto: the data "
            "set's."
        ),
    ] = "auto"
    n_clusters: Annotated[
        str | None, typer.Option(help="Number of clusters. [default: classes]")
    ] = None
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")] = 0
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_THREADS, help="Operations run at a time. [default: cores, at most 2]"
        ),
    ] = None
    overrides: Annotated[
        Mapping[str, Any], ASSIGNMENTS, make_set_option("steps=20000 or precision=bfloat16")
    ] = dataclasses.field(default_factory=dict)
    standardize: Annotated[
        bool | None,
        typer.Option(
            "--standardize/--no-standardize",
            help="Bring features to mean 0 and sd 1, and fill missing values. [default: tables]",
        ),
    ] = None

    def check(self) -> None:
        """Reads a file before TensorFlow is imported, so that a wrong one is refused at once.

        Raises:
          InputError: If it cannot be read.
        """
        if self.dataset not in DATASETS:
            load_data(self.dataset, table=self.table_options())

    def decide_standardize(self, has_units: bool) -> bool:
        """Returns whether features are standardized: as `standardize` says, or if they have units.

        Args:
          has_units: Whether the data's features have units or missing values.
        """
        return has_units if self.standardize is None else self.standardize

    @property
    def n_threads(self) -> int:
        """Operations that TensorFlow runs at a time: `threads`, or the cores, at most two."""
        return min(2, count_cores()) if self.threads is None else self.threads

    def parse_n_clusters(self, y: np.ndarray | None) -> range:
        """Returns the numbers of clusters to find, by default the number of classes.

        Args:
          y: `(n_samples,)` classes, or None.

        Raises:
          InputError: If `n_clusters` is neither a number nor a range, or there are no classes to
            count.
        """
        if self.n_clusters is None:
            if y is None:
                raise InputError(
                    f"{self.dataset} has no labels to count, so --n-clusters must say how many "
                    "clusters to find."
                )
            n_classes = len(np.unique(y))
            return range(n_classes, n_classes + 1)
        first, _, last = self.n_clusters.partition(":")
        try:
            numbers = range(int(first), int(last or first) + 1)
        except ValueError:
            numbers = range(0)
        if not numbers or numbers[0] < 2 or numbers[-1] > _MOST_CLUSTERS:
            raise InputError(
                f"--n-clusters must be a number from 2 to {_MOST_CLUSTERS:,}, or a range, e.g. "
                f"2:15. Received: {self.n_clusters[:40]!r}."
            )
        return numbers


@dataclasses.dataclass(frozen=True)
class DECOptions(RunOptions):
    """Options of `tfcluster train dec` that the weights depend on.

    Attributes:
      pretrained: DEC-keras' `ae_weights.h5`, to start from instead of pretraining.
    """

    algorithm = "dec"

    preset: Annotated[
        str, typer.Option(help="Protocol: keras, paper, or one for a data set, e.g. keras:mnist.")
    ] = "keras"
    n_clusters: Annotated[
        str | None,
        typer.Option(
            help="Number of clusters, or a range to compare, e.g. 2:15. [default: classes]"
        ),
    ] = None
    overrides: Annotated[
        Mapping[str, Any], ASSIGNMENTS, make_set_option("max_steps=2000 or pretraining.epochs=20")
    ] = dataclasses.field(default_factory=dict)
    pretrained: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="DEC-keras' ae_weights.h5, instead of pretraining."),
    ] = None

    def build_config(self) -> DECConfig:
        """Returns the preset, in its form for the data set if there is one, with the overrides."""
        config: DECConfig = override(get_dec_config(self.preset, self.dataset), self.overrides)
        return config


@dataclasses.dataclass(frozen=True)
class GANOptions(RunOptions):
    """Options of `tfcluster train clustergan` that the weights depend on.

    Attributes:
      trials: Number of models to train, with seeds from `seed` on; the best one is kept.
      choose_by: What the best trial has most of: the silhouette, which needs no labels, or the
        purity of the validation samples, as in the original.
      probe_every: Steps between two validation scores; None for 50 scores in all.
    """

    algorithm = "clustergan"

    trials: Annotated[
        int, typer.Option(min=1, max=10_000, help="Models to train, with seeds from --seed on.")
    ] = 1
    choose_by: Annotated[
        Literal["silhouette", "purity"],
        typer.Option(
            help="The best trial has the highest silhouette, which needs no labels, or the highest "
            "purity of the validation samples, as in the original."
        ),
    ] = "silhouette"
    probe_every: Annotated[
        int | None,
        typer.Option(min=1, help="Steps between two validation scores. [default: 50 in all]"),
    ] = None

    def build_config(self) -> GANConfig:
        """Returns the preset, or the data set's own, with the overrides."""
        config: GANConfig = override(get_gan_config(self.preset, self.dataset), self.overrides)
        return config


@dataclasses.dataclass(frozen=True)
class ExecutionOptions:
    """Options of every training command that the trained weights do not depend on.

    Attributes:
      out: Folder for the results; None for `runs/ALGORITHM-DATASET-SEED`.
      resume: Whether to resume the run in `out`, whose options need not be given again.
      config_file: File with options; those of the command line go first.
      dry_run: Whether to check everything and print the plan only.
      pictures: Whether to draw.
    """

    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results; new or empty. [default: a folder in runs/]"),
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in --out, with its options.")
    ] = False
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", help="Options from a .toml file, or from the config.json of a run."
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything and print the plan; train nothing."),
    ] = False
    pictures: Annotated[
        bool,
        typer.Option("--pictures/--no-pictures", help="Draw; takes seconds, most for t-SNE."),
    ] = True

    def choose_folder(self, options: RunOptions) -> Path:
        """Returns the folder for the results of what `options` ask for."""
        algorithm = options.algorithm.replace("_", "-")
        usual = f"{algorithm}-{Path(options.dataset).stem}-{options.seed}"
        return self.out or Path("runs") / usual

    def to_record(self) -> dict[str, Any]:
        """Returns the options that `config.json` holds: those that another run may have too."""
        values = dataclasses.asdict(self)
        return {
            k: v for k, v in values.items() if k not in ("out", "resume", "config_file", "dry_run")
        }


_CHECKPOINTS = typer.Option(min=0, help="Least time between two checkpoints.")


@dataclasses.dataclass(frozen=True)
class DECExecution(ExecutionOptions):
    """Options of `tfcluster train dec` that the weights do not depend on.

    Attributes:
      checkpoint_seconds: Least time between two checkpoints, in seconds.
    """

    checkpoint_seconds: Annotated[float, _CHECKPOINTS] = 60.0


@dataclasses.dataclass(frozen=True)
class GANExecution(ExecutionOptions):
    """Options of `tfcluster train clustergan` that the weights do not depend on.

    Attributes:
      checkpoint_seconds: Least time between two checkpoints, in seconds.
    """

    checkpoint_seconds: Annotated[float, _CHECKPOINTS] = 180.0


@dataclasses.dataclass(frozen=True)
class PredictOptions(TableArguments):
    """Options of `tfcluster predict`; those of tables are the run's unless they are given.

    Attributes:
      run: Folder of a finished run.
      file: Samples to label: a file or the name of a data set.
      out: CSV file to write; None for standard output.
    """

    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]
    file: Annotated[
        str, typer.Argument(help="A file, - for a table in standard input, or a data set's name.")
    ]
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write. [default: standard output]")
    ] = None
