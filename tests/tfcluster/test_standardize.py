"""Estimators that standardize their features, and the standardizer itself."""

import dataclasses
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags

from tests.tfcluster.helpers import TINY, TINY_LAYERWISE, blobs
from tfcluster import DEC, ClusterGAN, InputError
from tfcluster.config import GANConfig
from tfcluster.files import load_arrays, save_arrays
from tfcluster.scaling import Standardizer

SMALL_GAN = GANConfig(n_noise=3, steps=30, batch_size=8, critic_steps=2)
KINDS = {
    "DEC": (DEC, TINY),
    "DEC with a factor": (DEC, TINY_LAYERWISE),
    "ClusterGAN": (ClusterGAN, SMALL_GAN),
}


def table():
    """Samples in units far from each other, some values missing."""
    x = blobs()[0] * [1, 10, 1e-3, 1e4, 1, 1] + [0, 5, 0, 1e7, 0, 0]
    x[np.random.default_rng(0).random(x.shape) < 0.05] = np.nan
    x[:, 5] = 3.0
    return x


def filled(x):
    return np.where(np.isnan(x), np.nanmean(x, axis=0), x)


def new(kind, **arguments):
    estimator, preset = KINDS[kind]
    defaults = {"n_clusters": 3, "preset": preset, "standardize": True, "random_state": 0}
    return estimator(**{**defaults, **arguments})


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    return new(request.param).fit(table()), table()


def weights_of(estimator):
    if isinstance(estimator, DEC):
        return estimator.autoencoder_.get_weights()
    return [weight for network in estimator.networks_ for weight in network.get_weights()]


def test_means_and_deviations_are_scikit_learns():
    x = table()
    found, scaler = Standardizer.fit(x), StandardScaler().fit(filled(x))
    np.testing.assert_allclose(found.mean, scaler.mean_, rtol=1e-14)
    np.testing.assert_allclose(found.sd, scaler.scale_, rtol=1e-9)
    np.testing.assert_allclose(found(x), scaler.transform(filled(x)), rtol=1e-6, atol=1e-6)
    assert found(x).dtype == np.float32
    np.testing.assert_allclose(found.inverse(found(x)), filled(x), rtol=1e-6)


def test_by_hand():
    # A feature with 1, 3 and a missing value: mean 2, deviations -1, 1 and 0 over three samples.
    x = np.array([[1, np.nan, 7], [3, np.nan, 7], [np.nan, np.nan, 7]])
    found = Standardizer.fit(x)
    np.testing.assert_allclose(found.mean, [2, 0, 7])
    np.testing.assert_allclose(found.sd, [np.sqrt(2 / 3), 1, 1])
    expected = np.array([[-1, 0, 0], [1, 0, 0], [0, 0, 0]]) * np.sqrt(1.5)
    np.testing.assert_allclose(found(x), expected, rtol=1e-6)


def test_values_are_not_rounded_before_standardization():
    """1e9 and 1e9 + 1 are one number in float32."""
    x = 1e9 + np.arange(20.0).reshape(-1, 1) % 2
    expected = np.where(np.arange(20) % 2, 1.0, -1.0)
    np.testing.assert_allclose(Standardizer.fit(x)(x)[:, 0], expected, rtol=1e-6)
    assert new("DEC", n_clusters=2).fit(x).standardizer_.mean == 1e9 + 0.5


def test_a_fit_sees_standardized_samples(fitted):
    """Its weights are those of a fit on samples that were standardized before."""
    estimator, x = fitted
    standardizer = Standardizer.fit(x)
    for found, expected in zip(estimator.standardizer_, standardizer, strict=True):
        np.testing.assert_array_equal(found, expected)
    plain = clone(estimator).set_params(standardize=False).fit(standardizer(x))
    assert plain.standardizer_ is None
    for found, expected in zip(weights_of(estimator), weights_of(plain), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(estimator.labels_, plain.labels_)
    np.testing.assert_array_equal(estimator.predict(x), estimator.labels_)
    z = standardizer(x)
    np.testing.assert_array_equal(estimator.transform(x), plain.transform(z))
    rebuilt = standardizer.inverse(plain.reconstruct(z))
    np.testing.assert_array_equal(estimator.reconstruct(x), rebuilt)
    if isinstance(estimator, DEC):
        np.testing.assert_array_equal(estimator.soft_assign(x), plain.soft_assign(z))
    else:
        backwards = estimator.predict(x[:9], "backpropagation")
        np.testing.assert_array_equal(backwards, plain.predict(z[:9], "backpropagation"))


def test_generated_samples_come_in_the_units_of_the_features():
    x = table()
    gan = new("ClusterGAN").fit(x)
    plain = clone(gan).set_params(standardize=False).fit(gan.standardizer_(x))
    for found, expected in (
        (gan.sample(20), plain.sample(20)),
        (gan.sample(5, 1), plain.sample(5, 1)),
        (gan.interpolate(0, 2), plain.interpolate(0, 2)),
    ):
        np.testing.assert_array_equal(found, gan.standardizer_.inverse(expected))
        assert found.dtype == np.float64
    assert abs(gan.sample(20)[:, 3].mean() - 1e7) < 1e5


def test_an_evaluation_encodes_samples_in_their_own_units():
    x, seen = table(), []

    def evaluate(encode):
        seen.append(encode(x))
        return {}

    gan = new("ClusterGAN").fit(x, evaluate=evaluate)
    np.testing.assert_array_equal(seen[-1], gan.transform(x))


def test_missing_values_are_means_and_infinity_is_refused(fitted):
    estimator, x = fitted
    some, mean = x[:4].copy(), x[:4].copy()
    some[:, 1] = np.nan
    mean[:, 1] = estimator.standardizer_.mean[1]
    np.testing.assert_array_equal(estimator.transform(some), estimator.transform(mean))
    some[2, 1] = np.inf
    for call in (estimator.predict, estimator.transform, estimator.reconstruct, estimator.fit):
        with pytest.raises(InputError, match="infinity"):
            call(some)
    some[2, 1] = 1e300
    with pytest.raises(InputError, match="1 samples with infinite or too large values"):
        estimator.predict(some)


def test_save_and_load(fitted, tmp_path):
    estimator, x = fitted
    estimator.save(tmp_path / "model.npz")
    loaded = type(estimator).load(tmp_path / "model.npz")
    for again in (loaded, pickle.loads(pickle.dumps(estimator))):
        assert again.get_params() == estimator.get_params()
        np.testing.assert_array_equal(again.standardizer_.mean, estimator.standardizer_.mean)
        np.testing.assert_array_equal(again.standardizer_.sd, estimator.standardizer_.sd)
        np.testing.assert_array_equal(again.transform(x), estimator.transform(x))
        np.testing.assert_array_equal(again.reconstruct(x), estimator.reconstruct(x))


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_the_version_before_load(kind, tmp_path):
    """They hold neither a standardizer nor arguments; a preset that was no name is null."""
    x, path = blobs()[0], tmp_path / "model.npz"
    estimator = new(kind, standardize=False).fit(x)
    estimator.save(path)
    arrays, meta = load_arrays(path)
    assert not any(name.startswith("standardizer/") for name in arrays)
    del meta["arguments"]
    save_arrays(path, arrays, {**meta, "preset": None})
    loaded = type(estimator).load(path)
    assert loaded.standardizer_ is None
    assert loaded.get_params() == estimator.get_params()
    np.testing.assert_array_equal(loaded.predict(x), estimator.labels_)


def test_weights_that_were_trained_elsewhere():
    x = table()
    dec, gan = new("DEC").fit(x), new("ClusterGAN").fit(x)
    weights = dec.autoencoder_.get_weights()
    parts = weights[:4], weights[4:], dec.cluster_centers_, dec.config_
    made = DEC.from_weights(*parts, standardizer=dec.standardizer_)
    np.testing.assert_array_equal(made.predict(x), dec.labels_)
    assert made.standardize
    assert DEC.from_weights(*parts).standardizer_ is None
    networks = [network.get_weights() for network in gan.networks_]
    parts = networks, gan.cluster_centers_, gan.config_
    made = ClusterGAN.from_weights(*parts, standardizer=gan.standardizer_)
    np.testing.assert_array_equal(made.predict(x), gan.labels_)
    assert not ClusterGAN.from_weights(*parts).standardize


def test_a_checkpoint_goes_on(tmp_path):
    x = table()
    whole = new("DEC").fit(x)
    whole.fit(x, checkpoint=tmp_path / "dec.npz")
    again = new("DEC").fit(x, checkpoint=tmp_path / "dec.npz")
    np.testing.assert_array_equal(again.transform(x), whole.transform(x))
    with pytest.raises(InputError, match="data differ"):
        new("DEC", standardize=False).fit(filled(x), checkpoint=tmp_path / "dec.npz")


def test_mistakes():
    with pytest.raises(InputError, match="`standardize` must be True or False"):
        new("DEC", standardize="yes").fit(table())
    with pytest.raises(InputError, match="without `standardize`"):
        new("ClusterGAN", networks="pendigits").fit(blobs()[0])
    with pytest.raises(InputError, match="`standardize` depend on the data of `fit`"):
        DEC(4, standardize=True).load_weights_h5("DEC_model_final.h5")
    identical = np.tile([1.0, np.nan, 3.0], (20, 1))
    with pytest.raises(InputError, match="identical"):
        new("DEC").fit(identical)
    with pytest.raises(InputError, match=r"overflow in feature\(s\) 1"):
        new("DEC").fit(np.array([[0, 1e200], [1, -1e200], [2, 0]]))
    with pytest.raises(InputError, match="need 2 features"):
        Standardizer(np.zeros(2), np.ones(2))(np.zeros((1, 3)))


def test_scikit_learn_is_told_of_missing_values():
    assert get_tags(DEC(standardize=True)).input_tags.allow_nan
    assert not get_tags(DEC()).input_tags.allow_nan


@pytest.mark.parametrize(
    "name",
    [
        "check_dict_unchanged",
        "check_n_features_in_after_fitting",
        "check_transformer_preserve_dtypes",
        "check_transformer_general",
        "check_estimators_pickle",
    ],
)
@pytest.mark.filterwarnings("ignore::tfcluster.estimator.EmptyClusterWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["DEC", "ClusterGAN"])
def test_scikit_learn_checks(kind, name):
    preset = TINY if kind == "DEC" else dataclasses.replace(SMALL_GAN, steps=5)
    getattr(estimator_checks, name)(kind, new(kind, preset=preset))
