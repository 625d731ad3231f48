"""Compares federated with centralized DEC from the same encoder and centroids, paired by seed.

`python -m benchmarks.compare.measure_pairs --dims 128 64 10 --seeds 10` adds a JSON line to
`benchmarks/results/federated_dec_paired.jsonl` for every seed, partition and backend; lines that
exist are not run again. It prints mean differences with 95 % intervals.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.compare.measurement_tables import get_dims, tabulate_pairs
from benchmarks.record import append, read_results
from federated.cli.run import CARRIERS, Carried, FederateOptions, carried
from federated.core.local_training import LocalWork
from federated.core.rounds import run_stages
from federated.phases.dec import FederatedDECConfig, dec_stages
from tfcluster import metrics
from tfcluster.config import DEC_PRESETS, to_dict
from tfcluster.dec.estimator import DEC
from tfcluster.dec.self_training import DECTrainer
from tfcluster.estimator import digest
from tfcluster.files import Arrays, pack_arrays, unpack_arrays
from tfcluster.runtime import collect_provenance, count_cores, set_threads
from tfcluster.training.phases import run_phases

NAME = "federated_dec_paired"
PARTITIONS: dict[str, dict[str, Any]] = {
    "iid": {"partition": "iid"},
    "dirichlet 0.3": {"partition": "dirichlet", "alpha": 0.3},
}
TARGET_UPDATES = 20  # on either side; some seeds would continue up to 100
SCORES = ("accuracy", "nmi", "ari")


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="+", default=list(CARRIERS), choices=list(CARRIERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--dims", nargs="+", type=int, help="Widths of the encoder. [default: the preset's]"
    )
    asked = parser.parse_args()
    set_threads(min(2, count_cores()))
    paired = Paired(tuple(asked.dims or DEC_PRESETS["keras"].dims))
    known = [line for line in read_results(NAME) if get_dims(line) == list(paired.model.dims)]
    finished = {(line["seed"], line["partition"], line["backend"]) for line in known}
    for seed in range(asked.seeds):
        missing = {
            name: [b for b in asked.backends if (seed, name, b) not in finished]
            for name in PARTITIONS
        }
        paired.run_seed(seed, {name: found for name, found in missing.items() if found})
    print(tabulate_pairs(read_results(NAME)))


class Paired:
    """Runs both sides of the comparison for one size of the networks.

    Args:
      dims: Widths of the encoder's layers.
    """

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.model = dataclasses.replace(DEC_PRESETS["keras"], dims=dims)
        interval = self.model.update_interval
        self.config = FederatedDECConfig(
            model=self.model,
            rounds=2 * TARGET_UPDATES,
            clustering=LocalWork(steps=interval, batch_size=self.model.batch_size),
        )
        centralized = dataclasses.replace(self.model, max_steps=TARGET_UPDATES * interval)
        self.trainer = DECTrainer(64, 10, centralized)

    def run_seed(self, seed: int, missing: Mapping[str, Sequence[str]]) -> None:
        """Runs the missing backends and one centralized run from the same pretraining."""
        kept: Arrays = {}
        for name, backends in missing.items():
            options = FederateOptions(seed=seed, clients=5, threads=2, **PARTITIONS[name])
            federation = options.federation()
            X, y = federation.pooled()
            kept = kept or self._pretrain(X, seed)
            labels, centralized_seconds = self._train_centralized(kept, X)
            facts = {
                "algorithm": NAME,
                "partition": name,
                "seed": seed,
                "n_clients": 5,
                "sizes": federation.sizes,
                "start": _score(y, self._predict(kept, X)),
                "centralized": _score(y, labels),
                "centralized_seconds": round(centralized_seconds, 1),
                "config": to_dict(self.config),
            }
            for backend in backends:
                start = time.perf_counter()
                with carried(backend, federation, options) as at:
                    now, rounds = self._train_federated(at, options, kept)
                    x = np.concatenate([at.store.rows(i)[0] for i in range(len(at.store))])
                found = {
                    "backend": backend,
                    "federated": _score(y, self._predict(now, x)),
                    "end_hash": digest(*now.values())[:16],
                    "rounds": rounds,
                }
                line = {**facts, **found, "seconds": round(time.perf_counter() - start, 1)}
                append(line | collect_provenance())
                print(
                    seed, name, facts["centralized"], *found.values(), line["seconds"], flush=True
                )

    def _pretrain(self, X: np.ndarray, seed: int) -> Arrays:
        """Pretrains, runs k-means, and returns the weights and initial centroids."""
        trainer = self.trainer
        trainer.reset(seed)
        x = tf.constant(X)
        phases = [*trainer.pretraining_phases(x, seed), trainer.clustering_phases(x, seed)[0]]
        run_phases(phases)
        return {
            **pack_arrays("encoder", trainer.encoder.get_weights()),
            **pack_arrays("decoder", trainer.pretraining.decoder_weights()),
            "initial_centers": trainer.clustering.clusters.numpy(),
        }

    def _train_centralized(self, kept: Arrays, X: np.ndarray) -> tuple[np.ndarray, float]:
        """Returns the labels after the clustering phase, and its seconds."""
        trainer = self.trainer
        start, x = time.perf_counter(), tf.constant(X)
        trainer.encoder.set_weights(unpack_arrays("encoder", kept))
        trainer.clustering.clusters.assign(kept["initial_centers"])
        trainer.labels = np.argmax(trainer.soft_assign(x).numpy(), axis=1)
        run_phases([trainer.clustering_phases(x, 0)[1]])
        labels = np.argmax(trainer.soft_assign(x).numpy(), axis=1)
        return labels, time.perf_counter() - start

    def _train_federated(
        self, at: Carried, options: FederateOptions, kept: Arrays
    ) -> tuple[Arrays, int]:
        """Returns the final weights, with centroids as `_predict` takes them, and rounds."""
        stages = dec_stages(at.store.n_features, 10, self.config, options.seed)[-1:]
        found, history = run_stages(stages, at.carrier, options.plan(len(at.store)), kept=kept)
        return {**kept, **found, "initial_centers": found["clusters"]}, len(history)

    def _predict(self, kept: Arrays, X: np.ndarray) -> np.ndarray:
        encoder, decoder = unpack_arrays("encoder", kept), unpack_arrays("decoder", kept)
        dec = DEC.from_weights(encoder, decoder, kept["initial_centers"], self.model)
        return dec.predict(X)


def _score(y: Any, labels: np.ndarray) -> dict[str, float]:
    return {name: round(float(getattr(metrics, name)(y, labels)), 5) for name in SCORES}


if __name__ == "__main__":
    main()
