"""Runs cases in a process of their own: `python -m benchmarks.compare.case_process SPAWNED`.

`SPAWNED` is the time at which the process was requested, in seconds since the epoch. Every line on
standard input is a case; all have the same clients and the same backend. Each is answered by a
line of JSON on standard output. Output of libraries goes to standard error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare.case_models import Model, get_initial_weights, make_model
from benchmarks.compare.cases import Case, parse_case
from benchmarks.compare.process_memory import MemoryWatch, measure_cpu_seconds
from benchmarks.compare.run_costs import count_cold_rounds
from benchmarks.compare.unfederated import run_unfederated
from federated.cli.run import CARRIERS, Carried, FederateOptions, carried
from federated.core.rounds import Position, RoundCheckpoint, Stage, run_stages
from federated.data.federated_dataset import Federation
from tfcluster.estimator import digest
from tfcluster.runtime import collect_provenance, count_cores, set_threads
from tfcluster.training.phases import Record

_LISTED = 100  # clients up to which all sizes are recorded


def main() -> None:
    """Runs the cases on standard input."""
    spawned = float(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.ExitStack() as stack:
        bench: Bench | None = None
        for line in sys.stdin:
            case = parse_case(json.loads(line))
            bench = bench or stack.enter_context(start_bench(case, spawned))
            answers.write(json.dumps(bench.run(case)) + "\n")
            answers.flush()


@contextlib.contextmanager
def start_bench(case: Case, spawned: float) -> Iterator[Bench]:
    """Prepares the data and starts the backend that all cases of a process share.

    Args:
      case: The first case.
      spawned: Time at which the process was requested, in seconds since the epoch.
    """
    if case.backend in CARRIERS:
        importlib.import_module(CARRIERS[case.backend].partition(":")[0])
    seconds = {"import": time.time() - spawned}
    start = time.perf_counter()
    threads = min(case.threads, count_cores())
    set_threads(threads)
    options = FederateOptions(
        dataset=case.dataset,
        seed=case.seed,
        clients=case.n_clients,
        clients_per_round=case.clients_per_round,
        threads=threads,
        **case.split,
    )
    federation = options.federation()
    seconds["data"] = time.perf_counter() - start
    if case.backend not in CARRIERS:
        yield Bench(options, federation, None, seconds)
        return
    start = time.perf_counter()
    with carried(case.backend, federation, options) as at:
        seconds["backend_start"] = time.perf_counter() - start
        yield Bench(options, federation, at, seconds)


@dataclasses.dataclass(frozen=True)
class Bench:
    """The clients and the backend that cases of one process share.

    Attributes:
      options: Options that define the clients.
      federation: The clients.
      at: The clients on a backend; None for centralized and local-only training.
      seconds: Seconds of the start; they count for every case. Its CPU seconds count for the first.
      used: Cases that were run.
    """

    options: FederateOptions
    federation: Federation
    at: Carried | None
    seconds: dict[str, float]
    used: list[Case] = dataclasses.field(default_factory=list)

    def run(self, case: Case) -> dict[str, Any]:
        """Trains and scores a case; returns its result line without the case and status."""
        sizes = self.federation.sizes
        model = make_model(case, self.federation)
        start, cpu = time.perf_counter(), measure_cpu_seconds() if self.used else 0.0
        self.used.append(case)
        with MemoryWatch() as watch:
            found = (
                run_unfederated(case, model, self.federation)
                if self.at is None
                else _FederatedCase(case, model, self.at, self.options).run()
            )
        seconds = self.seconds | found.pop("seconds")
        seconds["total"] = time.perf_counter() - start + sum(self.seconds.values())
        return {
            "n_samples": sum(sizes),
            "n_features": self.federation.n_features,
            "sizes": sizes if len(sizes) <= _LISTED else None,
            "threads": self.options.threads,
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "cpu_seconds": round(measure_cpu_seconds() - cpu, 2),
            "memory": _summarize_memory(watch),
            **found,
            **collect_provenance(),
        }


def _summarize_memory(watch: MemoryWatch) -> dict[str, Any]:
    """Returns the peak, the slope over the last half, and about fifty readings."""
    readings = watch.readings or [(0.0, 0)]
    later = np.array(readings[len(readings) // 2 :], float)
    slope = np.polyfit(later[:, 0], later[:, 1], 1)[0] * 60 / 1e6 if len(later) > 2 else 0.0
    kept = readings[:: max(1, len(readings) // 50)]
    return {
        "peak_mb": round(max(size for _, size in readings) / 1e6),
        "mb_per_minute": round(float(slope), 1),
        "readings": [[round(when, 1), round(size / 1e6)] for when, size in kept],
    }


class _TimedCheckpoint(RoundCheckpoint):
    """Checkpoint that adds up the seconds of saving."""

    seconds = 0.0

    def save(self, at: Position) -> None:
        start = time.perf_counter()
        super().save(at)
        self.seconds += time.perf_counter() - start


class _FederatedCase:
    """Runs a case on a backend."""

    def __init__(self, case: Case, model: Model, at: Carried, options: FederateOptions) -> None:
        self._case, self._model, self._at, self._options = case, model, at, options
        self._evaluation = 0.0
        self._curve: list[dict[str, Any]] = []
        self._trained = 0.0

    def run(self) -> dict[str, Any]:
        """Trains in rounds; returns hashes, seconds, losses, bytes, the curve and final scores."""
        stages = self._model.stages(self._at.store.n_features)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = _TimedCheckpoint(Path(folder) / "checkpoint.npz", {})
            kept, history = run_stages(
                stages,
                self._at.carrier,
                self._options.plan(len(self._at.store)),
                score=self._score,
                checkpoint=checkpoint,
            )
        rounds = _group_by_phase(history)
        return {
            "start_hash": digest(*get_initial_weights(stages))[:16],
            "end_hash": digest(*kept.values())[:16],
            "seconds": {
                **_split_rounds(rounds),
                "evaluation": self._evaluation,
                "checkpoint": checkpoint.seconds,
            },
            "rounds": rounds,
            "loss": [round(r["loss"], 6) for r in history if "loss" in r],
            "bytes": _average_bytes(history, len(self._at.store), self._case.clients_per_round),
            "curve": self._curve,
            "scores": self._model.final_scores(self._at, kept),
        }

    def _score(self, stage: Stage, state: Any, record: Record) -> Record:
        """Scores every `evaluate_every` rounds; the time is counted as evaluation."""
        self._trained += record["round_seconds"]
        every = self._case.evaluate_every
        is_end = record["converged"] or record["step"] == stage.n_rounds
        if not every or not (is_end or record["step"] % every == 1):
            return {}
        start = time.perf_counter()
        scores = self._model.scores_of(self._at, stage, state)
        self._evaluation += time.perf_counter() - start
        if scores:
            where = {"phase": stage.name, "round": record["step"]}
            self._curve.append({**where, "seconds": round(self._trained, 3), **scores})
        return {}


def _group_by_phase(history: Sequence[Record]) -> dict[str, list[float]]:
    """Returns phase to the seconds of its rounds; target updates are a phase of their own."""
    found: dict[str, list[float]] = {}
    for record in history:
        is_update = record["phase"] == "cluster" and "loss" not in record
        phase = "target" if is_update else record["phase"]
        found.setdefault(phase, []).append(record["round_seconds"])
    return found


def _split_rounds(rounds: dict[str, list[float]]) -> dict[str, float]:
    first = sum(sum(seconds[: count_cold_rounds(phase)]) for phase, seconds in rounds.items())
    return {"first_rounds": first, "warm_rounds": sum(map(sum, rounds.values())) - first}


def _average_bytes(history: Sequence[Record], n_clients: int, per_round: int) -> dict[str, float]:
    """Returns the bytes of tensors that a client sends and receives in a training round."""
    training = [r for r in history if "loss" in r] or list(history)
    n_sampled = per_round or n_clients
    return {
        way: round(statistics.mean(r[f"bytes_{way}"] for r in training) / n_sampled)
        for way in ("up", "down")
    }


if __name__ == "__main__":
    main()
