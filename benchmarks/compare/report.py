"""Writes the report of a comparison: `report.html`, which is self-contained, and `report.md`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from benchmarks.compare.rendering import load_templates
from benchmarks.compare.report_figures import make_figures
from benchmarks.compare.report_tables import make_tables, tabulate_failures, tabulate_versions
from benchmarks.compare.result_lines import (
    Line,
    describe_case,
    get_error,
    select_failed,
)
from benchmarks.compare.suites import SUITES, TUNED_ON
from benchmarks.compare.verdict import explain_costs, write_verdict
from tfcluster.files import atomic_write

Lines = Mapping[str, Sequence[Line]]
"""Suite to its result lines."""

TITLE = "Flower, TensorFlow Federated and the local loop compared"


def write_report(lines: Lines, out: Path) -> Path:
    """Writes the page and its Markdown.

    Args:
      lines: Suite to its result lines.
      out: The folder.

    Returns:
      The path of `report.html`.

    Raises:
      InputError: If the folder cannot be written.
    """
    for name in ("report.md", "report.html"):
        with atomic_write(out / name) as file:
            file.write(render_report(name, lines).encode())
    return out / "report.html"


def render_report(template: str, lines: Lines) -> str:
    """Returns the report as "report.html", "report.md" or, for the README, "readme.md"."""
    failed = [line for runs in lines.values() for line in select_failed(runs)]
    return (
        load_templates()
        .get_template(template)
        .render(
            title=TITLE,
            verdict=write_verdict(lines),
            lines=lines,
            suites=SUITES,
            facts=read_facts(),
            how_to_read=explain_report(),
            failures=tabulate_failures(lines),
            errors={_name_run(line): line.get("error", "") for line in failed},
            versions=tabulate_versions(lines),
            explain_costs=explain_costs,
            make_figures=make_figures,
            make_tables=make_tables,
        )
    )


def _name_run(line: Line) -> str:
    case = line["case"]
    return f"{describe_case(line)}, {case['backend']}, seed {case['seed']}: {get_error(line)}"


def read_facts() -> list[dict[str, Any]]:
    """Returns what Flower and TFF can do, with the sources of every statement."""
    text = resources.files("benchmarks.compare").joinpath("flower_or_tff.toml").read_text()
    facts: list[dict[str, Any]] = tomllib.loads(text)["facts"]
    return facts


def explain_report() -> list[str]:
    """Returns paragraphs on how to read the report."""
    text = load_templates().get_template("how_to_read.txt").render(tuned_on=TUNED_ON)
    return text.strip().splitlines()
