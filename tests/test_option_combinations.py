"""Options of all commands, drawn at random: a result or one message, and nothing in between."""

import random

import pytest

from tests import option_combinations as combinations

N = 50  # more: python -m tests.option_combinations


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("combinations")
    combinations.write_files(made)
    return made


def test_a_combination_passes_or_is_refused(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    rng, codes = random.Random(0), []
    for _ in range(N):
        combination = combinations.draw(rng)
        outcome = combinations.run(combination.words, folder)
        faults = combinations.find_faults(combination, outcome)
        assert not faults, (combination.words, outcome)
        codes.append(outcome.code)
    assert min(codes.count(0), codes.count(2)) > N / 5
