"""Which clients take part in which round, and with which seeds.

Both are chosen here, once, and handed to every backend: backends that choose for themselves
choose differently, and their results cannot be compared.
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
      seed: Seed of everything the client draws in this round, in [0, 2^31 - 1).
    """

    client: int
    seed: int


@dataclasses.dataclass(frozen=True)
class ClientSampler:
    """Maps the number of a round to its participants.

    Attributes:
      n_clients: Number of clients.
      per_round: Clients sampled for a round, without replacement; None for all.
      dropout: Probability that a sampled client does not answer, in [0, 1). At least one always
        answers.
      seed: Seed of the sampling and of the participants' seeds.

    Raises:
      InputError: If a number is out of its range.
    """

    n_clients: int
    per_round: int | None = None
    dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.per_round is not None and not 1 <= self.per_round <= self.n_clients:
            raise InputError(
                f"`clients_per_round` must be between 1 and {self.n_clients}, the number of "
                f"clients. Received: {self.per_round}."
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"`dropout` must be in [0, 1). Received: {self.dropout}.")

    def participants(
        self, round_number: int, *, full_participation: bool = False
    ) -> list[Participant]:
        """Returns the participants of a round, in client order.

        Args:
          round_number: Number of the round, from 0 on, counted over all phases.
          full_participation: Whether all clients take part, whatever would be sampled.
        """
        rng = np.random.default_rng([self.seed, round_number])
        seeds = rng.integers(2**31 - 1, size=self.n_clients)
        sampled = np.arange(self.n_clients)
        if not full_participation:
            sampled = rng.permutation(sampled)[: self.per_round or self.n_clients]
            answers = rng.random(len(sampled)) >= self.dropout
            answers[0] |= not answers.any()
            sampled = np.sort(sampled[answers])
        return [Participant(int(client), int(seeds[client])) for client in sampled]
