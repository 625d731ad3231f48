"""The command `tfcluster`.

The code of a command is imported when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import warnings
from typing import Annotated

import click
import typer
from rich.markup import escape

from tfcluster.cli.commands import add_command
from tfcluster.cli.options import (
    DECExecution,
    DECOptions,
    GANExecution,
    GANOptions,
    PredictOptions,
)
from tfcluster.cli.terminal import CleanConsole
from tfcluster.errors import InputError, TrainingError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Deep clustering that matches the originals' code.",
)
train = typer.Typer(no_args_is_help=True, help="Train a model and write a folder of results.")
app.add_typer(train, name="train")
add_command(
    train,
    "dec",
    "tfcluster.cli.train_dec:train_dec",
    DECOptions,
    DECExecution,
    help="Train Deep Embedded Clustering and compare it with k-means and AE + k-means.",
    complete="tfcluster.cli.recorded_options:complete_options",
)
add_command(
    train,
    "clustergan",
    "tfcluster.cli.train_clustergan:train_clustergan",
    GANOptions,
    GANExecution,
    help="Train ClusterGAN and compare its decoders with k-means.",
    complete="tfcluster.cli.recorded_options:complete_options",
)
add_command(
    app,
    "predict",
    "tfcluster.cli.predict:predict",
    PredictOptions,
    help="Label new samples with a trained model.",
)
for _name, _help in (
    ("datasets", "List the named data sets."),
    ("presets", "List the protocols of DEC and ClusterGAN."),
):
    add_command(app, _name, f"tfcluster.cli.listings:list_{_name}", help=_help)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"tfcluster {importlib.metadata.version('tfcluster')}")
        raise typer.Exit


@app.callback()
def _read_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Reads the options of `tfcluster` itself; typer calls it before a command."""


def add_installed_commands() -> None:
    """Adds the commands of packages above this one, which this one must not import."""
    for entry in importlib.metadata.entry_points(group="tfcluster.commands"):
        command = entry.load()
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        else:
            app.command(entry.name)(command)


_MISTAKE = 2
"""The exit code after a user's mistake, as of click."""

_INTERRUPTED = 130
"""The exit code after an interrupt, as of other programs."""


def main() -> None:
    """Runs the command; a user's mistake ends in one line and exit code 2."""
    warnings.showwarning = _show_warning
    add_installed_commands()
    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:  # what typer makes of an interrupt with click 8.5
            raise KeyboardInterrupt
        sys.stdout.flush()  # a full disk is met here, not at the end of Python
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except InputError as error:
        code = _fail(error, _MISTAKE)
    except TrainingError as error:
        code = _fail(error, 1)
    except BrokenPipeError:  # the reader, e.g. `head`, has ended
        code = 1
    except OSError as error:  # e.g. a full disk, met by a library
        where = f": {error.filename}" if error.filename else ""
        code = _fail(f"{error.strerror or error}{where}", _MISTAKE)
    except UnicodeEncodeError as error:  # e.g. TensorFlow, of a path
        code = _fail(
            f"{error.object!r} has characters that the locale's encoding, {error.encoding}, does "
            "not have. Set LC_ALL=C.UTF-8, or rename it.",
            _MISTAKE,
        )
    except (click.Abort, KeyboardInterrupt):
        code = _fail("Interrupted.", _INTERRUPTED)
    _drop_unwritten()
    raise SystemExit(code)


def _drop_unwritten() -> None:
    """Drops what standard output does not take, of which Python would complain at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _print_message("[bold yellow]Warning:[/]", message)


def _fail(message: object, code: int) -> int:
    if code == _MISTAKE:  # libraries' messages, and names of files, may have line ends
        message = " ".join(str(message).split("\n"))
    _print_message("[bold red]Error:[/]", message)
    return code


def _print_message(title: str, message: object) -> None:
    # escaped because it holds what the user typed, brackets too
    CleanConsole(stderr=True).print(title, escape(str(message)), highlight=False, soft_wrap=True)
