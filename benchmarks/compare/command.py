"""`tfcluster compare`: runs a suite and writes the page."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape

from tfcluster.errors import InputError, unknown_name

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from benchmarks.compare.runs import Line

_SUITES = (
    "smoke", "digits", "mnist-writers", "mnist-clustergan", "scaling", "heterogeneity",
    "aggregation",
)  # fmt: skip
_ALGORITHMS = ("autoencoder", "dec", "clustergan")


def compare(
    suites: Annotated[
        Optional[list[str]], typer.Argument(help=f"Of {', '.join(_SUITES)}. [default: digits]")
    ] = None,
    seeds: Annotated[
        Optional[int], typer.Option(min=1, help="Of each case. [default: the suite's]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where lines, report.html and report.md go.")] = Path(
        "runs/compare"
    ),
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs at a time, where no seconds are compared.")
    ] = 1,
    algorithm: Annotated[
        Optional[str], typer.Option(help="Only the cases of autoencoder, dec or clustergan.")
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing; write the page of what is there.")
    ] = False,
) -> None:
    """Compare Flower, TFF and the local loop, or procedures, and write a page.

    What is there is not run again: after an interruption the same command goes on.
    """
    names = suites or ["digits"]
    for name in names:
        if name not in _SUITES:
            raise unknown_name("suite", name, _SUITES)
    if algorithm not in (None, *_ALGORITHMS):
        raise unknown_name("algorithm", str(algorithm), _ALGORITHMS)
    console = Console()
    if not report_only:
        if algorithm:
            _check_has_cases(names, algorithm)
        for name in names:
            _run(name, seeds, out, jobs, algorithm, console)
    from benchmarks.compare.report import verdict, write_report
    from benchmarks.compare.runs import read_lines

    lines = read_lines(out)
    if not lines:
        raise InputError(f"There are no runs under {out} yet. Leave out --report-only.")
    written = write_report(lines, out)
    for name in names:
        _print_tables(name, lines.get(name, []), console)
    for sentence in verdict(lines):
        console.print(escape(sentence))
    console.print(f"Page: {written}")


def _check_has_cases(names: list[str], algorithm: str) -> None:
    """Raises `InputError` if none of the suites has a case of the algorithm."""
    from benchmarks.compare.cases import SUITES

    stages = [stage for name in names for stage in SUITES[name].stages]
    if not any(c.algorithm == algorithm for stage in stages for c in stage([0], lambda _: 0.0)):
        suites = f"Suite {names[0]} has" if len(names) == 1 else f"Suites {', '.join(names)} have"
        raise InputError(
            f"{suites} no case of that algorithm. Received: --algorithm {algorithm}. "
            "Choose another, or leave it out."
        )


def _print_tables(suite: str, lines: list[Line], console: Console) -> None:
    """Scores, and what they cost; a part for each case, whose name is too wide for a column."""
    from benchmarks.compare import tables

    for found in tables.of_suite(suite, lines)[:2]:
        console.print(f"[italic]{escape(found.caption)}[/]")
        if found.header[0] != "case":
            console.print(_rich_table(found.header, found.rows), "")
            continue
        for name, rows in itertools.groupby(found.rows, lambda row: row[0]):
            console.print(f"[bold]{escape(str(name))}[/]")
            console.print(_rich_table(found.header[1:], [row[1:] for row in rows]), "")


def _rich_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> RichTable:
    """Where room is short, names stay in a line and figures wrap."""
    from rich.table import Column, Table

    columns = [Column(title, overflow="fold", no_wrap=i == 0) for i, title in enumerate(header)]
    shown = Table(*columns, box=None, padding=(0, 1, 0, 0))
    for row in rows:
        shown.add_row(*(escape(str(cell)) for cell in row))
    return shown


def _run(
    name: str, seeds: int | None, out: Path, jobs: int, algorithm: str | None, console: Console
) -> None:
    from benchmarks.compare.cases import SUITES, Case
    from benchmarks.compare.runs import Results, run_suite, suite_file
    from benchmarks.compare.verdict import last_line

    suite = SUITES[name]
    if jobs > 1 and suite.is_timed:
        raise InputError(
            f"Suite {name} compares seconds, so its runs must not share the machine. "
            f"Received: --jobs {jobs}. Leave it out."
        )
    console.print(f"[bold]{name}[/]: {suite.purpose}")

    def tell(case: Case, line: Line | None) -> None:
        if line is None:
            console.print(f"  {escape(str(case))} ...")
        elif line["status"] == "failed":
            error = escape(last_line(line))
            console.print(f"  [bold red]failed[/] {escape(str(case))}: {error}")
        else:
            found = ", ".join(f"{k} {v:.3f}" for k, v in line["scores"].items())
            console.print(f"    {line['seconds']['total']:.1f} s  {found}")

    run_suite(
        suite,
        range(seeds or suite.seeds),
        Results(suite_file(out, name)),
        tell,
        jobs,
        lambda case: algorithm in (None, case.algorithm),
    )
