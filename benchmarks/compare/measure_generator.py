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
from typing import Any, Literal

import numpy as np

from benchmarks.compare.centralized_gan import train_centralized_gan
from benchmarks.record import append, read_results
from federated.algorithms.clustergan import AdversarialWork
from federated.cli.run import Carried, FederateOptions, carried
from federated.core.rounds import run_stages
from federated.phases.clustergan import FederatedGANConfig, cluster_use, gan_stages
from tfcluster import metrics
from tfcluster.clustergan.estimator import ClusterGAN, Decoder
from tfcluster.clustergan.networks import Networks
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GAN_PRESETS, to_dict
from tfcluster.files import unpack_arrays
from tfcluster.runtime import collect_provenance, count_cores, set_threads

NAME = "federated_clustergan"
MODEL = GAN_PRESETS["pendigits"]
K = 10
PARTITIONS: dict[str, dict[str, Any]] = {
    "iid": {"partition": "iid"},
    "dirichlet 0.3": {"partition": "dirichlet", "alpha": 0.3},
    "dirichlet 0.1": {"partition": "dirichlet", "alpha": 0.1},
}
GENERATORS: dict[str, Literal["average", "split"]] = {"clients": "average", "server": "split"}
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
    parser.add_argument("--generators", nargs="+", choices=GENERATORS, default=list(GENERATORS))
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
    federation = FederateOptions(dataset="pendigits", seed=wanted["seed"]).federation()
    X, y = federation.pooled()
    X = np.asarray(X, np.float32)
    config = dataclasses.replace(MODEL, steps=wanted["steps"])
    start = time.perf_counter()
    gan = train_centralized_gan(GANTrainer(X.shape[1], K, config), X, wanted["seed"])
    seconds = time.perf_counter() - start
    labels = {decoder: gan.predict(X, decoder) for decoder in DECODERS}
    return {**_score(y, labels), "seconds": round(seconds, 1), "config": to_dict(config)}


def _run_federated(wanted: dict[str, Any]) -> dict[str, Any]:
    options = FederateOptions(
        dataset="pendigits",
        seed=wanted["seed"],
        clients=5,
        threads=2,
        **PARTITIONS[wanted["partition"]],
    )
    config = FederatedGANConfig(
        model=MODEL,
        placement=GENERATORS[wanted["generator"]],
        work=AdversarialWork(wanted["iterations"], wanted["carry_optimizer"]),
        rounds=-(-wanted["steps"] // wanted["iterations"]),
    )
    federation = options.federation()
    start = time.perf_counter()
    with carried("local", federation, options) as at:
        gan, history = _train(at, options, config)
        seconds = time.perf_counter() - start
        parts = [np.asarray(at.store.rows(i)[0]) for i in range(len(at.store))]
        _, y = federation.pooled()
        labels = {
            decoder: np.concatenate([gan.predict(x, decoder) for x in parts])
            for decoder in DECODERS
        }
    rounds = [r["round_seconds"] for r in history if r["phase"] == "adversarial"]
    return {
        **_score(y, labels),
        "sizes": federation.sizes,
        "rounds": len(rounds),
        "seconds": round(seconds, 1),
        "first_round_seconds": rounds[0],
        "round_seconds": round(statistics.median(rounds[1:] or rounds), 4),
        "bytes": sum(r["bytes_up"] + r["bytes_down"] for r in history),
        "config": to_dict(config),
    }


def _train(
    at: Carried, options: FederateOptions, config: FederatedGANConfig
) -> tuple[ClusterGAN, list[dict[str, Any]]]:
    stages = gan_stages(at.store.n_features, K, config, options.seed)
    kept, history = run_stages(stages, at.carrier, options.plan(len(at.store)))
    weights = [unpack_arrays(name, kept) for name in Networks._fields]
    return ClusterGAN.from_weights(weights, kept["centers"], config.model), history


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
    return {**found, **cluster_use(sizes)}


if __name__ == "__main__":
    main()
