"""Federated DEC is centralized DEC where nothing but sums over clients enters."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from sklearn.cluster import KMeans

from federated.algorithms.dec import DECTraining
from federated.algorithms.kmeans import DECEmbedding, LloydIteration
from federated.backends.local import LocalBackend
from federated.core.aggregation import FedAvg, FedAvgM
from federated.core.local_training import LocalWork
from federated.core.sampling import ClientSampler
from tests.federated.helpers import clients_of, distance
from tests.tfcluster.helpers import TINY
from tfcluster.config import SGD
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.dec.self_training import DECTrainer
from tfcluster.training.phases import run_phases

N_STEPS = 20
SAMPLER = ClientSampler(3)


@pytest.fixture(scope="module")
def start(digits):
    """Returns digits sorted by label, three uneven clients, an encoder and initial centroids."""
    X, y = digits
    X = X[np.argsort(y, kind="stable")].astype(np.float32)
    clients = [X[:150], X[150:700], X[700:]]
    config = dataclasses.replace(
        TINY, dims=(32, 5), batch_size=len(X), optimizer=SGD(0.5), update_interval=1, tol=0.0,
        max_steps=N_STEPS,
    )  # fmt: skip
    trainer = DECTrainer(64, 10, config)
    trainer.reset(4)
    z = trainer.embed(tf.constant(X)).numpy()
    centroids = KMeans(10, n_init=1, random_state=0).fit(z).cluster_centers_
    return X, clients, config, [*trainer.encoder.get_weights(), centroids.astype(np.float32)]


def centralized(start, momentum):
    X, _, config, weights = start
    config = dataclasses.replace(config, optimizer=SGD(0.5, momentum))
    trainer = DECTrainer(64, 10, config)
    trainer.encoder.set_weights(weights[:-1])
    trainer.clustering.clusters.assign(weights[-1])
    trainer.labels = np.zeros(len(X), np.int64)  # from k-means, which is left out here
    run_phases([trainer.clustering_phases(tf.constant(X), seed=0)[1]])
    return [v.numpy() for v in trainer.loop.optimizer.trainable]


def federated(start, momentum, target):
    X, clients, config, weights = start
    work = LocalWork(steps=1, batch_size=len(X))
    rule = FedAvgM(momentum=momentum)
    alg = DECTraining(64, work, rule, 10, config, target, follows_update=True)
    update, backend = alg.target_update(), LocalBackend(clients_of(clients))
    state = alg.initial_state(weights)
    for number in range(N_STEPS):
        state = backend.run_round(update, state, SAMPLER.participants(2 * number)).state
        state = backend.run_round(alg, state, SAMPLER.participants(2 * number + 1)).state
    return [w.numpy() for w in state.weights]


def test_the_global_target_is_the_centralized_one(start):
    """Label-sorted, uneven clients, one full-batch step a round, FedAvgM 0.9."""
    expected = centralized(start, 0.9)
    moved = distance(expected, start[3])
    assert moved > 0.1
    assert distance(federated(start, 0.9, "global"), expected) < 1e-3 * moved
    assert distance(federated(start, 0.9, "local"), expected) > 1e-2 * moved


def test_lloyd_is_scikit_learns(start):
    """From starts that are no samples, to the same centroids."""
    X, clients, config, weights = start
    trainer = AutoencoderTrainer(64, config)
    trainer.encoder.set_weights(weights[:-1])
    z = trainer.encoder(tf.constant(X)).numpy().astype(np.float64)
    rng = np.random.default_rng(0)
    starts = z.mean(axis=0) + 0.5 * z.std(axis=0) * rng.normal(size=(2, 10, 5))
    alg = LloydIteration(64, DECEmbedding(config))
    backend, state = LocalBackend(clients_of(clients)), alg.initial_state(weights[:-1], starts)
    for number in range(300):
        state, metrics, *_ = backend.run_round(alg, state, SAMPLER.participants(number))
        if not np.any(metrics["shift"]):
            break
    assert not np.any(metrics["shift"])
    for i, first in enumerate(starts):
        expected = KMeans(10, init=first, n_init=1, tol=0, max_iter=300).fit(z)
        np.testing.assert_allclose(state.centroids[i], expected.cluster_centers_, atol=1e-5)
        assert float(metrics["inertia"][i]) == pytest.approx(expected.inertia_, rel=1e-6)


def test_changed_labels_are_counted_over_all_clients(start):
    X, clients, config, weights = start
    work = LocalWork(steps=1, batch_size=len(X))
    alg = DECTraining(64, work, FedAvg(), 10, config)
    update, backend = alg.target_update(), LocalBackend(clients_of(clients))
    first = backend.run_round(update, alg.initial_state(weights), SAMPLER.participants(0))
    assert first.metrics["changed"] == 0
    assert first.metrics["n_samples"] == len(X)
    moved = first.state._replace(
        weights=(*first.state.weights[:-1], tf.roll(first.state.weights[-1], 1, axis=0))
    )
    second = backend.run_round(update, moved, SAMPLER.participants(1))
    assert second.metrics["changed"] == 1  # every centroid has another number
    np.testing.assert_allclose(
        second.state.frequencies, tf.roll(first.state.frequencies, 1, axis=0), rtol=1e-5
    )
