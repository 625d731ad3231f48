"""Measures the memory of all processes of a backend over many pretraining rounds.

`python -m benchmarks.compare.measure_memory --backend tff --clients 100 --clients-per-round 20`
trains on MNIST by writers (`--partition iid` for any number of clients) and adds a JSON line to
`benchmarks/results/federated_memory.jsonl`.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from benchmarks.compare.process_memory import MemoryWatch
from benchmarks.record import append
from federated.algorithms.pretraining import FederatedPretraining
from federated.cli.run import CARRIERS, Carried, FederateOptions, carried
from federated.core.aggregation import aggregation
from federated.core.local_training import LocalWork
from tfcluster.config import DEC_PRESETS
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.runtime import collect_provenance, count_cores, set_threads

MODEL = DEC_PRESETS["keras:mnist"]
NAME = "federated_memory"


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="local", choices=list(CARRIERS))
    parser.add_argument("--partition", default="natural")
    parser.add_argument("--clients", dest="n_clients", type=int, default=100)
    parser.add_argument("--clients-per-round", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    threads = min(2, count_cores())
    set_threads(threads)
    options = FederateOptions(
        dataset="mnist",
        threads=threads,
        partition=asked.partition,
        clients=asked.n_clients,
        clients_per_round=asked.clients_per_round,
    )
    federation = options.federation()
    with carried(asked.backend, federation, options) as at, MemoryWatch() as watch:
        seconds, loss = _run_rounds(at, options, asked.rounds)
    warm = [(when, size) for when, size in watch.readings if when > seconds[0]]
    times, sizes = np.array(warm).T if len(warm) > 1 else (np.zeros(2), np.zeros(2))
    line = {
        "algorithm": NAME,
        **vars(asked),
        "n_samples": sum(federation.sizes),
        "first_round_s": seconds[0],
        "warm_round_s": statistics.median(seconds[1:]),
        "loss": loss,
        "peak_mb": max((size for _, size in watch.readings), default=0) / 1e6,
        "mb_per_minute": float(np.polyfit(times, sizes, 1)[0]) * 60 / 1e6,
        "readings": [[round(when, 1), round(size / 1e6)] for when, size in watch.readings],
    }
    append({**line, **collect_provenance()})
    print({name: value for name, value in line.items() if name != "readings"})


def _run_rounds(at: Carried, options: FederateOptions, n_rounds: int) -> tuple[list[float], float]:
    work = LocalWork(epochs=1, batch_size=MODEL.batch_size)
    algorithm = FederatedPretraining(at.store.n_features, work, aggregation("fedavg"), MODEL)
    fresh = AutoencoderTrainer(at.store.n_features, MODEL)
    fresh.reset(0)
    state = algorithm.state(fresh.autoencoder.get_weights())
    plan, seconds = options.plan(len(at.store)), []
    for number in range(n_rounds):
        start = time.perf_counter()
        result = at.carrier.round(algorithm, state, plan.round(number))
        state = result.state
        seconds.append(round(time.perf_counter() - start, 3))
        print(number, seconds[-1], float(result.metrics["loss"]), flush=True)
    return seconds, float(result.metrics["loss"])


if __name__ == "__main__":
    main()
