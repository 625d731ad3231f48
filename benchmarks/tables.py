"""Writes the README's results from `benchmarks/results/`: `python -m benchmarks.tables`."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engines.tables import memory_table, overhead_table, paired_table
from benchmarks.record import read_results
from benchmarks.speed.command import cells
from tfcluster import published

README = Path(__file__).parents[1] / "README.md"

Result = Mapping[str, Any]
Published = Callable[[str, str], Mapping[str, Mapping[str, float]]]


def _published_gan(preset: str, dataset: str) -> Mapping[str, Mapping[str, float]]:
    lines = published.clustergan_lines(dataset) if preset in ("auto", dataset) else {}
    mean = lines.get(published.MEAN_OF_TEN, lines.get(published.BEST_OF_FIVE))
    return {} if mean is None else {"ClusterGAN": mean}


@dataclasses.dataclass(frozen=True)
class Table:
    """One table of the README.

    Attributes:
      file: Of its result lines, without `.jsonl`; the markers in the README bear its name.
      methods: Its rows.
      names: Its scores.
      published: Protocol and data set to method to the scores the originals published.
    """

    file: str
    methods: Sequence[str]
    names: Sequence[str]
    published: Published


DEC = Table(
    "dec", ("k-means", "AE + k-means", "DEC"), ("accuracy", "nmi", "ari"), published.dec_lines
)
CLUSTERGAN = Table(
    "clustergan",
    ("k-means", "ClusterGAN", "argmax of z_c", "back-propagation", "validation rows"),
    ("purity", "nmi", "ari"),
    _published_gan,
)


def results_table(results: Iterable[Result], table: Table = DEC) -> str:
    """The scores of every protocol and data set, published and ours, as Markdown.

    Args:
      results: Lines of the table's file; several seeds of one protocol become mean and deviation.
      table: What to show.
    """
    lines = [
        "| data | preset | method | published | ours | seeds | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    ordered = sorted(results, key=_case)
    for (dataset, preset), group in itertools.groupby(ordered, key=_case):
        runs, known = list(group), table.published(preset, dataset)
        for method in table.methods:
            scores = [run["scores"][method] for run in runs if method in run["scores"]]
            if not scores:
                continue
            row = (
                f"{dataset} ({_rows(runs[0]):,})",
                preset,
                method,
                _figures([known[method]], table.names) if method in known else "-",
                _figures(scores, table.names),
                str(len(runs)),
                _seconds(scores),
            )
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _case(result: Result) -> tuple[str, str]:
    """Data set, and protocol with what was set otherwise: runs of one kind."""
    changes = [f"{name}={value}" for name, value in result["overrides"].items()]
    return result["dataset"], ", ".join([result["preset"], *changes])


def _rows(result: Result) -> int:
    rows = result["n_rows"]
    return int(rows["test"] if isinstance(rows, Mapping) else rows)


def _seconds(scores: Sequence[Mapping[str, float]]) -> str:
    values = [s["seconds"] for s in scores if "seconds" in s]
    return f"{statistics.mean(values):,.0f}" if values else "-"


def _figures(scores: Sequence[Mapping[str, float]], names: Sequence[str]) -> str:
    known = [name for name in names if name in scores[0]]
    return " / ".join(_mean_and_deviation([s[name] for s in scores]) for name in known)


def _mean_and_deviation(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.3f}".removeprefix("0")
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.3f}".replace("± 0", "± ")


def with_results(text: str) -> str:
    """The README's text with its tables made anew."""
    made = {
        table.file: results_table(read_results(table.file), table) for table in (DEC, CLUSTERGAN)
    }
    made["speed"] = "".join(speed_table(line) for line in read_results("speed")[-1:])
    for name, make in _ENGINES.items():
        made[name] = make(read_results(name))
    for name, lines in made.items():
        before, begin, rest = text.partition(f"<!-- results: {name} -->\n")
        _, end, after = rest.partition(f"<!-- /results: {name} -->\n")
        text = before + begin + lines + end + after
    return text


_ENGINES: Mapping[str, Callable[[Sequence[Result]], str]] = {
    "federated_dec_paired": paired_table,
    "federated_overhead": overhead_table,
    "federated_memory": memory_table,
}


def speed_table(result: Result) -> str:
    """The last run of `tfcluster bench`, as Markdown."""
    lines = [
        "| case | unit | originals' way | ours | ratio | goal | limit | share of limit "
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
