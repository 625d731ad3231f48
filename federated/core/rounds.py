"""Stages of rounds on any carrier: records, and a checkpoint after every round.

A run is a list of stages; a stage says which algorithm each of its rounds takes, when it is over,
and what is kept of it. All of that is the same whatever carries the rounds, so a run that was
begun on one engine can go on with another.
"""

from __future__ import annotations

import abc
import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from federated.core.algorithm import FederatedAlgorithm, Metrics, ServerState, as_arrays, as_state
from federated.core.backend import Carrier, RoundResult, n_bytes
from federated.core.sampling import Participant, Plan
from tfcluster.errors import InputError
from tfcluster.files import Arrays, load_arrays, save_arrays
from tfcluster.training.phases import Monitor, Record, diverged


class Stage(abc.ABC):
    """A stretch of rounds with one purpose.

    Attributes:
      name: As it stands in records.
      n_rounds: Rounds it takes, at most.
    """

    name: str
    n_rounds: int

    @abc.abstractmethod
    def begin(self, kept: Arrays) -> ServerState:
        """The state before the first round, from what earlier stages kept."""

    @abc.abstractmethod
    def algorithm(self, number: int) -> FederatedAlgorithm:
        """What to do in a round, from 0 on; equal values are compiled once."""

    def receive(
        self, number: int, state: ServerState, metrics: Metrics
    ) -> tuple[ServerState, Record]:
        """What the stage makes of a round: the state to go on with, and words for the record."""
        del number
        return state, {name: plain(value) for name, value in metrics.items()}

    def is_over(self, record: Record) -> bool:
        """Whether the round of this record was the last, though more are allowed."""
        del record
        return False

    @abc.abstractmethod
    def end(self, state: ServerState) -> Arrays:
        """What is kept for later stages and for the result."""


def plain(value: tf.Tensor) -> Any:
    """A number, or a list of them, as Python has it."""
    return np.asarray(value).tolist()


@dataclasses.dataclass(frozen=True)
class Position:
    """How far a run is.

    Attributes:
      stage: Number of the stage.
      done: Rounds of it that were taken.
      state: After them; None before the stage has begun.
      kept: What the stages before kept.
      history: A record for every round.
    """

    stage: int = 0
    done: int = 0
    state: ServerState | None = None
    kept: Arrays = dataclasses.field(default_factory=dict)
    history: list[Record] = dataclasses.field(default_factory=list)


class RoundCheckpoint:
    """Keeps a run's position in one file, atomic and checksummed, whatever the engine.

    Args:
      path: The file.
      identity: Plain values that say which run this is; a file of another run is refused.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))

    def save(self, at: Position) -> None:
        """Writes the position."""
        arrays = {f"kept/{name}": value for name, value in at.kept.items()}
        if at.state is not None:
            arrays |= {f"state/{name}": value for name, value in as_arrays(at.state).items()}
        facts = {"stage": at.stage, "done": at.done, "begun": at.state is not None}
        meta = {"identity": self.identity, "history": at.history, **facts}
        save_arrays(self.path, arrays, meta)

    def restore(self) -> Position:
        """Reads the position; that of a new run if there is no file.

        Raises:
          InputError: If the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return Position()
        arrays, meta = load_arrays(self.path)
        begun = meta.get("identity", {})
        differing = [name for name, value in self.identity.items() if begun.get(name) != value]
        if differing:
            raise InputError(
                f"{self.path} belongs to another run: {', '.join(differing)} differ. Repeat the "
                "call that began it, or start in another folder."
            )
        state = as_state(_under("state/", arrays)) if meta["begun"] else None
        kept = _under("kept/", arrays)
        return Position(meta["stage"], meta["done"], state, kept, meta["history"])


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


Score = Callable[[Stage, ServerState, Record], Record]
"""Adds to a round's record, as scores; its time is not the round's."""


def run_stages(
    stages: Sequence[Stage],
    carrier: Carrier,
    plan: Plan,
    *,
    kept: Arrays | None = None,
    names: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    score: Score | None = None,
    monitor: Monitor | None = None,
    checkpoint: RoundCheckpoint | None = None,
) -> tuple[Arrays, list[Record]]:
    """Takes all rounds of all stages, from the checkpoint on if there is one.

    Args:
      stages: In order.
      carrier: Runs the rounds.
      plan: Who takes part; rounds of all stages are counted on.
      kept: What the first stage begins from, where it is not the first of all.
      names: Of the clients, for the records; their numbers if left out.
      facts: Stand in every record, as the engine's name.
      score: Called after every round.
      monitor: Called with every record, after the checkpoint; may raise to stop the run.
      checkpoint: Written after every round.

    Returns:
      What the stages kept, and a record for every round: `phase`, `step` (rounds of it done),
      `of` (rounds it takes, at most), `seconds` (of the run), `round_seconds`, `clients`,
      `left_out` (names of clients whose numbers were not finite), `bytes_down` and `bytes_up` (of
      the numbers to and from all clients) and what the stage adds.

    Raises:
      InputError: If the checkpoint is damaged or another run's.
      TrainingError: If no client's numbers are finite.
    """
    at = checkpoint.restore() if checkpoint else Position()
    at = at if at.history else Position(kept=kept or {})
    clock = time.perf_counter() - (at.history[-1]["seconds"] if at.history else 0.0)
    while at.stage < len(stages):
        stage = stages[at.stage]
        state = stage.begin(at.kept) if at.state is None else at.state
        if _is_over(stage, at):
            kept = {**at.kept, **stage.end(state)}
            at = Position(at.stage + 1, kept=kept, history=at.history)
            continue
        state, record = _take_round(stage, state, at, carrier, plan, names)
        record["converged"] = stage.is_over(record)
        record |= score(stage, state, record) if score else {}
        record |= facts or {}
        record["seconds"] = round(time.perf_counter() - clock, 3)
        history = [*at.history, record]
        at = dataclasses.replace(at, done=at.done + 1, state=state, history=history)
        if checkpoint:
            checkpoint.save(at)
        if monitor:
            monitor(record)
    return at.kept, at.history


def _is_over(stage: Stage, at: Position) -> bool:
    return at.done >= stage.n_rounds or (at.done > 0 and at.history[-1]["converged"])


def _take_round(
    stage: Stage,
    state: ServerState,
    at: Position,
    carrier: Carrier,
    plan: Plan,
    names: Sequence[str],
) -> tuple[ServerState, Record]:
    algorithm = stage.algorithm(at.done)
    participants = plan.round(len(at.history), everyone=algorithm.everyone)
    sent = n_bytes(algorithm.broadcast(state))
    start = time.perf_counter()
    result = carrier.round(algorithm, state, participants)
    seconds = time.perf_counter() - start
    _check(result, participants, stage.name, at.done + 1)
    state, found = stage.receive(at.done, result.state, result.metrics)
    return state, {
        "phase": stage.name,
        "step": at.done + 1,
        "of": stage.n_rounds,
        **found,
        "clients": len(participants),
        "left_out": [names[i] if names else str(i) for i in result.left_out],
        "round_seconds": round(seconds, 4),
        "bytes_down": len(participants) * sent,
        "bytes_up": result.bytes_up,
    }


def _check(
    result: RoundResult, participants: Sequence[Participant], phase: str, number: int
) -> None:
    scalars = [value for value in result.metrics.values() if not np.ndim(value)]
    if len(result.left_out) == len(participants) or not all(map(math.isfinite, scalars)):
        raise diverged(f"in phase {phase!r} by round {number}")
