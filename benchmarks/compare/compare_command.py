"""`tfcluster compare`: runs suites and writes the report."""

from __future__ import annotations

import importlib.util
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

    from benchmarks.compare.result_files import Line
    from benchmarks.compare.suites import Suite

_SUITES = (
    "smoke", "digits", "mnist-writers", "mnist-clustergan", "scaling", "heterogeneity",
    "aggregation",
)  # fmt: skip
_ALGORITHMS = ("autoencoder", "dec", "clustergan")


def compare(
    suites: Annotated[
        Optional[list[str]],
        typer.Argument(help=f"Suites: {', '.join(_SUITES)}. [default: digits]", show_default=False),
    ] = None,
    seeds: Annotated[
        Optional[int],
        typer.Option(min=1, help="Number of seeds. [default: the suite's]", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of results and report.")] = Path("runs/compare"),
    jobs: Annotated[
        int, typer.Option(min=1, help="Parallel runs, where no seconds are compared.")
    ] = 1,
    algorithm: Annotated[
        Optional[str],
        typer.Option(help="Run only cases of autoencoder, dec or clustergan.", show_default=False),
    ] = None,
    insecure_worker: Annotated[
        bool,
        typer.Option(
            "--insecure-worker",
            help="Let TFF's worker be reached over the network where it cannot be isolated.",
        ),
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing; write the report of finished runs.")
    ] = False,
) -> None:
    """Compare backends or procedures and write a report.

    Finished runs are skipped when you run the command again; failures are recorded.
    """
    names = suites or ["digits"]
    for name in names:
        if name not in _SUITES:
            raise unknown_name("suite", name, _SUITES)
    if algorithm not in (None, *_ALGORITHMS):
        raise unknown_name("algorithm", str(algorithm), _ALGORITHMS)
    _check_packages()
    console = Console()
    if not report_only:
        if algorithm:
            _check_has_cases(names, algorithm)
        for name in names:
            _run_suite(name, seeds, out, jobs, algorithm, insecure_worker, console)
    from benchmarks.compare.report import write_report
    from benchmarks.compare.result_files import read_suites
    from benchmarks.compare.verdict import write_verdict

    lines = read_suites(out)
    if not lines:
        raise InputError(f"There are no runs in {out} yet. Leave out --report-only.")
    written = write_report(lines, out)
    for name in names:
        _print_tables(name, lines.get(name, []), console)
    for sentence in write_verdict(lines):
        console.print(escape(sentence))
    console.print(f"Report: {written}")


def _check_packages() -> None:
    """Raises `InputError` unless the report can be written."""
    missing = [name for name in ("jinja2", "matplotlib") if not importlib.util.find_spec(name)]
    if missing:
        raise InputError(
            f"The report needs {' and '.join(missing)}. Install what is missing: "
            f"pip install {' '.join(missing)}."
        )


def _check_has_cases(names: list[str], algorithm: str) -> None:
    """Raises `InputError` if none of the suites has a case of the algorithm."""
    from benchmarks.compare.suites import SUITES

    stages = [stage for name in names for stage in SUITES[name].stages]
    if not any(c.algorithm == algorithm for stage in stages for c in stage([0], lambda _: 0.0)):
        suites = f"Suite {names[0]} has" if len(names) == 1 else f"Suites {', '.join(names)} have"
        raise InputError(
            f"{suites} no case of that algorithm. Received: --algorithm {algorithm}. "
            "Choose another, or leave it out."
        )


def _print_tables(suite: str, lines: list[Line], console: Console) -> None:
    """Prints the first two tables, in parts if the names of cases are too wide for a column."""
    from benchmarks.compare.report_tables import make_tables

    for found in make_tables(suite, lines)[:2]:
        console.print(f"[italic]{escape(found.caption)}[/]")
        if found.header[0] != "case":
            console.print(_make_rich_table(found.header, found.rows), "")
            continue
        for name, rows in itertools.groupby(found.rows, lambda row: row[0]):
            console.print(f"[bold]{escape(name)}[/]")
            console.print(_make_rich_table(found.header[1:], [row[1:] for row in rows]), "")


def _make_rich_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> RichTable:
    """Returns a table whose first column never wraps."""
    from rich.table import Column, Table

    columns = [Column(title, overflow="fold", no_wrap=i == 0) for i, title in enumerate(header)]
    shown = Table(*columns, box=None, padding=(0, 1, 0, 0))
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    return shown


def _run_suite(
    name: str,
    seeds: int | None,
    out: Path,
    jobs: int,
    algorithm: str | None,
    insecure_worker: bool,
    console: Console,
) -> None:
    from benchmarks.compare.cases import Case
    from benchmarks.compare.result_files import ResultFile, make_path
    from benchmarks.compare.result_lines import get_error
    from benchmarks.compare.suite_runner import run_suite
    from benchmarks.compare.suites import SUITES

    suite = SUITES[name]
    if jobs > 1 and suite.is_timed:
        raise InputError(
            f"Suite {name} compares seconds, so its runs must not share the machine. "
            f"Received: --jobs {jobs}. Leave it out."
        )
    console.print(f"[bold]{name}[/]: {suite.purpose}")
    without_tff = _is_without_tff(suite, console)

    def is_wanted(case: Case) -> bool:
        return algorithm in (None, case.algorithm) and not (without_tff and case.needs_tff)

    def report(case: Case, line: Line | None) -> None:
        if line is None:
            console.print(f"  {escape(str(case))} ...")
        elif line["status"] == "failed":
            error = escape(get_error(line))
            console.print(f"  [bold red]failed[/] {escape(str(case))}: {error}")
        else:
            found = ", ".join(f"{k} {v:.3f}" for k, v in line["scores"].items())
            console.print(f"    {line['seconds']['total']:.1f} s  {found}")

    run_suite(
        suite,
        range(seeds or suite.n_seeds),
        ResultFile(make_path(out, name)),
        report,
        jobs,
        is_wanted,
        insecure_worker,
    )


def _is_without_tff(suite: Suite, console: Console) -> bool:
    """Returns whether the cases of TFF must be left out, and says why; makes its environment."""
    from federated.backends.tff_environment import NoPythonError, find_python

    cases = itertools.chain.from_iterable(stage([0], lambda _: 0.0) for stage in suite.stages)
    if not any(case.needs_tff for case in cases):
        return False
    try:
        find_python()
    except NoPythonError as error:
        console.print(f"  Flower is compared with the local loop only. {escape(str(error))}")
        return True
    return False
