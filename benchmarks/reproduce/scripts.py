"""`benchmarks/commands/*.sh`: the exact commands behind the figures of the tables."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reproduce.rows import FOLDER, ROWS, Result, Row
from benchmarks.reproduce.table import Results

COMMANDS = Path(__file__).parents[1] / "commands"


def scripts(results: Results) -> dict[str, str]:
    """File name to text, for every row and for the baselines."""
    made = {f"{row.slug}.sh": _script(row, results) for row in ROWS.values()}
    n_seeds = 1 + max((line["seed"] for line in results["baselines"]), default=0)
    baselines = f"tfcluster reproduce --baselines --seeds {n_seeds}"
    return {**made, "baselines.sh": f"#!/bin/sh\n# scikit-learn's clusterings.\n{baselines}\n"}


def write(results: Results) -> None:
    """Writes them all; a file of no row is removed."""
    COMMANDS.mkdir(exist_ok=True)
    made = scripts(results)
    for path in COMMANDS.glob("*.sh"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (COMMANDS / name).write_text(text)


def _script(row: Row, results: Results) -> str:
    runs = row.runs(results[row.algorithm])
    blocks = [list(_run(row, run)) for run in runs] or [["# Not run yet.", _command(row, 0)]]
    head = ["#!/bin/sh", f"# {row.name}: the commands behind its figures."]
    return "\n\n".join("\n".join(lines) for lines in [head, *blocks]) + "\n"


def _run(row: Row, run: Result) -> Iterator[str]:
    seconds = max(scores.get("seconds", 0.0) for scores in run["scores"].values())
    yield f"# {seconds:,.0f} s at revision {run['git']}."
    yield from textwrap.wrap(run.get("note", ""), 100, initial_indent="# ", subsequent_indent="# ")
    yield _command(row, run["seed"], run["threads"])


def _command(row: Row, seed: int, threads: int | None = None) -> str:
    return shlex.join(["tfcluster", *row.command(seed, row.folder(seed, FOLDER), threads)])
