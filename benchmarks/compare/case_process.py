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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.compare.case_models import SCORES, Model, load_clients, make_model
from benchmarks.compare.cases import BACKENDS, LOCAL_TFF, Case, parse_case
from benchmarks.compare.process_memory import MemoryWatch, measure_cpu_seconds
from benchmarks.compare.run_costs import count_cold_rounds
from benchmarks.compare.unfederated import run_unfederated
from federated.backends.descriptions import (
    TFF,
    BackendDescription,
    Flower,
    Local,
    OpenBackend,
    open_backend,
)
from federated.core.backend import Backend
from federated.core.records import RoundRecord
from federated.data.client_store import ClientStore
from federated.data.federated_dataset import FederatedDataset
from federated.phases.clustergan import AdversarialPhase
from federated.phases.dec import ClusteringPhase
from tfcluster.estimator import digest
from tfcluster.runtime import collect_provenance, count_cores, set_threads

_LISTED = 100  # clients up to which all sizes are recorded

# Imported before the clock of "backend_start" runs, so that imports count as imports.
_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "local": "federated.backends.local",
        "flower": "federated.backends.flower.backend",
        LOCAL_TFF: "federated.backends.local",
        "tff": "federated.backends.tff.backend",
    }
)


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


class _TFFInThisProcess(TFF):
    """TFF without a pipe, since this process is in its environment and in a network of its own."""

    def start(self, clients: ClientStore) -> Backend:
        from federated.backends.tff.backend import TFFBackend

        return TFFBackend(clients, self.workers)


_BACKENDS: Mapping[str, type[BackendDescription]] = MappingProxyType(
    {"local": Local, "flower": Flower, LOCAL_TFF: Local, "tff": _TFFInThisProcess}
)


@contextlib.contextmanager
def start_bench(case: Case, spawned: float) -> Iterator[Bench]:
    """Prepares the data and starts the backend that all cases of a process share.

    Args:
      case: The first case.
      spawned: Time at which the process was requested, in seconds since the epoch.
    """
    if case.backend in BACKENDS:
        importlib.import_module(_MODULES[case.backend])
    seconds = {"import": time.time() - spawned}
    start = time.perf_counter()
    threads = min(case.threads, count_cores())
    set_threads(threads)
    dataset = load_clients(case)
    seconds["data"] = time.perf_counter() - start
    if case.backend not in BACKENDS:
        yield Bench(dataset, None, threads, seconds)
        return
    start = time.perf_counter()
    with open_backend(_BACKENDS[case.backend](n_workers=threads), dataset) as opened:
        seconds["backend_start"] = time.perf_counter() - start
        yield Bench(dataset, opened, threads, seconds)


@dataclasses.dataclass(frozen=True)
class Bench:
    """The clients and the backend that cases of one process share.

    Attributes:
      dataset: The clients.
      opened: The backend that runs on them; None for centralized and local-only training.
      threads: Operations that run in parallel, and clients that train at a time.
      seconds: Seconds of the start; they count for every case. Its CPU seconds count for the first.
      used: Cases that were run.
    """

    dataset: FederatedDataset
    opened: OpenBackend | None
    threads: int
    seconds: dict[str, float]
    used: list[Case] = dataclasses.field(default_factory=list)

    def run(self, case: Case) -> dict[str, Any]:
        """Trains and scores a case; returns its result line without the case and status."""
        model = make_model(case, self.dataset, self.opened)
        start, cpu = time.perf_counter(), measure_cpu_seconds() if self.used else 0.0
        self.used.append(case)
        with MemoryWatch() as watch:
            found = run_unfederated(model) if self.opened is None else _run_federated(model)
        seconds = self.seconds | found.pop("seconds")
        seconds["total"] = time.perf_counter() - start + sum(self.seconds.values())
        sizes = self.dataset.sizes
        return {
            "n_samples": sum(sizes),
            "n_features": self.dataset.n_features,
            "sizes": sizes if len(sizes) <= _LISTED else None,
            "threads": self.threads,
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "cpu_seconds": round(measure_cpu_seconds() - cpu, 2),
            "memory": _summarize_memory(watch),
            "start_hash": digest(*model.get_initial_weights())[:16],
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


def _run_federated(model: Model) -> dict[str, Any]:
    """Trains in rounds; returns the hash, seconds, losses, bytes, the curve and final scores.

    `end_hash` is of the model's arrays only; see `Trained`.
    """
    with tempfile.TemporaryDirectory() as folder:
        trained = model.train(Path(folder) / "checkpoint.npz")
    history = trained.history
    rounds = _group_by_phase(history)
    return {
        "end_hash": digest(*trained.arrays)[:16],
        "seconds": {**_split_rounds(rounds), **model.estimator.seconds_},
        "rounds": rounds,
        "loss": [round(r.losses["loss"], 6) for r in history if "loss" in r.losses],
        "bytes": _average_bytes(history),
        "curve": _read_curve(history) if model.case.evaluate_every else [],
        "scores": _select_scores(trained.scores),
    }


def _select_scores(scores: Mapping[str, Any]) -> dict[str, float]:
    return {name: round(scores[name], 5) for name in SCORES if name in scores}


def _read_curve(history: Sequence[RoundRecord]) -> list[dict[str, Any]]:
    """Returns the scores during training, with the seconds of all rounds up to each."""
    curve, seconds = [], 0.0
    for record in history:
        seconds += record.round_seconds
        if record.phase in (ClusteringPhase.name, AdversarialPhase.name) and record.scores:
            where = {"phase": record.phase, "round": record.step, "seconds": round(seconds, 3)}
            curve.append({**where, **_select_scores(record.scores)})
    return curve


def _group_by_phase(history: Sequence[RoundRecord]) -> dict[str, list[float]]:
    """Returns phase to the seconds of its rounds; target updates are a phase of their own."""
    found: dict[str, list[float]] = {}
    for record in history:
        phase = "target" if record.kind == "target update" else record.phase
        found.setdefault(phase, []).append(record.round_seconds)
    return found


def _split_rounds(rounds: dict[str, list[float]]) -> dict[str, float]:
    first = sum(sum(seconds[: count_cold_rounds(phase)]) for phase, seconds in rounds.items())
    return {"first_rounds": first, "warm_rounds": sum(map(sum, rounds.values())) - first}


def _average_bytes(history: Sequence[RoundRecord]) -> dict[str, int]:
    """Returns the bytes of tensors that a client sends and receives in a training round."""
    training = [record for record in history if record.losses] or history
    return {
        "up": round(statistics.mean(r.bytes_up / r.participants for r in training)),
        "down": round(statistics.mean(r.bytes_down / r.participants for r in training)),
    }


if __name__ == "__main__":
    main()
