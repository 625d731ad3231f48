"""The interface of a phase: a stretch of rounds with one purpose."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from federated.core.algorithm import FederatedAlgorithm, Metrics, State
from tfcluster.files import Arrays

Artifacts = Arrays
"""What finished phases leave to later ones and to the result: arrays by name."""


@dataclasses.dataclass
class Found:
    """Result of a round, as its phase reads it.

    Attributes:
      state: The state to go on with.
      losses: For the record.
      metrics: For the record: numbers, or lists of numbers.
    """

    state: State
    losses: dict[str, float]
    metrics: dict[str, Any]


class Phase(abc.ABC):
    """A stretch of rounds with one purpose.

    Attributes:
      name: Name of the phase in records.
      n_rounds: Rounds it takes, at most.
      n_clusters: Number of clusters, where it matters.
      draws: Whether its rounds depend on the participants' seeds. Phases that draw nothing do not
        count in the sampler's numbering, so that adding one changes no other phase's draws.
      needs_everyone: Whether the run must not go on without a client whose values were not finite.
    """

    name: str
    n_rounds: int
    n_clusters: int | None = None
    draws: ClassVar[bool] = True
    needs_everyone: ClassVar[bool] = False

    @abc.abstractmethod
    def begin(self, artifacts: Artifacts) -> State:
        """Returns the state before the first round, from what earlier phases left."""

    @abc.abstractmethod
    def algorithm(self, number: int) -> FederatedAlgorithm:
        """Returns what to compute in a round, from 0 on; equal values are compiled once."""

    def receive(self, number: int, state: State, metrics: Metrics) -> Found:
        """Returns what the phase makes of a round. By default, everything is recorded."""
        losses = {name: float(metrics[name]) for name in self.algorithm(number).losses}
        others = {name: plain(v) for name, v in metrics.items() if name not in losses}
        return Found(state, losses, others)

    def is_over(self, found: Found) -> bool:
        """Returns whether this round was the last, though more are allowed."""
        del found
        return False

    @abc.abstractmethod
    def end(self, state: State) -> Artifacts:
        """Returns the arrays that later phases and the result need."""


def plain(value: tf.Tensor) -> Any:
    """Returns a tensor as a Python number or a list of them."""
    return np.asarray(value).tolist()
