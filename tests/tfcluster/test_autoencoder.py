import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.tfcluster.helpers import TINY, TINY_LAYERWISE, blobs
from tfcluster import InputError
from tfcluster.config import DEC_PRESETS, SGD, DECConfig, LayerWise
from tfcluster.dec.autoencoder import AutoencoderTrainer, build_autoencoder, denoising_loss
from tfcluster.layers import CoarseDense
from tfcluster.training.phases import run_phases


def test_layers_are_those_of_dec_keras():
    autoencoder, encoder = build_autoencoder(784, DECConfig())
    names = [layer.name for layer in autoencoder.layers[1:]]
    assert names == [f"encoder_{i}" for i in range(4)] + [f"decoder_{i}" for i in (3, 2, 1, 0)]
    widths = [layer.units for layer in autoencoder.layers[1:]]
    assert widths == [500, 500, 2000, 10, 2000, 500, 500, 784]
    linear = [
        layer.name
        for layer in autoencoder.layers[1:]
        if layer.activation is tf.keras.activations.linear
    ]
    assert linear == ["encoder_3", "decoder_0"]
    assert encoder.layers[-1] is autoencoder.get_layer("encoder_3")


@pytest.mark.parametrize(
    ("initializer", "low", "high", "deviation"),
    [
        # Glorot: limit sqrt(6 / (fan_in + fan_out)); uniform's sd is limit / sqrt(3)
        ("glorot_uniform", -np.sqrt(6 / 1284), np.sqrt(6 / 1284), np.sqrt(2 / 1284)),
        # DEC-keras: VarianceScaling(1/3, fan_in, uniform), limit sqrt(1 / fan_in)
        ("fan_in_uniform", -np.sqrt(1 / 784), np.sqrt(1 / 784), np.sqrt(1 / 784 / 3)),
        ("normal", -0.06, 0.06, 0.01),
    ],
)
def test_initial_weights(initializer, low, high, deviation):
    config = DECConfig(initializer=initializer)
    kernel, bias = build_autoencoder(784, config, seed=0)[0].get_weights()[:2]
    assert low <= kernel.min() < kernel.max() <= high
    np.testing.assert_allclose(kernel.std(), deviation, rtol=0.01)
    assert not bias.any()


def test_bfloat16_takes_bits_only_from_products():
    samples = tf.constant(np.random.default_rng(0).random((16, 784), np.float32))
    plain, _ = build_autoencoder(784, DECConfig())
    coarse, coarse_encoder = build_autoencoder(784, DECConfig(precision="bfloat16"))
    exact = {layer.name for layer in coarse.layers[1:] if not isinstance(layer, CoarseDense)}
    assert exact == {"encoder_3"}
    assert {tf.as_dtype(v.dtype) for v in coarse.weights} == {tf.float32}
    assert coarse(samples).dtype == coarse_encoder(samples).dtype == tf.float32
    values = samples
    for layer, coarse_layer in zip(plain.layers[1:], coarse.layers[1:], strict=True):
        exactly, coarsely = layer(values), coarse_layer(values)
        difference = np.linalg.norm(exactly - coarsely) / np.linalg.norm(exactly)
        # both factors and the product are rounded to eight bits, each by at most 2^-9
        assert (0 < difference < 3 * 2**-9) == (layer.name not in exact), layer.name
        assert layer.name not in exact or difference == 0
        values = exactly


def test_bfloat16_is_kept_in_a_saved_model(tmp_path):
    samples = tf.constant(np.random.default_rng(0).random((3, 20), np.float32))
    coarse, _ = build_autoencoder(20, DECConfig(dims=(8, 2), precision="bfloat16"))
    coarse.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        tf.keras.models.load_model(tmp_path / "model.keras")(samples), coarse(samples)
    )


def test_seed_decides_the_weights_and_layers_differ():
    first, again, other = (
        build_autoencoder(500, DECConfig(dims=(500, 10)), seed=s)[0].get_weights()
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()
    shape = (500, 500)
    square = build_autoencoder(500, DECConfig(dims=(500, 500)), seed=1)[0].get_weights()
    assert square[0].shape == square[2].shape == shape
    assert (square[0] != square[2]).any()


def train(config, x, seed=0):
    trainer = AutoencoderTrainer(x.shape[1], config)
    trainer.reset(seed)
    before = trainer.autoencoder.get_weights()
    history = run_phases(trainer.phases(tf.constant(x, tf.float32), seed))
    return trainer, before, history


def test_layer_wise_phases_train_one_pair_each():
    x, _ = blobs()
    trainer = AutoencoderTrainer(6, TINY_LAYERWISE)
    phases = trainer.phases(tf.constant(x, tf.float32), 0)
    assert [p.name for p in phases] == ["layer 1", "layer 2", "finetune"]
    for phase, trained in zip(phases, [(0, 3), (1, 2), (0, 1, 2, 3)], strict=True):
        before = trainer.autoencoder.get_weights()
        list(phase.run(0))
        after = trainer.autoencoder.get_weights()
        changed = {
            i // 2 for i, (a, b) in enumerate(zip(before, after, strict=True)) if (a != b).any()
        }
        assert changed == set(trained)


COARSE = dataclasses.replace(TINY_LAYERWISE, precision="bfloat16")


@pytest.mark.parametrize(
    "config", [TINY, TINY_LAYERWISE, COARSE], ids=["end to end", "layer-wise", "bfloat16"]
)
def test_pretraining_is_bit_equal_for_a_seed_and_another_for_another(config):
    x, _ = blobs()
    first, again, other = (
        train(config, x, seed)[0].autoencoder.get_weights() for seed in (0, 0, 1)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != other[0]).any()


def test_pretraining_learns_to_reconstruct():
    x, _ = blobs()
    config = dataclasses.replace(
        TINY, pretraining=dataclasses.replace(TINY.pretraining, epochs=120)
    )
    _, _, history = train(config, x)
    assert history[-1]["loss"] < 0.1 * history[0]["loss"]


def test_layer_wise_learns_to_reconstruct():
    x, _ = blobs()
    protocol = LayerWise(500, 5000, 0.2, SGD(0.5, 0.9))
    config = dataclasses.replace(
        TINY_LAYERWISE,
        dims=(32, 3),
        initializer="glorot_uniform",
        scaling=1.0,
        pretraining=protocol,
    )
    trainer, _, _ = train(config, x)
    left = np.mean((trainer.autoencoder(x) - x) ** 2)
    assert left < 0.2 * x.var(axis=0).mean()  # of what the mean sample leaves


def test_dropout_corrupts_the_code_and_deeper_inputs_only():
    """The first pair sees its data whole: with no dropout of the code the loss is the clean one."""
    identity = tf.identity
    x = tf.ones((2000, 4))
    arguments = {"weight": 1.0, "seed": tf.constant([0, 0])}
    clean = denoising_loss(identity, identity, x, input_dropout=0.0, code_dropout=0.0, **arguments)
    assert not clean.numpy().any()
    noisy = denoising_loss(identity, identity, x, input_dropout=0.2, code_dropout=0.0, **arguments)
    # an entry is 0 with probability 0.2 (error 1) or 1/0.8 (error 1/16): 0.2 + 0.8/16 = 0.25
    np.testing.assert_allclose(noisy.numpy().mean(), 0.25, rtol=0.05)
    both = denoising_loss(identity, identity, x, input_dropout=0.2, code_dropout=0.2, **arguments)
    # kept twice: 0.64 x (1/0.64 - 1)^2 = 0.2025, else 0.36
    np.testing.assert_allclose(both.numpy().mean(), 0.5625, rtol=0.05)


def test_half_the_mean_squared_error_is_caffes():
    assert DEC_PRESETS["paper"].reconstruction_weight == 0.5
    x = np.full((4, 6), 0.5, np.float32)
    trainer = AutoencoderTrainer(6, TINY_LAYERWISE)
    trainer.autoencoder.set_weights([np.zeros_like(w) for w in trainer.autoencoder.get_weights()])
    loss = trainer.whole_loss(tf.constant(x), seed=tf.constant([0, 0]))
    np.testing.assert_allclose(loss, [0.125] * 4)


def test_pretrained_weights_of_another_shape_are_refused():
    trainer = AutoencoderTrainer(6, TINY)
    with pytest.raises(InputError, match="Received"):
        trainer.set_pretrained([np.zeros((2, 2))])
