"""ClusterGAN's networks, losses and steps against values of the original graph."""

import json
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import GOLDEN
from tfcluster.clustergan import losses as gan_losses
from tfcluster.clustergan import piecewise_critic
from tfcluster.clustergan.adversarial import (
    critic_gradients,
    critic_loss,
    critic_step,
    generate,
    generator_loss,
    generator_step,
    sample_latent,
)
from tfcluster.clustergan.networks import Networks, build_networks
from tfcluster.config import GAN_PRESETS, GANConfig
from tfcluster.training.optimizers import build_optimizer

SEEDS = {"pendigits": 20189, "10x_73k": 20190, "mnist": 20191}
KINDS = ("discriminator", "generator", "encoder")


class Case(NamedTuple):
    golden: dict
    config: GANConfig
    weights: dict
    names: list
    x: np.ndarray
    z: np.ndarray


def first_samples(name):
    file, scale = {"mnist": ("mnist_384", 255), "pendigits": ("pendigits_2000", 100)}[name]
    with np.load(GOLDEN / f"{file}.npz") as content:
        samples = content["x"][:384].reshape(384, -1)
    return samples.astype(np.float32) / np.float32(scale)


@pytest.fixture(scope="module", params=SEEDS)
def case(request):
    name = request.param
    with np.load(GOLDEN / f"clustergan_{name}.npz") as file:
        golden = dict(file)
    rng = np.random.default_rng(SEEDS[name])
    names = json.loads(str(golden["weight_order"]))
    weights = {kind: [] for kind in KINDS}
    for kind, _, shape in names:
        scale = 0.02 if len(shape) > 1 else 0.01
        weights[kind].append((scale * rng.standard_normal(shape)).astype(np.float32))
    is_drawn = name == "10x_73k"
    x = rng.uniform(0, 1, (384, 720)).astype(np.float32) if is_drawn else first_samples(name)
    n_clusters = golden["enc_fake_softmax"].shape[1]
    z = np.concatenate([golden["noise"], np.eye(n_clusters, dtype=np.float32)[golden["labels"]]], 2)
    return Case(golden, GAN_PRESETS[name], weights, names, x, z)


@pytest.fixture
def networks(case):
    n_clusters = case.golden["enc_fake_softmax"].shape[1]
    built = build_networks(case.x.shape[1], n_clusters, case.config)
    built.critic.set_weights(case.weights["discriminator"])
    built.generator.set_weights(case.weights["generator"])
    built.encoder.set_weights(case.weights["encoder"])
    return built


def assert_agrees(got, expected, tolerance):
    """Relative to the largest absolute value of the array."""
    difference = np.abs(np.asarray(got) - expected).max()
    assert difference <= tolerance * np.abs(expected).max()


def encode(networks, config, samples):
    code = networks.encoder(samples).numpy()
    return code[:, : config.n_noise], tf.nn.softmax(code[:, config.n_noise :]).numpy()


def variables_of(networks):
    return networks.critic.trainable_variables, [
        *networks.generator.trainable_variables,
        *networks.encoder.trainable_variables,
    ]


def rounding_only(case):
    """Biases directly before a normalization over the same channels: true gradient zero."""
    followers = [*case.names[1:], ("", "", [])]
    return np.array(
        [
            "biases" in name and "BatchNorm" in follower and shape == follower_shape
            for (_, name, shape), (_, follower, follower_shape) in zip(
                case.names, followers, strict=True
            )
        ]
    )


def test_outputs(case, networks):
    golden, config = case.golden, case.config
    fake = networks.generator(case.z[0])
    assert_agrees(fake[:8], golden["generated"], 1e-4)
    assert_agrees(networks.critic(case.x[:64]), golden["d_real"], 1e-4)
    assert_agrees(networks.critic(fake), golden["d_fake"], 1e-4)
    for which, samples in (("fake", fake), ("real", case.x[:64])):
        noise, softmax = encode(networks, config, samples)
        assert_agrees(noise, golden[f"enc_{which}_noise"], 1e-4)
        assert_agrees(softmax, golden[f"enc_{which}_softmax"], 1e-4)


def test_losses_and_gradient_norms(case, networks):
    golden, config = case.golden, case.config
    critic_variables, other_variables = variables_of(networks)
    with tf.GradientTape(persistent=True) as tape:
        fake = networks.generator(case.z[0])
        wasserstein, penalty = critic_loss(
            networks.critic, case.x[:64], fake, golden["epsilon"][0], config
        )
        loss = wasserstein + penalty
        g_loss = generator_loss(networks, tf.constant(case.z[0]), config)
    assert_agrees(wasserstein, golden["w_loss"], 1e-4)
    assert_agrees(penalty, golden["gp"], 1e-4)
    assert_agrees(loss, golden["d_loss"], 1e-4)
    assert_agrees(g_loss, golden["g_loss"], 1e-4)

    zero = rounding_only(case)
    n_critic = len(critic_variables)
    for value, variables, name, is_zero in (
        (loss, critic_variables, "grad_norm_discriminator", zero[:n_critic]),
        (g_loss, other_variables, "grad_norm_generator_encoder", zero[n_critic:]),
    ):
        norms = np.array([np.linalg.norm(g) for g in tape.gradient(value, variables)])
        assert_agrees(norms[~is_zero], golden[name][~is_zero], 1e-3)
        assert (norms[is_zero] < 1e-5 * norms.max()).all()


def test_one_iteration(case, networks):
    golden, config = case.golden, case.config
    critic_variables, other_variables = variables_of(networks)
    critic_optimizer = build_optimizer(config.optimizer, critic_variables)
    other_optimizer = build_optimizer(config.optimizer, other_variables)
    losses = [
        critic_step(
            networks, critic_optimizer, case.x[64 * i : 64 * i + 64], case.z[i],
            golden["epsilon"][i], config,
        )
        for i in range(5)
    ]  # fmt: skip
    g_loss = generator_step(networks, other_optimizer, tf.constant(case.z[5]), config)
    assert_agrees(losses, golden["iteration_d_losses"], 1e-4)
    assert_agrees(g_loss, golden["iteration_g_loss"], 1e-4)

    weights = [v.numpy().astype(np.float64) for v in (*critic_variables, *other_variables)]
    kept = ~rounding_only(case)
    l2 = np.array([np.linalg.norm(w) for w in weights])[kept]
    total = np.array([w.sum() for w in weights])[kept]
    assert_agrees(l2, golden["iteration_final_l2"][kept], 1e-3)
    difference = np.abs(total - golden["iteration_final_sum"][kept])
    assert (difference <= 2e-3 * golden["iteration_final_l2"][kept]).all()
    noise, softmax = encode(networks, config, case.x[320:384])
    assert_agrees(noise, golden["iteration_enc_noise"], 1e-4)
    assert_agrees(softmax, golden["iteration_enc_softmax"], 1e-4)


def test_latent_samples():
    config = GANConfig(n_noise=7)
    z = sample_latent(20_000, 4, config, tf.constant([1, 2])).numpy()
    noise, code = z[:, :7], z[:, 7:]
    np.testing.assert_allclose(noise.std(), 0.10, rtol=0.02)
    np.testing.assert_allclose(noise.mean(), 0, atol=0.001)
    np.testing.assert_array_equal(np.sort(code, axis=1), [[0, 0, 0, 1]] * 20_000)
    np.testing.assert_allclose(code.mean(axis=0), 0.25, atol=0.02)
    again = sample_latent(20_000, 4, config, tf.constant([1, 2]))
    np.testing.assert_array_equal(z, again)
    assert (sample_latent(20_000, 4, config, tf.constant([1, 3])).numpy() != z).any()


def test_nothing_but_trainable_weights():
    """No moving averages: what is averaged between clients is what is trained."""
    for preset in GAN_PRESETS.values():
        n_features = 784 if preset.networks == "image" else 12
        for network in build_networks(n_features, 3, preset):
            assert len(network.weights) == len(network.trainable_weights)


def tiny_networks(config):
    return build_networks(6, 3, config, seed=1), np.random.default_rng(0).uniform(size=(8, 6))


def test_textbook_variants_differ_from_the_original():
    config = GANConfig(networks="pendigits", n_noise=2)
    networks, x = tiny_networks(config)
    x = tf.constant(x, tf.float32)
    z = sample_latent(8, 3, config, tf.constant([0, 0]))
    fake = networks.generator(z)
    one = critic_loss(networks.critic, x, fake, tf.constant(0.3), config)[1]
    per_sample = critic_loss(networks.critic, x, fake, tf.fill((8, 1), 0.3), config)[1]
    np.testing.assert_allclose(one, per_sample, rtol=1e-6)  # the same number for every sample
    spread = critic_loss(
        networks.critic, x, fake, tf.reshape(tf.linspace(0.0, 1.0, 8), (8, 1)), config
    )[1]
    assert abs(spread - one) > 1e-6

    decayed = GANConfig(networks="pendigits", n_noise=2, weight_decay=0.5)
    optimizer = build_optimizer(config.optimizer, networks.critic.trainable_variables)
    kernels = [w.numpy() for w in networks.critic.trainable_variables if w.shape.rank > 1]
    with_decay = critic_step(networks, optimizer, x, z, tf.constant(0.3), decayed)
    squares = sum(float((k.astype(np.float64) ** 2).sum()) for k in kernels)
    fresh = tiny_networks(config)[0]
    loss = sum(critic_loss(fresh.critic, x, fresh.generator(z), tf.constant(0.3), config))
    np.testing.assert_allclose(with_decay - loss, 0.25 * squares, rtol=1e-4)


def test_networks_are_seeded():
    config = GANConfig(networks="pendigits", n_noise=2)
    first, again, other = (build_networks(6, 3, config, seed=s) for s in (1, 1, 2))
    for a, b in zip(Networks(*first), Networks(*again), strict=True):
        for u, v in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_array_equal(u, v)
    assert (first.critic.get_weights()[0] != other.critic.get_weights()[0]).any()


def differentiated(critic, x, fake, epsilon, config):
    """Both losses and the gradient of their sum, only by automatic differentiation."""
    between = gan_losses.interpolate(x, fake, epsilon)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(between)
            value = critic(between)
        penalty = gan_losses.gradient_penalty(inner.gradient(value, between), config.penalty)
        wasserstein = gan_losses.wasserstein(critic(x), critic(fake))
        loss = wasserstein + penalty
    return (wasserstein, penalty), outer.gradient(loss, critic.trainable_variables)


@pytest.mark.parametrize("n_threads", [1, 2], ids=["halved", "whole"])
@pytest.mark.parametrize("kind", ["gene", "image"])
def test_joint_products_are_the_derivatives(kind, n_threads, monkeypatch):
    threading = "get_intra_op_parallelism_threads"
    monkeypatch.setattr(tf.config.threading, threading, lambda: n_threads)
    config = GANConfig(networks=kind, n_noise=2)
    n_features = 784 if kind == "image" else 30
    networks = build_networks(n_features, 3, config, seed=3)
    for variable in networks.critic.trainable_variables:
        if variable.shape.rank == 1:  # biases start at zero, where a mistake would not show
            variable.assign(0.05 * tf.random.stateless_normal(variable.shape, (5, 6)))
    rng = np.random.default_rng(2)
    x, fake = (tf.constant(rng.uniform(size=(16, n_features)), tf.float32) for _ in range(2))
    assert piecewise_critic.is_piecewise_linear(networks.critic)
    expected, gradients = differentiated(networks.critic, x, fake, tf.constant(0.3), config)
    losses, found = critic_gradients(networks.critic, x, fake, tf.constant(0.3), config)
    for a, b in zip(losses, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)
    for a, b in zip(found, gradients, strict=True):
        # float32 sums over up to 3,000 terms, in another order
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max() + 1e-9


def test_a_normalized_critic_is_not_piecewise_linear():
    networks = build_networks(6, 3, GANConfig(networks="pendigits", n_noise=2))
    assert not piecewise_critic.is_piecewise_linear(networks.critic)


@pytest.mark.parametrize("kind", ["gene", "pendigits", "image"])
def test_batches_generated_at_once_are_those_generated_one_by_one(kind):
    config = GANConfig(networks=kind, n_noise=2)
    generator = build_networks(784 if kind == "image" else 6, 3, config, seed=1).generator
    z = sample_latent(40, 3, config, tf.constant([0, 0]))
    single = tf.concat([generator(z[i : i + 8]) for i in range(0, 40, 8)], axis=0)
    at_once = generate(generator, z, n_batches=5)
    np.testing.assert_allclose(at_once, single, rtol=1e-5, atol=1e-6)
    if kind != "gene":  # all samples normalized together are something else
        assert np.abs(generator(z) - single).max() > 1e-5


def test_bfloat16_stays_near_float32():
    plain, coarse = (
        GANConfig(networks="image", n_noise=2, precision=p) for p in ("float32", "bfloat16")
    )
    rng = np.random.default_rng(2)
    x, fake = (tf.constant(rng.uniform(size=(16, 784)), tf.float32) for _ in range(2))
    gradients, losses = [], []
    for config in (plain, coarse):
        critic = build_networks(784, 3, config, seed=3).critic
        found, by_variable = critic_gradients(critic, x, fake, tf.constant(0.3), config)
        assert found[0].dtype == found[1].dtype == tf.float32
        losses.append(float(tf.add_n(found)))
        gradients.append(by_variable)
    # bfloat16 keeps eight bits: about 0.4 % a number
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
    for a, b in zip(*gradients, strict=True):
        assert a.dtype == b.dtype == tf.float32
        # sums over all positions, as of a bias, cancel more than products do
        assert np.linalg.norm(a - b) <= (0.05 if a.shape.rank > 1 else 0.15) * np.linalg.norm(b)
