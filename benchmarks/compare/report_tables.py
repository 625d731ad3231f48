"""The tables of the report, as plain cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.compare import result_lines, run_costs
from benchmarks.compare.cases import CENTRALIZED, LOCAL_ONLY, LOCAL_TFF
from benchmarks.compare.comparisons import Comparison, compare_procedures
from benchmarks.compare.estimates import estimate_mean, fit_exponent
from benchmarks.compare.number_formats import (
    NOTHING,
    format_difference,
    format_estimate,
    format_number,
    format_p,
    format_ratio,
)
from benchmarks.compare.result_lines import (
    NAMES,
    PARTS,
    SCORES,
    Line,
    compute_median,
    describe_case,
    describe_procedure,
    describe_samples,
    estimate_score,
    group_over_backends,
    group_over_seeds,
    list_backends,
    select_backend,
)
from benchmarks.compare.suites import HETEROGENEITY, TUNING_SEEDS


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      caption: What it shows.
      header: Names of the columns.
      rows: Cells, as many in each row.
      is_long: Whether it is folded on the page.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_long: bool = False


def make_tables(suite: str, lines: Sequence[Line]) -> list[Table]:
    """Returns the tables of a suite that have rows."""
    found = result_lines.select_finished(lines)
    if suite == "aggregation":
        made = [_tabulate_procedures(found), _tabulate_tuning(found)]
        made += [_tabulate_bytes(result_lines.drop_tuning(found)), _tabulate_starts(found)]
    elif suite == "heterogeneity":
        made = [_tabulate_scores(found), _tabulate_bytes(found), _tabulate_starts(found)]
    elif suite == "scaling":
        made = [_tabulate_growth(found), _tabulate_round_costs(found)]
        made += [_tabulate_costs(found, is_long=True), _tabulate_seconds(found, is_long=True)]
        made += [_tabulate_starts(found)]
    else:
        made = [_tabulate_scores(found), _tabulate_costs(found), _tabulate_seconds(found)]
        made += [_tabulate_starts(found)]
    return [table for table in made if table.rows]


def _tabulate_scores(lines: Sequence[Line]) -> Table:
    loops = [line for name in ("local", LOCAL_TFF) for line in select_backend(lines, name)]
    rows = [
        [
            describe_case(own[0], samples=describe_samples(own)),
            NAMES[name],
            str(len(own)),
            *(format_estimate(estimate_score(own, score)) for score in SCORES),
            _compare_with_local([*own, *loops], name),
            _count_equal([*own, *loops], name),
        ]
        for own in group_over_seeds(sorted(lines, key=_order_case))
        for name in list_backends(own)
        if own[0]["scores"]
    ]
    header = ["case", "backend", "seeds", *SCORES.values(), "NMI - local loop"]
    header += ["bit-identical to local loop"]
    return Table("Final scores: mean ± half the 95 % interval over seeds", header, rows)


def _order_case(line: Line) -> tuple[int, int, int]:
    """Returns a key that sorts by algorithm, partition and backend; ties keep their order."""
    case = line["case"]
    orders = [tuple(result_lines.ALGORITHMS), HETEROGENEITY, tuple(NAMES)]
    values = (case["algorithm"], case["partition"], case["backend"])
    first, second, third = (
        order.index(value) if value in order else len(order)
        for order, value in zip(orders, values, strict=True)
    )
    return first, second, third


def _compare_with_local(group: Sequence[Line], name: str) -> str:
    """Returns the NMI difference, paired by seed: both began with the same weights."""
    base = result_lines.find_base(group, name)
    pairs = result_lines.pair_runs(group, name, base) if name != base else []
    differences = [a["scores"]["nmi"] - b["scores"]["nmi"] for a, b in pairs]
    return format_difference(estimate_mean(differences)) if differences else NOTHING


def _count_equal(group: Sequence[Line], name: str) -> str:
    if name in ("local", LOCAL_TFF, CENTRALIZED, LOCAL_ONLY):
        return NOTHING
    equal, runs = result_lines.count_equal_ends(group, name)
    return f"{equal} of {runs} runs" if runs else NOTHING


_BYTES = "KB up, down (client, round)"


def _tabulate_costs(lines: Sequence[Line], is_long: bool = False) -> Table:
    rows = [
        [
            describe_case(group[0]),
            NAMES[name],
            *_format_times(group, name),
            *_format_costs(select_backend(group, name)),
        ]
        for group in group_over_backends(lines)
        for name in list_backends(group)
    ]
    header = ["case", "backend", "warm round, s: median (quartiles)"]
    header += ["ratio to local: warm round", "ratio to local: whole run", "peak MB"]
    header += ["MB a minute", "CPU s", _BYTES]
    caption = (
        "Cost: medians over seeds. The warm round is of the phase that takes longest; its ratio to "
        "the local loop averages over all phases that both runs have"
    )
    return Table(caption, header, rows, is_long)


def _format_times(group: Sequence[Line], name: str) -> list[str]:
    over = run_costs.compute_overhead(group, name) if name != "local" else None
    ratios = [format_ratio(over.warm), format_ratio(over.total)] if over else [NOTHING] * 2
    return [_format_quartiles(select_backend(group, name)), *ratios]


def _format_costs(own: Sequence[Line]) -> list[str]:
    return [
        format_number(compute_median(own, lambda line: line["memory"]["peak_mb"]), 0),
        format_number(compute_median(own, run_costs.compute_memory_slope), 1),
        format_number(compute_median(own, lambda line: line.get("cpu_seconds")), 1),
        _format_bytes(own),
    ]


def _format_quartiles(own: Sequence[Line]) -> str:
    """Formats the seconds of all warm rounds of all seeds in the phase that takes longest."""
    seconds = [value for line in own for value in run_costs.select_main_phase(line)]
    if not seconds:
        return NOTHING
    low, middle, high = (
        format_number(float(q), 3) for q in np.quantile(seconds, (0.25, 0.5, 0.75))
    )
    return f"{middle} ({low} to {high})"


def _format_bytes(own: Sequence[Line]) -> str:
    ways = [
        compute_median(own, lambda line, way=way: (line.get("bytes") or {}).get(way))  # type: ignore[misc]
        for way in ("up", "down")
    ]
    return NOTHING if None in ways else ", ".join(format_number(w and w / 1e3, 1) for w in ways)


def _tabulate_bytes(lines: Sequence[Line]) -> Table:
    """Tabulates the only cost that is known when runs share a process or the machine."""
    rows = [
        [describe_case(group[0]), _format_bytes(group)]
        for group in group_over_seeds(sorted(lines, key=_order_case))
        if group[0].get("bytes")
    ]
    caption = "What a client sends and receives in a round"
    return Table(caption, ["case", _BYTES], rows, is_long=True)


def _tabulate_seconds(lines: Sequence[Line], is_long: bool = False) -> Table:
    parts = [name for name in PARTS if any(name in line["seconds"] for line in lines)]
    rows = [
        [
            describe_case(group[0]),
            NAMES[name],
            *(
                format_number(compute_median(own, result_lines.get_seconds(part)), 2)
                for part in (*parts, "total")
            ),
        ]
        for group in group_over_backends(lines)
        for name in list_backends(group)
        for own in [select_backend(group, name)]
    ]
    header = ["case", "backend", *(PARTS[name] for name in parts), "whole run"]
    return Table("Seconds by part of a run: medians over seeds", header, rows, is_long)


def _tabulate_starts(lines: Sequence[Line]) -> Table:
    rows = [
        [
            start.description,
            str(start.seed),
            ", ".join(start.hashes),
            str(sum(start.hashes.values())),
            ", ".join(NAMES[name] for name in start.backends),
            "yes" if len(start.hashes) == 1 else "NO",
        ]
        for start in result_lines.find_starts(lines)
    ]
    equal = sum(row[-1] == "yes" for row in rows)
    caption = f"The same initial weights: {equal} of {len(rows)} sets of runs began alike"
    header = ["runs of", "seed", "hash of the weights", "runs", "backends", "equal"]
    return Table(caption, header, rows, is_long=True)


def _tabulate_growth(lines: Sequence[Line]) -> Table:
    rows = []
    for kind, words in run_costs.SWEEPS.items():
        for name in list_backends(lines):
            points = run_costs.select_sweep(lines, kind, name)
            if len(points) > 1:
                x = [x for x, _ in points]
                span = f"{x[0]:,.0f} to {x[-1]:,.0f}"
                rows.append([words, NAMES[name], span, *_fit_exponents(points)])
    header = ["x", "backend", "range", "exponent: warm round", "exponent: peak memory"]
    caption = "Growth of the cost: exponent b of y ~ x^b ± half the 95 % interval"
    return Table(caption, header, rows)


def _fit_exponents(points: Sequence[tuple[float, Line]]) -> list[str]:
    warm = [(x, y) for x, line in points if (y := run_costs.compute_warm_round(line))]
    memory = [(x, float(y)) for x, line in points if (y := line["memory"]["peak_mb"])]
    return [
        format_estimate(fit_exponent([x for x, _ in found], [y for _, y in found]), 2)
        for found in (warm, memory)
    ]


def _tabulate_round_costs(lines: Sequence[Line]) -> Table:
    rows = []
    for name in list_backends(lines):
        values = dataclasses.astuple(run_costs.fit_round_cost(lines, name))
        if any(v is not None for v in values):
            rows.append([NAMES[name], *(format_number(v and v * 1e3, 2) for v in values)])
    header = ["backend", "fixed, ms per round", "ms per client", "ms per local step of a client"]
    caption = (
        "Parts of a warm round, from straight lines over the number of clients and over local "
        "steps. All clients share the same samples, so the fixed part includes training on them"
    )
    return Table(caption, header, rows)


def _tabulate_procedures(lines: Sequence[Line]) -> Table:
    found = {(c.procedure, c.partition): c for c in compare_procedures(lines)}
    rows = []
    for group in group_over_seeds(result_lines.drop_tuning(lines)):
        case = group[0]["case"]
        compared = found.get((case["procedure"], case["partition"]))
        row = [describe_procedure(group[0]), case["partition"], str(len(group))]
        row += [format_estimate(estimate_score(group, name)) for name in ("accuracy", "nmi")]
        rows.append([*row, *_format_comparison(compared)])
    header = ["procedure", "partition", "seeds", "ACC", "NMI", "reference", "NMI difference"]
    header += ["p (paired t)", "p after Holm"]
    caption = f"Procedures{_describe_data(lines)}: paired by seed, all else equal"
    return Table(caption, header, rows)


def _describe_data(lines: Sequence[Line]) -> str:
    names = dict.fromkeys(line["case"]["dataset"] for line in lines)
    words = [
        f"{name} ({describe_samples(line for line in lines if line['case']['dataset'] == name)})"
        for name in names
    ]
    return f" on {', '.join(words)}" if words else ""


def _format_comparison(found: Comparison | None) -> list[str]:
    if found is None:
        return [NOTHING] * 4
    if found.is_same:
        return [found.reference, "the same", NOTHING, NOTHING]
    p = [format_p(found.p), format_p(found.adjusted)]
    return [found.reference, format_difference(found.difference), *p]


def _tabulate_tuning(lines: Sequence[Line]) -> Table:
    tuning = [line for line in lines if line["case"]["seed"] in TUNING_SEEDS]
    rows = [
        [
            describe_procedure(group[0]),
            group[0]["case"]["partition"],
            str(len(group)),
            format_estimate(estimate_score(group, "nmi")),
        ]
        for group in group_over_seeds(tuning)
    ]
    where = " and ".join(dict.fromkeys(line["case"]["partition"] for line in tuning))
    caption = (
        f"Tuning: three values for every rule, on separate seeds and the {where} partition only; "
        "the best value is used on every partition"
    )
    return Table(caption, ["rule", "partition", "seeds", "NMI"], rows, is_long=True)


def tabulate_failures(lines: Mapping[str, Sequence[Line]]) -> Table:
    """Returns a table of the runs of all suites that failed."""
    rows = [
        [
            suite,
            describe_case(line),
            NAMES.get(line["case"]["backend"], line["case"]["backend"]),
            str(line["case"]["seed"]),
            result_lines.get_error(line),
        ]
        for suite, runs in lines.items()
        for line in result_lines.select_failed(runs)
    ]
    return Table("Failed runs", ["suite", "case", "backend", "seed", "error"], rows)


_MEASURED = ("case", "status", "n_samples", "n_features", "sizes", "threads", "seconds", "memory",
             "start_hash", "end_hash", "rounds", "warm", "loss", "bytes", "curve", "scores",
             "cpu_seconds", "error")  # fmt: skip


def tabulate_versions(lines: Mapping[str, Sequence[Line]]) -> Table:
    """Returns a table of the versions, machines and revisions that the runs recorded."""
    finished = [line for runs in lines.values() for line in result_lines.select_finished(runs)]
    names = dict.fromkeys(name for line in finished for name in line if name not in _MEASURED)
    rows = []
    for name in (*names, "threads"):
        known = [line for line in finished if name in line]
        for value in dict.fromkeys(str(line[name]) for line in known):
            runs = [line for line in known if str(line[name]) == value]
            backends = list_backends(runs) if len(runs) < len(known) else []
            rows.append([name, value, str(len(runs)), ", ".join(NAMES[b] for b in backends)])
    return Table("Versions and hardware", ["name", "value", "runs", "backends, if not all"], rows)
