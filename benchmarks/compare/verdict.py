"""Three sentences on what was measured: scores, seconds, and what to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.compare.cases import LOCAL_ONLY
from benchmarks.compare.comparisons import Comparison, compare_procedures
from benchmarks.compare.estimates import Estimate, estimate_log_ratio, estimate_mean
from benchmarks.compare.rendering import write_sentence
from benchmarks.compare.result_lines import (
    NAMES,
    Line,
    count_equal_ends,
    find_base,
    get_error,
    group_over_backends,
    pair_runs,
    select_backend,
    select_failed,
    select_finished,
)
from benchmarks.compare.run_costs import compute_overhead, fit_round_cost
from benchmarks.compare.suites import SUITES

COMPARED = ("flower", "tff")
TIMED = tuple(name for name, suite in SUITES.items() if suite.is_timed)


def write_verdict(lines: Mapping[str, Sequence[Line]]) -> list[str]:
    """Returns three sentences: scores of Flower and TFF, their seconds, and what to choose.

    Args:
      lines: Suite to its lines. The suite "smoke" has only a few rounds and counts only without
        any other.
    """
    chosen = {name: runs for name, runs in lines.items() if name != "smoke"} or dict(lines)
    timed = {name: chosen[name] for name in TIMED if name in chosen}
    is_compared = any(select_backend(runs, name) for runs in timed.values() for name in COMPARED)
    if not is_compared and "smoke" in lines:
        timed = {"smoke": lines["smoke"]}
    every = [line for runs in timed.values() for line in runs]
    overheads = {name: compute_overhead(every, name) for name in COMPARED}
    return [
        write_sentence("verdict_on_scores", **_compare_scores(timed, every)),
        write_sentence(
            "verdict_on_seconds",
            overheads={name: over for name, over in overheads.items() if over},
            between=compute_overhead(every, *COMPARED),
        ),
        write_sentence("verdict_on_choice", backend=_compare_costs(every), **_compare_rest(chosen)),
    ]


def explain_costs(suite: str, lines: Sequence[Line]) -> list[str]:
    """Returns sentences on why a backend is slower or faster than the local loop."""
    if suite not in TIMED:
        return []
    overheads = {name: compute_overhead(lines, name) for name in COMPARED}
    found = [write_sentence("overhead", name=name, over=o) for name, o in overheads.items() if o]
    if suite == "scaling":
        found += [
            write_sentence(
                "round_costs",
                name=name,
                where=where,
                base=fit_round_cost(lines, find_base(lines, name)),
                own=fit_round_cost(lines, name),
            )
            for name, where in _PLACES.items()
        ]
    return [text for text in found if text]


_PLACES = {"flower": "in its processes", "tff": "in its worker, which has its own TensorFlow"}


def _compare_scores(timed: Mapping[str, Sequence[Line]], every: Sequence[Line]) -> dict[str, Any]:
    found = _pair_accuracies(every)
    difference = estimate_mean([a - b for a, b in found]) if found else None
    better = "Flower" if difference and difference.value > 0 else "TFF"
    ends = {name: count_equal_ends(every, name) for name in COMPARED}
    return {
        "missing": _list_missing(every),
        "difference": difference,
        "is_equal": all(a == b for a, b in found),
        "better": better if difference and difference.excludes(0) else None,
        "suites": ", ".join(name for name, runs in timed.items() if _pair_accuracies(runs)),
        "ends": [
            {"name": NAMES[name], "equal": equal, "runs": runs}
            for name, (equal, runs) in ends.items()
            if runs
        ],
    }


def _pair_accuracies(runs: Sequence[Line]) -> list[tuple[float, float]]:
    return [
        (a["scores"]["accuracy"], b["scores"]["accuracy"])
        for a, b in pair_runs(runs, *COMPARED)
        if "accuracy" in a["scores"] and "accuracy" in b["scores"]
    ]


def _list_missing(every: Sequence[Line]) -> list[dict[str, Any]]:
    """Returns the backends without a finished run, and why they have none."""
    finished, failed = select_finished(every), select_failed(every)
    broken = {
        name: select_backend(failed, name)
        for name in COMPARED
        if not select_backend(finished, name)
    }
    return [
        {"name": NAMES[name], "n_failed": len(runs), "error": get_error(runs[-1]) if runs else ""}
        for name, runs in broken.items()
    ]


def _compare_costs(every: Sequence[Line]) -> dict[str, Any]:
    found = pair_runs(every, *COMPARED)
    totals = [(a["seconds"]["total"], b["seconds"]["total"]) for a, b in found]
    peaks = [(a["memory"]["peak_mb"], b["memory"]["peak_mb"]) for a, b in found]
    known = [pair for pair in peaks if all(pair)]  # runs of less than a second have no reading
    seconds = estimate_log_ratio(totals) if totals else None
    memory = estimate_log_ratio(known) if known else None
    finished = select_finished(every)
    return {
        "ran": [NAMES[name] for name in COMPARED if select_backend(finished, name)],
        "seconds": seconds,
        "memory": memory,
        "faster": _choose_smaller(seconds),
        "lighter": _choose_smaller(memory),
    }


def _choose_smaller(log_ratio: Estimate | None) -> str | None:
    """Returns the backend that takes less if the interval of Flower / TFF excludes 1."""
    if log_ratio is None or not log_ratio.excludes(0):
        return None
    return "TFF" if log_ratio.value > 0 else "Flower"


def _compare_rest(chosen: Mapping[str, Sequence[Line]]) -> dict[str, Any]:
    """Returns what the suites without times say: on procedures, or else on federation."""
    if "aggregation" in chosen:
        return {"procedures": _rank_procedures(chosen["aggregation"]), "federation": None}
    if "heterogeneity" in chosen:
        return {"procedures": None, "federation": _count_gains(chosen["heterogeneity"])}
    return {"procedures": None, "federation": None}


def _rank_procedures(runs: Sequence[Line]) -> dict[str, Any]:
    found = [c for c in compare_procedures(runs) if not c.is_same]
    certain = [c for c in found if c.is_significant]
    better = [c for c in certain if c.difference.value > 0]
    worse = [c for c in certain if c.difference.value < 0]
    return {
        "n": len({c.procedure for c in found}),
        "best": max(better, key=lambda c: c.difference.value, default=None),
        "worse": _name_procedures(worse, found),
    }


def _name_procedures(some: Sequence[Comparison], every: Sequence[Comparison]) -> list[str]:
    """Returns procedures, with their partitions unless these are all that were compared."""
    words = []
    for name in dict.fromkeys(c.procedure for c in some):
        where = [c.partition for c in some if c.procedure == name]
        is_everywhere = len(where) == sum(c.procedure == name for c in every)
        words.append(name if is_everywhere else f"{name} (on {' and '.join(where)})")
    return words


def _count_gains(runs: Sequence[Line]) -> dict[str, int]:
    """Counts the cases in which federated training clearly beats local-only training."""
    gains = [
        estimate_mean([a["scores"]["nmi"] - b["scores"]["nmi"] for a, b in pairs])
        for group in group_over_backends(runs)
        if (pairs := pair_runs(group, "local", LOCAL_ONLY))
    ]
    return {"better": sum(d.excludes(0) and d.value > 0 for d in gains), "n": len(gains)}
