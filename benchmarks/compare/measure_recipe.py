"""Measures what a setting of federated DEC is worth on a part of MNIST, or all of it.

`python -m benchmarks.compare.measure_recipe --samples 10000 --share 0.5 --set
pretraining.batch_size=26` trains over a client of each class (partition class_share), with as many
passes over the samples as centralized training has, and adds a JSON line to
`benchmarks/results/federated_recipe.jsonl`; `--centralized` adds that of centralized training.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from benchmarks.record import append
from federated import FederatedDEC, FederatedKMeans
from federated.core.records import RoundRecord
from tfcluster import DEC, load_data, metrics
from tfcluster.cli.options import parse_assignments
from tfcluster.config import get_dec_config, override
from tfcluster.runtime import collect_provenance, count_cores, set_threads

NAME = "federated_recipe"
SCORES = ("accuracy", "nmi", "ari", "purity", "kappa")


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--samples", type=int, default=10_000, help="Samples taken; 0 for all.")
    parser.add_argument("--share", type=float, default=0.0)
    parser.add_argument("--passes", type=int, default=60, help="Passes of pretraining.")
    parser.add_argument("--local-epochs", type=int, default=1)
    parser.add_argument("--local-steps", type=int, help="Of a round of clustering.")
    parser.add_argument("--rounds", type=int, default=100, help="Rounds of clustering, at most.")
    parser.add_argument("--aggregation", default="fedavg")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--centralized", action="store_true")
    parser.add_argument("--checkpoint", help="File for the run's progress.")
    asked = parser.parse_args()
    set_threads(min(2, count_cores()))
    X, y = _take_samples(asked.dataset, asked.samples)
    start = time.perf_counter()
    found = (_centralize if asked.centralized else _federate)(X, y, asked)
    seconds = round(time.perf_counter() - start, 1)
    told = {name: value for name, value in vars(asked).items() if name != "checkpoint"}
    line = {"algorithm": NAME, **told, "n_samples": len(X), **found, "seconds": seconds}
    append({**line, **collect_provenance()})
    print(line)


def _take_samples(dataset: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    X, y, _ = load_data(dataset)
    taken = np.random.default_rng(0).permutation(len(X))[: n or len(X)]
    return X[taken], y[taken]


def _federate(X: np.ndarray, y: np.ndarray, asked: argparse.Namespace) -> dict[str, Any]:
    common = {"partition": "class_share", "share": asked.share, "random_state": asked.seed}
    n_clusters = len(np.unique(y))
    kmeans = FederatedKMeans(n_clusters, **common).fit(X, y)
    model = FederatedDEC(
        n_clusters,
        preset=get_dec_config("keras", asked.dataset),
        pretrain_rounds=-(-asked.passes // asked.local_epochs),
        local_epochs=asked.local_epochs,
        local_steps=asked.local_steps,
        rounds=asked.rounds,
        aggregation=asked.aggregation,
        overrides=parse_assignments(asked.overrides),
        evaluate_every=10,
        **common,
    )
    model.fit(X, y, callbacks=[_print_record], checkpoint=asked.checkpoint)
    phases = [record.phase for record in model.history_]
    pretraining = [record for record in model.history_ if record.phase == "pretrain"]
    return {
        "clients_loss": pretraining[-1].losses["loss"] if pretraining else None,
        "pooled_loss": _compute_loss(model.to_dec(), X),
        "rounds_taken": {name: phases.count(name) for name in dict.fromkeys(phases)},
        "megabytes": sum(r.bytes_down + r.bytes_up for r in model.history_) / 1e6,
        "scores": {
            "k-means": _pick(kmeans.scores_),
            "AE + Lloyd": _pick(model.initial_scores_),
            "DEC": _pick(model.scores_),
        },
    }


def _centralize(X: np.ndarray, y: np.ndarray, asked: argparse.Namespace) -> dict[str, Any]:
    config = override(
        get_dec_config("keras", asked.dataset),
        {"pretraining.epochs": asked.passes, **parse_assignments(asked.overrides)},
    )
    dec = DEC(len(np.unique(y)), preset=config, random_state=asked.seed).fit(X)
    labels = {"AE + k-means": dec.initial_labels_, "DEC": dec.labels_}
    scores = {name: _pick(metrics.score(X, found, y)) for name, found in labels.items()}
    return {"pooled_loss": _compute_loss(dec, X), "scores": scores}


def _print_record(record: RoundRecord) -> None:
    if record.scores or record.step % 10 == 0:
        scores = {name: round(record.scores[name], 3) for name in SCORES if name in record.scores}
        print(record.phase, record.step, record.losses, scores, flush=True)


def _compute_loss(dec: DEC, X: np.ndarray) -> float | None:
    """Returns the mean squared error of the reconstruction, after clustering."""
    return float(np.mean(np.square(dec.reconstruct(X) - X))) if dec.has_decoder_ else None


def _pick(scores: Any) -> dict[str, float]:
    return {name: float(scores[name]) for name in SCORES if name in scores}


if __name__ == "__main__":
    main()
