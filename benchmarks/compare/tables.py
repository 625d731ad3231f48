"""The tables of the page, as plain cells."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.compare import statistics as numbers
from benchmarks.compare import summary
from benchmarks.compare.cases import ALONE, CENTRAL, DEFAULTS, HETEROGENEITY, TUNING_SEEDS
from benchmarks.compare.summary import NAMES, PARTS, SCORES, Line
from benchmarks.compare.verdict import last_line, plus_minus, signed

NOTHING = "-"


@dataclasses.dataclass(frozen=True)
class Link:
    """A source: a page, or without an address a file of this project."""

    text: str
    url: str = ""


@dataclasses.dataclass(frozen=True)
class Stated:
    """A cell with the sources of what it says."""

    text: str
    sources: Sequence[Link]


Cell = str | Stated


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      caption: What it shows.
      header: Names of the columns.
      rows: Cells, as many in each row.
      is_long: Whether it may be folded away.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    is_long: bool = False

    def markdown(self) -> str:
        """As Markdown, without the caption."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "".join(f"| {' | '.join(map(_markdown, line))} |\n" for line in lines)

    def html(self, has_heading: bool = True) -> str:
        """As HTML, in a box that scrolls by itself.

        Args:
          has_heading: Whether the caption stands above it; the box bears its name anyway.
        """
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.header)
        body = "".join(
            "<tr>" + "".join(_html(i, cell) for i, cell in enumerate(row)) + "</tr>\n"
            for row in self.rows
        )
        name = html.escape(self.caption)
        table = (
            f'<div class="scroll" role="region" tabindex="0" aria-label="{name}">\n'
            f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
        )
        if self.is_long:
            return f"<details><summary>{name}</summary>\n{table}</details>\n"
        return f"<h3>{name}</h3>\n{table}" if has_heading else table


def _markdown(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell.replace("|", "\\|").replace("\n", " ")
    links = [f"[{s.text}]({s.url})" if s.url else s.text for s in cell.sources]
    return f"{_markdown(cell.text)} ({', '.join(links)})"


def _html(column: int, cell: Cell) -> str:
    if isinstance(cell, Stated):
        sources = ", ".join(map(_source, cell.sources))
        return f'<td>{html.escape(cell.text)} <span class="soft">({sources})</span></td>'
    inner = html.escape(cell)
    if column == 0:
        return f'<th scope="row">{inner}</th>'
    is_short = len(cell) <= 24
    return f'<td class="short">{inner}</td>' if is_short else f"<td>{inner}</td>"


def _source(link: Link) -> str:
    text = html.escape(link.text)
    return f'<a href="{html.escape(link.url)}">{text}</a>' if link.url else text


def of_suite(suite: str, lines: Sequence[Line]) -> list[Table]:
    """The tables of a suite."""
    ended = summary.done(lines)
    if suite == "aggregation":
        made = [_procedures(ended), _tuning(ended), _sent(summary.untuned(ended)), _starts(ended)]
    elif suite == "heterogeneity":
        made = [_scores(ended), _sent(ended), _starts(ended)]
    elif suite == "scaling":
        made = [_exponents(ended), _round_costs(ended), _cost(ended, is_long=True)]
        made += [_seconds(ended, is_long=True), _starts(ended)]
    else:
        made = [_scores(ended), _cost(ended), _seconds(ended), _starts(ended)]
    return [table for table in made if table.rows]


def _scores(lines: Sequence[Line]) -> Table:
    local = summary.of(lines, "local")
    rows = [
        [
            summary.title(own[0], rows=summary.rows_of(own)),
            NAMES[name],
            str(len(own)),
            *_score_cells(own),
            _less_local([*own, *local], name),
            _bits([*own, *local], name),
        ]
        for own in summary.over_seeds(sorted(lines, key=_place))
        for name in summary.backends(own)
        if own[0]["scores"]
    ]
    return Table(
        "Scores at the end: mean ± half the 95 % interval over seeds",
        ["case", "where", "seeds", *SCORES.values(), "NMI less local", "bits of the local loop"],
        rows,
    )


def _place(line: Line) -> tuple[int, int, int]:
    """Orders rows by algorithm, then partition, then where; procedures stay as they were run."""
    case = line["case"]
    orders = [("dec", "clustergan"), HETEROGENEITY, tuple(NAMES)]
    values = (case["algorithm"], case["partition"], case["backend"])
    first, second, third = (
        order.index(value) if value in order else len(order)
        for order, value in zip(orders, values, strict=True)
    )
    return first, second, third


def _score_cells(lines: Sequence[Line]) -> list[str]:
    return [estimate(summary.score(lines, name), 3) for name in SCORES]


def _less_local(group: Sequence[Line], name: str) -> str:
    """Paired by seed: both began with the same weights."""
    pairs = summary.pairs(group, name, "local") if name != "local" else []
    differences = [a["scores"]["nmi"] - b["scores"]["nmi"] for a, b in pairs]
    return signed(numbers.mean(differences), 3) if differences else NOTHING


def _bits(group: Sequence[Line], name: str) -> str:
    if name in ("local", CENTRAL, ALONE):
        return NOTHING
    equal, runs = summary.equal_bits(group, name)
    return f"{equal} of {runs} runs" if runs else NOTHING


def estimate(value: numbers.Estimate | None, digits: int) -> str:
    """A mean with its interval, or "-"."""
    if value is None or math.isnan(value.value):
        return NOTHING
    return f"{value.value:.{digits}f}{plus_minus(value, digits)}"


def _cost(lines: Sequence[Line], is_long: bool = False) -> Table:
    rows = [
        [
            summary.title(group[0]),
            NAMES[name],
            *_timed_cells(group, name),
            *_cost_cells(summary.of(group, name)),
        ]
        for group in summary.side_by_side(lines)
        for name in summary.backends(group)
    ]
    header = ["case", "where", "warm round, s: median (quartiles)", "over local: warm round"]
    header += ["over local: whole run", "peak MB", "MB a minute", "CPU s"]
    header += ["KB up, down (client, round)"]
    caption = (
        "Cost: medians over seeds. The warm round is of the phase that takes most time; its ratio "
        "to the local loop's weighs all phases both runs had"
    )
    return Table(caption, header, rows, is_long)


def _sent(lines: Sequence[Line]) -> Table:
    """All that is known of cost where runs share a process, or the machine."""
    rows = [
        [summary.title(group[0]), _bytes(group)]
        for group in summary.over_seeds(sorted(lines, key=_place))
        if group[0].get("bytes")
    ]
    header = ["case", "KB up, down (client, round)"]
    return Table("What a client sends and receives in a round", header, rows, True)


def _timed_cells(group: Sequence[Line], name: str) -> list[str]:
    over = summary.overhead(group, name) if name != "local" else None
    ratios = [_times(over.warm), _times(over.total)] if over else [NOTHING] * 2
    return [_quartiles(summary.of(group, name)), *ratios]


def _cost_cells(own: Sequence[Line]) -> list[str]:
    return [
        number(summary.median_of(own, lambda line: line["memory"]["peak_mb"]), 0),
        number(summary.median_of(own, summary.memory_slope), 1),
        number(summary.median_of(own, lambda line: line.get("cpu_seconds")), 1),
        _bytes(own),
    ]


def _quartiles(own: Sequence[Line]) -> str:
    """Of all warm rounds of all seeds, in the phase in which most seconds are spent."""
    seconds = [value for line in own for value in summary.main_phase(line)]
    if not seconds:
        return NOTHING
    low, middle, high = (number(float(q), 3) for q in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return f"{middle} ({low} to {high})"


def _times(log_ratio: numbers.Estimate | None) -> str:
    if log_ratio is None:
        return NOTHING
    text = f"{math.exp(log_ratio.value):.2f}"
    if math.isnan(log_ratio.half):
        return text
    return f"{text} ({math.exp(log_ratio.low):.2f} to {math.exp(log_ratio.high):.2f})"


def _bytes(own: Sequence[Line]) -> str:
    ways = [
        summary.median_of(own, lambda line, way=way: (line.get("bytes") or {}).get(way))  # type: ignore[misc]
        for way in ("up", "down")
    ]
    return NOTHING if None in ways else ", ".join(number(w and w / 1e3, 1) for w in ways)


def number(value: float | None, digits: int) -> str:
    """With thousands apart, or "-"."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def _seconds(lines: Sequence[Line], is_long: bool = False) -> Table:
    there = [name for name in PARTS if any(name in line["seconds"] for line in lines)]
    rows = [
        [
            summary.title(group[0]),
            NAMES[name],
            *(number(summary.median_of(own, summary.part(part)), 2) for part in (*there, "total")),
        ]
        for group in summary.side_by_side(lines)
        for name in summary.backends(group)
        for own in [summary.of(group, name)]
    ]
    header = ["case", "where", *(PARTS[name] for name in there), "whole run"]
    return Table("Seconds taken apart: medians over seeds", header, rows, is_long)


def _starts(lines: Sequence[Line]) -> Table:
    rows = [
        [
            start.what,
            str(start.seed),
            ", ".join(start.hashes),
            str(sum(start.hashes.values())),
            ", ".join(NAMES[name] for name in start.engines),
            "yes" if len(start.hashes) == 1 else "NO",
        ]
        for start in summary.starts(lines)
    ]
    equal = sum(row[-1] == "yes" for row in rows)
    caption = f"The same first weights: {equal} of {len(rows)} sets of runs began alike"
    return Table(
        caption, ["what", "seed", "hash of the weights", "runs", "where", "equal"], rows, True
    )


def _exponents(lines: Sequence[Line]) -> Table:
    rows = []
    for kind, words in summary.SWEEPS.items():
        for name in summary.backends(lines):
            points = summary.sweep(lines, kind, name)
            if len(points) > 1:
                x = [x for x, _ in points]
                rows.append([words, NAMES[name], f"{x[0]:,.0f} to {x[-1]:,.0f}", *_growth(points)])
    header = ["by", "where", "range", "exponent: warm round", "exponent: peak memory"]
    return Table("How cost grows: y ~ x to this power, ± half the 95 % interval", header, rows)


def _growth(points: Sequence[tuple[float, Line]]) -> list[str]:
    warm = [(x, y) for x, line in points if (y := summary.warm_round(line))]
    memory = [(x, float(y)) for x, line in points if (y := line["memory"]["peak_mb"])]
    return [
        estimate(numbers.exponent([x for x, _ in found], [y for _, y in found]), 2)
        for found in (warm, memory)
    ]


def _round_costs(lines: Sequence[Line]) -> Table:
    rows = []
    for name in summary.backends(lines):
        cost = summary.round_cost(lines, name)
        values = (cost.fixed, cost.per_client, cost.per_step)
        if any(v is not None for v in values):
            rows.append([NAMES[name], *(number(v and v * 1e3, 2) for v in values)])
    header = ["where", "fixed, ms a round", "ms a client", "ms a client's local step"]
    caption = (
        "A warm round taken apart by straight lines: over the number of clients (the same rows "
        "among them all, so that what is fixed includes the training of all rows), and over local "
        "steps"
    )
    return Table(caption, header, rows)


def _procedures(lines: Sequence[Line]) -> Table:
    found = {(c.procedure, c.partition): c for c in summary.comparisons(lines, DEFAULTS)}
    rows = []
    for group in summary.over_seeds(summary.untuned(lines)):
        case = group[0]["case"]
        compared = found.get((case["procedure"], case["partition"]))
        row = [summary.procedure(group[0]), case["partition"], str(len(group))]
        row += [estimate(summary.score(group, name), 3) for name in ("accuracy", "nmi")]
        rows.append([*row, *_compared(compared)])
    header = ["procedure", "partition", "seeds", "ACC", "NMI", "against", "NMI difference"]
    header += ["p (paired t)", "p after Holm"]
    return Table(f"Procedures{_on(lines)}: paired by seed, all else equal", header, rows)


def _on(lines: Sequence[Line]) -> str:
    """On which data sets, with their rows."""
    sets = dict.fromkeys(line["case"]["dataset"] for line in lines)
    words = [
        f"{name} ({summary.rows_of(line for line in lines if line['case']['dataset'] == name)})"
        for name in sets
    ]
    return f" on {', '.join(words)}" if words else ""


def _compared(found: summary.Comparison | None) -> list[str]:
    if found is None:
        return [NOTHING] * 4
    if found.is_same:
        return [found.reference, "the same", NOTHING, NOTHING]
    return [found.reference, signed(found.difference, 3), p_text(found.p), p_text(found.adjusted)]


def p_text(p: float) -> str:
    """A p-value in two digits."""
    if math.isnan(p):
        return NOTHING
    return f"{p:.2g}" if p >= 1e-4 else "< 0.0001"


def _tuning(lines: Sequence[Line]) -> Table:
    tuning = [line for line in lines if line["case"]["seed"] in TUNING_SEEDS]
    rows = [
        [
            summary.procedure(group[0]),
            group[0]["case"]["partition"],
            str(len(group)),
            estimate(summary.score(group, "nmi"), 3),
        ]
        for group in summary.over_seeds(tuning)
    ]
    where = " and ".join(dict.fromkeys(line["case"]["partition"] for line in tuning))
    caption = (
        f"Tuning: every rule with three values, on seeds of its own and {where} rows alone; the "
        "best value is used on every partition"
    )
    return Table(caption, ["rule", "partition", "seeds", "NMI"], rows, True)


def failures(lines: Mapping[str, Sequence[Line]]) -> Table:
    """Runs that failed, of all suites."""
    rows = [
        [
            suite,
            summary.title(line),
            NAMES.get(summary.backend(line), summary.backend(line)),
            str(line["case"]["seed"]),
            last_line(line),
        ]
        for suite, runs in lines.items()
        for line in summary.failed(runs)
    ]
    return Table("Runs that failed", ["suite", "case", "where", "seed", "error"], rows)


_NOT_VERSIONS = ("case", "status", "n_rows", "n_features", "sizes", "threads", "seconds", "memory",
                 "start_hash", "end_hash", "rounds", "warm", "loss", "bytes", "curve", "scores",
                 "cpu_seconds", "error")  # fmt: skip


def versions(lines: Mapping[str, Sequence[Line]]) -> Table:
    """Versions, machine and revision, as the runs recorded them."""
    ended = [line for runs in lines.values() for line in summary.done(runs)]
    names = dict.fromkeys(name for line in ended for name in line if name not in _NOT_VERSIONS)
    rows = []
    for name in (*names, "threads"):
        found: dict[str, int] = {}
        for line in ended:
            if name in line:
                found[str(line[name])] = found.get(str(line[name]), 0) + 1
        for value, count in found.items():
            rows.append([name, value, str(count)])
    return Table("Versions and hardware", ["what", "value", "runs"], rows)
