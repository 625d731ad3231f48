"""Measures the memory of all processes of a backend over many pretraining rounds.

`python -m benchmarks.compare.measure_memory --backend tff --clients 100 --clients-per-round 20`
trains on MNIST by writers (`--partition iid` for any number of clients) and adds a JSON line to
`benchmarks/results/federated_memory.jsonl`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.compare.process_memory import MemoryWatch
from benchmarks.record import append
from federated import FederatedDEC
from federated.backends.descriptions import BACKENDS, OpenBackend, open_backend
from federated.core.records import RoundRecord
from federated.data.federated_dataset import PartitionConfig, load_federated_dataset
from federated.phases.dec import pretraining_phases
from tfcluster.config import DEC_PRESETS
from tfcluster.runtime import collect_provenance, count_cores, set_threads

NAME = "federated_memory"


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="local", choices=list(BACKENDS))
    parser.add_argument("--partition", default="natural")
    parser.add_argument("--clients", dest="n_clients", type=int, default=100)
    parser.add_argument("--clients-per-round", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    threads = min(2, count_cores())
    set_threads(threads)
    how = PartitionConfig(asked.partition, asked.n_clients)
    dataset = load_federated_dataset("mnist", how, seed=0)
    description = BACKENDS[asked.backend](n_workers=threads)
    with open_backend(description, dataset) as opened, MemoryWatch() as watch:
        history = _pretrain(opened, asked.clients_per_round, asked.rounds)
    line = {
        "algorithm": NAME,
        **vars(asked),
        "n_samples": sum(dataset.sizes),
        "first_round_s": history[0].round_seconds,
        "warm_round_s": statistics.median(record.round_seconds for record in history[1:]),
        "loss": history[-1].losses["loss"],
        **_summarize_memory(watch, history[0].round_seconds),
    }
    append({**line, **collect_provenance()})
    print({name: value for name, value in line.items() if name != "readings"})


def _pretrain(opened: OpenBackend, clients_per_round: int, n_rounds: int) -> Sequence[RoundRecord]:
    """Returns the records of pretraining rounds of one pass each."""
    model = FederatedDEC(
        preset=DEC_PRESETS["keras:mnist"],
        pretrain_rounds=n_rounds,
        local_epochs=1,
        clients_per_round=clients_per_round,
        backend=opened,
        random_state=0,
    )
    with model.begin(opened.dataset, 0, callbacks=[_print_round]) as fit:
        phases = pretraining_phases(fit.n_features, model.config(fit.dataset), fit.seed)
        return fit.run(phases).history


def _print_round(record: RoundRecord) -> None:
    print(record.step, record.round_seconds, record.losses["loss"], flush=True)


def _summarize_memory(watch: MemoryWatch, first_round_s: float) -> dict[str, Any]:
    """Returns the peak, the slope after the first round, and all readings."""
    warm = [(when, size) for when, size in watch.readings if when > first_round_s]
    times, sizes = np.array(warm).T if len(warm) > 1 else (np.zeros(2), np.zeros(2))
    return {
        "peak_mb": max((size for _, size in watch.readings), default=0) / 1e6,
        "mb_per_minute": float(np.polyfit(times, sizes, 1)[0]) * 60 / 1e6,
        "readings": [[round(when, 1), round(size / 1e6)] for when, size in watch.readings],
    }


if __name__ == "__main__":
    main()
