"""Result lines by what they have in common: cases over seeds, pairs, seconds taken apart."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.compare import statistics as numbers
from benchmarks.compare.cases import ALONE, CENTRAL, ENGINES, TUNING_SEEDS

Line = Mapping[str, Any]

NAMES = {
    "local": "local loop",
    "flower": "Flower",
    "tff": "TFF",
    CENTRAL: "central",
    ALONE: "alone",
}
SCORES = {"accuracy": "ACC", "nmi": "NMI", "ari": "ARI", "purity": "purity"}
PARTS = {
    "import": "import",
    "data": "data",
    "engine_start": "engine start",
    "first_rounds": "first rounds (tracing)",
    "warm_rounds": "warm rounds",
    "evaluation": "evaluation",
    "checkpoint": "checkpointing",
    "training": "training",
}


def done(lines: Iterable[Line]) -> list[Line]:
    """Those that ended well."""
    return [line for line in lines if line.get("status") == "done"]


def failed(lines: Iterable[Line]) -> list[Line]:
    """Those that did not."""
    return [line for line in lines if line.get("status") != "done"]


def untuned(lines: Iterable[Line]) -> list[Line]:
    """Without the runs that only chose a rule's number."""
    return [line for line in lines if line["case"]["seed"] not in TUNING_SEEDS]


def backend(line: Line) -> str:
    """Of its case."""
    return str(line["case"]["backend"])


def case_key(line: Line, *without: str) -> str:
    """The case but for some of its fields, equal for equal cases."""
    case = {k: v for k, v in line["case"].items() if k not in without}
    return json.dumps(case, sort_keys=True)


def grouped(lines: Iterable[Line], *without: str) -> list[list[Line]]:
    """Lines whose cases differ in these fields alone, in the order met."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(case_key(line, *without), []).append(line)
    return list(found.values())


def over_seeds(lines: Iterable[Line]) -> list[list[Line]]:
    """Runs of one case."""
    return grouped(lines, "seed")


def side_by_side(lines: Iterable[Line]) -> list[list[Line]]:
    """Runs of one case on every engine, of all seeds."""
    return grouped(lines, "seed", "backend")


def backends(lines: Iterable[Line]) -> list[str]:
    """Which there are, in the usual order."""
    there = {backend(line) for line in lines}
    return [name for name in (*ENGINES, CENTRAL, ALONE) if name in there]


def of(lines: Iterable[Line], name: str) -> list[Line]:
    """Those of a backend."""
    return [line for line in lines if backend(line) == name]


def same_seeds(lines: Sequence[Line]) -> list[Line]:
    """Those of seeds that every backend has, so that means are of the same runs."""
    seeds = [{line["case"]["seed"] for line in of(lines, name)} for name in backends(lines)]
    shared = set.intersection(*seeds) if seeds else set()
    return [line for line in lines if line["case"]["seed"] in shared]


def pairs(lines: Iterable[Line], one: str, other: str) -> list[tuple[Line, Line]]:
    """Finished runs of the same case, seed and all, on two engines."""
    by_case = {case_key(line, "backend"): line for line in of(done(lines), other)}
    found = of(done(lines), one)
    keyed = ((line, by_case.get(case_key(line, "backend"))) for line in found)
    return [(line, match) for line, match in keyed if match is not None]


def rows_of(lines: Iterable[Line]) -> str:
    """How many rows were used, in words: "1,797 rows"; natural clients' number is by seed."""
    counts = sorted({line["n_rows"] for line in lines})
    ends = dict.fromkeys(f"{n:,}" for n in (counts[0], counts[-1]))
    return f"{' to '.join(ends)} rows"


def title(line: Line, *without: str, rows: str = "") -> str:
    """The case in words.

    Args:
      line: Of a run.
      without: Fields left out.
      rows: What is said of the data set's rows, if anything.
    """
    case = line["case"]
    clients = f"{case['clients']:,} clients" if case["clients"] else "natural clients"
    words = {
        "algorithm": {"dec": "DEC", "clustergan": "ClusterGAN"}.get(
            case["algorithm"], case["algorithm"]
        ),
        "dataset": f"{case['dataset']} ({rows})" if rows else case["dataset"],
        "partition": case["partition"],
        "clients": clients,
        "procedure": procedure(line),
    }
    return ", ".join(word for name, word in words.items() if name not in without)


def procedure(line: Line) -> str:
    """With the number that was tuned, if there is one."""
    case = line["case"]
    tuned = [
        f"{name.partition('.')[2].replace('_', ' ')} {value:g}"
        for name, value in case["settings"].items()
        if name.startswith("aggregation.")
    ]
    return f"{case['procedure']} ({', '.join(tuned)})" if tuned else str(case["procedure"])


def score(lines: Sequence[Line], name: str) -> numbers.Estimate | None:
    """Mean of a score over seeds."""
    values = [line["scores"][name] for line in lines if name in line.get("scores", {})]
    return numbers.mean(values) if values else None


def median_of(lines: Sequence[Line], value: Callable[[Line], float | None]) -> float | None:
    """Median over seeds of what is there."""
    values = [v for v in map(value, lines) if v is not None]
    return statistics.median(values) if values else None


def part(name: str) -> Callable[[Line], float | None]:
    """Seconds of a part of a run."""
    return lambda line: line["seconds"].get(name)


# Rounds in which something is compiled; of centroids, proposals and Lloyd's are two kinds.
_COLD = {"centroids": 2}


def n_cold(phase: str) -> int:
    """First rounds of a phase that are not warm."""
    return _COLD.get(phase, 1)


def warm(line: Line) -> dict[str, list[float]]:
    """Phase to seconds of its warm rounds, of phases that have any."""
    found = {name: seconds[n_cold(name) :] for name, seconds in (line.get("rounds") or {}).items()}
    return {name: seconds for name, seconds in found.items() if seconds}


def main_phase(line: Line) -> list[float]:
    """Warm rounds of the phase in which most of their seconds are spent; none if none is warm."""
    return max(warm(line).values(), key=sum, default=[])


def warm_round(line: Line) -> float | None:
    """Median seconds of a warm round of that phase."""
    seconds = main_phase(line)
    return statistics.median(seconds) if seconds else None


_LEAST_SPAN = 60  # seconds; memory of a shorter run still grows by what starting takes


def memory_slope(line: Line) -> float | None:
    """MB a minute over the last half of a run; None of one too short to tell."""
    memory = line["memory"]
    whens = [when for when, _ in memory["samples"]]
    is_long = whens and whens[-1] - whens[0] >= _LEAST_SPAN
    return float(memory["mb_per_minute"]) if is_long else None


def warm_ratio(line: Line, base: Line) -> float | None:
    """A typical warm round over that of another run of the case.

    Medians of the phases both had, weighted by the rounds the other took.
    """
    own, others = warm(line), warm(base)
    both = [name for name in others if name in own]
    seconds = [
        sum(statistics.median(run[name]) * len(others[name]) for name in both)
        for run in (own, others)
    ]
    return seconds[0] / seconds[1] if both and seconds[1] else None


@dataclasses.dataclass(frozen=True)
class Overhead:
    """What an engine takes, over the local loop in the same cases.

    Attributes:
      runs: How many pairs.
      total: Logarithm of the ratio of a whole run's seconds.
      warm: The same of a warm round; None where nothing was warm.
      added: Part of a run to the seconds the engine adds in it, mean over pairs.
    """

    runs: int
    total: numbers.Estimate
    warm: numbers.Estimate | None
    added: Mapping[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Part to its share of all that differs, negative where the engine takes less."""
        whole = sum(map(abs, self.added.values()))
        return {name: seconds / whole for name, seconds in self.added.items()} if whole else {}

    @property
    def largest(self) -> tuple[str, float] | None:
        """The part that makes the engine slower (or faster) most, and its share."""
        sign = 1 if sum(self.added.values()) > 0 else -1
        found = {name: sign * share for name, share in self.shares.items()}
        name = max(found, key=found.__getitem__, default=None)
        return None if name is None else (name, found[name])


def overhead(lines: Iterable[Line], engine: str, base: str = "local") -> Overhead | None:
    """Of an engine over another; None if no case was run on both."""
    found = pairs(lines, engine, base)
    if not found:
        return None
    totals = [(a["seconds"]["total"], b["seconds"]["total"]) for a, b in found]
    ratios = [r for r in (warm_ratio(a, b) for a, b in found) if r]
    added = {
        name: statistics.fmean(a["seconds"].get(name, 0) - b["seconds"].get(name, 0)
                               for a, b in found)
        for name in PARTS
        if any(name in line["seconds"] for pair in found for line in pair)
    }  # fmt: skip
    of_rounds = numbers.ratio([(r, 1.0) for r in ratios]) if ratios else None
    return Overhead(len(found), numbers.ratio(totals), of_rounds, added)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A procedure against its reference, paired by seed.

    Attributes:
      procedure: What is tried.
      partition: On which rows.
      reference: Against what.
      difference: Mean of the paired differences.
      p: Of the paired t-test.
      adjusted: After Holm, over all comparisons of the suite.
      is_same: Whether no pair differs at all, as where tuning found the default: that is the
        reference once more and no comparison, so its p-values are NaN.
    """

    procedure: str
    partition: str
    reference: str
    difference: numbers.Estimate
    p: float
    adjusted: float = math.nan
    is_same: bool = False

    @property
    def is_significant(self) -> bool:
        """At 5 % after Holm."""
        return self.adjusted < numbers.LEVEL


def comparisons(lines: Iterable[Line], default: str, name: str = "nmi") -> list[Comparison]:
    """Every procedure of the aggregation suite against what it is an alternative to.

    Rules of aggregation were all tuned with the same budget, so they stand against `fedavg` that
    was tuned as well; ways to find centroids or targets are set and not tuned, and stand against
    the defaults.

    Args:
      lines: Of the suite; tuning runs are left out.
      default: The procedure that is all defaults.
      name: Of the score.
    """
    found = untuned(done(lines))
    by = {(_plain(line), line["case"]["partition"], line["case"]["seed"]): line for line in found}
    made = []
    for procedure_, partition in dict.fromkeys(key[:2] for key in by):
        tuned = any(
            line["case"]["settings"].get("aggregation")
            for (p, _, _), line in by.items()
            if p == procedure_
        )
        reference = "fedavg" if tuned and procedure_ != "fedavg" else default
        values = [
            line["scores"][name] - by[reference, partition, seed]["scores"][name]
            for (p, where, seed), line in by.items()
            if (p, where) == (procedure_, partition) and (reference, partition, seed) in by
        ]
        if values and procedure_ != reference:
            is_same = not any(values)
            p = math.nan if is_same else numbers.p_value(values)
            difference = numbers.mean(values)
            made.append(
                Comparison(procedure_, partition, reference, difference, p, is_same=is_same)
            )
    adjusted = numbers.holm([c.p for c in made])
    return [dataclasses.replace(c, adjusted=p) for c, p in zip(made, adjusted, strict=True)]


def _plain(line: Line) -> str:
    return str(line["case"]["procedure"])


SWEEPS = {"clients": "clients", "steps": "local steps a client", "model": "parameters"}


def sweep(lines: Iterable[Line], kind: str, engine: str) -> list[tuple[float, Line]]:
    """What was varied and its runs, smallest first: kind "clients", "steps" or "model"."""
    chosen = [
        line for line in of(done(lines), engine)
        if str(line["case"]["procedure"]).startswith(f"{kind}=")
    ]  # fmt: skip
    return sorted(((_varied(line, kind), line) for line in chosen), key=lambda pair: pair[0])


def _varied(line: Line, kind: str) -> float:
    case = line["case"]
    if kind == "clients":
        return float(case["clients"])
    if kind == "steps":
        return float(case["settings"]["pretraining.steps"])
    return float(n_parameters(line["n_features"], case["settings"]["model.dims"]))


def n_parameters(n_features: int, dims: Sequence[int]) -> int:
    """Weights and biases of a dense autoencoder."""
    widths = [n_features, *dims]
    layers = itertools.pairwise(widths)
    return sum(2 * a * b + a + b for a, b in layers)


@dataclasses.dataclass(frozen=True)
class RoundCost:
    """A warm round of an engine, taken apart.

    Attributes:
      fixed: Seconds of a round without clients; None where clients were not varied.
      per_client: Seconds for each client, its share of the same rows with it.
      per_step: Seconds for each local step of a client; None where steps were not varied.
    """

    fixed: float | None
    per_client: float | None
    per_step: float | None


def round_cost(lines: Iterable[Line], engine: str) -> RoundCost:
    """Straight lines through warm rounds by clients, and by local steps."""
    known = list(lines)
    by_clients = _fit(sweep(known, "clients", engine))
    steps = sweep(known, "steps", engine)
    by_steps = _fit(steps)
    clients = steps[0][1]["case"]["clients"] if steps else 1
    return RoundCost(
        by_clients.fixed if by_clients else None,
        by_clients.per if by_clients else None,
        by_steps.per / clients if by_steps else None,
    )


def _fit(points: Sequence[tuple[float, Line]]) -> numbers.Straight | None:
    known = [(x, y) for x, line in points if (y := warm_round(line))]
    return numbers.straight([x for x, _ in known], [y for _, y in known])


@dataclasses.dataclass(frozen=True)
class Start:
    """Runs that must begin with the same weights.

    Attributes:
      what: In words.
      seed: Of all of them.
      hashes: Of the weights before the first round, each with the number of runs.
      engines: On which they ran.
    """

    what: str
    seed: int
    hashes: Mapping[str, int]
    engines: Sequence[str]


def starts(lines: Iterable[Line]) -> Iterator[Start]:
    """By algorithm, data, seed, and what is set of the model and of where it is trained."""
    found: dict[tuple[str, str, int, str], list[Line]] = {}
    for line in done(lines):
        if "start_hash" in line:
            case = line["case"]
            model = {k: v for k, v in case["settings"].items() if _is_of_start(k)}
            key = (case["algorithm"], case["dataset"], case["seed"], json.dumps(model))
            found.setdefault(key, []).append(line)
    for (_, _, seed, settings), runs in found.items():
        hashes: dict[str, int] = {}
        for run in runs:
            hashes[run["start_hash"]] = hashes.get(run["start_hash"], 0) + 1
        what = title(runs[0], "partition", "clients", "procedure")
        words = [what, *(_setting(*item) for item in json.loads(settings).items())]
        yield Start(", ".join(words), seed, hashes, backends(runs))


def _is_of_start(setting: str) -> bool:
    # with placement "split" clients train the critic alone, so that less is hashed
    return setting == "placement" or setting.startswith("model.")


def _setting(name: str, value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{name.removeprefix('model.')} {text}"


def equal_bits(lines: Iterable[Line], engine: str) -> tuple[int, int]:
    """Runs that ended with the local loop's weights, bit by bit, and runs there are of both."""
    ends = [
        (a["end_hash"], b["end_hash"])
        for a, b in pairs(lines, engine, "local")
        if "end_hash" in a and "end_hash" in b
    ]
    return sum(a == b for a, b in ends), len(ends)
