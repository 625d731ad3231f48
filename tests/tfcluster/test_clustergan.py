"""The estimator: what a user of scikit-learn relies on, and what batches do to a sample."""

import dataclasses
import pickle

import numpy as np
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.tfcluster.helpers import TINY, blobs
from tfcluster import DEC, ClusterGAN, InputError
from tfcluster.config import GAN_PRESETS, Adam, GANConfig
from tfcluster.errors import TrainingError
from tfcluster.metrics import accuracy

SMALL = GANConfig(n_noise=3, steps=30, batch_size=8)
NORMALIZED = dataclasses.replace(SMALL, networks="pendigits", batch_size=16)


class ClusterGANOfTwo(ClusterGAN):
    """A ClusterGAN that keeps two clusters whatever a check sets."""

    @property
    def n_clusters(self):
        return 2

    @n_clusters.setter
    def n_clusters(self, value):
        pass


# These checks set n_clusters = 1, which ClusterGAN refuses; on `ClusterGANOfTwo` they pass.
ONE_CLUSTER = dict.fromkeys(
    (
        "check_dont_overwrite_parameters",
        "check_fit2d_1feature",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_methods_subset_invariance",
    ),
    "sets n_clusters=1; ClusterGAN needs at least 2",
)


@parametrize_with_checks(
    [ClusterGAN(3, preset=SMALL, random_state=0)],
    expected_failed_checks=lambda _: ONE_CLUSTER,
    xfail_strict=True,
)
def test_scikit_learn_checks(estimator, check):
    if check.func is estimator_checks.check_methods_sample_order_invariance:
        pytest.skip("asks for float64's accuracy; see test_order_changes_no_more_than_rounding")
    check(estimator)


def test_order_changes_no_more_than_rounding():
    """A product's last float32 bits depend on where in its batch a row stands."""
    X, _ = blobs()
    order = np.random.default_rng(0).permutation(len(X))
    model = ClusterGAN(3, preset=SMALL, random_state=0).fit(X)
    np.testing.assert_allclose(
        model.transform(X[order]), model.transform(X)[order], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(model.predict(X[order]), model.predict(X)[order])


@pytest.mark.parametrize("name", ONE_CLUSTER)
def test_scikit_learn_checks_that_set_one_cluster(name):
    check = getattr(estimator_checks, name)
    check("ClusterGAN", ClusterGANOfTwo(preset=SMALL, random_state=0))


@pytest.fixture(scope="module")
def fitted():
    X, _ = blobs()
    return ClusterGAN(3, preset=NORMALIZED, random_state=0).fit(X), X


def assert_same_bits(first, second):
    for a, b in zip(first.networks_, second.networks_, strict=True):
        for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_array_equal(v, w)
    np.testing.assert_array_equal(first.cluster_centers_, second.cluster_centers_)
    np.testing.assert_array_equal(first.labels_, second.labels_)


def test_shapes(fitted):
    gan, X = fitted
    assert gan.transform(X).shape == (120, 6)
    np.testing.assert_allclose(gan.transform(X)[:, 3:].sum(axis=1), 1, rtol=1e-5)
    assert gan.reconstruct(X).shape == X.shape
    assert gan.sample(5).shape == (5, 6)
    assert gan.interpolate(0, 2, n=7).shape == (7, 6)
    assert list(gan.get_feature_names_out())[-1] == "clustergan5"
    assert gan.n_iter_ == 30
    assert {"loss", "critic_loss", "step", "of", "seconds"} <= gan.history_[-1].keys()


def test_labels_are_predictions(fitted):
    gan, X = fitted
    np.testing.assert_array_equal(gan.labels_, gan.predict(X))
    np.testing.assert_array_equal(gan.labels_, clone(gan).fit_predict(X))


def test_same_seed_same_bits(fitted):
    gan, X = fitted
    assert_same_bits(gan, clone(gan).fit(X, y=np.zeros(120)))
    other = ClusterGAN(3, preset=NORMALIZED, random_state=1).fit(X)
    assert (gan.cluster_centers_ != other.cluster_centers_).any()


def test_a_sample_keeps_its_code_while_batches_stay_whole(fitted):
    """Batches are taken in order, so whole batches in front change nothing."""
    gan, X = fitted
    codes = gan.transform(X)
    np.testing.assert_array_equal(codes[32:], gan.transform(X[32:]))
    np.testing.assert_array_equal(codes[:112], gan.transform(X[:112]))
    moved = gan.transform(X[1:])
    assert np.abs(codes[1:] - moved).max() > 1e-6  # other companions, another code


def test_single_samples_differ(fitted):
    """Without filling, batch normalization gives every single sample the same code."""
    gan, X = fitted
    first, second = (gan.transform(X[i : i + 1]) for i in (0, 1))
    assert np.abs(first - second).max() > 1e-4
    bare = [gan.networks_.encoder(tf.constant(X[i : i + 1], tf.float32)).numpy() for i in (0, 1)]
    np.testing.assert_allclose(bare[0], bare[1], atol=1e-7)


def test_save_and_load(fitted, tmp_path):
    gan, X = fitted
    gan.save(tmp_path / "gan.npz")
    loaded = ClusterGAN.load(tmp_path / "gan.npz")
    assert_same_bits(gan, loaded)
    np.testing.assert_array_equal(loaded.predict(X), gan.labels_)
    np.testing.assert_array_equal(loaded.sample(4, 1), gan.sample(4, 1))
    assert loaded.history_ == gan.history_
    assert loaded.get_params() == gan.get_params()
    with pytest.raises(InputError, match="no fitted DEC"):
        DEC.load(tmp_path / "gan.npz")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(gan)).predict(X), gan.labels_)


def test_keras_files(fitted, tmp_path):
    gan, X = fitted
    for network in gan.networks_:
        network.save(tmp_path / f"{network.name}.keras")
        loaded = tf.keras.models.load_model(tmp_path / f"{network.name}.keras")
        samples = tf.constant(X if network.name != "generator" else gan.transform(X), tf.float32)
        np.testing.assert_array_equal(loaded(samples), network(samples))


def test_samples_of_a_cluster_come_among_all_clusters(fitted):
    gan, _ = fitted
    samples = gan.sample(4, cluster=1)
    z = np.concatenate(
        [gan._draw(12, 0)[:, :3], np.tile(np.eye(3), (4, 1))], axis=1, dtype=np.float32
    )
    filled = np.concatenate([z, gan._draw(4, 5)])  # any filling leaves whole batches as they are
    assert filled.shape[0] == 16
    assert samples.shape == (4, 6)
    assert not np.allclose(samples, gan.sample(4, cluster=2))
    np.testing.assert_array_equal(samples, gan.sample(4, cluster=1))
    assert (gan.sample(4, cluster=1, seed=1) != samples).any()


def test_interpolation_ends_at_the_clusters(fitted):
    gan, _ = fitted
    way = gan.interpolate(0, 1, n=5)
    np.testing.assert_allclose(way[::-1], gan.interpolate(1, 0, n=5), atol=1e-6)
    middle = np.linalg.norm(way[2] - way[0]) + np.linalg.norm(way[2] - way[4])
    assert middle > 0


@pytest.mark.parametrize("networks", ["gene", "pendigits"])
def test_every_decoder_finds_plain_clusters(networks):
    X, y = blobs(n_samples=400)
    config = GANConfig(
        networks=networks, n_noise=2, steps=1500, batch_size=32, optimizer=Adam(1e-3, 0.5, 0.9)
    )
    gan = ClusterGAN(3, preset=config, random_state=1).fit(X)
    for decoder in ("kmeans", "argmax", "backpropagation"):
        labels = gan.predict(X, decoder)
        assert accuracy(y, labels) > 0.95, decoder
    agreement = np.mean(gan.predict(X, "kmeans") == gan.predict(X, "argmax"))
    assert agreement > 0.95  # numbered alike
    mixed = np.stack([gan.sample(64, c) for c in range(3)], axis=1).reshape(192, -1)
    assert accuracy(np.tile(range(3), 64), gan.predict(mixed)) > 0.95
    assert np.mean(gan.predict(mixed) == np.tile(range(3), 64)) > 0.95  # the same numbers


def test_codes_without_noise_are_clustered_only_by_z_c():
    X, _ = blobs()
    config = dataclasses.replace(NORMALIZED, beta_n=0.0)
    gan = ClusterGAN(3, preset=config, random_state=0).fit(X)
    assert gan.cluster_centers_.shape == (3, 3)
    assert gan.transform(X).shape == (120, 6)


@pytest.mark.parametrize("config", [SMALL, NORMALIZED], ids=["gene", "pendigits"])
def test_a_run_stopped_anywhere_ends_with_the_same_bits(config, tmp_path, monkeypatch):
    monkeypatch.setattr("tfcluster.clustergan.trainer.STEPS_PER_CALL", 7)
    X, _ = blobs()
    whole = ClusterGAN(3, preset=config, random_state=0).fit(X)
    for stop in range(1, 5):
        path = tmp_path / f"{stop}.npz"
        seen = []

        def interrupt(record, seen=seen, stop=stop):
            seen.append(record)
            if len(seen) == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            clone(whole).fit(X, callbacks=[interrupt], checkpoint=path)
        resumed = clone(whole).fit(X, checkpoint=path)
        assert_same_bits(whole, resumed)
        steps = [record["step"] for record in resumed.history_]
        assert steps == [record["step"] for record in whole.history_]


def test_an_evaluation_changes_no_weights(fitted):
    gan, X = fitted
    shapes = []

    def evaluate(encode):
        shapes.append(encode(X[:20]).shape)
        return {"purity": 0.5}

    evaluated = clone(gan).fit(X, evaluate=evaluate, evaluate_every=12)
    assert_same_bits(gan, evaluated)
    assert shapes == [(20, 6)] * 3
    assert [r["step"] for r in evaluated.history_ if "purity" in r] == [12, 24, 30]


def test_mistakes_of_callbacks_and_evaluations(fitted):
    gan, X = fitted
    with pytest.raises(InputError, match="Write a single one as `callbacks="):
        clone(gan).fit(X, callbacks=print)
    for every, rule in ((0, "at least 1"), (1.5, "a whole number")):
        with pytest.raises(InputError, match=f"`evaluate_every` must be {rule}"):
            clone(gan).fit(X, evaluate_every=every)


def test_divergence_stops_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("tfcluster.clustergan.trainer.STEPS_PER_CALL", 2)
    X, _ = blobs()
    config = dataclasses.replace(SMALL, optimizer=Adam(1e30))
    with pytest.raises(TrainingError, match="not finite"):
        ClusterGAN(3, preset=config, random_state=0).fit(X, checkpoint=tmp_path / "c.npz")


def image_samples(n_features=784, n_samples=80):
    return np.random.default_rng(0).uniform(0, 1, (n_samples, n_features))


MISTAKES = {
    "range": (GAN_PRESETS["pendigits"], image_samples(16) * 100, "must be in \\[0, 1\\]"),
    "negative": (GAN_PRESETS["mnist"], image_samples() - 0.1, "must be in \\[0, 1\\]"),
    "image size": (GAN_PRESETS["mnist"], image_samples(64), "28 x 28"),
    "batch": (GAN_PRESETS["pendigits"], image_samples(16, 63), "batch_size=64"),
    "preset": ("mnits", image_samples(), "Did you mean 'mnist'"),
    "kind": (TINY, image_samples(), "a name or a GANConfig"),
    "NaN": (SMALL, np.where(image_samples() > 0.99, np.nan, image_samples()), "NaN"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_fit(name):
    preset, X, rule = MISTAKES[name]
    gan = ClusterGAN(3, preset=preset, random_state=0)
    with pytest.raises(InputError, match=rule):
        gan.fit(X)
    assert not hasattr(gan, "labels_")


def test_mistakes_of_a_fitted_one(fitted):
    gan, X = fitted
    with pytest.raises(InputError, match="numbered 0 to 2"):
        gan.sample(3, cluster=3)
    with pytest.raises(InputError, match="numbered 0 to 2"):
        gan.interpolate(0, -1)
    with pytest.raises(InputError, match="positive whole number"):
        gan.sample(0)
    with pytest.raises(InputError, match="at least 2"):
        gan.interpolate(0, 1, n=1)
    with pytest.raises(InputError, match="Did you mean 'kmeans'"):
        gan.predict(X, "kmean")
    with pytest.raises(InputError, match="must be in \\[0, 1\\]"):
        gan.predict(X * 3)
    with pytest.raises(NotFittedError):
        ClusterGAN(3).sample(3)
