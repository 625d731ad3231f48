"""One fit: phases on an open backend, with scores, checkpoints and records."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from federated.algorithms.evaluation import ClusterPass, Evaluation, Labeling, evaluate
from federated.backends.descriptions import BackendDescription, OpenBackend, open_backend
from federated.core.phases import Phase
from federated.core.records import Callback, RoundRecord
from federated.core.rounds import Federation, Position, RoundCheckpoint, Scorer, run_phases
from federated.core.sampling import ClientSampler
from federated.data.federated_dataset import FederatedDataset
from tfcluster.config import to_dict
from tfcluster.errors import InputError
from tfcluster.estimator import digest


class ClientWarning(UserWarning):
    """A client was left out of a round."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """A fit that was checked and may begin.

    Attributes:
      opened: The backend, on the clients.
      sampler: Decides who takes part.
      seed: Seed of the run.
      identity: Plain values that identify the run, for its checkpoints.
      checkpoint: Where checkpoints go; None for none.
      callbacks: Called with every record.
    """

    opened: OpenBackend
    sampler: ClientSampler
    seed: int
    identity: Mapping[str, Any]
    checkpoint: Path | None = None
    callbacks: Sequence[Callback] = ()

    @property
    def dataset(self) -> FederatedDataset:
        """The clients' samples as they were given."""
        return self.opened.dataset

    @property
    def n_features(self) -> int:
        """Features of a sample."""
        return self.dataset.n_features

    def run(
        self,
        phases: Sequence[Phase],
        scorer: Scorer | None = None,
        *,
        start: Position | None = None,
        suffix: str = "",
    ) -> Position:
        """Runs phases, from their checkpoint on if there is one.

        Args:
          phases: In order.
          scorer: Scores the model after rounds.
          start: What to begin from.
          suffix: Tells apart the checkpoints of several runs of one fit.
        """
        name = self.opened.name
        federation = Federation(self.opened.backend, self.sampler, self.opened.store.names, name)
        return run_phases(
            phases,
            federation,
            start=start,
            scorer=scorer,
            callbacks=(warn_of_left_out(), *self.callbacks),
            checkpoint=self._checkpoint(suffix),
        )

    def _checkpoint(self, suffix: str) -> RoundCheckpoint | None:
        if self.checkpoint is None:
            return None
        path = self.checkpoint.with_name(f"{self.checkpoint.stem}{suffix}{self.checkpoint.suffix}")
        return RoundCheckpoint(path, {**self.identity, "part": suffix})

    def evaluate(
        self, labeling: Labeling, weights: Sequence[Any], *, with_distances: bool = True
    ) -> Evaluation:
        """Scores a model on all clients' samples; see `evaluation.evaluate`."""
        everyone = self.sampler.participants(0, full_participation=True)
        first = ClusterPass(self.n_features, labeling, len(self.dataset.classes))
        return evaluate(
            self.opened.backend, everyone, first, weights, with_distances=with_distances
        )


def warn_of_left_out() -> Callback:
    """Returns a callback that warns once per client that sent non-finite values."""
    told: set[str] = set()

    def watch(record: RoundRecord) -> None:
        for name in sorted(set(record.left_out) - told):
            told.add(name)
            warnings.warn(
                f"Client {name} sent values that are not finite in phase {record.phase}, round "
                f"{record.step}; it is left out of the rounds in which it does.",
                ClientWarning,
                stacklevel=2,
            )

    return watch


@contextlib.contextmanager
def begin_fit(
    dataset: FederatedDataset,
    backend: str | BackendDescription | OpenBackend,
    sampler: ClientSampler,
    config: Any,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    callbacks: Sequence[Callback] = (),
    **identity: Any,
) -> Iterator[Fit]:
    """Starts the backend, unless an open one is given.

    Args:
      dataset: The clients.
      backend: A name, a description, or a backend that is open on these very clients.
      sampler: Decides who takes part; its seed is the run's.
      config: The configuration; part of the run's identity.
      checkpoint: Where checkpoints go.
      callbacks: Called with every record.
      **identity: What else identifies the run.

    Raises:
      InputError: If the open backend has other clients.
    """
    given = [part for samples in dataset.clients for part in samples if part is not None]
    known = {
        "data": digest(*map(np.ascontiguousarray, given)),
        "clients": dict(zip(dataset.names, dataset.sizes, strict=True)),
        "sampler": dataclasses.asdict(sampler),
        "config": to_dict(config),
        **identity,
    }
    path = None if checkpoint is None else Path(checkpoint)
    with contextlib.ExitStack() as stack:
        if isinstance(backend, OpenBackend):
            opened = backend
            if opened.dataset is not dataset:
                raise InputError(
                    "The open backend has other clients. Fit on the `FederatedDataset` it was "
                    "opened with."
                )
        else:
            opened = stack.enter_context(open_backend(backend, dataset))
        yield Fit(opened, sampler, sampler.seed, known, path, tuple(callbacks))


Labels = Callable[[np.ndarray], np.ndarray]
"""Maps a client's samples as they were given, `(n_samples, n_features)`, to their labels."""
