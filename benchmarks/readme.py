"""Writes the README's results from `benchmarks/results/`: `python -m benchmarks.readme`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare.measurement_tables import (
    tabulate_generators,
    tabulate_memory,
    tabulate_overhead,
    tabulate_pairs,
)
from benchmarks.compare.report import render_report
from benchmarks.compare.result_files import read_suites
from benchmarks.markdown import format_table
from benchmarks.record import RESULTS, read_results
from benchmarks.reproduce import published_tables
from benchmarks.reproduce.weight_spread import tabulate_spread
from benchmarks.speed.bench_command import format_cells

README = Path(__file__).parents[1] / "README.md"

Result = Mapping[str, Any]


def insert_results(text: str) -> str:
    """Returns the README's text with all tables of results made anew."""
    made = {
        "reproduce": published_tables.format_markdown(published_tables.read_all()),
        "compare": render_report("readme.md", read_suites(RESULTS)),
        **{name: tabulate(read_results(name)) for name, tabulate in _TABLES.items()},
    }
    for name, lines in made.items():
        before, begin, rest = text.partition(f"<!-- results: {name} -->\n")
        _, end, after = rest.partition(f"<!-- /results: {name} -->\n")
        text = before + begin + lines + end + after
    return text


def tabulate_speed(lines: Sequence[Result]) -> str:
    """Tabulates the last run of `tfcluster bench`."""
    header = ["case", "unit", "originals", "ours", "ratio", "goal", "ratio at limit"]
    header += ["share of limit", "memory above data, MB: originals, ours"]
    rows = []
    for name, line in lines[-1]["cases"].items():
        memory = line["memory_above_data_mb"]
        rows.append([name, *format_cells(line), f"{memory['theirs']:,.0f}, {memory['ours']:,.0f}"])
    last = lines[-1]
    start = ", ".join(f"`{words}` {s:.2f} s" for words, s in last["startup_s"].items())
    return f"{format_table(header, rows)}\n{start}; {last['machine']}, {last['cores']} cores.\n"


def tabulate_environments(lines: Sequence[Result]) -> str:
    """Tabulates the last run of our loops in both environments."""
    header = ["case", "unit", "TensorFlow 2.21", "TensorFlow 2.14", "ratio: median, least, most"]
    rows = []
    for name, line in lines[-1]["cases"].items():
        times = [f"{line[key]:,.1f} ms" for key in ("here_ms", "there_ms")]
        found = line["ratios"]
        ratios = [f"{ratio:.2f}" for ratio in (line["ratio"], min(found), max(found))]
        rows.append([name, line["unit"], *times, ", ".join(ratios)])
    return format_table(header, rows)


_TABLES: Mapping[str, Callable[[Sequence[Result]], str]] = {
    "speed": tabulate_speed,
    "speed_environments": tabulate_environments,
    "clustergan_initial_weights": tabulate_spread,
    "federated_clustergan": tabulate_generators,
    "federated_dec_paired": tabulate_pairs,
    "federated_overhead": tabulate_overhead,
    "federated_memory": tabulate_memory,
}


if __name__ == "__main__":
    README.write_text(insert_results(README.read_text()))
