"""Measures a warm round on every backend, in turn within one run.

`python -m benchmarks.compare.measure_overhead` trains the autoencoder 784-500-500-2000-10 for one
epoch on each of ten clients of 6,000 MNIST samples; two clients train at a time on every backend.
It adds a JSON line to `benchmarks/results/federated_overhead.jsonl`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import append
from federated.algorithms.pretraining import FederatedPretraining
from federated.backends.processes import backend_processes
from federated.cli.run import CARRIERS, make_carrier
from federated.core.aggregation import aggregation
from federated.core.algorithm import ServerState
from federated.core.backend import Carrier
from federated.core.local_training import LocalWork
from federated.core.sampling import Plan
from federated.data.client_store import ClientStore
from federated.data.partition import iid
from tfcluster import load_data
from tfcluster.config import DEC_PRESETS
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.runtime import collect_provenance, count_cores, set_threads

MODEL = DEC_PRESETS["keras:mnist"]


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backends", nargs="+", default=list(CARRIERS), choices=list(CARRIERS))
    asked = parser.parse_args()
    threads = min(2, count_cores())
    set_threads(threads)
    X = load_data("mnist", "train").X
    scratch = Path(tempfile.mkdtemp(prefix="tfcluster-"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(backend_processes(scratch))
        parts = iid(len(X), 10, 0).rows
        store = ClientStore.write(scratch, [(X[own], None) for own in parts])
        backends = {name: make_carrier(name, store, threads) for name in asked.backends}
        for backend in backends.values():
            stack.callback(backend.close)
        result = _measure_rounds(backends, store.n_features, asked.rounds)
    line = {"algorithm": "federated_overhead", "n_clients": 10, "samples_per_client": 6_000}
    append({**line, "threads": threads, **result, **collect_provenance()})
    print(result)


def _measure_rounds(
    backends: Mapping[str, Carrier], n_features: int, n_rounds: int
) -> dict[str, Any]:
    work = LocalWork(epochs=1, batch_size=MODEL.batch_size)
    algorithm = FederatedPretraining(n_features, work, aggregation("fedavg"), MODEL)
    fresh = AutoencoderTrainer(n_features, MODEL)
    fresh.reset(0)
    states = {name: algorithm.state(fresh.autoencoder.get_weights()) for name in backends}
    seconds: dict[str, list[float]] = {name: [] for name in backends}
    plan = Plan(10)
    for number in range(n_rounds + 1):  # the first compiles
        for name, backend in backends.items():
            start = time.perf_counter()
            states[name] = backend.round(algorithm, states[name], plan.round(number)).state
            seconds[name].append(round(time.perf_counter() - start, 3))
            print(number, name, seconds[name][-1], flush=True)
    local = seconds["local"][1:]
    ratios = {
        name: [a / b for a, b in zip(values[1:], local, strict=True)]
        for name, values in seconds.items()
    }
    return {
        "first_round_s": {name: values[0] for name, values in seconds.items()},
        "warm_rounds_s": {name: values[1:] for name, values in seconds.items()},
        "ratio": {name: round(statistics.median(values), 3) for name, values in ratios.items()},
        "largest_difference": {
            name: _find_largest_difference(states[name], states["local"]) for name in backends
        },
    }


def _find_largest_difference(first: ServerState, second: ServerState) -> float:
    """Returns the largest absolute difference between the weights of two backends."""
    pairs = zip(first.weights, second.weights, strict=True)
    return float(max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in pairs))


if __name__ == "__main__":
    main()
