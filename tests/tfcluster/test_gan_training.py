import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfcluster.clustergan.trainer import GANTrainer, choose_batch
from tfcluster.config import GANConfig
from tfcluster.training.phases import run_phases

CONFIG = GANConfig(networks="pendigits", n_noise=2, critic_steps=2, batch_size=8, steps=250)
SHUFFLED = dataclasses.replace(CONFIG, networks="gene", shuffle=True, epsilon_per_row=True)


@pytest.fixture
def x():
    return tf.constant(np.random.default_rng(0).uniform(size=(50, 6)), tf.float32)


def samples_of(first, config, seed=(3, 0)):
    first, n_samples = tf.constant(first, tf.int64), tf.constant(50, tf.int64)
    return choose_batch(first, n_samples, config, tf.constant(seed, tf.int32)).numpy()


def test_shuffled_batches_run_through_permutations():
    """Batches of 8 from 50 samples: 25 batches are four passes, and batches cross their ends."""
    samples = np.concatenate([samples_of(8 * i, SHUFFLED) for i in range(25)]).reshape(4, 50)
    for one_pass in samples:
        np.testing.assert_array_equal(np.sort(one_pass), np.arange(50))
    assert (samples[0] != samples[1]).any()
    assert (samples_of(0, SHUFFLED, (4, 0)) != samples_of(0, SHUFFLED)).any()


def test_replacement_draws_uniformly():
    config = dataclasses.replace(CONFIG, batch_size=20_000)
    counts = np.bincount(samples_of(0, config), minlength=50)
    np.testing.assert_allclose(counts, 400, rtol=0.25)  # sd is 20


def train(x, config, seed=0, **options):
    trainer = GANTrainer(6, 3, config)
    trainer.reset(seed)
    history = run_phases(trainer.phases(x, seed), **options)
    return trainer.state(), history


def assert_same_bits(first, second):
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("config", [CONFIG, SHUFFLED], ids=["replacement", "shuffled"])
def test_same_seed_same_bits(x, config):
    first, history = train(x, config)
    assert [record["step"] for record in history] == [200, 250]
    assert_same_bits(first, train(x, config)[0])
    assert (train(x, config, seed=1)[0]["critic/0"] != first["critic/0"]).any()


def test_an_iteration_depends_only_on_its_number(x):
    """The loop in the graph, one call a step, and a loop entered later do the same steps."""
    seed = tf.constant(5)
    whole, stepwise = GANTrainer(6, 3, CONFIG), GANTrainer(6, 3, CONFIG)
    for trainer in (whole, stepwise):
        trainer.reset(0)
    critic, generator = tf.function(whole.iterate)(x, seed, tf.range(6, dtype=tf.int64))
    first = stepwise.iterate(x, seed, tf.range(2, dtype=tf.int64))
    second = tf.function(stepwise.iterate)(x, seed, tf.range(2, 6, dtype=tf.int64))
    np.testing.assert_allclose(critic, np.concatenate([first[0], second[0]]), rtol=1e-5)
    np.testing.assert_allclose(generator, np.concatenate([first[1], second[1]]), rtol=1e-5)


def test_learns_to_recover_the_cluster(x):
    """Generator and encoder agree on z_c long before the critic is content."""
    config = dataclasses.replace(CONFIG, beta_c=10.0, steps=600)
    _, history = train(x, config)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
