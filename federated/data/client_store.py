"""Clients' rows in files of their own, which every carrier's workers read where they run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from federated.core.algorithm import ClientData

Rows = tuple[np.ndarray, np.ndarray | None]
"""`(rows, features)` and perhaps `(rows,)` classes."""


class ClientStore(Sequence[ClientData]):
    """A folder with the rows and the classes of each client as raw numbers.

    In a simulation it stands for the disks of all clients. Workers read it by themselves: nothing
    but the name of the folder is sent, and pages of a file are in memory once however many
    processes read it.

    Args:
      folder: What `write` made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        facts = json.loads((folder / "clients.json").read_text())
        self.names: list[str] = facts["names"]
        self.n_features: int = facts["n_features"]

    @classmethod
    def write(
        cls, folder: Path, clients: Iterable[Rows], names: Sequence[str] | None = None
    ) -> ClientStore:
        """Makes the folder.

        Args:
          folder: Made if it is not there.
          clients: Each as numbers that fit float32 and int64; without classes -1 is written.
          names: Of the clients; numbers if left out.
        """
        folder.mkdir(parents=True, exist_ok=True)
        n_clients, n_features = 0, 0
        for i, (x, y) in enumerate(clients):
            n_clients, n_features = i + 1, x.shape[1]
            np.ascontiguousarray(x, np.float32).tofile(folder / f"{i}.x")
            classes = np.full(len(x), -1) if y is None else y
            np.ascontiguousarray(classes, np.int64).tofile(folder / f"{i}.y")
        facts = {"names": list(names or map(str, range(n_clients))), "n_features": n_features}
        (folder / "clients.json").write_text(json.dumps(facts))
        return cls(folder)

    def __len__(self) -> int:
        """Number of clients."""
        return len(self.names)

    def __getitem__(self, client: int) -> ClientData:  # type: ignore[override]
        """A client's rows and classes."""
        x, y = self.rows(client)
        return ClientData(tf.constant(x), tf.constant(y))

    def rows(self, client: int) -> tuple[np.ndarray, np.ndarray]:
        """The same as arrays, `(rows, features)` and `(rows,)`, read as they are looked at."""
        y = np.fromfile(self.folder / f"{client}.y", np.int64)
        shape = (len(y), self.n_features)
        return np.memmap(self.folder / f"{client}.x", np.float32, "r", shape=shape), y

    def change(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        """Lets every client change its own rows, as by scaling them.

        Args:
          function: `(rows, features)` to the same, float32.
        """
        for client in range(len(self)):
            changed = function(np.array(self.rows(client)[0]))
            changed.astype(np.float32).tofile(self.folder / f"{client}.x")
