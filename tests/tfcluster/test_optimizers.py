import numpy as np
import pytest
import tensorflow as tf

from tfcluster.config import SGD, Adam
from tfcluster.training.optimizers import build_optimizer


def trajectory(apply, variables, n_steps):
    rng = np.random.default_rng(0)
    for _ in range(n_steps):
        apply([tf.constant(rng.normal(size=v.shape), tf.float32) for v in variables])
    return [v.numpy() for v in variables]


def fresh_variables():
    return [tf.Variable(tf.ones((3, 2))), tf.Variable(tf.ones((2,)))]


@pytest.mark.parametrize(
    ("config", "keras"),
    [
        (SGD(0.1, momentum=0.9), lambda: tf.keras.optimizers.SGD(0.1, 0.9)),
        (SGD(0.1), lambda: tf.keras.optimizers.SGD(0.1)),
        (Adam(0.01, 0.5, 0.9, 1e-7), lambda: tf.keras.optimizers.Adam(0.01, 0.5, 0.9)),
    ],
)
def test_same_steps_as_keras(config, keras):
    ours, theirs = fresh_variables(), fresh_variables()
    optimizer, reference = build_optimizer(config, ours), keras()
    got = trajectory(optimizer.apply, ours, 10)
    expected = trajectory(
        lambda g: reference.apply_gradients(zip(g, theirs, strict=True)), theirs, 10
    )
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def caffe(config, n_steps):
    """Caffe's `ComputeUpdateValue` in numpy, with the ramp of the patched solver."""
    rng = np.random.default_rng(0)
    w, history = [np.ones((3, 2)), np.ones(2)], [np.zeros((3, 2)), np.zeros(2)]
    for step in range(n_steps):
        rate = config.learning_rate * 0.1 ** (step // config.decay_every)
        momentum = config.momentum * min(1.0, step / config.momentum_ramp)
        for i, multiplier in enumerate((1.0, config.bias_rate)):
            gradient = rng.normal(size=w[i].shape)
            history[i] = momentum * history[i] + rate * multiplier * gradient
            w[i] = w[i] - history[i]
    return w


def test_ramp_decay_and_bias_rate_are_caffes():
    config = SGD(0.1, momentum=0.9, bias_rate=2.0, momentum_ramp=5, decay_every=7)
    variables = fresh_variables()
    got = trajectory(build_optimizer(config, variables).apply, variables, 20)
    for a, b in zip(got, caffe(config, 20), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_reset_forgets_everything():
    variables = fresh_variables()
    optimizer = build_optimizer(Adam(), variables)
    first = trajectory(optimizer.apply, variables, 3)
    for v in variables:
        v.assign(tf.ones_like(v))
    optimizer.reset()
    for a, b in zip(first, trajectory(optimizer.apply, variables, 3), strict=True):
        np.testing.assert_array_equal(a, b)
