"""`tfcluster reproduce`: the papers' tables beside our results, and the runs behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape

from tfcluster.errors import InputError, unknown_name

if TYPE_CHECKING:
    from benchmarks.reproduce.table_rows import Row


def reproduce(
    rows: Annotated[
        Optional[list[str]],
        typer.Argument(
            help="Rows to run, e.g. dec:keras:mnist. [default: none; show the tables]",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds of each row, from 0 on.")] = 1,
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Run scikit-learn's clusterings instead."),
    ] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="Only write benchmarks/commands/*.sh.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/reproduce"),
) -> None:
    """Show the papers' tables beside our results, or run missing rows.

    A finished run adds a line to benchmarks/results. Ctrl-C stops a run at its next checkpoint;
    the same command resumes it.
    """
    from benchmarks.reproduce import published_tables, row_scripts
    from benchmarks.reproduce.table_rows import ROWS

    for name in rows or ():
        if name not in ROWS:
            raise unknown_name("row", name, ROWS)
    if commands:
        row_scripts.write_scripts(published_tables.read_all())
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
    from benchmarks.reproduce.row_runner import run_row

    for row in rows:
        known = {line["seed"] for line in row.select_runs(read_results(row.algorithm))}
        for seed in range(n_seeds):
            if seed not in known:
                console.print(f"{row.name}, seed {seed} ...")
                try:
                    run_row(row, seed, out)
                except KeyboardInterrupt:
                    console.print("To resume, run the same command again, without --resume.")
                    raise


def _run_baselines(rows: Sequence[Row], n_seeds: int, console: Console) -> None:
    """Runs what is missing and feasible; reports data that is not available and continues."""
    from benchmarks.record import append, read_results
    from benchmarks.reproduce.baselines import NAME, list_missing, run_baseline

    absent: dict[str, InputError] = {}
    for dataset, split, method, seed in list_missing(rows, n_seeds, read_results(NAME)):
        if dataset in absent:
            continue
        console.print(f"{method} on {dataset} ({split}), seed {seed} ...")
        try:
            append(run_baseline(dataset, split, method, seed))
        except InputError as error:
            absent[dataset] = error
            console.print(f"Skipped. {escape(str(error))}", soft_wrap=True)


def _show(rows: Sequence[Row], console: Console) -> None:
    from benchmarks.reproduce import published_tables

    results = published_tables.read_all()
    for made in published_tables.make_rich_tables(rows, results):
        console.print(made, "")
    for text in published_tables.list_not_run(rows, results):
        console.print(escape(text), soft_wrap=True)
    console.print(
        "Difference: our mean - the published figure, or our best where the best was published. "
        "Best: our best run, for ClusterGAN by its validation samples, for DEC by accuracy. "
        "Baselines: score (seeds; seconds). The README has all scores; update it by "
        "`python -m benchmarks.readme` and `tfcluster reproduce --commands`."
    )
