"""The rows of the papers' tables and our additional rows, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tfcluster.cli import published
from tfcluster.data.catalog import DATASETS

FOLDER = Path("runs/reproduce")
"""Folder of the runs behind the recorded results."""

Result = Mapping[str, Any]
Scores = Mapping[str, float]


class Published(NamedTuple):
    """A published figure.

    Attributes:
      method: Method that reached it.
      kind: Mean or best, and of how many runs.
      scores: Name to score.
    """

    method: str
    kind: str
    scores: Scores


@dataclasses.dataclass(frozen=True)
class Row:
    """An algorithm with its protocol on a data set.

    Attributes:
      algorithm: "dec" or "clustergan".
      dataset: Name of a data set.
      preset: Preset of the protocol; for ClusterGAN "auto", the data set's own.
      overrides: Fields that differ from the preset; such rows have no published figures.
      variant: Name of a row with overrides, shown after its data set.
    """

    algorithm: str
    dataset: str
    preset: str = "auto"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    variant: str = ""

    @property
    def name(self) -> str:
        """Returns the name for `tfcluster reproduce`: "dec:keras:mnist", "clustergan:mnist"."""
        preset = "" if self.preset == "auto" else self.preset
        return ":".join(filter(None, (self.algorithm, preset, self.dataset, self.variant)))

    @property
    def slug(self) -> str:
        """Returns the name as part of a file name."""
        return self.name.replace(":", "-")

    @property
    def split(self) -> str:
        """Returns the split that is scored: "test" for ClusterGAN if its authors split the data."""
        return "test" if self.algorithm == "clustergan" and self._is_split else "all"

    @property
    def _is_split(self) -> bool:
        return "fit" in DATASETS[self.dataset].splits

    @property
    def published(self) -> Sequence[Published]:
        """Returns the figures published by the authors."""
        if self.overrides:
            return []
        if self.algorithm == "dec":
            lines = published.find_dec_scores(self.preset, self.dataset)
            kind = published.DEC_KINDS[self.preset]
            return [Published(method, kind, scores) for method, scores in lines.items()]
        kinds = published.find_clustergan_scores(self.dataset)
        return [Published("ClusterGAN", kind, scores) for kind, scores in kinds.items()]

    def select_runs(self, results: Sequence[Result]) -> list[Result]:
        """Returns the runs of this row sorted by seed, with the last run of each seed.

        Args:
          results: Lines of the algorithm's file in `benchmarks/results/`.
        """
        own = {result["seed"]: result for result in results if self._matches(result)}
        return [own[seed] for seed in sorted(own)]

    def _matches(self, result: Result) -> bool:
        own = self.preset, self.dataset, f"{self.preset}:{self.dataset}"
        return (
            result["algorithm"] == self.algorithm
            and result["dataset"] == self.dataset
            and result["preset"] in own
            and result["overrides"] == self.overrides
            and result["n_clusters"] == DATASETS[self.dataset].n_classes
        )

    def write_command(self, seed: int, out: Path, threads: int | None = None) -> list[str]:
        """Returns the arguments of `tfcluster` that train this row.

        Args:
          seed: Seed of the run.
          out: Folder of the run.
          threads: Number of threads; None for the default of the machine.
        """
        words = ["train", self.algorithm, "--dataset", self.dataset, "--preset", self.preset]
        for field, value in self.overrides.items():
            words += ["--set", f"{field}={value}"]
        words += ["--seed", str(seed)]
        words += [] if threads is None else ["--threads", str(threads)]
        return [*words, "--out", str(out)]

    def make_path(self, seed: int, out: Path = FOLDER) -> Path:
        """Returns the folder of a run."""
        return out / self.slug / f"seed_{seed}"


def count_scored(dataset: str, split: str) -> int:
    """Returns the number of samples that are scored, without loading the data."""
    info = DATASETS[dataset]
    return info.n_samples - (info.n_train or 0) if split == "test" else info.n_samples


_PUBLISHED_DEC = [Row("dec", dataset, preset) for preset, dataset in published.DEC]
_PUBLISHED_GAN = [Row("clustergan", dataset) for dataset in published.CLUSTERGAN]
_OUR_DEC = [
    Row("dec", dataset, "keras")
    for dataset in ("digits", "synthetic", "heart_disease", "mice_protein")
]
_OUR_GAN = [
    Row("clustergan", "digits"),
    Row("clustergan", "mnist", "auto", {"steps": 10_000, "precision": "bfloat16"}, "start"),
]

ROWS: Mapping[str, Row] = MappingProxyType(
    {row.name: row for row in (*_PUBLISHED_DEC, *_OUR_DEC, *_PUBLISHED_GAN, *_OUR_GAN)}
)
"""Name to row; rows with published figures come first."""
