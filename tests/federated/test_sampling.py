"""The participants of a round are a function of the seed and the round alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.core.sampling import ClientSampler
from tfcluster import InputError


def sampler(n, share, dropout):
    """Returns a sampler of this share of clients; of all of them where that is none."""
    return ClientSampler(n, int(share * n) or None, dropout, seed=3)


@given(
    n=st.integers(1, 40), share=st.floats(0, 1), dropout=st.floats(0, 0.99), r=st.integers(0, 99)
)
def test_every_round_has_participants_once_each_in_order(n, share, dropout, r):
    made = sampler(n, share, dropout)
    participants = made.participants(r)
    clients = [p.client for p in participants]
    assert clients == sorted(set(clients))
    assert 1 <= len(clients) <= (made.per_round or n)
    assert all(0 <= c < n for c in clients)
    assert participants == sampler(n, share, dropout).participants(r)


def test_rounds_and_clients_have_seeds_of_their_own():
    def seeds(seed):
        made = ClientSampler(50, seed=seed)
        return [p.seed for r in range(20) for p in made.participants(r)]

    assert len(set(seeds(1))) == len(seeds(1))
    assert seeds(1) != seeds(2)


def test_a_clients_seed_does_not_depend_on_who_else_takes_part():
    of_client = {p.client: p.seed for p in ClientSampler(30).participants(4)}
    for participant in ClientSampler(30, per_round=7, dropout=0.3).participants(4):
        assert of_client[participant.client] == participant.seed


def test_full_participation_where_sums_are_over_all_samples():
    sampled = ClientSampler(30, per_round=7, dropout=0.5)
    assert len(sampled.participants(2, full_participation=True)) == 30


def test_shares_are_as_asked():
    made = ClientSampler(100, per_round=40, dropout=0.25)
    sizes = [len(made.participants(r)) for r in range(400)]
    assert np.mean(sizes) == pytest.approx(30, abs=1)
    sampled = np.bincount([p.client for r in range(400) for p in made.participants(r)])
    assert len(sampled) == 100
    assert sampled.min() > 60  # 120 expected


@pytest.mark.parametrize("arguments", [(3, 4), (3, -1), (3, 0), (3, None, 1.0), (3, None, -0.1)])
def test_mistakes(arguments):
    with pytest.raises(InputError, match="must be"):
        ClientSampler(*arguments)
