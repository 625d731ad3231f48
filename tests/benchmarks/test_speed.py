"""The speed benchmark: what it counts, and that both sides do the same work."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.speed import bench_command, originals
from benchmarks.speed.timed_cases import CASES, count_dense_flops, count_gan_flops
from tfcluster.clustergan.networks import build_networks
from tfcluster.config import GAN_PRESETS, GANConfig
from tfcluster.keras_versions import unwrap_variable


def test_the_least_arithmetic():
    # 2 * 3 * 784 * 500 and so on, without the gradient of the samples: counted by hand
    assert count_dense_flops((3, 5, 2)) == 2 * (2 * 15 + 3 * 10)
    assert count_dense_flops((3, 5, 2), to_input=True) == 2 * 3 * (15 + 10)
    assert CASES["autoencoder"].flops() / 1e12 == pytest.approx(1.34, abs=0.01)
    assert count_gan_flops(784, 10, GAN_PRESETS["mnist"]) / 1e9 == pytest.approx(105, abs=2)


def test_names_in_the_help_are_the_cases():
    assert tuple(CASES) == bench_command._NAMES


@pytest.mark.parametrize("networks", ["gene", "pendigits"])
def test_sessions_run_the_original_iteration(networks):
    """The critic of a graph gives the same values as ours on the same input."""
    config = GANConfig(networks=networks, n_noise=2, batch_size=8)
    rng = np.random.default_rng(0)
    x, z = rng.random((8, 6), np.float32), rng.random((8, 5), np.float32)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        model = build_networks(6, 3, config, seed=1)
        fake = originals._apply(model.generator, tf.constant(z))
        found = originals._apply(model.critic, tf.constant(x))
        session.run(tf.compat.v1.global_variables_initializer())
        weights = [session.run([unwrap_variable(w) for w in net.weights]) for net in model]
        fake, found = session.run([fake, found])
    ours = build_networks(6, 3, config)
    for network, values in zip(ours, weights, strict=True):
        network.set_weights(values)
    np.testing.assert_allclose(ours.generator(z), fake, atol=1e-6)
    np.testing.assert_allclose(ours.critic(x), found, atol=1e-6)


def test_the_sessions_train():
    config = GANConfig(networks="gene", n_noise=2, batch_size=16)
    x = np.random.default_rng(0).random((64, 6), dtype=np.float32)
    originals.prepare_gan_sessions(x, 3, config)(3)  # draws, feeds and steps without an error


def test_a_line_of_the_table():
    line = {
        "unit": "step", "theirs_ms": 20.0, "ours_ms": 8.0, "ratio": 2.5, "goal": 2.0,
        "limit_ms": 6.0, "share_of_limit": 0.75,
    }  # fmt: skip
    assert bench_command.format_cells(line) == (
        "step",
        "20.0 ms",
        "8.0 ms",
        "2.50",
        "2.0",
        "3.33",
        "75 %",
    )
