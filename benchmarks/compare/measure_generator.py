"""Measures federated ClusterGAN with the generator on clients or server, and centralized.

`python -m benchmarks.compare.measure_generator --steps 20000` trains on Pendigits over five
clients. For every partition, place of the generator and seed it adds a JSON line to
`benchmarks/results/federated_clustergan.jsonl`; lines that exist are not run again. All runs of a
seed begin with the same weights. Runs with `--carry-optimizer` have lines of their own. `--steps`
counts the sequential steps of one generator; with the generator on the clients, each client takes
that many.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.compare.centralized_gan import train_centralized_gan
from benchmarks.record import append, read_results
from federated import FederatedClusterGAN, Local
from federated.data.federated_dataset import PartitionConfig, load_federated_dataset
from federated.phases.clustergan import AdversarialPhase, describe_cluster_use
from tfcluster import metrics
from tfcluster.clustergan.estimator import Decoder
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GAN_PRESETS, to_dict
from tfcluster.runtime import collect_provenance, count_cores, set_threads

NAME = "federated_clustergan"
MODEL = GAN_PRESETS["pendigits"]
K = 10
PARTITIONS = {
    "iid": PartitionConfig("iid", 5),
    "dirichlet 0.3": PartitionConfig("dirichlet", 5, 0.3),
    "dirichlet 0.1": PartitionConfig("dirichlet", 5, 0.1),
}
GENERATORS = ("clients", "server")
DECODERS: tuple[Decoder, ...] = ("argmax", "kmeans")


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--steps", type=int, default=20_000, help="Sequential steps of a generator."
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--clients-iterations",
        type=int,
        default=100,
        help="Iterations per round with the generator on the clients.",
    )
    parser.add_argument(
        "--server-iterations",
        type=int,
        default=10,
        help="Iterations per round with the generator on the server.",
    )
    parser.add_argument("--carry-optimizer", action="store_true")
    parser.add_argument("--partitions", nargs="+", choices=PARTITIONS, default=list(PARTITIONS))
    parser.add_argument("--generators", nargs="+", choices=GENERATORS, default=GENERATORS)
    asked = parser.parse_args()
    set_threads(min(2, count_cores()))
    finished = [_select_identity(line) for line in read_results(NAME)]
    for wanted in _list_wanted(asked):
        if wanted in finished:
            continue
        is_centralized = wanted["backend"] == "centralized"
        line = (_run_centralized if is_centralized else _run_federated)(wanted)
        append({"algorithm": NAME, **wanted, **line, **collect_provenance()})
        print(json.dumps({**wanted, **line}), flush=True)


def _list_wanted(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields the fields of a result line that identify each run."""
    iterations = {"clients": asked.clients_iterations, "server": asked.server_iterations}
    for seed in range(asked.seeds):
        common = {"dataset": "pendigits", "seed": seed, "steps": asked.steps}
        yield {**common, "backend": "centralized"}
        for partition in asked.partitions:
            for generator in asked.generators:
                yield {
                    **common,
                    "backend": "local",
                    "generator": generator,
                    "partition": partition,
                    "iterations": iterations[generator],
                    "carry_optimizer": asked.carry_optimizer,
                }


_IDENTITY = (
    "dataset", "seed", "steps", "backend", "generator", "partition", "iterations",
    "carry_optimizer",
)  # fmt: skip


def _select_identity(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in _IDENTITY if name in line}


def _run_centralized(wanted: dict[str, Any]) -> dict[str, Any]:
    dataset = load_federated_dataset(wanted["dataset"], PARTITIONS["iid"], wanted["seed"])
    X, y = dataset.pooled()
    X = np.asarray(X, np.float32)
    config = dataclasses.replace(MODEL, steps=wanted["steps"])
    start = time.perf_counter()
    gan = train_centralized_gan(GANTrainer(X.shape[1], K, config), X, wanted["seed"])
    seconds = time.perf_counter() - start
    labels = {decoder: gan.predict(X, decoder) for decoder in DECODERS}
    return {**_score(y, labels), "seconds": round(seconds, 1), "config": to_dict(config)}


def _run_federated(wanted: dict[str, Any]) -> dict[str, Any]:
    partition, seed = PARTITIONS[wanted["partition"]], wanted["seed"]
    dataset = load_federated_dataset(wanted["dataset"], partition, seed)
    model = FederatedClusterGAN(
        K,
        preset=MODEL,
        generator=wanted["generator"],
        iterations=wanted["iterations"],
        carry_optimizer=wanted["carry_optimizer"],
        rounds=-(-wanted["steps"] // wanted["iterations"]),
        evaluate_every=0,
        backend=Local(n_workers=2),
        random_state=seed,
    ).fit(dataset)
    labels = {
        decoder: np.concatenate([model.predict(x, decoder) for x, _ in dataset.clients])
        for decoder in DECODERS
    }
    history = model.history_
    rounds = [r.round_seconds for r in history if r.phase == AdversarialPhase.name]
    return {
        **_score(dataset.pooled()[1], labels),
        "sizes": dataset.sizes,
        "rounds": len(rounds),
        "seconds": round(history[-1].seconds, 1),
        "first_round_seconds": rounds[0],
        "round_seconds": round(statistics.median(rounds[1:] or rounds), 4),
        "bytes": sum(r.bytes_up + r.bytes_down for r in history),
        "config": to_dict(model.config_),
    }


def _score(y: Any, labels: dict[Decoder, np.ndarray]) -> dict[str, Any]:
    """Returns the scores of both decoders, and how argmax uses the clusters."""
    found: dict[str, Any] = {
        decoder: {
            score: round(float(getattr(metrics, score)(y, own)), 5)
            for score in ("purity", "nmi", "ari", "accuracy")
        }
        for decoder, own in labels.items()
    }
    sizes = np.bincount(labels["argmax"], minlength=K)[np.newaxis]
    return {**found, **describe_cluster_use(sizes)}


if __name__ == "__main__":
    main()
