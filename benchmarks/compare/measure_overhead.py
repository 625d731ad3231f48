"""Measures a warm round on every backend, in turn within one run.

`python -m benchmarks.compare.measure_overhead` trains the autoencoder 784-500-500-2000-10 for one
epoch on each of ten clients of 6,000 MNIST samples; two clients train at a time on every backend.
With `--small` it trains 64-128-64-10 on each of five clients of 359 digits, where a round takes so
little that it shows what a backend adds. It adds a JSON line to
`benchmarks/results/federated_overhead.jsonl`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.record import append
from federated import FederatedDEC
from federated.backends.descriptions import BACKENDS, open_backend
from federated.core.backend import Backend
from federated.core.phases import Phase
from federated.core.sampling import ClientSampler
from federated.data.federated_dataset import PartitionConfig, partition_matrix
from federated.phases.dec import pretraining_phases
from tfcluster import load_data
from tfcluster.config import DEC_PRESETS, override
from tfcluster.runtime import collect_provenance, count_cores, set_threads


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args()
    dataset_name, split, n_clients = ("digits", "all", 5) if asked.small else ("mnist", "train", 10)
    preset = (
        override(DEC_PRESETS["keras"], {"dims": (128, 64, 10)})
        if asked.small
        else DEC_PRESETS["keras:mnist"]
    )
    threads = min(2, count_cores())
    set_threads(threads)
    how = PartitionConfig(n_clients=n_clients)
    dataset = partition_matrix(load_data(dataset_name, split).X, None, how, seed=0)
    config = FederatedDEC(preset=preset, local_epochs=1).config(dataset)
    phase = pretraining_phases(dataset.n_features, config, seed=0)[-1]
    with contextlib.ExitStack() as stack:
        descriptions = [BACKENDS[name](n_workers=threads) for name in asked.backends]
        opened = [stack.enter_context(open_backend(each, dataset)) for each in descriptions]
        backends = {each.name: each.backend for each in opened}
        result = _measure_rounds(backends, phase, ClientSampler(n_clients), asked.rounds)
    line = {
        "algorithm": "federated_overhead",
        "dataset": dataset_name,
        "n_clients": n_clients,
        "samples_per_client": min(dataset.sizes),
    }
    append({**line, "threads": threads, **result, **collect_provenance()})
    print(result)


def _measure_rounds(
    backends: Mapping[str, Backend], phase: Phase, sampler: ClientSampler, n_rounds: int
) -> dict[str, Any]:
    states = {name: phase.begin({}) for name in backends}
    seconds: dict[str, list[float]] = {name: [] for name in backends}
    for number in range(n_rounds + 1):  # the first compiles
        algorithm, participants = phase.algorithm(number), sampler.participants(number)
        for name, backend in backends.items():
            start = time.perf_counter()
            states[name] = backend.run_round(algorithm, states[name], participants).state
            seconds[name].append(round(time.perf_counter() - start, 4))
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
        "added_ms": {
            name: round(
                1000 * statistics.median(a - b for a, b in zip(values[1:], local, strict=True)), 1
            )
            for name, values in seconds.items()
        },
        "largest_difference": {
            name: _find_largest_difference(states[name].weights, states["local"].weights)
            for name in backends
        },
    }


def _find_largest_difference(first: Any, second: Any) -> float:
    """Returns the largest absolute difference between the weights of two backends."""
    pairs = zip(first, second, strict=True)
    return float(max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in pairs))


if __name__ == "__main__":
    main()
