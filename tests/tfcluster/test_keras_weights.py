"""Files as DEC-keras writes them, made by Keras itself."""

import dataclasses
import importlib.metadata

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tests.tfcluster.helpers import TINY, blobs
from tfcluster import DEC, ClusteringLayer, InputError

DIMS = (6, 8, 3)
KERAS_2 = importlib.metadata.version("keras").startswith("2.")


def dec_keras_models():
    """Autoencoder and clustering model with the layer names of DEC-keras' `DEC.py`."""
    x = h = tf.keras.Input((DIMS[0],), name="input")
    for i, units in enumerate(DIMS[1:]):
        h = tf.keras.layers.Dense(units, "relu" if i == 0 else None, name=f"encoder_{i}")(h)
    z = h
    h = tf.keras.layers.Dense(8, "relu", name="decoder_1")(h)
    h = tf.keras.layers.Dense(6, name="decoder_0")(h)
    q = ClusteringLayer(4, name="clustering")(z)
    return tf.keras.Model(x, h), tf.keras.Model(x, q)


def save_whole(network, path):
    if KERAS_2:
        with pytest.warns(UserWarning, match="legacy"):
            network.save(path)
    else:
        network.save(path)  # absl's log says that the format is legacy


def copy_weights(whole, path):
    """Writes what `save_weights` of Keras 2 wrote; Keras 3 writes another format."""
    with h5py.File(whole) as model, h5py.File(path, "w") as file:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                file[name.removesuffix(":0") + ":0"] = item[()]
            else:
                file.require_group(name)

        model["model_weights"].visititems(copy)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h5")
    autoencoder, model = dec_keras_models()
    for network, name in ((autoencoder, "ae_weights.h5"), (model, "DEC_model_final.h5")):
        save_whole(network, folder / "whole.h5")
        copy_weights(folder / "whole.h5", folder / name)
    return folder, autoencoder, model


@pytest.mark.parametrize("name", ["DEC_model_final.h5", "whole.h5"])
def test_a_trained_model_predicts_as_it_did(files, name):
    folder, _, model = files
    X = blobs()[0].astype(np.float32)
    dec = DEC(4).load_weights_h5(folder / name)
    assert dec.config_.dims == DIMS[1:]
    np.testing.assert_allclose(dec.soft_assign(X), model(X), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="without `decoder_i`"):
        dec.reconstruct(X)


def test_it_survives_save_and_load(files, tmp_path):
    folder, _, model = files
    X = blobs()[0].astype(np.float32)
    DEC(4).load_weights_h5(folder / "DEC_model_final.h5").save(tmp_path / "dec.npz")
    loaded = DEC.load(tmp_path / "dec.npz")
    np.testing.assert_allclose(loaded.soft_assign(X), model(X), rtol=1e-5, atol=1e-6)


def test_fit_starts_from_an_autoencoder(files):
    folder, autoencoder, _ = files
    X = blobs()[0].astype(np.float32)
    config = dataclasses.replace(TINY, max_steps=0)
    dec = DEC(3, preset=config, random_state=0).fit(X, pretrained=folder / "ae_weights.h5")
    assert dec.history_[0]["phase"] == "centroids"
    np.testing.assert_allclose(dec.reconstruct(X), autoencoder(X), rtol=1e-5, atol=1e-6)


def test_an_autoencoder_by_itself_is_no_fitted_dec(files):
    with pytest.raises(InputError, match="pretrained=path"):
        DEC(4).load_weights_h5(files[0] / "ae_weights.h5")


def test_another_number_of_clusters(files):
    with pytest.raises(InputError, match="holds 4 clusters"):
        DEC(3).load_weights_h5(files[0] / "DEC_model_final.h5")


def test_labels_of_an_earlier_fit_are_gone(files):
    dec = DEC(4, preset=TINY, random_state=0).fit(blobs()[0])
    assert not hasattr(dec.load_weights_h5(files[0] / "DEC_model_final.h5"), "labels_")


def test_other_layer_sizes(files):
    with pytest.raises(InputError, match="shapes"):
        DEC(3).fit(blobs()[0], pretrained=files[0] / "ae_weights.h5")


def test_not_a_weights_file(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="Cannot read"):
        DEC(3).load_weights_h5(tmp_path / "x.h5")
    with pytest.raises(InputError, match="Cannot read"):
        DEC(3).load_weights_h5(tmp_path / "none.h5")
