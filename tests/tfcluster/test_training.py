import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfcluster.config import SGD
from tfcluster.errors import TrainingError
from tfcluster.training import loop as training
from tfcluster.training.loop import BatchOrder, Forward, TrainingLoop
from tfcluster.training.optimizers import build_optimizer
from tfcluster.training.phases import Phase, run_phases


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 200))
def test_short_batches_visit_each_sample_once_a_pass(n_samples, batch_size, passes):
    order = BatchOrder(n_samples, batch_size)
    samples, first = order.list_samples(), passes * order.steps_per_pass
    starts = order.list_starts(first, order.steps_per_pass)
    batches = [samples[s : s + batch_size] for s in starts]
    assert all(len(batch) for batch in batches)  # never an empty one, as DEC-keras has
    np.testing.assert_array_equal(np.concatenate(batches), np.arange(n_samples))


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 100))
def test_wrapped_batches_are_full_and_follow_each_other(n_samples, batch_size, first):
    batch_size = min(batch_size, n_samples)
    order = BatchOrder(n_samples, batch_size, wrap=True)
    samples = order.list_samples()
    got = np.concatenate([samples[s : s + batch_size] for s in order.list_starts(first, 5)])
    expected = (first * batch_size + np.arange(5 * batch_size)) % n_samples
    np.testing.assert_array_equal(got, expected)


def linear_loop(x, monkeypatch=None, branch_weights=None):
    if branch_weights is not None:
        monkeypatch.setattr(training, "_BRANCH_WEIGHTS", branch_weights)
    w = tf.Variable(tf.ones((x.shape[1], 1)))
    optimizer = build_optimizer(SGD(0.1, momentum=0.9), [w])

    def sample_loss(samples, target, *, seed):
        del seed
        return tf.squeeze(tf.square(samples @ w - target), axis=1)

    return w, TrainingLoop(sample_loss, optimizer)


@pytest.fixture
def regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(23, 4)).astype(np.float32)
    return x, (x @ [[1.0], [2.0], [-1.0], [0.5]]).astype(np.float32)


@pytest.mark.parametrize("branch_weights", [0, 10**9], ids=["halved", "whole"])
def test_loop_takes_the_steps_numpy_takes(regression, monkeypatch, branch_weights):
    x, y = regression
    w, loop = linear_loop(x, monkeypatch, branch_weights)
    losses = loop.run([tf.constant(x), tf.constant(y)], BatchOrder(23, 5), 0, 12, seed=0)

    expected_w, velocity, expected = np.ones((4, 1)), np.zeros((4, 1)), []
    for step in range(12):
        samples = slice(step % 5 * 5, step % 5 * 5 + 5)
        error = x[samples] @ expected_w - y[samples]
        expected.append(np.mean(error**2))
        velocity = 0.9 * velocity - 0.1 * 2 * x[samples].T @ error / len(error)
        expected_w = expected_w + velocity
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(w, expected_w, rtol=1e-4, atol=1e-5)


def test_a_batch_of_one_sample_survives_halving(regression, monkeypatch):
    x, y = regression
    w, loop = linear_loop(x, monkeypatch, 0)
    losses = loop.run([tf.constant(x[:1]), tf.constant(y[:1])], BatchOrder(1, 1), 0, 3, seed=0)
    assert np.isfinite(losses).all()
    assert np.isfinite(w.numpy()).all()


def test_steps_in_one_call_or_many_are_bit_equal(regression):
    x, y = regression
    data, order = [tf.constant(x), tf.constant(y)], BatchOrder(23, 5)
    w_once, once = linear_loop(x)
    w_parts, parts = linear_loop(x)
    losses = once.run(data, order, 0, 12, seed=3)
    split = [parts.run(data, order, a, b - a, seed=3) for a, b in ((0, 5), (5, 6), (6, 12))]
    np.testing.assert_array_equal(losses, np.concatenate(split))
    np.testing.assert_array_equal(w_once, w_parts)


def test_a_sample_passes_alike_by_itself_or_with_others():
    layer = tf.keras.layers.Dense(7, "relu")
    layer.build((None, 5))
    forward = Forward(layer)
    x = np.random.default_rng(0).normal(size=(2500, 5)).astype(np.float32)
    whole = forward(tf.constant(x)).numpy()
    np.testing.assert_allclose(whole, layer(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(forward(tf.constant(x[2000:2001])).numpy()[0], whole[2000])


class MemoryCheckpoint:
    def __init__(self, due):
        self.is_due, self.saved = due, []

    def due(self):
        return self.is_due

    def save(self, phase, history):
        self.saved.append((phase.name, history[-1]["step"]))
        self.history = list(history)

    def restore(self, phases):
        return list(getattr(self, "history", []))


def counting_phase(name, n_steps, log):
    def run(start):
        for step in range(start, n_steps):
            log.append((name, step))
            yield {"phase": name, "step": step + 1, "loss": 1.0}

    return Phase(name, n_steps, run)


def test_resume_goes_on_where_a_callback_stopped():
    log, seen, checkpoint = [], [], MemoryCheckpoint(due=False)

    def stop(record):
        if (record["phase"], record["step"]) == ("b", 2):
            raise KeyboardInterrupt

    phases = [counting_phase("a", 3, log), counting_phase("b", 4, log)]
    with pytest.raises(KeyboardInterrupt):
        run_phases(phases, callbacks=[seen.append, stop], checkpoint=checkpoint)
    assert checkpoint.saved == [("a", 3), ("b", 2)]
    assert seen == checkpoint.history
    history = run_phases(phases, checkpoint=checkpoint)
    assert log == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2), ("b", 3)]
    assert [(r["phase"], r["step"], r["of"]) for r in history][-1] == ("b", 4, 4)
    seconds = [r["seconds"] for r in history]
    assert seconds == sorted(seconds)


def test_nan_stops_the_run_and_is_not_kept():
    checkpoint = MemoryCheckpoint(due=True)

    def run(start):
        yield {"phase": "a", "step": 1, "loss": 1.0}
        yield {"phase": "a", "step": 2, "loss": float("nan")}

    rule = "diverged in phase 'a' by step 2.*a checkpoint that was written before is kept"
    with pytest.raises(TrainingError, match=rule):
        run_phases([Phase("a", 2, run)], checkpoint=checkpoint)
    assert checkpoint.saved == [("a", 1)]
