"""A case: one run of a comparison, as plain values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

LOCAL_TFF = "local_tff"
"""The local loop in TFF's environment: it tells what TFF costs from what its TensorFlow costs."""
BACKENDS = ("local", "flower", LOCAL_TFF, "tff")
CENTRALIZED, LOCAL_ONLY = "centralized", "local_only"

Settings = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """One run; equal cases give equal weights on every backend, up to the backend's rounding.

    Attributes:
      algorithm: "autoencoder" (pretraining rounds only, to time them), "dec" or "clustergan".
      dataset: Name of a data set.
      partition: Partition scheme, with its parameter if it has one: "iid", "dirichlet 0.3".
      n_clients: Number of clients; 0 for all natural groups.
      clients_per_round: Clients sampled for a round; 0 for all.
      backend: A backend; or "local_tff": the local loop in TFF's environment; or "centralized": all
        samples in one place; or "local_only": each client trains a model on its own samples.
      seed: Random seed.
      procedure: Short name of what is tried; `settings` defines it exactly.
      settings: Fields of the federated configuration that differ from the default.
      evaluate_every: Rounds between two scores; 0 scores only the result.
      threads: Operations that run in parallel, and clients that train at a time.
    """

    algorithm: str
    dataset: str = "digits"
    partition: str = "iid"
    n_clients: int = 5
    clients_per_round: int = 0
    backend: str = "local"
    seed: int = 0
    procedure: str = "fedavg"
    settings: Settings = dataclasses.field(default_factory=dict)
    evaluate_every: int = 0
    threads: int = 2

    @property
    def key(self) -> str:
        """Returns the case as one line of JSON, equal for equal cases."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @property
    def clients_key(self) -> str:
        """Returns the clients and the backend as JSON; cases that share it can share a process."""
        names = ("dataset", "partition", "n_clients", "clients_per_round", "backend", "seed",
                 "threads")  # fmt: skip
        return json.dumps([getattr(self, name) for name in names])

    @property
    def needs_tff(self) -> bool:
        """Whether it runs in TFF's environment."""
        return self.backend in ("tff", LOCAL_TFF)

    @property
    def split(self) -> dict[str, Any]:
        """Returns the partition scheme and its parameter, as `PartitionConfig` takes them."""
        name, _, number = self.partition.partition(" ")
        return {"partition": name, "alpha": float(number) if number else None}

    def __str__(self) -> str:
        words = (self.algorithm, self.dataset, self.partition, f"{self.n_clients} clients")
        return ", ".join((*words, self.procedure, self.backend, f"seed {self.seed}"))


def parse_case(values: Mapping[str, Any]) -> Case:
    """Returns the case of a result line.

    Raises:
      TypeError: If a field is unknown.
    """
    return Case(**values)
