"""Scores of a model by two rounds are those of its labels on the pooled samples."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.evaluation import (
    ClusterPass,
    DECLabeling,
    DistancePass,
    DistanceState,
    evaluate,
)
from federated.backends.local import LocalBackend
from federated.core.algorithm import ClientData, WeightsState
from federated.core.backend import RoundResult, compile_update
from federated.core.sampling import ClientSampler, Participant
from tests.federated.helpers import clients_of
from tests.federated.test_score_sums import scikit_learn, simplified_silhouette
from tests.tfcluster.helpers import TINY
from tfcluster import metrics
from tfcluster.config import GANConfig, from_dict, register, to_dict
from tfcluster.dec.self_training import DECTrainer
from tfcluster.errors import InputError, TrainingError

FIRST = ClusterPass(64, DECLabeling(10, TINY), n_classes=10)
ENDS = [150, 150, 151, 700]  # of all clients but the last; one has no samples, one has one


@dataclasses.dataclass
class Case:
    X: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    weights: list[np.ndarray]

    def clients(self) -> list[ClientData]:
        return clients_of(np.split(self.X, ENDS), np.split(self.y, ENDS))

    def expected(self) -> dict[str, float]:
        X = self.X.astype(np.float64)
        return {
            **scikit_learn(X, self.labels, self.y),
            "simplified_silhouette": simplified_silhouette(X, self.labels),
            **metrics.sizes(np.bincount(self.labels)),
        }


@pytest.fixture(scope="module")
def case(digits) -> Case:
    """Returns digits sorted by class, and a model with most of its centroids on samples."""
    X, y = digits
    order = np.argsort(y, kind="stable")
    X, y = X[order].astype(np.float32), y[order]
    trainer = DECTrainer(64, 10, TINY)
    trainer.reset(4)
    centroids = trainer.embed(tf.constant(X[::200])).numpy()
    centroids = np.concatenate([centroids, np.full((1, 3), 1e3, np.float32)])  # without samples
    trainer.clustering.clusters.assign(centroids)
    labels = trainer.soft_assign(tf.constant(X)).numpy().argmax(axis=1)
    return Case(X, y, labels, [*trainer.encoder.get_weights(), centroids])


def participants(n_clients: int) -> list[Participant]:
    return ClientSampler(n_clients).participants(0, full_participation=True)


def scored(case: Case, clients: list[ClientData], first: ClusterPass = FIRST):
    return evaluate(LocalBackend(clients), participants(len(clients)), first, case.weights)


def test_equal_to_scikit_learn_on_the_pooled_samples(case):
    found = scored(case, case.clients())
    assert found.scores == pytest.approx(case.expected(), rel=1e-9)
    assert 2 < found.scores["n_clusters_found"] < 10
    parts = np.split(case.labels, ENDS)
    np.testing.assert_array_equal(
        found.sizes, [np.bincount(labels, minlength=10) for labels in parts]
    )
    assert found.sizes.dtype == np.int64
    assert found.left_out == []


def test_samples_far_from_the_origin(case):
    """The encoder's first layer takes the shift off again."""
    shift, clients = np.float32(2**13), case.clients()
    kernel, bias, *rest = case.weights
    moved = [data._replace(x=tf.round(64 * data.x) / 64 + shift) for data in clients]
    x = tf.concat([data.x for data in moved], axis=0)
    trainer = DECTrainer(64, 10, TINY)
    weights = [kernel, bias - shift * kernel.sum(axis=0), *rest]
    trainer.encoder.set_weights(weights[:-1])
    trainer.clustering.clusters.assign(weights[-1])
    labels = trainer.soft_assign(x).numpy().argmax(axis=1)
    near = x.numpy().astype(np.float64) - shift
    expected = scikit_learn(near, labels, case.y)
    found = evaluate(LocalBackend(moved), participants(len(moved)), FIRST, weights).scores
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_samples_of_unknown_class_count_for_the_other_scores(case):
    clients, expected = case.clients(), case.expected()
    known = case.y % 3 > 0
    y = np.where(known, case.y, -1)
    some = clients_of(np.split(case.X, ENDS), np.split(y, ENDS))
    found = scored(case, some).scores
    of_known = scikit_learn(case.X[known], case.labels[known], case.y[known])
    for name in ("accuracy", "nmi", "ari", "purity", "kappa"):
        expected[name] = of_known[name]
    assert found == pytest.approx(expected, rel=1e-9)
    for name in ("accuracy", "nmi", "ari", "purity", "kappa"):
        del expected[name]
    unknown = clients_of(np.split(case.X, ENDS))
    assert scored(case, unknown).scores == pytest.approx(expected, rel=1e-9)
    without = dataclasses.replace(FIRST, n_classes=0)
    assert scored(case, clients, without).scores == pytest.approx(expected, rel=1e-9)


def test_more_classes_than_were_told(case):
    told = dataclasses.replace(FIRST, n_classes=9)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be below n_classes=9"):
        scored(case, case.clients(), told)


def test_clients_whose_samples_are_not_finite(case):
    clients = case.clients()
    clients[3] = clients[3]._replace(x=clients[3].x * np.nan)
    found = scored(case, clients)
    finite = np.r_[: ENDS[2], ENDS[3] : len(case.X)]
    expected = scikit_learn(case.X[finite].astype(np.float64), case.labels[finite], case.y[finite])
    assert {name: found.scores[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert found.left_out == [3]
    assert not found.sizes[3].any()
    with pytest.raises(InputError, match="at least one sample"):
        scored(case, clients[3:4])


def test_both_passes_need_the_same_clients(case):
    class Forgetful(LocalBackend):
        def run_round(self, algorithm, state, participants) -> RoundResult:
            result = super().run_round(algorithm, state, participants)
            lost = [1] if isinstance(algorithm, DistancePass) else []
            return result._replace(left_out=lost)

    clients = case.clients()
    with pytest.raises(TrainingError, match=r"without \[\], the second without \[1\]"):
        evaluate(Forgetful(clients), participants(5), FIRST, case.weights)


@register
@dataclasses.dataclass(frozen=True)
class Nearest:
    """Labels by another model, whose weights are centroids in the space of the samples."""

    n_clusters: int
    config: GANConfig = GANConfig()  # noqa: RUF009

    def make_label(self, n_features):
        def label(weights, x):
            return tf.argmin(tf.norm(x[:, tf.newaxis] - weights[0], axis=2), axis=1)

        return label


def test_any_model_that_labels_samples(case):
    centroids = case.X[::200]
    first = ClusterPass(64, Nearest(9), 10)
    state = WeightsState((tf.constant(centroids),))
    assert from_dict(to_dict(first)) == first
    assert from_dict(to_dict(FIRST.second())) == FIRST.second()
    found = LocalBackend(case.clients()).run_round(first, state, participants(5)).metrics
    nearest = np.linalg.norm(case.X[:, None] - centroids, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(found["counts"], np.bincount(nearest))
    np.testing.assert_array_equal(found["sizes"].numpy().sum(axis=0), np.bincount(nearest))


def test_sums_are_float64_in_the_graph_too(case):
    (data,) = clients_of([case.X], [case.y])
    weights = tuple(map(tf.constant, case.weights))
    first = compile_update(FIRST)(WeightsState(weights), data, tf.constant(0)).output
    with_means = DistanceState(weights, tf.zeros((10, 64), tf.float64))
    second = compile_update(FIRST.second())(with_means, data, tf.constant(0)).output
    assert {value.dtype for value in (*first.sums, *second.sums)} == {tf.float64}
    assert [value.shape for value in first.sums] == [(10,), (10, 64), (10,), (10, 10)]
