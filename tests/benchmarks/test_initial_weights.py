"""Initial weights: their part of ClusterGAN's spread; centralized runs that begin with some."""

import dataclasses

import numpy as np
import pytest

from benchmarks.compare.case_models import load_clients, make_model
from benchmarks.compare.cases import Case
from benchmarks.compare.centralized_gan import train_centralized_gan
from benchmarks.reproduce import weight_spread
from benchmarks.reproduce.measure_initial_weights import SeparatedRuns
from tfcluster import ClusterGAN, load_data, metrics
from tfcluster.clustergan.codes import cluster_codes
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GAN_PRESETS
from tfcluster.dec.self_training import DECTrainer
from tfcluster.validation import check_seed

SEED = 4


@pytest.fixture(scope="module")
def fitted():
    X = load_data("digits").X
    config = dataclasses.replace(GAN_PRESETS["digits"], steps=3)
    return ClusterGAN(10, preset=config, random_state=SEED).fit(X)


def test_equal_seeds_give_the_run_of_the_estimator(fitted):
    X, y, *_ = load_data("digits")
    labels = cluster_codes(fitted.transform(X), 10, fitted.config_).labels_
    runs = SeparatedRuns("digits", 3)
    other, same = (runs.run(SEED, draws) for draws in (5, SEED))
    assert same["validation"] == same["test"]  # digits are not split
    assert same["test"]["nmi"] == pytest.approx(metrics.nmi(y, labels), abs=1e-5)
    assert other["test"] != same["test"]


def test_a_centralized_run_equals_the_estimator_with_the_same_seed(fitted):
    X = load_data("digits").X
    trainer = GANTrainer(64, 10, fitted.config_)
    for _ in range(2):  # a loop that was used before begins anew
        made = train_centralized_gan(trainer, X, check_seed(SEED))
        for ours, theirs in zip(made.networks_, fitted.networks_, strict=True):
            for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(made.predict(X), fitted.labels_)


@pytest.mark.parametrize("algorithm", ["dec", "clustergan"])
def test_centralized_runs_begin_with_the_federated_weights(algorithm):
    case = Case(algorithm, n_clients=2, seed=SEED)
    model = make_model(case, load_clients(case))
    if algorithm == "dec":
        trainer = DECTrainer(64, 10, model.config.model)
        networks = [trainer.pretraining.autoencoder]
    else:
        trainer = GANTrainer(64, 10, model.config.model)
        networks = trainer.networks
    trainer.reset(SEED)
    ours = [weight for network in networks for weight in network.get_weights()]
    for a, b in zip(ours, model.get_initial_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def line(weights, draws, validation, steps=10):
    test = validation / 2
    return {
        "weights": weights,
        "draws": draws,
        "steps": steps,
        "validation": {"purity": validation, "silhouette": 1 - validation},
        "test": {"purity": test, "silhouette": validation},
    }


def test_the_spread_is_split_into_draws_and_initial_weights():
    groups = [[0.7, 0.72], [0.8, 0.84]]
    # variances .0002 and .0008, mean .0005; means .71 and .82, of variance .00605
    assert weight_spread.compute_within(groups) == pytest.approx(0.0005**0.5)
    assert weight_spread.compute_between(groups) == pytest.approx((0.00605 - 0.00025) ** 0.5)
    lines = [line(w, d, x) for w, group in enumerate(groups) for d, x in enumerate(group)]
    lines.append(line(0, 0, 0.1, steps=5))
    rows = weight_spread.tabulate_spread(lines[::-1]).splitlines()
    assert "| 0 | .700, .720 | .350, .360 |" in rows
    assert "| mean of all | .765 | .383 |" in rows
    assert "| deviation over draws | .022 | .011 |" in rows
    assert "| deviation over initial weights | .076 | .038 |" in rows
    assert "| rank correlation with silhouette | -1.00 | 1.00 |" in rows


def test_single_runs_have_no_deviation():
    rows = weight_spread.tabulate_spread([line(0, 0, 0.7), line(1, 0, 0.8)]).splitlines()
    assert len(rows) == 4
