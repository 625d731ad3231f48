"""Clients' samples in files of their own, which every backend's workers read where they run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from federated.core.algorithm import ClientData
from federated.core.scaling import Scaling
from tfcluster.scaling import narrow

Samples = tuple[np.ndarray, np.ndarray | None]
"""`(n_samples, n_features)` and perhaps `(n_samples,)` classes."""


class ClientStore(Sequence[ClientData]):
    """A folder with the samples and the classes of each client as raw numbers.

    In a simulation it stands for the disks of all clients. Workers read it by themselves: nothing
    but the name of the folder is sent, and pages of a file are in memory once, however many
    processes read it.

    Client i has the files `i.x` and `i.y`, and `i.given` while its samples are scaled. Samples are
    kept as they were given, in float64 where float32 would round them, until they are scaled;
    scaled ones are float32. The number of classes tells how many bytes a feature takes.

    Args:
      folder: What `write` made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        facts = json.loads((folder / "clients.json").read_text())
        self.names: list[str] = facts["names"]
        self.n_features: int = facts["n_features"]
        self._scaling = Scaling()

    @classmethod
    def write(
        cls, folder: Path, clients: Iterable[Samples], names: Sequence[str] | None = None
    ) -> ClientStore:
        """Makes the folder.

        Args:
          folder: Made if it is not there.
          clients: Each as numbers that fit float64 and int64; without classes -1 is written.
          names: Names of the clients; numbers if left out.
        """
        folder.mkdir(parents=True, exist_ok=True)
        n_clients, n_features = 0, 0
        for i, (x, y) in enumerate(clients):
            n_clients, n_features = i + 1, x.shape[1]
            narrow(x).tofile(folder / f"{i}.x")
            classes = np.full(len(x), -1) if y is None else y
            np.ascontiguousarray(classes, np.int64).tofile(folder / f"{i}.y")
        facts = {"names": list(names or map(str, range(n_clients))), "n_features": n_features}
        (folder / "clients.json").write_text(json.dumps(facts))
        return cls(folder)

    def __len__(self) -> int:
        """Returns the number of clients."""
        return len(self.names)

    def __getitem__(self, client: int) -> ClientData:  # type: ignore[override]
        """Returns a client's samples, scaled, and classes."""
        x, y = self.samples(client)
        return ClientData(tf.constant(x), tf.constant(y))

    def samples(self, client: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the same as arrays, `(n_samples, n_features)` mapped, and `(n_samples,)`."""
        y = np.fromfile(self.folder / f"{client}.y", np.int64)
        return self._mapped(self.folder / f"{client}.x", len(y)), y

    def _mapped(self, path: Path, n_samples: int) -> np.ndarray:
        shape = (n_samples, self.n_features)
        is_wide = path.stat().st_size == math.prod(shape) * np.dtype(np.float64).itemsize
        return np.memmap(path, np.float64 if is_wide else np.float32, "r", shape=shape)

    def scale(self, scaling: Scaling) -> None:
        """Scales the samples of every client, as they were given."""
        if scaling.equals(self._scaling):
            return
        for client in range(len(self)):
            current, given = (self.folder / f"{client}{end}" for end in (".x", ".given"))
            if self._scaling.is_identity:
                current.rename(given)
            if scaling.is_identity:  # in the precision they were given in
                given.replace(current)
                continue
            n_samples = (self.folder / f"{client}.y").stat().st_size // np.dtype(np.int64).itemsize
            scaling(self._mapped(given, n_samples)).tofile(current)
        self._scaling = scaling
