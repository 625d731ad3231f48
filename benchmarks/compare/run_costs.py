"""Computes what a run costs: seconds of warm rounds, overhead of a backend, growth, memory."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.compare.estimates import Estimate, StraightLine, estimate_log_ratio, fit_line
from benchmarks.compare.result_lines import (
    PARTS,
    Line,
    find_base,
    pair_runs,
    select_backend,
    select_finished,
)

# Rounds that compile. The centroids phase has two kinds of rounds: client centroids and Lloyd.
_COLD_ROUNDS = {"centroids": 2}


def count_cold_rounds(phase: str) -> int:
    """Returns the number of first rounds of a phase that compile."""
    return _COLD_ROUNDS.get(phase, 1)


def select_warm_rounds(line: Line) -> dict[str, list[float]]:
    """Returns the seconds of warm rounds by phase, for phases that have any."""
    rounds = line.get("rounds") or {}
    found = {name: seconds[count_cold_rounds(name) :] for name, seconds in rounds.items()}
    return {name: seconds for name, seconds in found.items() if seconds}


def select_main_phase(line: Line) -> list[float]:
    """Returns the seconds of warm rounds of the phase that takes longest; empty without any."""
    return max(select_warm_rounds(line).values(), key=sum, default=[])


def compute_warm_round(line: Line) -> float | None:
    """Returns the median seconds of a warm round of the phase that takes longest."""
    seconds = select_main_phase(line)
    return statistics.median(seconds) if seconds else None


_SHORTEST_SPAN = 60  # seconds; in a shorter run memory still grows because the run starts


def compute_memory_slope(line: Line) -> float | None:
    """Returns the growth of memory in MB a minute, or None if the run was too short to tell."""
    memory = line["memory"]
    times = [when for when, _ in memory["readings"]]
    is_long = times and times[-1] - times[0] >= _SHORTEST_SPAN
    return float(memory["mb_per_minute"]) if is_long else None


def compute_warm_ratio(line: Line, base: Line) -> float | None:
    """Returns the time of a typical warm round over that of another run of the same case.

    The medians of the phases both runs have are weighted by the number of rounds of `base`.
    """
    own, others = select_warm_rounds(line), select_warm_rounds(base)
    both = [name for name in others if name in own]
    seconds = [
        sum(statistics.median(run[name]) * len(others[name]) for name in both)
        for run in (own, others)
    ]
    return seconds[0] / seconds[1] if both and seconds[1] else None


@dataclasses.dataclass(frozen=True)
class Overhead:
    """What a backend costs in comparison with another, over pairs of runs of the same case.

    Attributes:
      n_pairs: Number of pairs.
      total: Logarithm of the ratio of the seconds of whole runs.
      warm: Logarithm of the ratio of the seconds of a warm round; None if no round was warm.
      added: Part of a run to the seconds that the backend adds to it, mean over pairs.
    """

    n_pairs: int
    total: Estimate
    warm: Estimate | None
    added: Mapping[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Returns each part's share of the absolute difference, largest first.

        Shares of parts in which the backend is faster are negative.
        """
        whole = sum(map(abs, self.added.values()))
        parts = sorted(self.added.items(), key=lambda item: -abs(item[1]))
        return {name: seconds / whole for name, seconds in parts} if whole else {}

    @property
    def largest(self) -> tuple[str, float] | None:
        """Returns the part that accounts for most of the difference, and its share."""
        sign = 1 if sum(self.added.values()) > 0 else -1
        found = {name: sign * share for name, share in self.shares.items()}
        name = max(found, key=found.__getitem__, default=None)
        return None if name is None else (name, found[name])


def compute_overhead(
    lines: Sequence[Line], backend: str, base: str | None = None
) -> Overhead | None:
    """Returns the overhead of a backend over `base`, or None if no case ran on both.

    Args:
      lines: Lines of runs.
      backend: Name of a backend.
      base: Another one; `find_base` chooses it if left out.
    """
    pairs = pair_runs(lines, backend, base or find_base(lines, backend))
    if not pairs:
        return None
    totals = [(a["seconds"]["total"], b["seconds"]["total"]) for a, b in pairs]
    ratios = [r for r in (compute_warm_ratio(a, b) for a, b in pairs) if r]
    added = {
        name: statistics.fmean(a["seconds"].get(name, 0) - b["seconds"].get(name, 0)
                               for a, b in pairs)
        for name in PARTS
        if any(name in line["seconds"] for pair in pairs for line in pair)
    }  # fmt: skip
    warm = estimate_log_ratio([(r, 1.0) for r in ratios]) if ratios else None
    return Overhead(len(pairs), estimate_log_ratio(totals), warm, added)


SWEEPS = {"clients": "clients", "steps": "local steps per client", "model": "parameters"}
"""What the scaling suite varies, in words."""


def select_sweep(lines: Iterable[Line], kind: str, backend: str) -> list[tuple[float, Line]]:
    """Returns the runs of a sweep with the value that was varied, smallest first.

    Args:
      lines: Lines of the scaling suite.
      kind: "clients", "steps" or "model".
      backend: Name of a backend.
    """
    chosen = [
        line
        for line in select_backend(select_finished(lines), backend)
        if str(line["case"]["procedure"]).startswith(f"{kind}=")
    ]
    return sorted(((_get_varied(line, kind), line) for line in chosen), key=lambda pair: pair[0])


def _get_varied(line: Line, kind: str) -> float:
    case = line["case"]
    if kind == "clients":
        return float(case["n_clients"])
    if kind == "steps":
        return float(case["settings"]["pretraining.steps"])
    return float(count_parameters(line["n_features"], case["settings"]["model.dims"]))


def count_parameters(n_features: int, dims: Sequence[int]) -> int:
    """Returns the number of weights and biases of a dense autoencoder."""
    layers = itertools.pairwise([n_features, *dims])
    return sum(2 * a * b + a + b for a, b in layers)


@dataclasses.dataclass(frozen=True)
class RoundCost:
    """Parts of a warm round on a backend, in seconds.

    Attributes:
      fixed: Cost of a round without clients; None if the number of clients was not varied.
      per_client: Cost of each client when the samples are shared among all.
      per_step: Cost of each local step of a client; None if local steps were not varied.
    """

    fixed: float | None
    per_client: float | None
    per_step: float | None


def fit_round_cost(lines: Iterable[Line], backend: str) -> RoundCost:
    """Fits straight lines to warm rounds over the number of clients and over local steps."""
    known = list(lines)
    by_clients = _fit_warm_rounds(select_sweep(known, "clients", backend))
    steps = select_sweep(known, "steps", backend)
    by_steps = _fit_warm_rounds(steps)
    n_clients = steps[0][1]["case"]["n_clients"] if steps else 1
    return RoundCost(
        by_clients.intercept if by_clients else None,
        by_clients.slope if by_clients else None,
        by_steps.slope / n_clients if by_steps else None,
    )


def _fit_warm_rounds(points: Sequence[tuple[float, Line]]) -> StraightLine | None:
    known = [(x, y) for x, line in points if (y := compute_warm_round(line))]
    return fit_line([x for x, _ in known], [y for _, y in known])
