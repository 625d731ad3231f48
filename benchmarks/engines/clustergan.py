"""Federated ClusterGAN in both placements against centralised, at equal steps of the generator.

`python -m benchmarks.engines.clustergan --steps 20000`: Pendigits over five clients, for every
partition, placement and seed one JSON line in `benchmarks/results/federated_clustergan.jsonl`;
lines that are there are not run again. All runs of a seed begin with the same weights.
`--carry-optimizer` is a line of its own. Steps are those one generator goes through; of the
placement "average" each client takes as many.
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

from benchmarks.engines.central_gan import central_gan
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
from tfcluster.estimator import unnumbered
from tfcluster.runtime import available_cores, provenance, set_threads

NAME = "federated_clustergan"
MODEL = GAN_PRESETS["pendigits"]
K = 10
PARTITIONS: dict[str, dict[str, Any]] = {
    "iid": {"partition": "iid"},
    "dirichlet 0.3": {"partition": "dirichlet", "alpha": 0.3},
    "dirichlet 0.1": {"partition": "dirichlet", "alpha": 0.1},
}
PLACEMENTS = ("average", "split")
DECODERS: dict[str, Decoder] = {"argmax": "argmax", "lloyd": "kmeans"}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000, help="of the generator")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--average-iterations", type=int, default=100, help="of a round")
    parser.add_argument("--split-iterations", type=int, default=10, help="of a round")
    parser.add_argument("--carry-optimizer", action="store_true")
    parser.add_argument("--partitions", nargs="+", choices=PARTITIONS, default=list(PARTITIONS))
    parser.add_argument("--placements", nargs="+", choices=PLACEMENTS, default=list(PLACEMENTS))
    asked = parser.parse_args()
    set_threads(min(2, available_cores()))
    done = [_identity(line) for line in read_results(NAME)]
    for wanted in _wanted(asked):
        if wanted in done:
            continue
        line = _central(wanted) if wanted["placement"] == "central" else _federated(wanted)
        append({"algorithm": NAME, **wanted, **line, **provenance()})
        print(json.dumps({**wanted, **line}), flush=True)


def _wanted(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Runs asked for: the part of a line that says which it is."""
    iterations = {"average": asked.average_iterations, "split": asked.split_iterations}
    for seed in range(asked.seeds):
        common = {"dataset": "pendigits", "seed": seed, "steps": asked.steps}
        yield {**common, "placement": "central"}
        for partition in asked.partitions:
            for placement in asked.placements:
                yield {
                    **common,
                    "placement": placement,
                    "partition": partition,
                    "iterations": iterations[placement],
                    "carry_optimizer": asked.carry_optimizer,
                }


_IDENTITY = (
    "dataset", "seed", "steps", "placement", "partition", "iterations", "carry_optimizer",
)  # fmt: skip


def _identity(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in _IDENTITY if name in line}


def _central(wanted: dict[str, Any]) -> dict[str, Any]:
    federation = FederateOptions(dataset="pendigits", seed=wanted["seed"]).federation()
    X, y = federation.pooled()
    X = np.asarray(X, np.float32)
    config = dataclasses.replace(MODEL, steps=wanted["steps"])
    start = time.perf_counter()
    gan = central_gan(GANTrainer(X.shape[1], K, config), X, wanted["seed"])
    seconds = time.perf_counter() - start
    labels = {name: gan.predict(X, decoder) for name, decoder in DECODERS.items()}
    return {**_scores(y, labels), "seconds": round(seconds, 1), "config": to_dict(config)}


def _federated(wanted: dict[str, Any]) -> dict[str, Any]:
    options = FederateOptions(
        dataset="pendigits",
        seed=wanted["seed"],
        clients=5,
        threads=2,
        **PARTITIONS[wanted["partition"]],
    )
    config = FederatedGANConfig(
        model=MODEL,
        placement=wanted["placement"],
        work=AdversarialWork(wanted["iterations"], wanted["carry_optimizer"]),
        rounds=-(-wanted["steps"] // wanted["iterations"]),
    )
    federation = options.federation()
    start = time.perf_counter()
    with carried("local", federation, options) as at:
        gan, history = _trained(at, options, config)
        seconds = time.perf_counter() - start
        rows = [np.asarray(at.store.rows(i)[0]) for i in range(len(at.store))]
        _, y = federation.pooled()
        labels = {
            name: np.concatenate([gan.predict(x, decoder) for x in rows])
            for name, decoder in DECODERS.items()
        }
    rounds = [r["round_seconds"] for r in history if r["phase"] == "adversarial"]
    return {
        **_scores(y, labels),
        "sizes": federation.sizes,
        "rounds": len(rounds),
        "seconds": round(seconds, 1),
        "first_round_seconds": rounds[0],
        "round_seconds": round(statistics.median(rounds[1:] or rounds), 4),
        "bytes": sum(r["bytes_up"] + r["bytes_down"] for r in history),
        "config": to_dict(config),
    }


def _trained(
    at: Carried, options: FederateOptions, config: FederatedGANConfig
) -> tuple[ClusterGAN, list[dict[str, Any]]]:
    stages = gan_stages(at.store.n_features, K, config, options.seed)
    kept, history = run_stages(stages, at.carrier, options.plan(len(at.store)))
    weights = [unnumbered(name, kept) for name in Networks._fields]
    return ClusterGAN.from_weights(weights, kept["centers"], config.model), history


def _scores(y: Any, labels: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of both decoders, and how argmax uses the clusters."""
    found: dict[str, Any] = {
        name: {
            score: round(float(getattr(metrics, score)(y, own)), 5)
            for score in ("purity", "nmi", "ari", "accuracy")
        }
        for name, own in labels.items()
    }
    sizes = np.bincount(labels["argmax"], minlength=K)[np.newaxis]
    return {**found, **cluster_use(sizes)}


if __name__ == "__main__":
    main()
