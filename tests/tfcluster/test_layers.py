import importlib.metadata

import numpy as np
import pytest
import tensorflow as tf

from tfcluster import ClusteringLayer, InputError
from tfcluster.layers import soft_assignment


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_soft_assignment_matches_the_reference(golden_dec, alpha):
    prefix = f"layer_alpha{alpha:.0f}_"
    q = soft_assignment(golden_dec[prefix + "z"], golden_dec[prefix + "mu"], alpha)
    np.testing.assert_allclose(q, golden_dec[prefix + "q"], rtol=0, atol=1e-6)


def test_soft_assignment_by_hand():
    # distances^2 from 0 to 1 and 3: 1 and 9; 1/(1+1) = 1/2, 1/(1+9) = 1/10; halves of 6/10
    q = soft_assignment(tf.constant([[0.0]]), tf.constant([[1.0], [3.0]]))
    np.testing.assert_allclose(q, [[5 / 6, 1 / 6]], rtol=1e-6)


def model_with_alpha(alpha):
    model = tf.keras.Sequential(
        [tf.keras.Input((4,)), ClusteringLayer(3, alpha, name="clustering")]
    )
    z = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    return model, z


def test_keras_round_trip_keeps_alpha(tmp_path):
    model, z = model_with_alpha(2.5)
    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("clustering").alpha == 2.5
    np.testing.assert_array_equal(loaded(z), model(z))


def test_saved_model_round_trip_keeps_alpha(tmp_path):
    model, z = model_with_alpha(2.5)
    tf.saved_model.save(model, str(tmp_path / "plain"))
    serve = tf.saved_model.load(str(tmp_path / "plain")).signatures["serving_default"]
    (q,) = serve(tf.constant(z)).values()
    np.testing.assert_allclose(q, model(z), rtol=1e-6)
    # with alpha = 1 the values would be others
    other = soft_assignment(z, model.get_layer("clustering").clusters, 1.0)
    assert np.abs(other - q).max() > 1e-3


@pytest.mark.skipif(
    not importlib.metadata.version("keras").startswith("2."),
    reason="Keras 3 loads no SavedModel as a model",
)
def test_savedmodel_of_keras_2_keeps_alpha(tmp_path):
    model, _ = model_with_alpha(2.5)
    model.save(tmp_path / "keras", save_format="tf")
    assert tf.keras.models.load_model(tmp_path / "keras").get_layer("clustering").alpha == 2.5


def test_one_weight_called_clusters():
    layer = ClusteringLayer(3)
    layer.build((None, 4))
    assert [tuple(w.shape) for w in layer.weights] == [(3, 4)]
    assert "clusters" in layer.weights[0].name
    assert layer.compute_output_shape((None, 4)) == (None, 3)


@pytest.mark.parametrize(("arguments", "rule"), [((0,), "at least 1"), ((3, 0.0), "positive")])
def test_bad_arguments(arguments, rule):
    with pytest.raises(InputError, match=rule):
        ClusteringLayer(*arguments)
