"""Federated rounds on the local backend against centralized training."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.pretraining import AutoencoderTraining
from federated.backends.local import LocalBackend
from federated.core.aggregation import find_aggregation
from federated.core.local_training import LocalWork
from federated.core.sampling import ClientSampler, Participant
from tests.federated.helpers import clients_of, distance
from tests.tfcluster.helpers import TINY, blobs
from tfcluster import InputError
from tfcluster.config import SGD, EndToEnd
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.training.phases import run_phases

X = blobs(90)[0].astype(np.float32)
UNEVEN = [X[:10], X[10:40], X[40:]]


def config(n_epochs, momentum=0.0):
    protocol = EndToEnd(n_epochs, SGD(0.5, momentum), shuffle=False)
    return dataclasses.replace(TINY, pretraining=protocol, batch_size=90)


def centralized(cfg):
    trainer = AutoencoderTrainer(6, cfg)
    trainer.reset(3)
    run_phases(trainer.phases(tf.constant(X), seed=0))
    return trainer.autoencoder.get_weights()


def algorithm(cfg, work, name="fedavg", **fields):
    return AutoencoderTraining(6, work, find_aggregation(name, **fields), cfg)


def begun(alg):
    start = AutoencoderTrainer(6, alg.config)
    start.reset(3)
    return alg.initial_state(start.autoencoder.get_weights())


def federated(clients, alg, n_rounds, n_workers=1, sampler=None):
    backend, state = LocalBackend(clients_of(clients), n_workers), begun(alg)
    sampler = sampler or ClientSampler(len(clients))
    for number in range(n_rounds):
        result = backend.run_round(alg, state, sampler.participants(number))
        state = result.state
    return result, [w.numpy() for w in state.weights]


@pytest.mark.parametrize(("name", "momentum"), [("fedavg", 0.0), ("fedavgm", 0.9)])
def test_one_full_batch_step_a_round_is_centralized_training(name, momentum):
    """With all clients, plain SGD and one step a round, averaging adds nothing of its own."""
    fields = {"momentum": momentum} if momentum else {}
    alg = algorithm(config(1), LocalWork(steps=1, batch_size=90), name, **fields)
    _, weights = federated(UNEVEN, alg, 20)
    expected = centralized(config(20, momentum))
    start = [w.numpy() for w in begun(alg).weights]
    moved = distance(start, expected)
    assert distance(weights, expected) < 1e-5 * moved
    # and it would be seen if a client was missing
    _, without = federated(UNEVEN[1:], alg, 20)
    assert distance(without, expected) > 1e-3 * moved


def test_a_single_client_trains_as_centralized():
    alg = algorithm(config(1), LocalWork(epochs=5, batch_size=90))
    _, weights = federated([X], alg, 1)
    expected = centralized(config(5))
    start = [w.numpy() for w in begun(alg).weights]
    assert distance(weights, expected) < 1e-5 * distance(start, expected)


def test_workers_side_by_side_change_nothing():
    alg = algorithm(config(1), LocalWork(epochs=2, batch_size=16))
    one_by_one = federated(UNEVEN, alg, 3)[1]
    side_by_side = federated(UNEVEN, alg, 3, n_workers=3)[1]
    for a, b in zip(one_by_one, side_by_side, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_learner_keeps_nothing_from_client_to_client():
    """A client gives the same numbers, whichever client used the learner before."""
    alg = algorithm(config(1, momentum=0.9), LocalWork(epochs=2, batch_size=16))
    backend, state = LocalBackend(clients_of(UNEVEN)), begun(alg)
    first = backend.run_round(alg, state, [Participant(0, 7)]).state
    backend.run_round(alg, state, [Participant(1, 8), Participant(2, 9)])
    again = backend.run_round(alg, state, [Participant(0, 7)]).state
    for a, b in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["fedavg", "median", "fedprox"])
def test_a_client_with_numbers_that_are_not_finite_is_left_out(name):
    alg = algorithm(config(1), LocalWork(epochs=1, batch_size=16), name)
    bad = [UNEVEN[0], np.full_like(UNEVEN[1], np.nan), UNEVEN[2]]
    backend, state = LocalBackend(clients_of(bad)), begun(alg)
    participants = ClientSampler(3).participants(0)
    result = backend.run_round(alg, state, participants)
    assert result.left_out == [1]
    good = backend.run_round(alg, state, [participants[0], participants[2]])
    for a, b in zip(result.state.weights, good.state.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(result.metrics["n_samples"]) == 60
    none_good = backend.run_round(alg, state, [participants[1]])
    for a, b in zip(none_good.state.weights, state.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_fedprox_stays_nearer_to_the_start():
    work = LocalWork(epochs=5, batch_size=16)
    start = [w.numpy() for w in begun(algorithm(config(1), work)).weights]
    free = federated(UNEVEN, algorithm(config(1), work), 1)[1]
    held = federated(UNEVEN, algorithm(config(1), work, "fedprox", proximal=1.0), 1)[1]
    norm = lambda ws: np.sqrt(sum(((w - s) ** 2).sum() for w, s in zip(ws, start, strict=True)))  # noqa: E731
    assert norm(held) < 0.9 * norm(free)


def test_loss_falls():
    alg = algorithm(config(1), LocalWork(epochs=2, batch_size=16))
    first, _ = federated(UNEVEN, alg, 1)
    last, _ = federated(UNEVEN, alg, 10, sampler=ClientSampler(3, per_round=2))
    assert float(last.metrics["loss"]) < 0.9 * float(first.metrics["loss"])


def test_mistakes():
    for name, value in [("epochs", 0), ("batch_size", 0), ("steps", 0), ("epochs", 1.5)]:
        with pytest.raises(InputError, match=f"at least 1. Received: {name}={value}"):
            LocalWork(**{name: value})
