"""Writes the README's results from `benchmarks/results/`: `python -m benchmarks.tables`."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from tfcluster import published

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"
METHODS = ("k-means", "AE + k-means", "DEC")

Result = Mapping[str, Any]


def read_results(name: str) -> list[Result]:
    """The lines of a file in `benchmarks/results/`."""
    return [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text().splitlines()]


def results_table(results: Iterable[Result]) -> str:
    """ACC / NMI / ARI of every protocol and data set, published and ours, as Markdown.

    Args:
      results: Lines of `dec.jsonl`; several seeds of one protocol become mean and deviation.
    """
    lines = [
        "| data | preset | method | published | ours | seeds | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    ordered = sorted(results, key=_case)
    for (dataset, preset), group in itertools.groupby(ordered, key=_case):
        runs, known = list(group), published.dec_lines(preset, dataset)
        for method in METHODS:
            scores = [run["scores"][method] for run in runs]
            row = (
                f"{dataset} ({runs[0]['n_rows']:,})",
                preset,
                method,
                _figures([known[method]]) if method in known else "-",
                _figures(scores),
                str(len(runs)),
                f"{statistics.mean(s['seconds'] for s in scores):,.0f}",
            )
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _case(result: Result) -> tuple[str, str]:
    """Data set, and protocol with what was set otherwise: runs of one kind."""
    changes = [f"{name}={value}" for name, value in result["overrides"].items()]
    return result["dataset"], ", ".join([result["preset"], *changes])


def _figures(scores: Sequence[Mapping[str, float]]) -> str:
    names = [name for name in ("accuracy", "nmi", "ari") if name in scores[0]]
    return " / ".join(_mean_and_deviation([s[name] for s in scores]) for name in names)


def _mean_and_deviation(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.3f}".removeprefix("0")
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.3f}".replace("± 0", "± ")


def with_results(text: str) -> str:
    """The README's text with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + results_table(read_results("dec")) + END + after


if __name__ == "__main__":
    README.write_text(with_results(README.read_text()))
