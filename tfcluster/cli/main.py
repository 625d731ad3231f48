"""The command `tfcluster`.

Commands only read their options here; what they do is imported when they run, so that `--help`
is quick.
"""

from __future__ import annotations

import ast
import importlib.metadata
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Optional

import click
import typer
from rich.console import Console
from rich.markup import escape

from tfcluster.errors import InputError, TrainingError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Deep clustering that matches the originals' code.",
)
train = typer.Typer(no_args_is_help=True, help="Train a model and write a folder of results.")
app.add_typer(train, name="train")
Verbose = Annotated[bool, typer.Option("--verbose", help="Show TensorFlow's log.")]


Out = Annotated[
    Optional[Path],
    typer.Option(
        help="Folder for the results; new or empty. [default: runs/ALGORITHM-DATASET-SEED]"
    ),
]
DataSet = Annotated[str, typer.Option(help="Name of a data set, or a .npz, .npy or .csv file.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything random.")]
Threads = Annotated[
    Optional[int],
    typer.Option(min=1, help="Operations run side by side. [default: cores, at most 2]"),
]
CheckpointSeconds = Annotated[
    float, typer.Option(min=0, help="Least time between two checkpoints.")
]
Resume = Annotated[bool, typer.Option(help="Go on with the run in --out.")]


def folder_of(out: Path | None, algorithm: str, dataset: str, seed: int) -> Path:
    """The folder that was asked for, or the usual one."""
    return out or Path("runs") / f"{algorithm}-{Path(dataset).stem}-{seed}"


def overrides(example: str) -> Any:
    """The option `--set`."""
    return typer.Option(
        "--set", metavar="FIELD=VALUE", help=f"Change a field of the preset, as {example}."
    )


@train.command("dec")
def train_dec(
    out: Out = None,
    dataset: DataSet = "digits",
    preset: Annotated[
        str, typer.Option(help="Protocol: keras, paper, or one for a data set as keras:mnist.")
    ] = "keras",
    n_clusters: Annotated[
        Optional[str],
        typer.Option(help="Number of clusters, or a range to compare, as 2:15. [default: classes]"),
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    set_: Annotated[
        Optional[list[str]], overrides("max_steps=2000 or pretraining.epochs=20")
    ] = None,
    pretrained: Annotated[
        Optional[Path], typer.Option(help="DEC-keras' ae_weights.h5, instead of pretraining.")
    ] = None,
    checkpoint_seconds: CheckpointSeconds = 60.0,
    resume: Resume = False,
    verbose: Verbose = False,
) -> None:
    """Train Deep Embedded Clustering and compare it with k-means and AE + k-means."""
    show_tensorflow_log(verbose)
    from tfcluster.cli.train_dec import DECOptions
    from tfcluster.cli.train_dec import train_dec as run

    options = DECOptions(
        dataset=dataset,
        preset=preset,
        n_clusters=n_clusters,
        seed=seed,
        threads=threads or 0,
        overrides=assignments(set_ or []),
        pretrained=None if pretrained is None else str(pretrained),
    )
    folder = folder_of(out, "dec", dataset, seed)
    run(options, folder, resume=resume, checkpoint_seconds=checkpoint_seconds, console=Console())


@train.command("clustergan")
def train_clustergan(
    out: Out = None,
    dataset: DataSet = "digits",
    preset: Annotated[
        str,
        typer.Option(
            help="Protocol: a data set's name, gene (rows of any width), or auto: the data set's."
        ),
    ] = "auto",
    n_clusters: Annotated[
        Optional[str], typer.Option(help="Number of clusters. [default: classes]")
    ] = None,
    seed: Seed = 0,
    trials: Annotated[
        int, typer.Option(min=1, help="Models to train, with seeds from --seed on.")
    ] = 1,
    probe_every: Annotated[
        Optional[int],
        typer.Option(min=1, help="Steps between two validation scores. [default: 50 in all]"),
    ] = None,
    threads: Threads = None,
    set_: Annotated[Optional[list[str]], overrides("steps=20000 or precision=bfloat16")] = None,
    checkpoint_seconds: CheckpointSeconds = 180.0,
    resume: Resume = False,
    verbose: Verbose = False,
) -> None:
    """Train ClusterGAN and compare its decoders with k-means."""
    show_tensorflow_log(verbose)
    from tfcluster.cli.train_clustergan import GANOptions
    from tfcluster.cli.train_clustergan import train_clustergan as run

    options = GANOptions(
        dataset=dataset,
        preset=preset,
        n_clusters=n_clusters,
        seed=seed,
        trials=trials,
        probe_every=probe_every or 0,
        threads=threads or 0,
        overrides=assignments(set_ or []),
    )
    folder = folder_of(out, "clustergan", dataset, seed)
    run(options, folder, resume=resume, checkpoint_seconds=checkpoint_seconds, console=Console())


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    file: Annotated[str, typer.Argument(help="A .npz, .npy or .csv file, or a data set's name.")],
    out: Annotated[
        Optional[Path], typer.Option(help="CSV file to write. [default: standard output]")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Label new rows with a trained model."""
    show_tensorflow_log(verbose)
    from tfcluster.cli.predict import predict_file

    table = predict_file(run, file)
    if out is None:
        sys.stdout.write(table)
        return
    from tfcluster.files import atomic_write

    with atomic_write(out) as stream:
        stream.write(table.encode())


def add_commands() -> None:
    """Adds the commands of packages above this one, which this one must not import."""
    for entry in importlib.metadata.entry_points(group="tfcluster.commands"):
        command = entry.load()
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        else:
            app.command(entry.name)(command)


def show_tensorflow_log(verbose: bool) -> None:
    """Undoes the silence about what TensorFlow's own code logs."""
    if verbose:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"


def assignments(texts: list[str]) -> dict[str, Any]:
    """What `--set` was given: field to value.

    Raises:
      InputError: If a text is no assignment.
    """
    values = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError(f"--set takes FIELD=VALUE, as max_steps=2000. Received: {text!r}.")
        try:
            values[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            values[name] = value
    return values


def main() -> None:
    """Runs the command; a user's mistake ends in one line and exit code 2."""
    warnings.showwarning = _show_warning
    add_commands()
    try:
        code = app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except InputError as error:
        code = _fail(error, 2)
    except TrainingError as error:
        code = _fail(error, 1)
    except OSError as error:  # a full disk, met by a library
        where = f": {error.filename}" if error.filename else ""
        code = _fail(f"{error.strerror or error}{where}", 2)
    except (click.Abort, KeyboardInterrupt):
        code = _fail("Interrupted.", 130)
    raise SystemExit(code)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _say("[bold yellow]Warning:[/]", message)


def _fail(message: object, code: int) -> int:
    _say("[bold red]Error:[/]", message)
    return code


def _say(title: str, message: object) -> None:
    # what the user typed stands in the message, brackets too
    Console(stderr=True).print(title, escape(str(message)), highlight=False, soft_wrap=True)
