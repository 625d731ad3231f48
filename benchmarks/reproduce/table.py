"""The rows with what was published, what runs reached, and the difference."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rich.table import Table

from benchmarks.record import read_results
from benchmarks.reproduce import baselines
from benchmarks.reproduce.rows import ROWS, Published, Result, Row, Scores, n_scored
from tfcluster import published
from tfcluster.datasets import DATASETS

Results = Mapping[str, Sequence[Result]]
"""Algorithm, or "baselines", to result lines."""

TITLES = ("row", "method", "published", "as", "ours", "best", "difference", "runs", "seconds")


class Kind(NamedTuple):
    """How an algorithm's runs are shown.

    Attributes:
      methods: In order.
      scores: Names of scores.
    """

    methods: Sequence[str]
    scores: Sequence[str]


KINDS: Mapping[str, Kind] = {
    "dec": Kind(("AE + k-means", "DEC, encoder frozen", "DEC"), ("accuracy", "nmi", "ari")),
    "clustergan": Kind(
        ("ClusterGAN", "argmax of z_c", "back-propagation", "validation rows"),
        ("purity", "nmi", "ari"),
    ),
}
BASELINE_SCORES = ("accuracy", "purity", "nmi", "ari")


class Line(NamedTuple):
    """A method of a row.

    Attributes:
      method: Its name.
      published: What ours is compared with, or None.
      ours: Scores of every run.
      best: Those of the run that is kept, or None if there is no run.
    """

    method: str
    published: Published | None
    ours: Sequence[Scores]
    best: Scores | None

    @property
    def of_the_best(self) -> bool:
        """Whether the published figure is that of a model chosen by its validation rows."""
        return self.published is not None and self.published.kind == published.BEST_OF_FIVE


def read() -> Results:
    """All lines the tables are made of."""
    return {name: read_results(name) for name in (*KINDS, baselines.NAME)}


def lines(row: Row, results: Results) -> list[Line]:
    """A row's methods: those with a published figure, and those our runs have scores of."""
    runs = row.runs(results[row.algorithm])
    best = max(runs, key=_quality, default=None)
    found = []
    for method in KINDS[row.algorithm].methods:
        ours = [run["scores"][method] for run in runs if method in run["scores"]]
        kept = None if best is None else best["scores"].get(method)
        theirs: list[Published | None] = [p for p in row.published if p.method == method]
        if theirs or ours:
            found += [Line(method, p, ours, kept) for p in theirs or [None]]
    return found


def _quality(run: Result) -> float:
    """ClusterGAN's by the validation rows, as its authors choose; DEC's by the accuracy."""
    return float(run.get("selection", run["scores"].get("DEC", {}).get("accuracy", 0.0)))


def cells(line: Line, names: Sequence[str]) -> tuple[str, ...]:
    """A line's texts, in the order of `TITLES` without the first.

    Args:
      line: What to show.
      names: Of its scores.
    """
    theirs = None if line.published is None else line.published.scores
    compared = [line.best] if line.of_the_best and line.best else line.ours
    has_best = line.of_the_best or len(line.ours) > 1
    return (
        line.method,
        "-" if theirs is None else _stated(theirs, names),
        "-" if line.published is None else line.published.kind,
        _figures(line.ours, names) if line.ours else "not run",
        _figures([line.best], names) if line.best and has_best else "-",
        _difference(theirs, compared, names),
        str(len(line.ours)),
        _seconds(line.ours),
    )


def _stated(scores: Scores, names: Sequence[str]) -> str:
    """Published scores, with deviation or range where they were published."""
    found = []
    for name in names:
        if name not in scores:
            continue
        text = _figure(scores[name])
        if f"{name}_sd" in scores:
            text += f" ± {_figure(scores[f'{name}_sd'])}"
        if f"{name}_low" in scores:
            text += f" ({_figure(scores[f'{name}_low'])} to {_figure(scores[f'{name}_high'])})"
        found.append(text)
    return " / ".join(found)


def _figures(scores: Sequence[Scores], names: Sequence[str]) -> str:
    return " / ".join(_mean_and_deviation([s[name] for s in scores]) for name in names)


def _mean_and_deviation(values: Sequence[float]) -> str:
    mean = _figure(statistics.mean(values))
    return mean if len(values) == 1 else f"{mean} ± {_figure(statistics.stdev(values))}"


def _figure(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _difference(theirs: Scores | None, ours: Sequence[Scores], names: Sequence[str]) -> str:
    """Our mean less the published figure."""
    if theirs is None or not ours:
        return "-"
    known = [name for name in names if name in theirs]
    differences = (statistics.mean(s[name] for s in ours) - theirs[name] for name in known)
    return " / ".join(f"{value:+.3f}".replace("0.", ".", 1) for value in differences)


def _seconds(scores: Sequence[Scores]) -> str:
    values = [s["seconds"] for s in scores if "seconds" in s]
    return f"{statistics.mean(values):,.0f}" if values else "-"


def markdown(results: Results) -> str:
    """The tables of the README."""
    return "\n".join(
        (
            *(_algorithm_table(name, results) for name in KINDS),
            _baseline_table(results),
            _not_run(results),
        )
    )


def _algorithm_table(algorithm: str, results: Results) -> str:
    rows = [_markdown_row(TITLES), "|" + "---|" * len(TITLES)]
    for row in ROWS.values():
        if row.algorithm != algorithm:
            continue
        title = f"[{row.name}](benchmarks/commands/{row.slug}.sh) ({_n_rows(row):,})"
        for line in lines(row, results):
            rows.append(_markdown_row((title, *cells(line, KINDS[algorithm].scores))))
            title = ""
    return "\n".join(rows) + "\n"


def _n_rows(row: Row) -> int:
    return n_scored(row.dataset, row.split)


def _markdown_row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _baseline_table(results: Results) -> str:
    titles = ("data (rows scored)", *baselines.BASELINES)
    rows = [_markdown_row(titles), "|" + "---|" * len(titles)]
    rows += [_markdown_row(texts) for texts in _baseline_cells(ROWS.values(), results)]
    return "\n".join(rows) + "\n"


def _baseline_cells(rows: Iterable[Row], results: Results) -> list[Sequence[str]]:
    """A line for the scored rows of each data set."""
    data = dict.fromkeys((row.dataset, row.split) for row in rows)
    return [
        (
            f"{dataset} ({n_scored(dataset, split):,})",
            *(_baseline_cell(results, dataset, split, method) for method in baselines.BASELINES),
        )
        for dataset, split in data
    ]


def _baseline_cell(results: Results, dataset: str, split: str, method: str) -> str:
    scores = baselines.of(results[baselines.NAME], dataset, split, method)
    if not scores:
        return baselines.BASELINES[method].obstacle(dataset, split) or "not run"
    return f"{_figures(scores, BASELINE_SCORES)} ({len(scores)}; {_seconds(scores)} s)"


def _not_run(results: Results) -> str:
    """What has no run, and what it needs, as a list."""
    return "".join(f"- {text}\n" for text in not_run(ROWS.values(), results))


def not_run(rows: Iterable[Row], results: Results) -> list[str]:
    """What to do for every row without a run, one sentence or two for each data set."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if not row.runs(results[row.algorithm]):
            names.setdefault(row.dataset, []).append(f"`{row.name}`")
    return [
        f"{', '.join(own)}: not run yet. {how_to_get(dataset)}" for dataset, own in names.items()
    ]


def how_to_get(dataset: str) -> str:
    """Where the data come from."""
    info = DATASETS[dataset]
    if info.file is None:
        return "Needs no data."
    if info.fetch is not None:
        return f"Data: `{info.file}` in `TFCLUSTER_DATA`, or downloaded when first needed."
    return (
        f"Data: no loader downloads them. Get them from {info.source}; save as `{info.file}` in "
        f"`TFCLUSTER_DATA`: {info.layout}."
    )


def rich_tables(rows: Iterable[Row], results: Results) -> list[Table]:
    """The same for a terminal.

    Args:
      rows: Those to show.
      results: All lines.
    """
    shown = list(rows)
    tables = []
    for algorithm, kind in KINDS.items():
        own = [row for row in shown if row.algorithm == algorithm]
        if not own:
            continue
        made = Table(*TITLES, show_edge=False, title=" / ".join(kind.scores))
        for row in own:
            title = row.name
            for line in lines(row, results):
                made.add_row(title, *cells(line, kind.scores))
                title = ""
        tables.append(made)
    made = Table("data", *baselines.BASELINES, show_edge=False, title=" / ".join(BASELINE_SCORES))
    for texts in _baseline_cells(shown, results):
        made.add_row(*texts)
    return [*tables, made]
