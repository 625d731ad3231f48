"""The rows with what was published, what runs reached, and the difference."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.table import Column, Table

from benchmarks.record import read_results
from benchmarks.reproduce import baselines
from benchmarks.reproduce.rows import ROWS, Published, Result, Row, Scores, n_scored
from tfcluster.cli import published
from tfcluster.data.catalog import DATASETS

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
COMPARED_AS = {"validation rows": "ClusterGAN"}
"""What has no published figure of its own, and whose it may be: the authors do not say which."""
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
        name = COMPARED_AS.get(method, method) if ours else method
        theirs: list[Published | None] = [p for p in row.published if p.method == name]
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
        f"{line.method}, best" if line.of_the_best else line.method,
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
        text = figure(scores[name])
        if f"{name}_sd" in scores:
            text += f" ± {figure(scores[f'{name}_sd'])}"
        if f"{name}_low" in scores:
            text += f" ({figure(scores[f'{name}_low'])} to {figure(scores[f'{name}_high'])})"
        found.append(text)
    return " / ".join(found)


def _figures(scores: Sequence[Scores], names: Sequence[str]) -> str:
    return " / ".join(_mean_and_deviation([s[name] for s in scores]) for name in names)


def _mean_and_deviation(values: Sequence[float]) -> str:
    mean = figure(statistics.mean(values))
    return mean if len(values) == 1 else f"{mean} ± {figure(statistics.stdev(values))}"


def figure(value: float) -> str:
    """A score as the papers print it: .123."""
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
    rows = [markdown_row(TITLES), "|" + "---|" * len(TITLES)]
    for row in ROWS.values():
        if row.algorithm != algorithm:
            continue
        title = f"[{row.name}](benchmarks/commands/{row.slug}.sh) ({_n_rows(row):,})"
        for line in lines(row, results):
            rows.append(markdown_row((title, *cells(line, KINDS[algorithm].scores))))
            title = ""
    return "\n".join(rows) + "\n"


def _n_rows(row: Row) -> int:
    return n_scored(row.dataset, row.split)


def markdown_row(texts: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(texts)} |"


def _baseline_table(results: Results) -> str:
    titles = ("data (rows scored)", *baselines.BASELINES)
    rows = [markdown_row(titles), "|" + "---|" * len(titles)]
    found = _baseline_cells(ROWS.values(), BASELINE_SCORES, results)
    rows += [markdown_row(texts) for texts in found]
    return "\n".join(rows) + "\n"


def _baseline_cells(
    rows: Iterable[Row], names: Sequence[str], results: Results
) -> Iterator[Sequence[str]]:
    """A line for the scored rows of each data set."""
    for dataset, split in dict.fromkeys((row.dataset, row.split) for row in rows):
        texts = [f"{dataset} ({n_scored(dataset, split):,})"]
        for method, baseline in baselines.BASELINES.items():
            found = baselines.of(results[baselines.NAME], dataset, split, method)
            text = f"{_figures(found, names)} ({len(found)}; {_seconds(found)} s)" if found else ""
            texts.append(text or baseline.obstacle(dataset, split) or "not run")
        yield texts


def _not_run(results: Results) -> str:
    """What has no run, and what it needs, as a list."""
    return "".join(f"- {text}\n" for text in not_run(ROWS.values(), results))


def not_run(rows: Iterable[Row], results: Results) -> list[str]:
    """What every row without a run needs, by data set; and the methods that no run has."""
    names: dict[str, list[str]] = {}
    lacking = []
    for row in rows:
        if not row.runs(results[row.algorithm]):
            names.setdefault(row.dataset, []).append(f"`{row.name}`")
            continue
        without = [line.method for line in lines(row, results) if not line.ours]
        lacking += [f"`{row.name}`, {method}: no command trains it." for method in without]
    return [
        *(f"{', '.join(own)}: not run yet. {how_to_get(name)}" for name, own in names.items()),
        *lacking,
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
    """The same for a terminal, with the first score alone.

    Args:
      rows: Those to show.
      results: All lines.
    """
    shown = list(rows)
    algorithms = [name for name in KINDS if any(row.algorithm == name for row in shown)]
    tables = [
        _rich_table(
            [row for row in shown if row.algorithm == name], KINDS[name].scores[:1], results
        )
        for name in algorithms
    ]
    made = _bare_table("accuracy", *baselines.BASELINES)
    for texts in _baseline_cells(shown, BASELINE_SCORES[:1], results):
        made.add_row(*texts)
    return [*tables, made]


def _rich_table(rows: Iterable[Row], names: Sequence[str], results: Results) -> Table:
    made = _bare_table(names[0], *(title for title in TITLES[2:] if title != "as"))
    for row in rows:
        made.add_row(row.name, style="bold")
        for line in lines(row, results):
            method, published_, _, *others = cells(line, names)
            made.add_row(f"  {method}", published_, *others)
    return made


def _bare_table(first: str, *titles: str) -> Table:
    made = Table(Column(first, no_wrap=True), box=None, padding=(0, 1, 0, 0))
    for title in titles:
        made.add_column(title, justify="right")
    return made
