"""The federated estimators, with the seconds that no record of a round holds."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

from federated.algorithms.evaluation import Evaluation, Labeling
from federated.core.rounds import Position, RoundCheckpoint
from federated.estimators.base import FederatedEstimator
from federated.estimators.clustergan import FederatedClusterGAN
from federated.estimators.dec import FederatedDEC
from federated.estimators.fit import Fit

Seconds = dict[str, float]


@dataclasses.dataclass(frozen=True)
class TimedFit(Fit):
    """A fit that measures how long evaluation and checkpoints take.

    Attributes:
      seconds: Seconds so far of "evaluation", of the result too, and of "checkpoint".
    """

    seconds: Seconds = dataclasses.field(
        default_factory=lambda: dict.fromkeys(("evaluation", "checkpoint"), 0.0)
    )

    def evaluate(
        self, labeling: Labeling, weights: Sequence[Any], *, with_distances: bool = True
    ) -> Evaluation:
        """Scores a model and adds the seconds to "evaluation"."""
        with _add_seconds(self.seconds, "evaluation"):
            return super().evaluate(labeling, weights, with_distances=with_distances)

    def _checkpoint(self, suffix: str) -> RoundCheckpoint | None:
        found = super()._checkpoint(suffix)
        return found and _TimedCheckpoint(found, self.seconds)


class _TimedCheckpoint(RoundCheckpoint):
    def __init__(self, plain: RoundCheckpoint, seconds: Seconds) -> None:
        super().__init__(plain.path, plain.identity)
        self._seconds = seconds

    def save(self, at: Position) -> None:
        with _add_seconds(self._seconds, "checkpoint"):
            super().save(at)


@contextlib.contextmanager
def _add_seconds(seconds: Seconds, part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - start


class _Timed(FederatedEstimator):
    """Makes an estimator use a `TimedFit`.

    Attributes:
      seconds_: `TimedFit.seconds` of the last fit.
    """

    seconds_: Seconds

    @contextlib.contextmanager
    def begin(self, *args: Any, **kwargs: Any) -> Iterator[TimedFit]:
        """Begins a fit whose evaluation and checkpoints are timed."""
        with super().begin(*args, **kwargs) as fit:
            timed = TimedFit(**vars(fit))
            self.seconds_ = timed.seconds
            yield timed


class TimedDEC(_Timed, FederatedDEC):
    """`FederatedDEC` with `seconds_` of evaluation and checkpoints."""


class TimedClusterGAN(_Timed, FederatedClusterGAN):
    """`FederatedClusterGAN` with `seconds_` of evaluation and checkpoints."""
