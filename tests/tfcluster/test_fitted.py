"""Fitted attributes: the same whichever way an estimator became fitted."""

import numpy as np
import pytest

from tests.tfcluster.helpers import TINY, blobs
from tfcluster import DEC, ClusterGAN, InputError
from tfcluster.config import GANConfig
from tfcluster.dec.fit import DECFitted
from tfcluster.scaling import Standardizer

SMALL_GAN = GANConfig(n_noise=3, steps=4, batch_size=8, critic_steps=1)
X, _ = blobs()
NAMES = list("abcdef")


def fitted_names(estimator):
    return {name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")}


@pytest.fixture(scope="module")
def dec():
    return DEC(3, preset=TINY, standardize=True, random_state=0).fit(X)


@pytest.fixture(scope="module")
def gan():
    return ClusterGAN(3, preset=SMALL_GAN, standardize=True, random_state=0).fit(X)


def dec_parts(dec):
    return dec.encoder_weights_, dec.decoder_weights_, dec.cluster_centers_, dec.config_


def test_attributes_of_a_fit(dec, gan):
    common = {"config_", "history_", "cluster_centers_", "n_features_in_", "standardizer_"}
    common |= {"training_moments_"}
    own = {"encoder_weights_", "decoder_weights_", "scale_", "initial_labels_"}
    assert fitted_names(dec) == common | own | {"labels_"}
    assert fitted_names(gan) == common | {"network_weights_", "labels_"}


def test_weights_that_were_trained_elsewhere_make_the_same_estimator(dec, gan):
    options = {"standardizer": dec.standardizer_, "random_state": 0, "history": dec.history_}
    made = DEC.from_weights(
        *dec_parts(dec), labels=dec.labels_, initial_labels=dec.initial_labels_,
        feature_names=NAMES, **options,
    )  # fmt: skip
    of_samples = {"training_moments_"}  # which weights alone do not tell
    assert fitted_names(made) == fitted_names(dec) - of_samples | {"feature_names_in_"}
    np.testing.assert_array_equal(made.feature_names_in_, NAMES)
    parts = gan.network_weights_, gan.cluster_centers_, gan.config_
    other = ClusterGAN.from_weights(
        *parts, standardizer=gan.standardizer_, labels=gan.labels_, history=gan.history_
    )
    assert fitted_names(other) == fitted_names(gan) - of_samples
    for a, b in ((made, dec), (other, gan)):
        np.testing.assert_array_equal(a.labels_, b.labels_)
        assert (a.history_, a.config_) == (b.history_, b.config_)
    np.testing.assert_array_equal(other.predict(X), gan.labels_)


def test_what_was_not_given_is_no_attribute(dec):
    made = DEC.from_weights(*dec_parts(dec))
    assert not {"labels_", "initial_labels_", "feature_names_in_"} & fitted_names(made)
    assert made.standardizer_ is None
    assert made.scale_ == 1.0


def test_an_estimator_that_is_fitted_anew_keeps_nothing(dec, tmp_path):
    made = DEC.from_weights(
        *dec_parts(dec), standardizer=Standardizer(np.zeros(6), np.ones(6)), feature_names=NAMES
    )
    made.fit(X)  # an array has no names
    assert "feature_names_in_" not in fitted_names(made)
    made.save(tmp_path / "dec.npz")
    assert fitted_names(DEC.load(tmp_path / "dec.npz")) == fitted_names(made)


def test_names_survive_a_file(dec, gan, tmp_path):
    made = DEC.from_weights(*dec_parts(dec), feature_names=NAMES)
    made.save(tmp_path / "dec.npz")
    loaded = DEC.load(tmp_path / "dec.npz")
    assert fitted_names(loaded) == fitted_names(made)
    np.testing.assert_array_equal(loaded.feature_names_in_, NAMES)


def test_mistakes(dec, gan):
    encoder, decoder, centroids, config = dec_parts(dec)
    with pytest.raises(InputError, match="Weights must have the shapes"):
        DEC.from_weights(encoder[1:], decoder, centroids, config)
    with pytest.raises(InputError, match=r"centroids \(3, 2\)"):
        DEC.from_weights(encoder, decoder, centroids[:, :2], config)
    with pytest.raises(InputError, match="6 features need as many names"):
        DEC.from_weights(encoder, decoder, centroids, config, feature_names=["a", "b"])
    with pytest.raises(InputError, match="Weights must have the shapes"):
        ClusterGAN.from_weights(gan.network_weights_[:2], gan.cluster_centers_, gan.config_)
    with pytest.raises(InputError, match="as many names"):
        ClusterGAN.from_weights(
            gan.network_weights_, gan.cluster_centers_, gan.config_, feature_names="abc"
        )


def test_a_file_of_keras_layers_that_do_not_fit(dec, monkeypatch):
    encoder, decoder, centroids, config = dec_parts(dec)
    layers = encoder, decoder[2:], centroids
    monkeypatch.setattr("tfcluster.dec.keras_weights.read_model", lambda path: layers)
    with pytest.raises(InputError, match=r"model\.h5: Weights must have the shapes"):
        DECFitted.from_h5("model.h5", config, 3)
