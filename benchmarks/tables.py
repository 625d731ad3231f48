"""Writes the README's results from `benchmarks/results/`: `python -m benchmarks.tables`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import report
from benchmarks.compare.runs import read_lines
from benchmarks.engines.tables import (
    memory_table,
    overhead_table,
    paired_table,
    placement_table,
)
from benchmarks.record import RESULTS, read_results
from benchmarks.reproduce import table as reproduce
from benchmarks.reproduce.spread import spread_table
from benchmarks.speed.command import cells

README = Path(__file__).parents[1] / "README.md"

Result = Mapping[str, Any]


def with_results(text: str) -> str:
    """The README's text with its tables made anew."""
    made = {"reproduce": reproduce.markdown(reproduce.read())}
    made["speed"] = "".join(speed_table(line) for line in read_results("speed")[-1:])
    made["compare"] = report.readme(read_lines(RESULTS))
    for name, make in _TABLES.items():
        made[name] = make(read_results(name))
    for name, lines in made.items():
        before, begin, rest = text.partition(f"<!-- results: {name} -->\n")
        _, end, after = rest.partition(f"<!-- /results: {name} -->\n")
        text = before + begin + lines + end + after
    return text


_TABLES: Mapping[str, Callable[[Sequence[Result]], str]] = {
    "clustergan_first_weights": spread_table,
    "federated_clustergan": placement_table,
    "federated_dec_paired": paired_table,
    "federated_overhead": overhead_table,
    "federated_memory": memory_table,
}


def speed_table(result: Result) -> str:
    """The last run of `tfcluster bench`, as Markdown."""
    lines = [
        "| case | unit | originals' way | ours | ratio | goal | ratio at limit | share of limit "
        "| memory above data, MB: theirs, ours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, line in result["cases"].items():
        memory = line["memory_above_data_mb"]
        row = (name, *cells(line), f"{memory['theirs']:,.0f}, {memory['ours']:,.0f}")
        lines.append(f"| {' | '.join(row)} |")
    start = ", ".join(f"`{words}` {s:.2f} s" for words, s in result["startup_s"].items())
    return "\n".join(lines) + f"\n\n{start}; {result['machine']}, {result['cores']} cores.\n"


if __name__ == "__main__":
    README.write_text(with_results(README.read_text()))
