"""First weights: which part of ClusterGAN's spread is theirs; central runs that begin with some."""

import dataclasses

import numpy as np
import pytest

from benchmarks.compare.cases import Case
from benchmarks.compare.models import first_weights as first_weights_of
from benchmarks.compare.models import make_model
from benchmarks.engines.central_gan import central_gan
from benchmarks.reproduce import first_weights, spread
from federated.cli.run import FederateOptions
from tfcluster import ClusterGAN, metrics
from tfcluster.clustergan.estimator import cluster_codes
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GAN_PRESETS
from tfcluster.data.loading import load_data
from tfcluster.dec.self_training import DECTrainer
from tfcluster.validation import check_seed

SEED = 4


@pytest.fixture(scope="module")
def fitted():
    X = load_data("digits").X
    config = dataclasses.replace(GAN_PRESETS["digits"], steps=3)
    return ClusterGAN(10, preset=config, random_state=SEED).fit(X)


def test_one_seed_for_both_is_the_estimators_run(fitted):
    X, y, *_ = load_data("digits")
    labels = cluster_codes(fitted.transform(X), 10, fitted.config_).labels_
    runs = first_weights.Runs("digits", 3)
    other, same = (runs.line(SEED, draws) for draws in (5, SEED))
    assert same["validation"] == same["test"]  # digits are not split
    assert same["test"]["nmi"] == pytest.approx(metrics.nmi(y, labels), abs=1e-5)
    assert other["test"] != same["test"]


def test_a_central_run_of_the_estimators_seed_is_the_estimators(fitted):
    X = load_data("digits").X
    trainer = GANTrainer(64, 10, fitted.config_)
    for _ in range(2):  # a loop that was used before begins anew
        made = central_gan(trainer, X, check_seed(SEED))
        for ours, theirs in zip(made.networks_, fitted.networks_, strict=True):
            for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
    assert metrics.accuracy(made.predict(X), fitted.labels_) == 1  # but for their numbers


@pytest.mark.parametrize("algorithm", ["dec", "clustergan"])
def test_central_runs_begin_with_the_weights_of_the_federated_ones(algorithm):
    federation = FederateOptions(dataset="digits", clients=2).federation()
    model = make_model(Case(algorithm, clients=2, seed=SEED), federation)
    if algorithm == "dec":
        trainer = DECTrainer(64, 10, model.config.model)
        networks = [trainer.pretraining.autoencoder]
    else:
        trainer = GANTrainer(64, 10, model.config.model)
        networks = trainer.networks
    trainer.reset(SEED)
    ours = [weight for network in networks for weight in network.get_weights()]
    for a, b in zip(ours, first_weights_of(model.stages(64)), strict=True):
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


def test_the_spread_is_split_into_draws_and_first_weights():
    groups = [[0.7, 0.72], [0.8, 0.84]]
    # variances .0002 and .0008, mean .0005; means .71 and .82, of variance .00605
    assert spread.within(groups) == pytest.approx(0.0005**0.5)
    assert spread.between(groups) == pytest.approx((0.00605 - 0.00025) ** 0.5)
    lines = [line(w, d, x) for w, group in enumerate(groups) for d, x in enumerate(group)]
    lines.append(line(0, 0, 0.1, steps=5))
    rows = spread.spread_table(lines[::-1]).splitlines()
    assert "| 0 | .700, .720 | .350, .360 |" in rows
    assert "| mean of all | .765 | .383 |" in rows
    assert "| deviation by draws | .022 | .011 |" in rows
    assert "| deviation by first weights | .076 | .038 |" in rows
    assert "| rank correlation with silhouette | -1.00 | 1.00 |" in rows


def test_no_deviation_is_shown_of_single_runs():
    rows = spread.spread_table([line(0, 0, 0.7), line(1, 0, 0.8)]).splitlines()
    assert len(rows) == 4
