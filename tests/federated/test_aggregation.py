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
ROBUST = [agg.Median(), agg.TrimmedMean(trim=0.3)]


def normal(seed, leading=()):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(*leading, *shape)).astype(np.float32) for shape in SHAPES]


def tensors(arrays):
    return [tf.constant(array) for array in arrays]


def run(rule, rounds, step=agg.server_step):
    """Returns the weights after a few rounds, and the slots."""
    weights = tensors(normal(0))
    slots = rule.initial_slots(weights)
    for number in range(1, rounds + 1):
        weights, slots = step(rule, weights, tensors(normal(number)), slots)
    return [w.numpy() for w in weights], [s.numpy() for s in slots]


def numpy_run(rule, rounds):
    """Computes the papers' rules, one weight after the other."""
    results = []
    for i, w in enumerate(normal(0)):
        w = w.astype(np.float64)
        m, v = np.zeros(w.shape), np.full(w.shape, getattr(rule, "tau", 0.0) ** 2)
        for number in range(1, rounds + 1):
            d = step = normal(number)[i].astype(np.float64)
            if rule.name == "fedavgm":
                step = m = rule.momentum * m + d
            elif rule.name in ("fedadagrad", "fedyogi", "fedadam"):
                m = rule.beta_1 * m + (1 - rule.beta_1) * d
                if rule.name == "fedadagrad":
                    v = v + d**2
                elif rule.name == "fedyogi":
                    v = v - (1 - rule.beta_2) * d**2 * np.sign(v - d**2)
                else:
                    v = rule.beta_2 * v + (1 - rule.beta_2) * d**2
                step = m / (np.sqrt(v) + rule.tau)
            w = w + rule.learning_rate * step
        results.append(w)
    return results


@pytest.mark.parametrize("name", agg.AGGREGATIONS)
@pytest.mark.parametrize("learning_rate", [1.0, 0.3])
def test_rounds_are_those_of_numpy(name, learning_rate):
    rule = agg.find_aggregation(name, learning_rate=learning_rate)
    for got, expected in zip(run(rule, 4)[0], numpy_run(rule, 4), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


# tau = 1, so v starts at 1; update = 2 and beta_1 = 1/2 give m = 1; update^2 = 4, beta_2 = 3/4.
@pytest.mark.parametrize(
    ("name", "v"),
    [("fedadagrad", 1 + 4), ("fedadam", 3 / 4 * 1 + 1 / 4 * 4), ("fedyogi", 1 + 1 / 4 * 4)],
)
def test_adaptive_step_by_hand(name, v):
    decay = {} if name == "fedadagrad" else {"beta_2": 0.75}
    rule = agg.find_aggregation(name, learning_rate=1.0, beta_1=0.5, tau=1.0, **decay)
    weights = [tf.constant(10.0)]
    slots = rule.initial_slots(weights)
    assert [float(s) for s in slots] == [0, 1]
    weights, slots = agg.server_step(rule, weights, [tf.constant(2.0)], slots)
    assert [float(s) for s in slots] == [1, v]
    assert float(weights[0]) == pytest.approx(10 + 1 / (np.sqrt(v) + 1))


@pytest.mark.parametrize("rule", [agg.FedAvgM(momentum=0.0), *ROBUST])
def test_these_step_as_fedavg(rule):
    for a, b in zip(run(rule, 3)[0], run(agg.FedAvg(), 3)[0], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", agg.AGGREGATIONS)
def test_rounds_in_a_graph_are_the_same_bits(name):
    rule = agg.find_aggregation(name, learning_rate=0.3)
    in_graph = tf.function(lambda *lists: agg.server_step(rule, *lists))
    eager, graph = run(rule, 3), run(rule, 3, lambda _, *lists: in_graph(*lists))
    for a, b in zip((*eager[0], *eager[1]), (*graph[0], *graph[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_slots_fit_the_rule():
    weights = tensors(normal(0))
    counts = {name: len(rule.initial_slots(weights)) for name, rule in agg.AGGREGATIONS.items()}
    adaptive = dict.fromkeys(["fedadam", "fedyogi", "fedadagrad"], 6)
    assert counts == {**dict.fromkeys(agg.AGGREGATIONS, 0), "fedavgm": 3, **adaptive}
    slots = agg.FedAdam().initial_slots(weights)
    assert [tuple(slot.shape) for slot in slots] == SHAPES * 2
    for rule in (agg.FedAvg(), agg.FedAvgM()):
        with pytest.raises(InputError, match="Received: 6"):
            agg.server_step(rule, weights, weights, slots)


def numpy_combine(rule, update):
    if rule.name == "median":
        return np.median(update, axis=0)
    return stats.trim_mean(update, rule.trim, axis=0)


@pytest.mark.parametrize("rule", ROBUST, ids=lambda rule: rule.name)
@pytest.mark.parametrize("n_clients", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("masked", [(), (0,), (0, 5, 6)])
def test_robust_means_are_numpys_and_scipys(rule, n_clients, masked):
    keep = ~np.isin(np.arange(n_clients + len(masked)), masked)
    updates = normal(n_clients, keep.shape)
    got = agg.combine(rule, tensors(updates), tf.constant(keep))
    for value, update in zip(got, updates, strict=True):
        expected = numpy_combine(rule, update[keep].astype(np.float64))
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7)


def test_the_share_to_trim_is_scipys():
    for trim, n_clients in [(0.29, 100), (0.35, 180), (0.1, 10), (0.2, 5), (0.49, 3)]:
        update = np.random.default_rng(0).lognormal(sigma=3, size=n_clients).astype(np.float32)
        rule = agg.TrimmedMean(trim=trim)
        (got,) = agg.combine(rule, [tf.constant(update)], tf.fill([n_clients], True))
        np.testing.assert_allclose(got, stats.trim_mean(update.astype(np.float64), trim), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(ROBUST),
    st.permutations(range(6)),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.sampled_from([0.0, np.nan, np.inf, -np.inf]),
)
def test_order_and_content_of_clients_left_out_do_not_matter(rule, order, keep, filler):
    keep = np.array(keep)
    updates = normal(1, (6,))
    expected = agg.combine(rule, tensors(updates), tf.constant(keep))
    for update in updates:
        update[~keep] = filler
    got = agg.combine(rule, tensors(d[order] for d in updates), tf.constant(keep[order]))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rule", ROBUST, ids=lambda rule: rule.name)
def test_a_graph_need_not_know_the_number_of_clients(rule):
    @tf.function(
        input_signature=[
            [tf.TensorSpec((None, *shape)) for shape in SHAPES],
            tf.TensorSpec((None,), tf.bool),
        ]
    )
    def combine(updates, keep):
        means = agg.combine(rule, updates, keep)
        assert [tuple(mean.shape) for mean in means] == SHAPES
        return means

    for keep in ([True], [False], [True, False, True, True], [True] * 5):
        arguments = tensors(normal(2, (len(keep),))), tf.constant(keep)
        for a, b in zip(combine(*arguments), agg.combine(rule, *arguments), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rule", ROBUST, ids=lambda rule: rule.name)
def test_one_client_cannot_drag_the_rest(rule):
    updates = normal(3, (5,))
    for update in updates:
        update[2] = 1e30
    for mean, update in zip(
        agg.combine(rule, tensors(updates), tf.fill([5], True)), updates, strict=True
    ):
        honest = np.delete(update, 2, axis=0)
        assert np.all((honest.min(axis=0) <= mean) & (mean <= honest.max(axis=0)))


def test_without_clients_nothing_moves():
    totals = tensors(normal(0))
    for rule in ROBUST:
        for mean in agg.combine(rule, tensors(normal(0, (3,))), tf.fill([3], False)):
            assert not np.any(mean)
    for mean in agg.weighted_mean(totals, tf.constant(0.0)):
        assert not np.any(mean)


def test_mean_is_weighted():
    n_samples, updates = np.array([10, 30], np.float32), normal(4, (2,))
    totals = [np.tensordot(n_samples, update, axes=1) for update in updates]
    for got, update in zip(agg.weighted_mean(tensors(totals), 40), updates, strict=True):
        np.testing.assert_allclose(got, np.average(update, 0, n_samples), rtol=1e-6)


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
    assert all(rule.name == name for name, rule in agg.AGGREGATIONS.items())
    rule = agg.find_aggregation("fedadam", tau=0.1)
    assert rule == dataclasses.replace(agg.AGGREGATIONS["fedadam"], tau=0.1)
    assert (rule.learning_rate, rule.beta_1, rule.beta_2) == (1e-2, 0.9, 0.99)
    assert agg.find_aggregation(rule) is rule
    assert agg.find_aggregation(rule, tau=1e-3) == agg.FedAdam()
    assert all(type(rule)() == rule for rule in agg.AGGREGATIONS.values())
    assert [rule.name for rule in agg.AGGREGATIONS.values() if rule.is_robust] == [
        "median",
        "trimmed_mean",
    ]
    assert to_dict(rule)["tau"] == 0.1


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("fedadm", {}, "Did you mean 'fedadam'"),
        (None, {}, "Unknown aggregation 'None'"),
        ("fedavg", {"rate": 1.0}, "Unknown field of FedAvg 'rate'"),
        ("fedavg", {"learning_rate": 0}, r"number in \(0, inf\). Received: 0."),
        ("fedavg", {"learning_rate": "1"}, "Received: '1'"),
        ("fedavg", {"learning_rate": float("inf")}, "Received: inf"),
        ("fedavgm", {"momentum": 1.0}, r"`momentum` must be a number in \[0, 1\)"),
        ("fedadam", {"beta_2": float("nan")}, "Received: nan"),
        ("fedyogi", {"tau": 0.0}, "`tau` must be"),
        ("fedprox", {"proximal": -0.1}, r"\[0, inf\)"),
        ("trimmed_mean", {"trim": 0.5}, r"\[0, 0.5\)"),
        ("fedavg", {"momentum": 0.9}, "Unknown field of FedAvg 'momentum'"),
        ("fedadagrad", {"beta_2": 0.9}, "Unknown field of FedAdagrad 'beta_2'"),
    ],
)
def test_mistakes_are_explained(name, overrides, message):
    with pytest.raises(InputError, match=message):
        agg.find_aggregation(name, **overrides)


def test_only_robust_rules_combine():
    with pytest.raises(InputError, match="Received: 'fedavg'"):
        agg.combine(agg.FedAvg(), tensors(normal(0, (2,))), tf.fill([2], True))
