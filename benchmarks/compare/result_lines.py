"""Selects, groups, pairs and describes result lines."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.compare.cases import BACKENDS, CENTRALIZED, LOCAL_ONLY, LOCAL_TFF
from benchmarks.compare.estimates import Estimate, estimate_mean
from benchmarks.compare.suites import TUNING_SEEDS

Line = Mapping[str, Any]
"""A result line: the case, how it ended, and what was measured."""

NAMES = {
    "local": "local loop",
    "flower": "Flower",
    LOCAL_TFF: "local loop (TFF's TensorFlow)",
    "tff": "TFF",
    CENTRALIZED: "centralized",
    LOCAL_ONLY: "local only",
}
ALGORITHMS = {"dec": "DEC", "clustergan": "ClusterGAN"}
SCORES = {"accuracy": "ACC", "nmi": "NMI", "ari": "ARI", "purity": "purity"}
PARTS = {
    "import": "import",
    "data": "data",
    "backend_start": "backend start",
    "first_rounds": "first rounds (tracing)",
    "warm_rounds": "warm rounds",
    "evaluation": "evaluation",
    "checkpoint": "checkpointing",
    "training": "training",
}


def select_finished(lines: Iterable[Line]) -> list[Line]:
    """Returns the lines of runs that finished."""
    return [line for line in lines if line.get("status") == "done"]


def select_failed(lines: Iterable[Line]) -> list[Line]:
    """Returns the lines of runs that failed."""
    return [line for line in lines if line.get("status") != "done"]


def drop_tuning(lines: Iterable[Line]) -> list[Line]:
    """Returns the lines without the runs that only chose the parameter of a rule."""
    return [line for line in lines if line["case"]["seed"] not in TUNING_SEEDS]


def select_backend(lines: Iterable[Line], backend: str) -> list[Line]:
    """Returns the lines of one backend."""
    return [line for line in lines if line["case"]["backend"] == backend]


def list_backends(lines: Iterable[Line]) -> list[str]:
    """Returns the backends of the lines in their usual order."""
    found = {line["case"]["backend"] for line in lines}
    return [name for name in (*BACKENDS, CENTRALIZED, LOCAL_ONLY) if name in found]


def group_lines(lines: Iterable[Line], *without: str) -> list[list[Line]]:
    """Groups lines whose cases differ only in the fields `without`, in order of appearance."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(_make_key(line, *without), []).append(line)
    return list(found.values())


def group_over_seeds(lines: Iterable[Line]) -> list[list[Line]]:
    """Groups the runs of a case on one backend."""
    return group_lines(lines, "seed")


def group_over_backends(lines: Iterable[Line]) -> list[list[Line]]:
    """Groups the runs of a case on all backends and of all seeds."""
    return group_lines(lines, "seed", "backend")


def _make_key(line: Line, *without: str) -> str:
    case = {k: v for k, v in line["case"].items() if k not in without}
    return json.dumps(case, sort_keys=True)


def select_common_seeds(lines: Sequence[Line]) -> list[Line]:
    """Returns the lines of seeds that every backend has, so that means are over the same runs."""
    seeds = [
        {line["case"]["seed"] for line in select_backend(lines, name)}
        for name in list_backends(lines)
    ]
    shared = set.intersection(*seeds) if seeds else set()
    return [line for line in lines if line["case"]["seed"] in shared]


def pair_runs(lines: Iterable[Line], one: str, other: str) -> list[tuple[Line, Line]]:
    """Pairs finished runs of the same case and seed on two backends."""
    finished = select_finished(lines)
    by_case = {_make_key(line, "backend"): line for line in select_backend(finished, other)}
    keyed = (
        (line, by_case.get(_make_key(line, "backend"))) for line in select_backend(finished, one)
    )
    return [(line, match) for line, match in keyed if match is not None]


def find_base(lines: Iterable[Line], backend: str) -> str:
    """Returns what a backend is compared with: the local loop, on the same TensorFlow if it ran."""
    ran = bool(select_backend(lines, LOCAL_TFF))
    return LOCAL_TFF if backend == "tff" and ran else "local"


def count_equal_ends(lines: Sequence[Line], backend: str) -> tuple[int, int]:
    """Counts runs that end with exactly the weights of the local loop.

    Returns:
      Number of runs with equal final weights, and number of runs compared.
    """
    ends = [
        (a["end_hash"], b["end_hash"])
        for a, b in pair_runs(lines, backend, find_base(lines, backend))
        if "end_hash" in a and "end_hash" in b
    ]
    return sum(a == b for a, b in ends), len(ends)


def estimate_score(lines: Sequence[Line], name: str) -> Estimate | None:
    """Returns the mean of a score over seeds, or None if no run has it."""
    values = [line["scores"][name] for line in lines if name in line.get("scores", {})]
    return estimate_mean(values) if values else None


def compute_median(lines: Sequence[Line], value: Callable[[Line], float | None]) -> float | None:
    """Returns the median of `value(line)` over the lines that have one."""
    values = [v for v in map(value, lines) if v is not None]
    return statistics.median(values) if values else None


def get_seconds(part: str) -> Callable[[Line], float | None]:
    """Returns a function that reads the seconds of a part of a run from its line."""
    return lambda line: line["seconds"].get(part)


def get_error(line: Line) -> str:
    """Returns the last line of a failed run's error."""
    lines = str(line.get("error", "")).strip().splitlines() or ["no error was recorded"]
    return lines[-1].strip().rstrip(".")


def describe_samples(lines: Iterable[Line]) -> str:
    """Returns the number of samples in words, e.g. "1,797 samples".

    It is a range where the seed chooses the clients, as with natural clients.
    """
    counts = sorted({line["n_samples"] for line in lines})
    ends = dict.fromkeys(f"{n:,}" for n in (counts[0], counts[-1]))
    return f"{' to '.join(ends)} samples"


def describe_case(line: Line, *without: str, samples: str = "") -> str:
    """Returns the case in words, without backend and seed.

    Args:
      line: Line of a run.
      without: Fields to leave out.
      samples: Number of samples in words, shown after the data set.
    """
    case = line["case"]
    n = case["n_clients"]
    words = {
        "algorithm": ALGORITHMS.get(case["algorithm"], case["algorithm"]),
        "dataset": f"{case['dataset']} ({samples})" if samples else case["dataset"],
        "partition": case["partition"],
        "n_clients": f"{n:,} clients" if n else "natural clients",
        "procedure": describe_procedure(line),
    }
    return ", ".join(word for name, word in words.items() if name not in without)


def describe_procedure(line: Line) -> str:
    """Returns the procedure with its tuned parameter, if it has one."""
    case = line["case"]
    tuned = [
        f"{name.partition('.')[2].replace('_', ' ')} {value:g}"
        for name, value in case["settings"].items()
        if name.startswith("aggregation.")
    ]
    return f"{case['procedure']} ({', '.join(tuned)})" if tuned else str(case["procedure"])


@dataclasses.dataclass(frozen=True)
class Start:
    """Runs that must begin with the same weights.

    Attributes:
      description: What the runs have in common, in words.
      seed: Their seed.
      hashes: Hash of the initial weights to the number of runs that began with them.
      backends: Backends of the runs.
    """

    description: str
    seed: int
    hashes: Mapping[str, int]
    backends: Sequence[str]


def find_starts(lines: Iterable[Line]) -> Iterator[Start]:
    """Yields the runs that share algorithm, data set, seed, model and place of the generator."""
    found: dict[tuple[str, str, int, str], list[Line]] = {}
    for line in select_finished(lines):
        if "start_hash" in line:
            case = line["case"]
            model = {k: v for k, v in case["settings"].items() if _changes_start(k)}
            key = (case["algorithm"], case["dataset"], case["seed"], json.dumps(model))
            found.setdefault(key, []).append(line)
    for (_, _, seed, settings), runs in found.items():
        words = [
            describe_case(runs[0], "partition", "n_clients", "procedure"),
            *(_describe_setting(*item) for item in json.loads(settings).items()),
        ]
        hashes = Counter(run["start_hash"] for run in runs)
        yield Start(", ".join(words), seed, hashes, list_backends(runs))


def _changes_start(setting: str) -> bool:
    # With the generator on the server clients train only the critic, so fewer weights are hashed.
    return setting == "generator" or setting.startswith("model.")


def _describe_setting(name: str, value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{name.removeprefix('model.')} {text}"
