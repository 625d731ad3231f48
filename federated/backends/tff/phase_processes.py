"""Phases as iterative processes of TFF, for a loop of the user's own.

Context, clients, sampling and loop are the user's; no `Backend` takes part:

artifacts = {}
for phase in [PhaseProcesses(phase) for phase in ...]:
    state = phase.begin(artifacts)
    for number in range(phase.n_rounds):
        kind, process, carry_over, full_participation = phase.round(number, state)
        carried = carry_over(process.next(state, clients))
        state = carried.state
        if carried.converged:
            break
    artifacts |= phase.end(state)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.backends.tff.process import RoundOutput, build_process, state_signature
from federated.core.algorithm import State
from federated.core.backend import RoundResult
from federated.core.phases import Artifacts, Phase
from federated.core.rounds import check_result


class CarriedOver(NamedTuple):
    """State and findings that the server carries over from a round.

    Attributes:
      state: The state for the next round, in arrays; for `PhaseProcesses.end` after the last.
      losses: Mean losses over the participants' steps, by name.
      metrics: What else the round found, by name: numbers or lists of numbers.
      left_out: Positions, in the list given to `next`, of the clients that sent values that were
        not finite.
      converged: Whether the phase ends early, with this round.
    """

    state: State
    losses: Mapping[str, float]
    metrics: Mapping[str, Any]
    left_out: tuple[int, ...]
    converged: bool


class ProcessRound(NamedTuple):
    """A round as an iterative process, and how the state is carried over.

    Attributes:
      kind: Kind of round, e.g. "training", "target update", "lloyd".
      process: Its `next(state, clients)` takes a list of `SamplesInput`. Rounds of the same kind
        share one process, whose `initialize()` returns the state it was first built for.
      carry_over: Takes what `next` returned, on the server and outside of TFF.
      full_participation: Whether every client must take part, e.g. because a sum is over all
        samples.
    """

    kind: str
    process: tff.templates.IterativeProcess
    carry_over: Callable[[RoundOutput], CarriedOver]
    full_participation: bool


@dataclasses.dataclass(frozen=True, eq=False)
class PhaseProcesses:
    """A phase whose rounds are iterative processes.

    Attributes:
      phase: The phase.
    """

    phase: Phase
    _built: dict[Any, tff.templates.IterativeProcess] = dataclasses.field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def name(self) -> str:
        """Name of the phase."""
        return self.phase.name

    @property
    def n_rounds(self) -> int:
        """Rounds it takes, at most; 0 where there is nothing to compute."""
        return self.phase.n_rounds

    def begin(self, artifacts: Artifacts) -> State:
        """Returns the state before the first round, from what earlier phases left."""
        return _arrays(self.phase.begin(artifacts))

    def round(self, number: int, state: State) -> ProcessRound:
        """Returns a round of the phase.

        Args:
          number: Number of the round, from 0 on.
          state: The state before it.
        """
        algorithm = self.phase.algorithm(number)
        key = (algorithm, state_signature(state))
        if key not in self._built:
            self._built[key] = build_process(algorithm, state)

        def carry_over(output: RoundOutput) -> CarriedOver:
            return self._carry_over(number, output)

        return ProcessRound(
            algorithm.kind, self._built[key], carry_over, algorithm.full_participation
        )

    def _carry_over(self, number: int, output: RoundOutput) -> CarriedOver:
        """Checks a round's result as `run_phases` does, and lets the phase receive it.

        Raises:
          InputError: If a client's values were not finite and the phase needs every client.
          TrainingError: If no client's numbers are finite.
        """
        left_out = np.flatnonzero(~np.asarray(output.is_finite)).tolist()
        result = RoundResult(output.state, output.metrics, left_out)
        names = [f"number {position}" for position in left_out]
        check_result(result, names, len(output.is_finite), self.phase, number + 1)
        found = self.phase.receive(number, result.state, result.metrics)
        return CarriedOver(
            _arrays(found.state),
            found.losses,
            found.metrics,
            tuple(left_out),
            self.phase.is_over(found),
        )

    def end(self, state: State) -> Artifacts:
        """Returns the arrays that later phases and the result need."""
        return self.phase.end(state)


def _arrays(state: State) -> State:
    return tf.nest.map_structure(np.asarray, state)
