"""The tables of published figures beside our results, with the difference."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.table import Column, Table

from benchmarks.markdown import format_table
from benchmarks.record import read_results
from benchmarks.reproduce import baselines
from benchmarks.reproduce.table_rows import ROWS, Published, Result, Row, Scores, count_scored
from tfcluster.cli import published
from tfcluster.data.catalog import DATASETS

Results = Mapping[str, Sequence[Result]]
"""Algorithm or "baselines" to result lines."""

TITLES = ("row", "method", "published", "kind", "ours", "best", "difference", "runs", "seconds")


class Kind(NamedTuple):
    """Methods and scores of an algorithm's table.

    Attributes:
      methods: Names of methods in order.
      scores: Names of scores.
    """

    methods: Sequence[str]
    scores: Sequence[str]


KINDS: Mapping[str, Kind] = {
    "dec": Kind(("AE + k-means", "DEC, encoder frozen", "DEC"), ("accuracy", "nmi", "ari")),
    "clustergan": Kind(
        ("ClusterGAN", "argmax of z_c", "back-propagation", "validation samples"),
        ("purity", "nmi", "ari"),
    ),
}
COMPARED_AS = {"validation samples": "ClusterGAN"}
"""Method to the published method it is compared with: the authors do not say which they used."""
BASELINE_SCORES = ("accuracy", "purity", "nmi", "ari")


class Line(NamedTuple):
    """A method of a row.

    Attributes:
      method: Name of the method.
      published: The figure our results are compared with, or None.
      ours: Scores of every run.
      best: Scores of the best run, or None without runs.
    """

    method: str
    published: Published | None
    ours: Sequence[Scores]
    best: Scores | None

    @property
    def is_best(self) -> bool:
        """Returns whether the published figure is the best model's by validation samples."""
        return self.published is not None and self.published.kind == published.BEST_OF_FIVE


def read_all() -> Results:
    """Returns all result lines that the tables show."""
    return {name: read_results(name) for name in (*KINDS, baselines.NAME)}


def list_methods(row: Row, results: Results) -> list[Line]:
    """Returns the methods of a row that have a published figure or a run of ours."""
    runs = row.select_runs(results[row.algorithm])
    best = max(runs, key=_get_quality, default=None)
    found = []
    for method in KINDS[row.algorithm].methods:
        ours = [run["scores"][method] for run in runs if method in run["scores"]]
        kept = None if best is None else best["scores"].get(method)
        name = COMPARED_AS.get(method, method) if ours else method
        theirs: list[Published | None] = [p for p in row.published if p.method == name]
        if theirs or ours:
            found += [Line(method, p, ours, kept) for p in theirs or [None]]
    return found


def _get_quality(run: Result) -> float:
    """Returns the validation score for ClusterGAN, as its authors choose, and DEC's accuracy."""
    quality = run.get("validation_purity", run.get("selection"))
    if quality is not None:
        return float(quality)
    return float(run["scores"].get("DEC", {}).get("accuracy", 0.0))


def format_cells(line: Line, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the cells of a line in the order of `TITLES`, without the first.

    Args:
      line: Line to show.
      names: Names of the scores to show.
    """
    theirs = None if line.published is None else line.published.scores
    compared = [line.best] if line.is_best and line.best else line.ours
    has_best = line.is_best or len(line.ours) > 1
    return (
        f"{line.method}, best" if line.is_best else line.method,
        "-" if theirs is None else _format_published(theirs, names),
        "-" if line.published is None else line.published.kind,
        _format_scores(line.ours, names) if line.ours else "not run",
        _format_scores([line.best], names) if line.best and has_best else "-",
        _format_difference(theirs, compared, names),
        str(len(line.ours)),
        _format_seconds(line.ours),
    )


def _format_published(scores: Scores, names: Sequence[str]) -> str:
    """Formats published scores, with their deviation or range if it was published."""
    found = []
    for name in names:
        if name not in scores:
            continue
        text = format_score(scores[name])
        if f"{name}_sd" in scores:
            text += f" ± {format_score(scores[f'{name}_sd'])}"
        if f"{name}_low" in scores:
            low, high = (format_score(scores[f"{name}_{end}"]) for end in ("low", "high"))
            text += f" ({low} to {high})"
        found.append(text)
    return " / ".join(found)


def _format_scores(scores: Sequence[Scores], names: Sequence[str]) -> str:
    return " / ".join(_format_mean([s[name] for s in scores]) for name in names)


def _format_mean(values: Sequence[float]) -> str:
    mean = format_score(statistics.mean(values))
    return mean if len(values) == 1 else f"{mean} ± {format_score(statistics.stdev(values))}"


def format_score(value: float) -> str:
    """Formats a score as the papers print it: .123."""
    return f"{value:.3f}".removeprefix("0")


def _format_difference(theirs: Scores | None, ours: Sequence[Scores], names: Sequence[str]) -> str:
    """Formats our mean - the published figure."""
    if theirs is None or not ours:
        return "-"
    known = [name for name in names if name in theirs]
    differences = (statistics.mean(s[name] for s in ours) - theirs[name] for name in known)
    return " / ".join(f"{value:+.3f}".replace("0.", ".", 1) for value in differences)


def _format_seconds(scores: Sequence[Scores]) -> str:
    values = [s["seconds"] for s in scores if "seconds" in s]
    return f"{statistics.mean(values):,.0f}" if values else "-"


def format_markdown(results: Results) -> str:
    """Returns the tables of the README."""
    return "\n".join(
        (
            *(_tabulate_algorithm(name, results) for name in KINDS),
            _tabulate_baselines(results),
            "".join(f"- {text}\n" for text in list_not_run(ROWS.values(), results)),
        )
    )


def _tabulate_algorithm(algorithm: str, results: Results) -> str:
    rows = []
    for row in ROWS.values():
        if row.algorithm != algorithm:
            continue
        n_scored = count_scored(row.dataset, row.split)
        title = f"[{row.name}](benchmarks/commands/{row.slug}.sh) ({n_scored:,})"
        for line in list_methods(row, results):
            rows.append((title, *format_cells(line, KINDS[algorithm].scores)))
            title = ""
    return format_table(TITLES, rows)


def _tabulate_baselines(results: Results) -> str:
    header = ("data (samples scored)", *baselines.BASELINES)
    return format_table(header, _format_baselines(ROWS.values(), BASELINE_SCORES, results))


def _format_baselines(
    rows: Iterable[Row], names: Sequence[str], results: Results
) -> Iterator[Sequence[str]]:
    """Yields the cells of each scored data set."""
    for dataset, split in dict.fromkeys((row.dataset, row.split) for row in rows):
        texts = [f"{dataset} ({count_scored(dataset, split):,})"]
        for method, baseline in baselines.BASELINES.items():
            found = baselines.select_scores(results[baselines.NAME], dataset, split, method)
            if found:
                runs = f"({len(found)}; {_format_seconds(found)} s)"
                texts.append(f"{_format_scores(found, names)} {runs}")
            else:
                texts.append(baseline.find_obstacle(dataset, split) or "not run")
        yield texts


def list_not_run(rows: Iterable[Row], results: Results) -> list[str]:
    """Returns what rows without a run need, by data set, and the methods without a run."""
    names: dict[str, list[str]] = {}
    lacking = []
    for row in rows:
        if not row.select_runs(results[row.algorithm]):
            names.setdefault(row.dataset, []).append(f"`{row.name}`")
            continue
        without = [line.method for line in list_methods(row, results) if not line.ours]
        lacking += [f"`{row.name}`, {method}: no command trains it." for method in without]
    return [
        *(f"{', '.join(own)}: not run yet. {explain_source(name)}" for name, own in names.items()),
        *lacking,
    ]


def explain_source(dataset: str) -> str:
    """Returns a sentence on where the data comes from."""
    info = DATASETS[dataset]
    if info.file is None:
        return "Needs no data."
    if info.fetch is not None:
        return f"Data: `{info.file}` in `TFCLUSTER_DATA`, or downloaded when first needed."
    return (
        f"Data: not downloaded automatically. Get it from {info.source} and save it as "
        f"`{info.file}` in `TFCLUSTER_DATA`: {info.layout}."
    )


def make_rich_tables(rows: Iterable[Row], results: Results) -> list[Table]:
    """Returns the tables for a terminal, with the first score only.

    Args:
      rows: Rows to show.
      results: All result lines.
    """
    shown = list(rows)
    algorithms = [name for name in KINDS if any(row.algorithm == name for row in shown)]
    tables = [
        _make_rich_table(
            [row for row in shown if row.algorithm == name], KINDS[name].scores[:1], results
        )
        for name in algorithms
    ]
    made = _make_bare_table("accuracy", *baselines.BASELINES)
    for texts in _format_baselines(shown, BASELINE_SCORES[:1], results):
        made.add_row(*texts)
    return [*tables, made]


def _make_rich_table(rows: Iterable[Row], names: Sequence[str], results: Results) -> Table:
    made = _make_bare_table(names[0], *(title for title in TITLES[2:] if title != "kind"))
    for row in rows:
        made.add_row(row.name, style="bold")
        for line in list_methods(row, results):
            method, published_, _, *others = format_cells(line, names)
            made.add_row(f"  {method}", published_, *others)
    return made


def _make_bare_table(first: str, *titles: str) -> Table:
    made = Table(Column(first, no_wrap=True), box=None, padding=(0, 1, 0, 0))
    for title in titles:
        made.add_column(title, justify="right")
    return made
