"""The record of a round."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class RoundRecord:
    """One round, as callbacks, `history_` and `metrics.jsonl` have it.

    Attributes:
      phase: Name of the phase.
      kind: Kind of round, e.g. "training", "target update", "lloyd"; see `FederatedAlgorithm`.
      step: Rounds of the phase done, this one included.
      of: Rounds the phase takes, at most.
      participants: Clients that took part.
      n_clusters: Number of clusters of the phase; None where it does not matter, e.g. in
        pretraining.
      left_out: Names of the clients that sent values that were not finite.
      losses: Mean losses over the participants' steps, by name.
      metrics: What else the round found, by name: numbers or lists of numbers.
      scores: Scores of the model after the round, by name; empty where none were computed.
      converged: Whether the phase ends early, with this round.
      bytes_down: Bytes of the tensors sent to all participants, without a backend's own wrapping.
      bytes_up: Bytes of the tensors that all participants sent.
      round_seconds: Seconds the round took, without scores.
      seconds: Seconds of the run so far, without the time between an interrupt and its resume.
      backend: Name of the backend.
    """

    phase: str
    kind: str
    step: int
    of: int
    participants: int
    left_out: tuple[str, ...] = ()
    losses: Mapping[str, float] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    scores: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    converged: bool = False
    bytes_down: int = 0
    bytes_up: int = 0
    round_seconds: float = 0.0
    seconds: float = 0.0
    backend: str = ""
    n_clusters: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether the phase ends with this round."""
        return self.converged or self.step == self.of

    def to_dict(self) -> dict[str, Any]:
        """Returns the record as nested plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RoundRecord:
        """Returns the record that `to_dict` wrote."""
        return cls(**{**values, "left_out": tuple(values["left_out"])})

    def flat(self) -> dict[str, Any]:
        """Returns the record as one level, the form of centralized records, for plots."""
        values = self.to_dict()
        nested = [values.pop(name) for name in ("losses", "metrics", "scores")]
        return values | {name: value for part in nested for name, value in part.items()}


Callback = Callable[[RoundRecord], None]
"""Called after every round, when its checkpoint is written; may raise to stop the run."""
