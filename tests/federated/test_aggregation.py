"""Every rule against plain numpy, eagerly and in a graph."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from federated.core import aggregation as agg
from tfcluster import InputError
from tfcluster.config import to_dict

SHAPES = [(3, 2), (2,), ()]
ROBUST = [agg.aggregation("median"), agg.aggregation("trimmed_mean", trim=0.3)]


def normal(seed, leading=()):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(*leading, *shape)).astype(np.float32) for shape in SHAPES]


def tensors(arrays):
    return [tf.constant(array) for array in arrays]


def run(config, rounds, step=agg.server_step):
    """Weights after a few rounds, and the slots."""
    weights = tensors(normal(0))
    slots = agg.initial_slots(config, weights)
    for number in range(1, rounds + 1):
        weights, slots = step(config, weights, tensors(normal(number)), slots)
    return [w.numpy() for w in weights], [s.numpy() for s in slots]


def numpy_run(config, rounds):
    """The papers' rules, one weight after the other."""
    results = []
    for i, w in enumerate(normal(0)):
        w = w.astype(np.float64)
        m, v = np.zeros(w.shape), np.full(w.shape, config.tau**2)
        for number in range(1, rounds + 1):
            d = step = normal(number)[i].astype(np.float64)
            if config.name == "fedavgm":
                step = m = config.momentum * m + d
            elif config.name in ("fedadagrad", "fedyogi", "fedadam"):
                m = config.beta_1 * m + (1 - config.beta_1) * d
                v = {
                    "fedadagrad": v + d**2,
                    "fedyogi": v - (1 - config.beta_2) * d**2 * np.sign(v - d**2),
                    "fedadam": config.beta_2 * v + (1 - config.beta_2) * d**2,
                }[config.name]
                step = m / (np.sqrt(v) + config.tau)
            w = w + config.learning_rate * step
        results.append(w)
    return results


@pytest.mark.parametrize("name", agg.AGGREGATIONS)
@pytest.mark.parametrize("learning_rate", [1.0, 0.3])
def test_rounds_are_those_of_numpy(name, learning_rate):
    config = agg.aggregation(name, learning_rate=learning_rate)
    for got, expected in zip(run(config, 4)[0], numpy_run(config, 4), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


# tau = 1, so v starts at 1; delta = 2 and beta_1 = 1/2 give m = 1; delta^2 = 4, beta_2 = 3/4.
@pytest.mark.parametrize(
    ("name", "v"),
    [("fedadagrad", 1 + 4), ("fedadam", 3 / 4 * 1 + 1 / 4 * 4), ("fedyogi", 1 + 1 / 4 * 4)],
)
def test_adaptive_step_by_hand(name, v):
    decay = {} if name == "fedadagrad" else {"beta_2": 0.75}
    config = agg.aggregation(name, learning_rate=1.0, beta_1=0.5, tau=1.0, **decay)
    weights = [tf.constant(10.0)]
    slots = agg.initial_slots(config, weights)
    assert [float(s) for s in slots] == [0, 1]
    weights, slots = agg.server_step(config, weights, [tf.constant(2.0)], slots)
    assert [float(s) for s in slots] == [1, v]
    assert float(weights[0]) == pytest.approx(10 + 1 / (np.sqrt(v) + 1))


@pytest.mark.parametrize("config", [agg.aggregation("fedavgm", momentum=0.0), *ROBUST])
def test_these_step_as_fedavg(config):
    for a, b in zip(run(config, 3)[0], run(agg.aggregation("fedavg"), 3)[0], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", agg.AGGREGATIONS)
def test_rounds_in_a_graph_are_the_same_bits(name):
    config = agg.aggregation(name, learning_rate=0.3)
    in_graph = tf.function(lambda *lists: agg.server_step(config, *lists))
    eager, graph = run(config, 3), run(config, 3, lambda _, *lists: in_graph(*lists))
    for a, b in zip((*eager[0], *eager[1]), (*graph[0], *graph[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_slots_fit_the_rule():
    weights = tensors(normal(0))
    counts = {
        name: len(agg.initial_slots(config, weights)) for name, config in agg.AGGREGATIONS.items()
    }
    adaptive = dict.fromkeys(["fedadam", "fedyogi", "fedadagrad"], 6)
    assert counts == {**dict.fromkeys(agg.AGGREGATIONS, 0), "fedavgm": 3, **adaptive}
    slots = agg.initial_slots(agg.aggregation("fedadam"), weights)
    assert [tuple(slot.shape) for slot in slots] == SHAPES * 2
    for name in ("fedavg", "fedavgm"):
        with pytest.raises(InputError, match="Received: 6"):
            agg.server_step(agg.aggregation(name), weights, weights, slots)


def numpy_combine(config, delta):
    if config.name == "median":
        return np.median(delta, axis=0)
    return stats.trim_mean(delta, config.trim, axis=0)


@pytest.mark.parametrize("config", ROBUST, ids=lambda config: config.name)
@pytest.mark.parametrize("n_clients", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("masked", [(), (0,), (0, 5, 6)])
def test_robust_means_are_numpys_and_scipys(config, n_clients, masked):
    keep = ~np.isin(np.arange(n_clients + len(masked)), masked)
    deltas = normal(n_clients, keep.shape)
    got = agg.combine(config, tensors(deltas), tf.constant(keep))
    for value, delta in zip(got, deltas, strict=True):
        expected = numpy_combine(config, delta[keep].astype(np.float64))
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7)


def test_the_share_to_trim_is_scipys():
    for trim, n_clients in [(0.29, 100), (0.35, 180), (0.1, 10), (0.2, 5), (0.49, 3)]:
        delta = np.random.default_rng(0).lognormal(sigma=3, size=n_clients).astype(np.float32)
        config = agg.aggregation("trimmed_mean", trim=trim)
        (got,) = agg.combine(config, [tf.constant(delta)], tf.fill([n_clients], True))
        np.testing.assert_allclose(got, stats.trim_mean(delta.astype(np.float64), trim), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(ROBUST),
    st.permutations(range(6)),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.sampled_from([0.0, np.nan, np.inf, -np.inf]),
)
def test_order_and_content_of_rows_left_out_do_not_matter(config, order, keep, filler):
    keep = np.array(keep)
    deltas = normal(1, (6,))
    expected = agg.combine(config, tensors(deltas), tf.constant(keep))
    for delta in deltas:
        delta[~keep] = filler
    got = agg.combine(config, tensors(d[order] for d in deltas), tf.constant(keep[order]))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("config", ROBUST, ids=lambda config: config.name)
def test_a_graph_need_not_know_the_number_of_clients(config):
    @tf.function(
        input_signature=[
            [tf.TensorSpec((None, *shape)) for shape in SHAPES],
            tf.TensorSpec((None,), tf.bool),
        ]
    )
    def combine(deltas, keep):
        means = agg.combine(config, deltas, keep)
        assert [tuple(mean.shape) for mean in means] == SHAPES
        return means

    for keep in ([True], [False], [True, False, True, True], [True] * 5):
        arguments = tensors(normal(2, (len(keep),))), tf.constant(keep)
        for a, b in zip(combine(*arguments), agg.combine(config, *arguments), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("config", ROBUST, ids=lambda config: config.name)
def test_one_client_cannot_drag_the_rest(config):
    deltas = normal(3, (5,))
    for delta in deltas:
        delta[2] = 1e30
    for mean, delta in zip(
        agg.combine(config, tensors(deltas), tf.fill([5], True)), deltas, strict=True
    ):
        honest = np.delete(delta, 2, axis=0)
        assert np.all((honest.min(axis=0) <= mean) & (mean <= honest.max(axis=0)))


def test_without_clients_nothing_moves():
    totals = tensors(normal(0))
    for config in ROBUST:
        for mean in agg.combine(config, tensors(normal(0, (3,))), tf.fill([3], False)):
            assert not np.any(mean)
    for mean in agg.weighted_mean(totals, tf.constant(0.0)):
        assert not np.any(mean)


def test_mean_is_weighted():
    examples, deltas = np.array([10, 30], np.float32), normal(4, (2,))
    totals = [np.tensordot(examples, delta, axes=1) for delta in deltas]
    for got, delta in zip(agg.weighted_mean(tensors(totals), 40), deltas, strict=True):
        np.testing.assert_allclose(got, np.average(delta, 0, examples), rtol=1e-6)


def test_proximal_gradients_are_those_of_the_proximal_loss():
    start, now, gradients = (tensors(normal(seed)) for seed in range(3))
    with tf.GradientTape() as tape:
        tape.watch(now)
        parts = zip(gradients, now, start, strict=True)
        loss = sum(tf.reduce_sum(g * w + 0.7 / 2 * (w - s) ** 2) for g, w, s in parts)
    expected = tape.gradient(loss, now)
    got = agg.proximal_gradients(0.7, gradients, now, start)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    for a, b in zip(agg.proximal_gradients(0.0, gradients, now, start), gradients, strict=True):
        assert a is b


def test_names_and_overrides():
    assert all(config.name == name for name, config in agg.AGGREGATIONS.items())
    config = agg.aggregation("fedadam", tau=0.1)
    assert config == dataclasses.replace(agg.AGGREGATIONS["fedadam"], tau=0.1)
    assert (config.learning_rate, config.beta_1, config.beta_2) == (1e-2, 0.9, 0.99)
    assert agg.aggregation(config) is config
    assert [config.name for config in agg.AGGREGATIONS.values() if agg.is_robust(config)] == [
        "median",
        "trimmed_mean",
    ]
    assert to_dict(config)["tau"] == 0.1


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("fedadm", {}, "Did you mean 'fedadam'"),
        (None, {}, "Unknown aggregation 'None'"),
        ("fedavg", {"rate": 1.0}, "Unknown field of Aggregation 'rate'"),
        ("fedavg", {"learning_rate": 0}, r"number in \(0, inf\). Received: 0."),
        ("fedavg", {"learning_rate": "1"}, "Received: '1'"),
        ("fedavg", {"learning_rate": float("inf")}, "Received: inf"),
        ("fedavgm", {"momentum": 1.0}, r"`momentum` must be a number in \[0, 1\)"),
        ("fedadam", {"beta_2": float("nan")}, "Received: nan"),
        ("fedyogi", {"tau": 0.0}, "`tau` must be"),
        ("fedprox", {"proximal": -0.1}, r"\[0, inf\)"),
        ("trimmed_mean", {"trim": 0.5}, r"\[0, 0.5\)"),
        ("fedavg", {"momentum": 0.9}, "`momentum` is for fedavgm, not for 'fedavg'"),
        ("fedadagrad", {"beta_2": 0.9}, "`beta_2` is for fedadam, fedyogi, not"),
    ],
)
def test_mistakes_are_explained(name, overrides, message):
    with pytest.raises(InputError, match=message):
        agg.aggregation(name, **overrides)


def test_only_robust_rules_combine():
    with pytest.raises(InputError, match="Received: 'fedavg'"):
        agg.combine(agg.aggregation("fedavg"), tensors(normal(0, (2,))), tf.fill([2], True))
