"""Runs phases of rounds on any backend: records, and a checkpoint after every round.

A run is a list of phases. Everything here is the same whatever transports the rounds, so a run
that was begun on one backend can go on with another.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from federated.core import structure
from federated.core.algorithm import State
from federated.core.backend import Backend, RoundResult
from federated.core.phases import Artifacts, Phase
from federated.core.records import Callback, RoundRecord
from federated.core.sampling import ClientSampler
from federated.core.scaling import Scaling
from tfcluster.errors import InputError
from tfcluster.files import Arrays, check_identity, load_arrays, refuse_wrong_inside, save_arrays
from tfcluster.training.phases import diverged


@dataclasses.dataclass(frozen=True)
class Position:
    """How far a run is.

    Attributes:
      phase: Number of the phase.
      done: Rounds of the phase that were taken.
      drawn: Rounds of all phases that were taken, without those that draw nothing.
      state: The state after them; None before the phase has begun.
      artifacts: What finished phases left.
      history: A record of every round.
    """

    phase: int = 0
    done: int = 0
    drawn: int = 0
    state: State | None = None
    artifacts: Artifacts = dataclasses.field(default_factory=dict)
    history: tuple[RoundRecord, ...] = ()


class RoundCheckpoint:
    """Keeps a run's position in one file, atomic and checksummed, whatever the backend.

    Args:
      path: The file.
      identity: Plain values that identify the run; a file of another run is refused.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.identity = dict(identity)

    def save(self, at: Position) -> None:
        """Writes the position."""
        arrays = {f"artifacts/{name}": value for name, value in at.artifacts.items()}
        if at.state is not None:
            named = structure.to_arrays(at.state)
            arrays |= {f"state/{name}": value for name, value in named.items()}
        meta = {
            "identity": self.identity,
            "history": [record.to_dict() for record in at.history],
            "phase": at.phase,
            "done": at.done,
            "drawn": at.drawn,
            "begun": at.state is not None,
        }
        save_arrays(self.path, arrays, meta)

    def restore(self, phases: Sequence[Phase]) -> Position | None:
        """Reads the position; None if there is no file.

        Args:
          phases: The run's; the state has the structure of the next round's algorithm.

        Raises:
          InputError: If the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return None
        arrays, meta = load_arrays(self.path)
        with refuse_wrong_inside(self.path, "checkpoint"):
            return self._restore(phases, arrays, meta)

    def _restore(self, phases: Sequence[Phase], arrays: Arrays, meta: Any) -> Position:
        check_identity(self.path, self.identity, meta.get("identity", {}))
        state = None
        if meta["begun"]:
            kind = phases[meta["phase"]].algorithm(meta["done"]).state_type
            state = structure.from_arrays(kind, _under("state/", arrays))
        history = tuple(map(RoundRecord.from_dict, meta["history"]))
        artifacts = _under("artifacts/", arrays)
        return Position(meta["phase"], meta["done"], meta["drawn"], state, artifacts, history)


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


Scorer = Callable[[Phase, State, RoundRecord], Mapping[str, Any]]
"""Returns scores of the model after a round, or nothing; its time is not the round's."""


@dataclasses.dataclass(frozen=True)
class Federation:
    """Who trains, where.

    Attributes:
      backend: Runs the rounds.
      sampler: Decides who takes part.
      client_names: For the records.
      backend_name: For the records.
    """

    backend: Backend
    sampler: ClientSampler
    client_names: Sequence[str]
    backend_name: str = "local"


def run_phases(
    phases: Sequence[Phase],
    federation: Federation,
    *,
    start: Position | None = None,
    scorer: Scorer | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: RoundCheckpoint | None = None,
) -> Position:
    """Runs all rounds of all phases, from the checkpoint on if there is one.

    Clients scale their samples as the finished phases found, before each phase and at the end.

    Args:
      phases: In order.
      federation: Who trains, where.
      start: What to begin from, e.g. the end of a shared pretraining; a new run if left out.
      scorer: Called after every round.
      callbacks: Called with every record, after the checkpoint; may raise to stop the run.
      checkpoint: Written after every round.

    Returns:
      The position at the end: all artifacts, and a record of every round.

    Raises:
      InputError: If the checkpoint is damaged or another run's.
      TrainingError: If no client's numbers are finite.
    """
    at = (checkpoint.restore(phases) if checkpoint else None) or start or Position()
    clock = time.perf_counter() - (at.history[-1].seconds if at.history else 0.0)
    while at.phase < len(phases):
        phase = phases[at.phase]
        if at.state is None:
            at = dataclasses.replace(at, state=phase.begin(at.artifacts))
        federation.backend.scale_samples(Scaling.from_artifacts(at.artifacts))
        while not _is_over(phase, at):
            state, record = _run_round(phase, at, federation)
            scores = scorer(phase, state, record) if scorer else {}
            seconds = round(time.perf_counter() - clock, 3)
            record = dataclasses.replace(record, scores=dict(scores), seconds=seconds)
            at = dataclasses.replace(
                at,
                done=at.done + 1,
                drawn=at.drawn + phase.draws,
                state=state,
                history=(*at.history, record),
            )
            if checkpoint:
                checkpoint.save(at)
            for callback in callbacks:
                callback(record)
        artifacts = {**at.artifacts, **phase.end(at.state)}
        at = Position(at.phase + 1, 0, at.drawn, None, artifacts, at.history)
    federation.backend.scale_samples(Scaling.from_artifacts(at.artifacts))
    return at


def _is_over(phase: Phase, at: Position) -> bool:
    return at.done >= phase.n_rounds or (at.done > 0 and at.history[-1].converged)


def _run_round(phase: Phase, at: Position, federation: Federation) -> tuple[State, RoundRecord]:
    algorithm = phase.algorithm(at.done)
    participants = federation.sampler.participants(
        at.drawn, full_participation=algorithm.full_participation
    )
    sent = structure.n_bytes(algorithm.broadcast(at.state))
    start = time.perf_counter()
    result = federation.backend.run_round(algorithm, at.state, participants)
    seconds = time.perf_counter() - start
    left_out = tuple(federation.client_names[client] for client in result.left_out)
    check_result(result, left_out, len(participants), phase, at.done + 1)
    found = phase.receive(at.done, result.state, result.metrics)
    record = RoundRecord(
        phase=phase.name,
        kind=algorithm.kind,
        step=at.done + 1,
        of=phase.n_rounds,
        participants=len(participants),
        left_out=left_out,
        losses=found.losses,
        metrics=found.metrics,
        converged=phase.is_over(found),
        bytes_down=len(participants) * sent,
        bytes_up=result.bytes_up,
        round_seconds=round(seconds, 4),
        backend=federation.backend_name,
        n_clusters=phase.n_clusters,
    )
    return found.state, record


def check_result(
    result: RoundResult, left_out: Sequence[str], n_participants: int, phase: Phase, number: int
) -> None:
    """Checks that a round counts.

    Args:
      result: The round's.
      left_out: Names of the clients that sent values that were not finite.
      n_participants: Clients that took part.
      phase: The round's.
      number: Number of the round, from 1 on.

    Raises:
      InputError: If a client was left out and the phase needs every client.
      TrainingError: If no client's numbers, or not all metrics, are finite.
    """
    if left_out and phase.needs_everyone:
        raise InputError(
            f"Phase {phase.name!r} needs finite values of every client, or NaN for missing ones. "
            f"Received infinite values of client {', '.join(left_out)}. Correct its samples, or "
            "leave the client out."
        )
    scalars = [value for value in result.metrics.values() if not np.ndim(value)]
    if len(left_out) == n_participants or not all(map(math.isfinite, scalars)):
        raise diverged(f"in phase {phase.name!r} by round {number}")
