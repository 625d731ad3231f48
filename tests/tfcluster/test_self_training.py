"""DEC against values that DEC-keras computed, and against the paper's own gradients."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfcluster import target_distribution
from tfcluster.config import SGD, DECConfig, EndToEnd
from tfcluster.dec.autoencoder import make_batch_order
from tfcluster.dec.self_training import DECTrainer, clustering_loss
from tfcluster.layers import soft_assignment
from tfcluster.training.loop import derive_seed

ALPHAS = [1.0, 3.0]
CONFIG = DECConfig(
    dims=(32, 32, 64, 5),
    pretraining=EndToEnd(3, SGD(0.5, 0.9), shuffle=False),
    batch_size=200,
    update_interval=20,
    max_steps=60,
    tol=0.0,
)


@pytest.fixture(params=ALPHAS, ids=["alpha1", "alpha3"])
def layer(request, golden_dec):
    prefix = f"layer_alpha{request.param:.0f}_"
    values = {k[len(prefix) :]: v for k, v in golden_dec.items() if k.startswith(prefix)}
    return request.param, values


def loss_and_gradients(alpha, z, mu, p):
    z, mu = tf.constant(z), tf.constant(mu)
    with tf.GradientTape() as tape:
        tape.watch([z, mu])
        loss = tf.reduce_mean(clustering_loss(soft_assignment(z, mu, alpha), tf.constant(p)))
    return loss.numpy(), *(g.numpy() for g in tape.gradient(loss, [z, mu]))


def test_target(layer):
    _, golden = layer
    np.testing.assert_allclose(target_distribution(golden["q"]), golden["p"], rtol=0, atol=1e-6)


def test_loss_and_gradients(layer):
    alpha, golden = layer
    loss, grad_z, grad_mu = loss_and_gradients(alpha, golden["z"], golden["mu"], golden["p"])
    np.testing.assert_allclose(loss, golden["kld"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(grad_z, golden["grad_z"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(grad_mu, golden["grad_mu"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_gradients_are_equations_4_and_5_of_the_paper(alpha):
    rng = np.random.default_rng(0)
    z, mu = rng.normal(size=(20, 4)), rng.normal(size=(3, 4))
    difference = z[:, None, :] - mu  # (n_samples, n_clusters, n_units)
    inverse = 1 / (1 + (difference**2).sum(2) / alpha)
    similarity = inverse ** ((alpha + 1) / 2)
    q = similarity / similarity.sum(1, keepdims=True)
    p = target_distribution(q)
    terms = (alpha + 1) / alpha * (inverse * (p - q))[:, :, None] * difference
    expected_z, expected_mu = terms.sum(1) / len(z), -terms.sum(0) / len(z)  # mean, not sum

    _, grad_z, grad_mu = loss_and_gradients(
        alpha, z.astype(np.float32), mu.astype(np.float32), p.astype(np.float32)
    )
    np.testing.assert_allclose(grad_z, expected_z, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(grad_mu, expected_mu, rtol=1e-4, atol=1e-6)


def weights(golden, name, n):
    return [golden[f"loop_{name}_{i:02d}"] for i in range(n)]


def assert_all_close(got, expected, atol=1e-6):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_thirty_steps_of_the_autoencoder(golden_dec, pendigits_2000):
    trainer = DECTrainer(16, 10, CONFIG)
    autoencoder = trainer.pretraining.autoencoder
    autoencoder.set_weights(weights(golden_dec, "ae_init", 16))
    x = tf.constant(pendigits_2000)
    (phase,) = trainer.pretraining.phases(x, seed=0)
    losses = [record["loss"] for record in phase.run(0)]

    by_epoch = golden_dec["loop_ae_losses"].reshape(3, 10).mean(axis=1)
    np.testing.assert_allclose(losses, by_epoch, rtol=0, atol=1e-6)
    assert_all_close(autoencoder.get_weights(), weights(golden_dec, "ae_final", 16))
    np.testing.assert_allclose(trainer.embed(x)[:50], golden_dec["loop_z0"], rtol=0, atol=1e-6)


def test_sixty_steps_of_clustering(golden_dec, pendigits_2000, monkeypatch):
    trainer = DECTrainer(16, 10, dataclasses.replace(CONFIG, batch_size=256))
    trainer.pretraining.autoencoder.set_weights(weights(golden_dec, "ae_final", 16))
    trainer.clustering.clusters.assign(golden_dec["loop_centroids0"])
    trainer.labels = np.full(2000, -1)
    x = tf.constant(pendigits_2000)
    losses, labels = [], []
    run = trainer.loop.run

    def watched(*arguments, **options):
        labels.append(trainer.labels)  # those the target was made of
        losses.append(run(*arguments, **options))
        return losses[-1]

    monkeypatch.setattr(trainer.loop, "run", watched)
    _, phase = trainer.clustering_phases(x, seed=0)
    list(phase.run(0))

    # the last batch has 208 samples
    assert make_batch_order(2000, trainer.config).steps_per_pass == 8
    np.testing.assert_allclose(
        np.concatenate(losses), golden_dec["loop_dec_losses"], rtol=0, atol=1e-6
    )
    np.testing.assert_array_equal(labels, golden_dec["loop_dec_labels"])
    final = [*trainer.encoder.get_weights(), trainer.clustering.clusters.numpy()]
    assert_all_close(final, weights(golden_dec, "dec_final", 9))
    np.testing.assert_allclose(
        trainer.soft_assign(x)[:50], golden_dec["loop_dec_q_final"], rtol=0, atol=1e-6
    )


def test_clipping_is_keras():
    q = tf.constant([[1.0, 0.0], [1e-9, 1 - 1e-9]])
    p = tf.constant([[0.0, 1.0], [0.5, 0.5]])
    keras = tf.keras.losses.KLDivergence(reduction="none")
    np.testing.assert_allclose(clustering_loss(q, p), keras(p, q), rtol=1e-6)


class TestTargetDistribution:
    q = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])

    def test_by_hand(self):
        # columns sum to 1.5 each, so p is q^2 with normalized rows: 9/16 and 1/16 give 9/10, 1/10
        expected = [[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]]
        np.testing.assert_allclose(target_distribution(self.q), expected)

    def test_kinds_agree(self):
        p = target_distribution(tf.constant(self.q))
        assert tf.is_tensor(p)
        assert isinstance(target_distribution(self.q), np.ndarray)
        np.testing.assert_allclose(p, target_distribution(self.q))

    def test_frequencies_of_all_make_a_part_the_whole(self):
        rng = np.random.default_rng(0)
        q = rng.dirichlet(np.ones(4), size=30)
        parts = [target_distribution(part, frequencies=q.sum(0)) for part in np.split(q, 3)]
        np.testing.assert_allclose(np.concatenate(parts), target_distribution(q))
        assert np.abs(target_distribution(q[:10]) - parts[0]).max() > 1e-3


def test_seeds_of_parts_differ():
    assert len({derive_seed(0, i) for i in range(50)} | {derive_seed(1, 0)}) == 51
