"""Who takes part: a function of the seed and the round alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.core.sampling import Plan
from tfcluster import InputError


@given(
    n=st.integers(1, 40), share=st.floats(0, 1), dropout=st.floats(0, 0.99), r=st.integers(0, 99)
)
def test_every_round_has_participants_once_each_in_order(n, share, dropout, r):
    plan = Plan(n, int(share * n), dropout, seed=3)
    participants = plan.round(r)
    clients = [p.client for p in participants]
    assert clients == sorted(set(clients))
    assert 1 <= len(clients) <= (plan.per_round or n)
    assert all(0 <= c < n for c in clients)
    assert participants == Plan(n, int(share * n), dropout, seed=3).round(r)


def test_rounds_and_clients_have_seeds_of_their_own():
    plan = Plan(50, seed=1)
    seeds = [p.seed for r in range(20) for p in plan.round(r)]
    assert len(set(seeds)) == len(seeds)
    assert seeds != [p.seed for r in range(20) for p in Plan(50, seed=2).round(r)]


def test_a_clients_seed_does_not_depend_on_who_else_takes_part():
    everyone = {p.client: p.seed for p in Plan(30).round(4)}
    for participant in Plan(30, per_round=7, dropout=0.3).round(4):
        assert everyone[participant.client] == participant.seed


def test_everyone_takes_part_where_masses_are_summed():
    assert len(Plan(30, per_round=7, dropout=0.5).round(2, everyone=True)) == 30


def test_shares_are_as_asked():
    plan = Plan(100, per_round=40, dropout=0.25)
    sizes = [len(plan.round(r)) for r in range(400)]
    assert np.mean(sizes) == pytest.approx(30, abs=1)
    chosen = np.bincount([p.client for r in range(400) for p in plan.round(r)], minlength=100)
    assert chosen.min() > 60  # 120 expected


@pytest.mark.parametrize("arguments", [(3, 4), (3, -1), (3, 0, 1.0), (3, 0, -0.1)])
def test_mistakes(arguments):
    with pytest.raises(InputError, match="must be"):
        Plan(*arguments)
