"""Cases in a process of their own: `python -m benchmarks.compare.worker SPAWNED`.

`SPAWNED` is the time the process was asked for, in seconds of the epoch. Every line on standard
input is a case, all of the same clients on the same engine; each is answered by a line of JSON on
standard output. Whatever libraries print goes to standard error.
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

from benchmarks.compare import cases, central
from benchmarks.compare.cases import Case
from benchmarks.compare.models import Model, first_weights, make_model
from benchmarks.compare.summary import n_cold
from benchmarks.engines.memory import MemoryWatch, tree_cpu_seconds
from federated.cli.run import CARRIERS, Carried, FederateOptions, carried
from federated.core.rounds import Position, RoundCheckpoint, Stage, run_stages
from federated.data.federated_dataset import Federation
from tfcluster.estimator import digest
from tfcluster.runtime import available_cores, provenance, set_threads
from tfcluster.training.phases import Record

_LISTED = 100  # clients whose sizes are kept


def main() -> None:
    """Runs the cases on standard input."""
    spawned = float(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.ExitStack() as stack:
        bench: Bench | None = None
        for line in sys.stdin:
            case = cases.from_dict(json.loads(line))
            bench = bench or stack.enter_context(begun(case, spawned))
            answers.write(json.dumps(bench.run(case)) + "\n")
            answers.flush()


@contextlib.contextmanager
def begun(case: Case, spawned: float) -> Iterator[Bench]:
    """Starts what all cases of a process share, and times it.

    Args:
      case: The first of them.
      spawned: When the process was asked for.
    """
    if case.backend in CARRIERS:
        importlib.import_module(CARRIERS[case.backend].partition(":")[0])
    seconds = {"import": time.time() - spawned}
    start = time.perf_counter()
    threads = min(case.threads, available_cores())
    set_threads(threads)
    options = FederateOptions(
        dataset=case.dataset,
        seed=case.seed,
        clients=case.clients,
        clients_per_round=case.per_round,
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
        seconds["engine_start"] = time.perf_counter() - start
        yield Bench(options, federation, at, seconds)


@dataclasses.dataclass(frozen=True)
class Bench:
    """What cases share.

    Attributes:
      options: Of the clients.
      federation: The clients.
      at: They on an engine; None without one.
      seconds: What starting took; part of every case's seconds, of the first one's CPU seconds.
      used: Cases that were run.
    """

    options: FederateOptions
    federation: Federation
    at: Carried | None
    seconds: dict[str, float]
    used: list[Case] = dataclasses.field(default_factory=list)

    def run(self, case: Case) -> dict[str, Any]:
        """Trains, scores, and takes the time apart."""
        sizes = self.federation.sizes
        model = make_model(case, self.federation)
        start, cpu = time.perf_counter(), tree_cpu_seconds() if self.used else 0.0
        self.used.append(case)
        with MemoryWatch() as watch:
            found = (
                central.run(case, model, self.federation)
                if self.at is None
                else _Federated(case, model, self.at, self.options).run()
            )
        seconds = self.seconds | found.pop("seconds")
        seconds["total"] = time.perf_counter() - start + sum(self.seconds.values())
        return {
            "n_rows": sum(sizes),
            "n_features": self.federation.n_features,
            "sizes": sizes if len(sizes) <= _LISTED else None,
            "threads": self.options.threads,
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "cpu_seconds": round(tree_cpu_seconds() - cpu, 2),
            "memory": _memory(watch),
            **found,
            **provenance(),
        }


def _memory(watch: MemoryWatch) -> dict[str, Any]:
    """Peak, slope over the last half, and about fifty samples."""
    samples = watch.samples or [(0.0, 0)]
    later = np.array(samples[len(samples) // 2 :], float)
    slope = np.polyfit(later[:, 0], later[:, 1], 1)[0] * 60 / 1e6 if len(later) > 2 else 0.0
    kept = samples[:: max(1, len(samples) // 50)]
    return {
        "peak_mb": round(max(size for _, size in samples) / 1e6),
        "mb_per_minute": round(float(slope), 1),
        "samples": [[round(when, 1), round(size / 1e6)] for when, size in kept],
    }


class _Checkpoint(RoundCheckpoint):
    """Knows how long its writing took."""

    seconds = 0.0

    def save(self, at: Position) -> None:
        start = time.perf_counter()
        super().save(at)
        self.seconds += time.perf_counter() - start


class _Federated:
    """A case on an engine."""

    def __init__(self, case: Case, model: Model, at: Carried, options: FederateOptions) -> None:
        self._case, self._model, self._at, self._options = case, model, at, options
        self._evaluation = 0.0
        self._curve: list[dict[str, Any]] = []
        self._trained = 0.0

    def run(self) -> dict[str, Any]:
        """Rounds, scores, seconds."""
        stages = self._model.stages(self._at.store.n_features)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = _Checkpoint(Path(folder) / "checkpoint.npz", {})
            kept, history = run_stages(
                stages,
                self._at.carrier,
                self._options.plan(len(self._at.store)),
                score=self._score,
                checkpoint=checkpoint,
            )
        rounds = _by_phase(history)
        return {
            "start_hash": digest(*first_weights(stages))[:16],
            "end_hash": digest(*kept.values())[:16],
            "seconds": {
                **_apart(rounds),
                "evaluation": self._evaluation,
                "checkpoint": checkpoint.seconds,
            },
            "rounds": rounds,
            "loss": [round(r["loss"], 6) for r in history if "loss" in r],
            "bytes": _bytes(history, len(self._at.store), self._case.per_round),
            "curve": self._curve,
            "scores": self._model.final_scores(self._at, kept),
        }

    def _score(self, stage: Stage, state: Any, record: Record) -> Record:
        """Scores now and then; their time is theirs."""
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


def _by_phase(history: Sequence[Record]) -> dict[str, list[float]]:
    """Seconds of rounds; those that only exchange masses are a phase of their own."""
    found: dict[str, list[float]] = {}
    for record in history:
        is_exchange = record["phase"] == "cluster" and "loss" not in record
        phase = "exchange" if is_exchange else record["phase"]
        found.setdefault(phase, []).append(record["round_seconds"])
    return found


def _apart(rounds: dict[str, list[float]]) -> dict[str, float]:
    first = sum(sum(seconds[: n_cold(phase)]) for phase, seconds in rounds.items())
    return {"first_rounds": first, "warm_rounds": sum(map(sum, rounds.values())) - first}


def _bytes(history: Sequence[Record], clients: int, per_round: int) -> dict[str, float]:
    """Numbers sent, without an engine's wrapping, of a client in a round of training."""
    training = [r for r in history if "loss" in r] or list(history)
    taking = per_round or clients
    return {
        way: round(statistics.mean(r[f"bytes_{way}"] for r in training) / taking)
        for way in ("up", "down")
    }


if __name__ == "__main__":
    main()
