"""The published scores."""

from __future__ import annotations

import pytest

from tfcluster.cli.published import (
    BEST_OF_FIVE,
    CLUSTERGAN,
    DEC,
    MEAN_OF_TEN,
    find_clustergan_scores,
    find_dec_scores,
)
from tfcluster.config import GAN_PRESETS
from tfcluster.data.loading import DATASETS

AUTHORS = sorted(set(GAN_PRESETS) - {"digits", "synthetic", "gene"})  # the others are ours
SCORES = ("purity", "nmi", "ari")


def test_only_what_was_published_has_a_line() -> None:
    assert find_dec_scores("keras", "mnist")["DEC"]["accuracy"] == 0.912
    assert find_dec_scores("paper:mnist", "mnist")["DEC"] == {"accuracy": 0.843}
    assert find_dec_scores("keras", "digits") == find_clustergan_scores("digits") == {}


def test_accuracies_of_dec() -> None:
    found = {
        case: [scores["accuracy"] for scores in methods.values()] for case, methods in DEC.items()
    }
    assert found == {
        ("keras", "mnist"): [0.879, 0.912],
        ("keras", "fashion_mnist"): [0.606, 0.618],
        ("keras", "usps"): [0.709, 0.764],
        ("keras", "stl10"): [0.786, 0.859],
        ("keras", "reuters10k"): [0.763, 0.778],
        ("paper", "mnist"): [0.818, 0.798, 0.843],
        ("paper", "stl10"): [0.359],
        ("paper", "reuters10k"): [0.722],
    }


def test_clustergan_has_lines_for_the_authors_presets_and_the_synthetic_set() -> None:
    assert set(CLUSTERGAN) == {*AUTHORS, "synthetic"} <= set(DATASETS)
    assert find_clustergan_scores("synthetic") == {BEST_OF_FIVE: dict.fromkeys(SCORES, 0.99)}
    for dataset in AUTHORS:
        assert list(find_clustergan_scores(dataset)) == [MEAN_OF_TEN, BEST_OF_FIVE]


@pytest.mark.parametrize("dataset", AUTHORS)
def test_the_papers_clustergan_is_one_of_the_codes_runs(dataset: str) -> None:
    mean, best = find_clustergan_scores(dataset).values()
    assert set(best) == set(SCORES) and set(mean) == {*SCORES, *(f"{name}_sd" for name in SCORES)}
    # Largest: NMI of Fashion-MNIST, (.64 - .616) / .011 = 2.2 deviations.
    for name in SCORES:
        assert abs(best[name] - mean[name]) < 2.5 * mean[f"{name}_sd"], name


def test_clustergan_on_mnist() -> None:
    mean, best = find_clustergan_scores("mnist").values()
    assert tuple(mean.values()) == (0.910, 0.854, 0.829, 0.040, 0.036, 0.062)
    assert tuple(best.values()) == (0.95, 0.89, 0.89)
