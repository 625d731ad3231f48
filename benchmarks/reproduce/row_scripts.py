"""Writes `benchmarks/commands/*.sh`: the exact commands behind the results in the tables."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reproduce.published_tables import Results
from benchmarks.reproduce.table_rows import FOLDER, ROWS, Result, Row

COMMANDS = Path(__file__).parents[1] / "commands"


def make_scripts(results: Results) -> dict[str, str]:
    """Returns file name to text, for every row and for the baselines."""
    made = {f"{row.slug}.sh": _make_script(row, results) for row in ROWS.values()}
    return {**made, "baselines.sh": "\n".join(_list_baselines(results)) + "\n"}


def write_scripts(results: Results) -> None:
    """Writes all scripts and removes files that belong to no row."""
    COMMANDS.mkdir(exist_ok=True)
    made = make_scripts(results)
    for path in COMMANDS.glob("*.sh"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (COMMANDS / name).write_text(text)


def _make_script(row: Row, results: Results) -> str:
    runs = row.select_runs(results[row.algorithm])
    blocks = [list(_describe_run(row, run)) for run in runs] or [
        ["# Not run yet.", _write_command(row, 0)]
    ]
    head = ["#!/bin/sh", f"# {row.name}: the commands behind its results."]
    return "\n\n".join("\n".join(lines) for lines in [head, *blocks]) + "\n"


def _list_baselines(results: Results) -> Iterator[str]:
    yield from (
        "#!/bin/sh",
        "# scikit-learn's clusterings of each data set, on the split that one of its rows scores.",
    )
    rows = {(row.dataset, row.split): row for row in ROWS.values()}
    for data, row in rows.items():
        seeds = [x["seed"] for x in results["baselines"] if (x["dataset"], x["split"]) == data]
        if seeds:
            yield f"tfcluster reproduce --baselines --seeds {1 + max(seeds)} {row.name}"


def _describe_run(row: Row, run: Result) -> Iterator[str]:
    seconds = max(scores.get("seconds", 0.0) for scores in run["scores"].values())
    yield f"# {seconds:,.0f} s at revision {run['git']}."
    yield from textwrap.wrap(run.get("note", ""), 100, initial_indent="# ", subsequent_indent="# ")
    yield _write_command(row, run["seed"], run["threads"])


def _write_command(row: Row, seed: int, threads: int | None = None) -> str:
    return shlex.join(["tfcluster", *row.write_command(seed, row.make_path(seed, FOLDER), threads)])
