"""Measures how much of ClusterGAN's spread over seeds comes from initial weights, on Pendigits.

The authors' code seeds its graph with 0 (`tf.set_random_seed(0)` in `pen_ClusterGAN.py`) but not
numpy, which draws batches and latent samples, so all of its runs begin with the same weights. Our
seed determines both. `python -m benchmarks.reproduce.measure_initial_weights --weights 0 1 2
--draws 0 1` separates the two: it adds a JSON line to `benchmarks/results/` for every pair and
skips lines that exist. Equal seeds give the run of `tfcluster train clustergan --seed`.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from typing import Any

import tensorflow as tf

from benchmarks.record import append, read_results
from benchmarks.reproduce.weight_spread import tabulate_spread
from tfcluster import metrics
from tfcluster.clustergan.codes import cluster_codes
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GAN_PRESETS
from tfcluster.data import DATASETS, Dataset, load_data
from tfcluster.runtime import collect_provenance, set_threads
from tfcluster.training.phases import run_phases
from tfcluster.validation import check_seed

NAME = "clustergan_initial_weights"
DATASET = "pendigits"
SCORES = ("purity", "nmi", "ari")


def main() -> None:
    """Runs the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=int, nargs="+", default=list(range(6)))
    parser.add_argument("--draws", type=int, nargs="+", default=list(range(2)))
    parser.add_argument("--steps", type=int, default=10_000)
    asked = parser.parse_args()
    set_threads(1)
    known = {(line["weights"], line["draws"], line["steps"]) for line in read_results(NAME)}
    pairs = [
        pair
        for pair in itertools.product(asked.weights, asked.draws)
        if (*pair, asked.steps) not in known
    ]
    runs = SeparatedRuns(DATASET, asked.steps)
    for pair in pairs:
        line = runs.run(*pair)
        append(line)
        print(*pair, line["validation"], line["test"], line["seconds"], flush=True)
    print(tabulate_spread(read_results(NAME)))


class SeparatedRuns:
    """Runs of one compiled training loop with separate seeds of initial weights and draws.

    Args:
      dataset: Name of a data set with ten classes and a preset of its own.
      steps: Steps of the generator.
    """

    def __init__(self, dataset: str, steps: int) -> None:
        self.dataset = dataset
        is_split = "fit" in DATASETS[dataset].splits
        splits = ("fit", "validation", "test") if is_split else ("all",) * 3
        trained, self.validation, self.test = (load_data(dataset, split) for split in splits)
        self.config = dataclasses.replace(GAN_PRESETS[dataset], steps=steps)
        self.x = tf.constant(trained.X)
        self.trainer = GANTrainer(self.x.shape[1], 10, self.config)

    def run(self, weights: int, draws: int) -> dict[str, Any]:
        """Trains, scores, and returns a result line.

        Args:
          weights: Seed of the initial weights.
          draws: Seed of all batches, latent samples and epsilons.
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
            "validation": self._score(self.validation),
            "test": self._score(self.test),
            "seconds": seconds,
            **collect_provenance(),
        }

    def _score(self, part: Dataset) -> dict[str, float]:
        """Scores k-means on the codes of the scored samples, as the original does."""
        codes = self.trainer.inference.encode(part.X)
        labels = cluster_codes(codes, 10, self.config).labels_
        found = {name: float(getattr(metrics, name)(part.y, labels)) for name in SCORES}
        found["silhouette"] = metrics.silhouette(part.X, labels)  # needs no labels
        return {name: round(value, 5) for name, value in found.items()}


if __name__ == "__main__":
    main()
