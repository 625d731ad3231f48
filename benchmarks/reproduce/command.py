"""`tfcluster reproduce`: the papers' tables beside ours, and the runs behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape

from tfcluster.errors import InputError, unknown_name

if TYPE_CHECKING:
    from benchmarks.reproduce.rows import Row


def reproduce(
    rows: Annotated[
        Optional[list[str]],
        typer.Argument(help="Rows to run, as dec:keras:mnist. [default: none; show the tables]"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each row, from 0 on.")] = 1,
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Run scikit-learn's clusterings of the data instead."),
    ] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="Write benchmarks/commands/*.sh and nothing else.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the rows' runs.")] = Path("runs/reproduce"),
) -> None:
    """Show the papers' tables beside our figures, or run the rows that are missing.

    A finished run adds its line to benchmarks/results. Ctrl-C stops a run at its next checkpoint,
    and the same command goes on.
    """
    from benchmarks.reproduce import scripts, table
    from benchmarks.reproduce.rows import ROWS

    for name in rows or ():
        if name not in ROWS:
            raise unknown_name("row", name, ROWS)
    if commands:
        scripts.write(table.read())
        return
    console = Console()
    chosen = [ROWS[name] for name in dict.fromkeys(rows or ROWS)]
    if baselines:
        _run_baselines(chosen, seeds, console)
    elif rows:
        _run_rows(chosen, seeds, out, console)
    _show(chosen, console)


def _run_rows(rows: Sequence[Row], n_seeds: int, out: Path, console: Console) -> None:
    from benchmarks.record import read_results
    from benchmarks.reproduce.runs import run

    for row in rows:
        there = {line["seed"] for line in row.runs(read_results(row.algorithm))}
        for seed in range(n_seeds):
            if seed not in there:
                console.print(f"{row.name}, seed {seed} ...")
                run(row, seed, out)


def _run_baselines(rows: Sequence[Row], n_seeds: int, console: Console) -> None:
    """What is missing and feasible; of data that cannot be had, says so and goes on."""
    from benchmarks.record import append, read_results
    from benchmarks.reproduce.baselines import NAME, missing, run

    absent: dict[str, InputError] = {}
    for dataset, split, method, seed in missing(rows, n_seeds, read_results(NAME)):
        if dataset in absent:
            continue
        console.print(f"{method} on {dataset} ({split}), seed {seed} ...")
        try:
            append(run(dataset, split, method, seed))
        except InputError as error:
            absent[dataset] = error
            console.print(f"Left out. {escape(str(error))}", soft_wrap=True)


def _show(rows: Sequence[Row], console: Console) -> None:
    from benchmarks.reproduce import table

    results = table.read()
    for made in table.rich_tables(rows, results):
        console.print(made)
    for text in table.not_run(rows, results):
        console.print(escape(text), soft_wrap=True)
    console.print(
        "Difference: our mean, or our best where the best is published, less the published figure. "
        "Best: of our runs, ClusterGAN's by its validation rows, DEC's by accuracy. "
        "`python -m benchmarks.tables` and `tfcluster reproduce --commands` write what the README "
        "shows."
    )
