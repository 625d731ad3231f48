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
from federated import FederatedDEC
from federated.backends.descriptions import BACKENDS
from federated.core.rounds import Position
from federated.data.federated_dataset import (
    FederatedDataset,
    PartitionConfig,
    load_federated_dataset,
)
from federated.phases.dec import clustering_phases
from tfcluster import DEC, metrics
from tfcluster.config import DEC_PRESETS, to_dict
from tfcluster.dec.self_training import DECTrainer
from tfcluster.estimator import digest
from tfcluster.files import Arrays, pack_arrays, unpack_arrays
from tfcluster.runtime import collect_provenance, count_cores, set_threads
from tfcluster.training.phases import run_phases

NAME = "federated_dec_paired"
PARTITIONS = {
    "iid": PartitionConfig("iid", 5),
    "dirichlet 0.3": PartitionConfig("dirichlet", 5, 0.3),
}
TARGET_UPDATES = 20  # on either side; some seeds would continue up to 100
SCORES = ("accuracy", "nmi", "ari")


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
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
        steps = TARGET_UPDATES * self.model.update_interval
        self.trainer = DECTrainer(64, 10, dataclasses.replace(self.model, max_steps=steps))

    def run_seed(self, seed: int, missing: Mapping[str, Sequence[str]]) -> None:
        """Runs the missing backends and one centralized run from the same pretraining."""
        start: Arrays = {}
        for partition, backends in missing.items():
            dataset = load_federated_dataset("digits", PARTITIONS[partition], seed)
            X, y = dataset.pooled()
            start = start or self._pretrain(X, seed)
            labels, centralized_seconds = self._train_centralized(start, X)
            facts = {
                "algorithm": NAME,
                "partition": partition,
                "seed": seed,
                "n_clients": len(dataset.names),
                "sizes": dataset.sizes,
                "start": _score(y, self._predict(start, start["initial_centroids"], X)),
                "centralized": _score(y, labels),
                "centralized_seconds": round(centralized_seconds, 1),
            }
            for backend in backends:
                found = self._run_federated(dataset, backend, seed, start)
                append({**facts, "backend": backend, **found, **collect_provenance()})
                scores = facts["centralized"], found["federated"]
                print(seed, partition, backend, *scores, found["seconds"], flush=True)

    def _pretrain(self, X: np.ndarray, seed: int) -> Arrays:
        """Pretrains, runs k-means, and returns the weights and initial centroids."""
        trainer = self.trainer
        trainer.reset(seed)
        x = tf.constant(X)
        phases = [*trainer.pretraining_phases(x, seed), trainer.clustering_phases(x, seed)[0]]
        run_phases(phases)
        return {
            **pack_arrays("encoder", trainer.encoder.get_weights()),
            **pack_arrays("decoder", trainer.pretraining.get_decoder_weights()),
            "initial_centroids": trainer.clustering.clusters.numpy(),
        }

    def _train_centralized(self, start: Arrays, X: np.ndarray) -> tuple[np.ndarray, float]:
        """Returns the labels after the clustering phase, and its seconds."""
        trainer = self.trainer
        clock, x = time.perf_counter(), tf.constant(X)
        trainer.encoder.set_weights(unpack_arrays("encoder", start))
        trainer.clustering.clusters.assign(start["initial_centroids"])
        trainer.labels = np.argmax(trainer.soft_assign(x).numpy(), axis=1)
        run_phases([trainer.clustering_phases(x, 0)[1]])
        labels = np.argmax(trainer.soft_assign(x).numpy(), axis=1)
        return labels, time.perf_counter() - clock

    def _run_federated(
        self, dataset: FederatedDataset, backend: str, seed: int, start: Arrays
    ) -> dict[str, Any]:
        """Trains the last phase of federated DEC from `start`.

        `end_hash` is of the model's arrays only: encoder, decoder and centroids.
        """
        clock = time.perf_counter()
        model = FederatedDEC(
            preset=self.model,
            rounds=2 * TARGET_UPDATES,
            backend=BACKENDS[backend](n_workers=2),
            random_state=seed,
        )
        config = model.config(dataset)
        with model.begin(dataset, seed) as fit:
            *_, clustering = clustering_phases(fit.n_features, 10, config, seed)
            at = fit.run([clustering], start=Position(artifacts=start))
        X, y = dataset.pooled()
        found, centroids = at.artifacts, at.artifacts["clusters"]
        arrays = [*unpack_arrays("encoder", found), *unpack_arrays("decoder", found), centroids]
        return {
            "federated": _score(y, self._predict(found, centroids, X)),
            "end_hash": digest(*arrays)[:16],
            "rounds": len(at.history),
            "config": to_dict(config),
            "seconds": round(time.perf_counter() - clock, 1),
        }

    def _predict(self, weights: Arrays, centroids: np.ndarray, X: np.ndarray) -> np.ndarray:
        encoder, decoder = unpack_arrays("encoder", weights), unpack_arrays("decoder", weights)
        return DEC.from_weights(encoder, decoder, centroids, self.model).predict(X)


def _score(y: Any, labels: np.ndarray) -> dict[str, float]:
    return {name: round(float(getattr(metrics, name)(y, labels)), 5) for name in SCORES}


if __name__ == "__main__":
    main()
