"""How much of ClusterGAN's spread over seeds is in the first weights, on Pendigits.

The authors' code seeds its graph with 0 (`tf.set_random_seed(0)` in `pen_ClusterGAN.py`) and numpy,
which draws batches and latent rows, not at all: its runs all begin with the same weights. A seed of
ours stands for both. `python -m benchmarks.reproduce.first_weights --weights 0 1 2 --draws 0 1`
takes the two apart: for every pair one JSON line in `benchmarks/results/`; those that are there are
not run again. Where the two are equal it is the run of `tfcluster train clustergan --seed`.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from typing import Any

import tensorflow as tf

from benchmarks.record import append, read_results
from benchmarks.reproduce.spread import spread_table
from tfcluster import metrics
from tfcluster.cli.train_clustergan import load_splits
from tfcluster.clustergan.estimator import cluster_codes
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GAN_PRESETS
from tfcluster.data.loading import Dataset
from tfcluster.runtime import provenance, set_threads
from tfcluster.training.phases import run_phases
from tfcluster.validation import check_seed

NAME = "clustergan_first_weights"
DATASET = "pendigits"
SCORES = ("purity", "nmi", "ari")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=int, nargs="+", default=list(range(6)))
    parser.add_argument("--draws", type=int, nargs="+", default=list(range(2)))
    parser.add_argument("--steps", type=int, default=10_000)
    asked = parser.parse_args()
    set_threads(1)
    there = {(line["weights"], line["draws"], line["steps"]) for line in read_results(NAME)}
    pairs = [
        pair
        for pair in itertools.product(asked.weights, asked.draws)
        if (*pair, asked.steps) not in there
    ]
    runs = Runs(DATASET, asked.steps)
    for pair in pairs:
        line = runs.line(*pair)
        append(line)
        print(*pair, line["validation"], line["test"], line["seconds"], flush=True)
    print(spread_table(read_results(NAME)))


class Runs:
    """Runs of one compiled loop.

    Args:
      dataset: With ten classes and a preset of its name.
      steps: Of the generator.
    """

    def __init__(self, dataset: str, steps: int) -> None:
        self.dataset = dataset
        self.rows = load_splits(dataset)
        self.config = dataclasses.replace(GAN_PRESETS[dataset], steps=steps)
        self.x = tf.constant(self.rows.fit.X)
        self.trainer = GANTrainer(self.x.shape[1], 10, self.config)

    def line(self, weights: int, draws: int) -> dict[str, Any]:
        """A result line.

        Args:
          weights: Seed of the first weights.
          draws: Seed of all batches, latent rows and epsilons.
        """
        self.trainer.reset(check_seed(weights))
        start = time.perf_counter()
        run_phases(self.trainer.phases(self.x, check_seed(draws)))
        seconds = round(time.perf_counter() - start, 1)
        return {
            "algorithm": NAME,
            "dataset": self.dataset,
            "weights": weights,
            "draws": draws,
            "steps": self.config.steps,
            "validation": self._scores(self.rows.validation),
            "test": self._scores(self.rows.test),
            "seconds": seconds,
            **provenance(),
        }

    def _scores(self, part: Dataset) -> dict[str, float]:
        """Scores of k-means on the codes of the rows scored, as the original takes them."""
        codes = self.trainer.inference.encode(part.X)
        labels = cluster_codes(codes, 10, self.config).labels_
        found = {name: float(getattr(metrics, name)(part.y, labels)) for name in SCORES}
        found["silhouette"] = metrics.silhouette(part.X, labels)  # what is there without labels
        return {name: round(value, 5) for name, value in found.items()}


if __name__ == "__main__":
    main()
