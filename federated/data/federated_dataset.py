"""From a data set's name and a partition, or a folder of files, to clients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from federated.data.client_files import load_folder
from federated.data.client_store import Rows
from federated.data.partition import make_partition
from tfcluster.data.catalog import GROUPS, needs_scaling
from tfcluster.data.loading import DATASETS, Picture, load_data, load_groups
from tfcluster.errors import InputError
from tfcluster.metrics import encode_labels

_GROUP_WORDS = {"mnist": "writer", "heart_disease": "hospital", "mice_protein": "mouse"}


@dataclasses.dataclass(frozen=True)
class Split:
    """How rows are split over clients.

    Attributes:
      partition: "iid", "dirichlet", "shards", "quantity", "one_class" or "natural".
      clients: Number of clients; 0 for all natural groups, or the files of a folder.
      alpha: Of "dirichlet" and "quantity".
      per_client: Shards of a client.
    """

    partition: str = "iid"
    clients: int = 0
    alpha: float | None = None
    per_client: int | None = None


@dataclasses.dataclass(frozen=True)
class Federation:
    """Clients and what they have.

    Attributes:
      names: Of the clients.
      clients: Rows of each, and their classes numbered alike at all clients, or None.
      classes: What the classes are called; empty if they are not known.
      is_scaled: Whether rows are used as they are; others have missing values and units, and are
        brought to mean 0 and standard deviation 1 by the clients together.
      picture: How a row is drawn, if it can be.
    """

    names: tuple[str, ...]
    clients: list[Rows]
    classes: tuple[str, ...]
    is_scaled: bool
    picture: Picture | None

    @property
    def n_features(self) -> int:
        """Width of a row."""
        return int(self.clients[0][0].shape[1])

    @property
    def sizes(self) -> list[int]:
        """Rows of each client."""
        return [len(x) for x, _ in self.clients]

    def counts(self) -> np.ndarray:
        """Rows of each client in each class, `(clients, classes)`; one column without classes."""
        if not self.classes:
            return np.array(self.sizes)[:, np.newaxis]
        k = len(self.classes)
        return np.stack([np.bincount(y, minlength=k) for _, y in self.clients if y is not None])

    def pooled(self, clients: Sequence[Rows] | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """All rows and classes in one place, which only a simulation can look at."""
        parts = self.clients if clients is None else clients
        y = np.concatenate([y for _, y in parts if y is not None]) if self.classes else None
        return np.concatenate([x for x, _ in parts]), y


def load_federation(dataset: str, split: Split, seed: int) -> Federation:
    """Clients of a data set, or of a folder with a file for each.

    Args:
      dataset: A name or a file, whose rows are split; or a folder, whose files are the clients
        (a folder that is called like a data set, as `./digits`).
      split: How.
      seed: Of the split.

    Raises:
      InputError: If the data cannot be had, or be split like this.
    """
    if dataset not in DATASETS and Path(dataset).is_dir():
        return _of_folder(dataset, split)
    is_scaled = not (dataset in DATASETS and needs_scaling(dataset))
    data = load_data(dataset, standardize=False) if not is_scaled else load_data(dataset)
    is_natural = split.partition == "natural"
    part = make_partition(
        split.partition,
        n_rows=len(data.X),
        y=data.y,
        groups=load_groups(dataset) if is_natural and dataset in GROUPS else None,
        n_clients=split.clients or (None if is_natural else 5),
        seed=seed,
        alpha=split.alpha,
        per_client=split.per_client,
        prefix=_GROUP_WORDS.get(dataset) if is_natural else None,
    )
    classes, codes = encode_labels(data.y) if data.y is not None else ((), None)
    rows: list[Rows] = [(data.X[own], None if codes is None else codes[own]) for own in part.rows]
    return Federation(part.names, rows, _words(classes), is_scaled, data.picture)


def _of_folder(folder: str, split: Split) -> Federation:
    if split != Split():
        raise InputError(
            f"The files of {folder} are the clients, so it takes no --partition, --clients or "
            f"their options. Received: {split}."
        )
    names, datasets = load_folder(folder)
    rows: list[Rows] = [(data.X, None) for data in datasets]
    classes: ArrayLike = ()
    if datasets[0].y is not None:
        labels = np.concatenate([d.y for d in datasets if d.y is not None])
        classes, codes = encode_labels(labels)
        ends = np.cumsum([len(data.X) for data in datasets])[:-1]
        parts = np.split(codes, ends)
        rows = [(data.X, y) for data, y in zip(datasets, parts, strict=True)]
    is_scaled = not any(np.isnan(x).any() for x, _ in rows)
    return Federation(names, rows, _words(classes), is_scaled, datasets[0].picture)


def _words(classes: ArrayLike) -> tuple[str, ...]:
    return tuple(map(str, np.asarray(classes)))
