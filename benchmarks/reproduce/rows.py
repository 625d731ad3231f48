"""The rows of the papers' tables, and of ours beside them, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tfcluster.cli import published
from tfcluster.data.catalog import DATASETS

FOLDER = Path("runs/reproduce")
"""Where the commands behind the results write their runs."""

Result = Mapping[str, Any]
Scores = Mapping[str, float]


class Published(NamedTuple):
    """A published figure.

    Attributes:
      method: What reached it.
      kind: A mean of how many, or the best.
      scores: By name.
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
      preset: The protocol; ClusterGAN's is the data set's own, "auto".
      overrides: Fields of the preset that are set otherwise; nothing was published then.
      variant: What a row with overrides is called, after its data set.
    """

    algorithm: str
    dataset: str
    preset: str = "auto"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    variant: str = ""

    @property
    def name(self) -> str:
        """As `tfcluster reproduce` takes it: "dec:keras:mnist", "clustergan:mnist"."""
        preset = "" if self.preset == "auto" else self.preset
        return ":".join(filter(None, (self.algorithm, preset, self.dataset, self.variant)))

    @property
    def slug(self) -> str:
        """The name as that of a file."""
        return self.name.replace(":", "-")

    @property
    def split(self) -> str:
        """The rows that are scored: ClusterGAN's are the test rows where its authors split."""
        return "test" if self.algorithm == "clustergan" and self._is_split else "all"

    @property
    def _is_split(self) -> bool:
        return "fit" in DATASETS[self.dataset].splits

    @property
    def published(self) -> Sequence[Published]:
        """What the originals' authors state."""
        if self.overrides:
            return []
        if self.algorithm == "dec":
            lines = published.find_dec_scores(self.preset, self.dataset)
            kind = published.DEC_KINDS[self.preset]
            return [Published(method, kind, scores) for method, scores in lines.items()]
        kinds = published.find_clustergan_scores(self.dataset)
        return [Published("ClusterGAN", kind, scores) for kind, scores in kinds.items()]

    def runs(self, results: Sequence[Result]) -> list[Result]:
        """This row's runs, by seed; of several with one seed the last.

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

    def command(self, seed: int, out: Path, threads: int | None = None) -> list[str]:
        """The words after `tfcluster` that train this row.

        Args:
          seed: Of the run.
          out: Its folder.
          threads: None for the machine's.
        """
        words = ["train", self.algorithm, "--dataset", self.dataset, "--preset", self.preset]
        for field, value in self.overrides.items():
            words += ["--set", f"{field}={value}"]
        words += ["--seed", str(seed)]
        words += [] if threads is None else ["--threads", str(threads)]
        return [*words, "--out", str(out)]

    def folder(self, seed: int, out: Path = FOLDER) -> Path:
        """The folder of a run."""
        return out / self.slug / f"seed_{seed}"


def n_scored(dataset: str, split: str) -> int:
    """How many rows are scored, known without the data."""
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
"""Name to row; what was published first."""
