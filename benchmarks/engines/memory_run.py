"""Many rounds on one engine, with the memory of all its processes.

`python -m benchmarks.engines.memory_run --backend tff --clients 100 --per-round 20 --rounds 50`:
MNIST by writers (`--partition iid` for any number of clients), pretraining rounds. Adds a JSON line
to `benchmarks/results/federated_memory.jsonl`.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from benchmarks.engines.memory import MemoryWatch
from benchmarks.record import append
from federated.algorithms.pretraining import FederatedPretraining
from federated.cli.run import CARRIERS, Carried, FederateOptions, carried
from federated.core.aggregation import aggregation
from federated.core.local_training import LocalWork
from tfcluster.config import DEC_PRESETS
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.runtime import available_cores, provenance, set_threads

MODEL = DEC_PRESETS["keras:mnist"]
NAME = "federated_memory"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="local", choices=list(CARRIERS))
    parser.add_argument("--partition", default="natural")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--per-round", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    threads = min(2, available_cores())
    set_threads(threads)
    options = FederateOptions(
        dataset="mnist",
        threads=threads,
        partition=asked.partition,
        clients=asked.clients,
        clients_per_round=asked.per_round,
    )
    federation = options.federation()
    with carried(asked.backend, federation, options) as at, MemoryWatch() as watch:
        seconds, loss = _rounds(at, options, asked.rounds)
    warm = [(when, size) for when, size in watch.samples if when > seconds[0]]
    times, sizes = np.array(warm).T if len(warm) > 1 else (np.zeros(2), np.zeros(2))
    line = {
        "algorithm": NAME,
        **vars(asked),
        "rows": sum(federation.sizes),
        "first_round_s": seconds[0],
        "warm_round_s": statistics.median(seconds[1:]),
        "loss": loss,
        "peak_mb": max((size for _, size in watch.samples), default=0) / 1e6,
        "mb_per_minute": float(np.polyfit(times, sizes, 1)[0]) * 60 / 1e6,
        "samples": [[round(when, 1), round(size / 1e6)] for when, size in watch.samples],
    }
    append({**line, **provenance()})
    print({name: value for name, value in line.items() if name != "samples"})


def _rounds(at: Carried, options: FederateOptions, n_rounds: int) -> tuple[list[float], float]:
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
