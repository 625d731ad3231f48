"""Who takes part in which round with which seed: chosen once, here, and handed to every carrier.

Engines that choose for themselves choose differently, and then nothing can be compared.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from tfcluster.errors import InputError


class Participant(NamedTuple):
    """A client's part in a round.

    Attributes:
      client: Number of the client.
      seed: Of everything it draws in this round, in [0, 2^31 - 1).
    """

    client: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """A function from the number of a round to its participants.

    Attributes:
      n_clients: Clients there are.
      per_round: Clients chosen for a round, without replacement; 0 for all.
      dropout: Probability that a chosen client does not answer, in [0, 1). At least one always
        does.
      seed: Of the choice and of the participants' seeds.
    """

    n_clients: int
    per_round: int = 0
    dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.per_round <= self.n_clients:
            raise InputError(
                f"Clients per round must be between 1 and the {self.n_clients} there are, or 0 "
                f"for all. Received: {self.per_round}."
            )
        if not 0 <= self.dropout < 1:
            raise InputError(
                f"The probability of a dropout must be in [0, 1). Received: {self.dropout}."
            )

    def round(self, number: int, *, everyone: bool = False) -> list[Participant]:
        """The participants of a round, by number of the client.

        Args:
          number: Of the round, from 0 on; rounds of all phases are counted on.
          everyone: Whether all clients take part whatever the plan says, as where masses of all
            rows are summed.
        """
        rng = np.random.default_rng([self.seed, number])
        seeds = rng.integers(2**31 - 1, size=self.n_clients)
        chosen = np.arange(self.n_clients)
        if not everyone:
            chosen = rng.permutation(chosen)[: self.per_round or self.n_clients]
            answers = rng.random(len(chosen)) >= self.dropout
            answers[0] |= not answers.any()
            chosen = np.sort(chosen[answers])
        return [Participant(int(client), int(seeds[client])) for client in chosen]
