"""What several test modules of federated training need."""

import contextlib

import numpy as np
import tensorflow as tf

from federated.algorithms.score_sums import scores, sum_by_cluster, sum_distances
from federated.backends.local import LocalBackend
from federated.core.algorithm import ClientData
from federated.core.rounds import Federation, run_phases
from federated.core.sampling import ClientSampler
from tfcluster.clustergan.trainer import GANTrainer


def clients_of(parts, labels=None):
    """Returns samples, and perhaps classes, as a backend takes them for single rounds."""
    labels = labels or [np.full(len(x), -1) for x in parts]
    return [
        ClientData(tf.constant(x, tf.float32), tf.constant(y, tf.int64))
        for x, y in zip(parts, labels, strict=True)
    ]


class MemoryClients(list):
    """Clients as a backend takes them for whole runs, whose samples a test may exchange."""

    def __init__(self, parts):
        super().__init__()
        self.give(parts)

    def give(self, parts):
        """Puts other samples in the clients' place."""
        self._given = clients_of(parts)
        self[:] = self._given

    def scale(self, scaling):
        """Scales the samples as they were given."""
        self[:] = [data._replace(x=tf.constant(scaling(data.x.numpy()))) for data in self._given]


def run_locally(phases, clients, sampler=None, **options):
    """Runs phases on the local backend; returns the position at the end.

    Args:
      phases: In order.
      clients: A `ClientStore` or `MemoryClients`.
      sampler: Who takes part; all if left out.
      options: For `run_phases`.
    """
    names = [str(i) for i in range(len(clients))]
    with contextlib.closing(LocalBackend(clients)) as backend:
        federation = Federation(backend, sampler or ClientSampler(len(clients)), names)
        return run_phases(phases, federation, **options)


class StopRun(Exception):
    """Stands for whatever ends a run early."""


def stop_after(n_records):
    """Returns a callback that ends the run once so many rounds are recorded."""
    seen = []

    def callback(record):
        seen.append(record)
        if len(seen) == n_records:
            raise StopRun

    return callback


def assert_same_artifacts(first, second):
    """Asserts that two runs left the same bits under the same names."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def total_scores(clients, n_clusters, n_classes=0):
    """Returns scores from the totals over clients, each `(X, labels, y)`; `y` may be None."""
    sums = add(sums_of(client, n_clusters, n_classes) for client in clients)
    spread = add(distances_of(client, sums.means()) for client in clients)
    return scores(sums, spread)


def sums_of(client, n_clusters, n_classes=0):
    """Returns the first pass over a client's samples, as arrays."""
    X, labels, y = client
    y = np.full(len(labels), -1) if y is None else y
    samples = (tf.constant(X, tf.float64), tf.constant(labels, tf.int64), tf.constant(y, tf.int64))
    return as_arrays(sum_by_cluster(*samples, n_clusters=n_clusters, n_classes=n_classes))


def distances_of(client, means):
    """Returns the second pass over a client's samples, as arrays."""
    X, labels, _ = client
    samples = (tf.constant(X, tf.float64), tf.constant(labels, tf.int64))
    return as_arrays(sum_distances(*samples, tf.constant(means)))


def as_arrays(totals):
    """Returns the totals with arrays in place of tensors."""
    return totals._replace(**{name: t.numpy() for name, t in totals._asdict().items()})


def add(totals):
    """Returns the sum over clients of equal structures."""
    first, *others = totals
    for other in others:
        first = tf.nest.map_structure(np.add, first, other)
    return first


def distance(first, second):
    """Returns the Euclidean distance between two lists of weights."""
    pairs = zip(first, second, strict=True)
    return float(np.sqrt(sum(np.sum((np.asarray(a) - np.asarray(b)) ** 2) for a, b in pairs)))


class GANOutputs:
    """The outputs of ClusterGAN's networks for fixed samples and codes.

    A bias before a normalization changes nothing, and its gradient is zero but for rounding, which
    Adam brings to full size. So runs that agree differ in such biases, and outputs are compared.
    """

    def __init__(self, n_features, n_clusters, config):
        self.trainer = GANTrainer(n_features, n_clusters, config)
        rng = np.random.default_rng(0)
        self._x = tf.constant(rng.uniform(size=(32, n_features)), tf.float32)
        noise = rng.normal(0, config.noise_scale, (32, config.n_noise))
        codes = np.eye(n_clusters)[np.arange(32) % n_clusters]
        self._z = tf.constant(np.concatenate([noise, codes], axis=1), tf.float32)

    def start(self, seed=1):
        """Returns the weights of fresh generator, critic and encoder."""
        self.trainer.reset(seed)
        return [network.get_weights() for network in self.trainer.networks]

    def __call__(self, weights):
        """Returns the outputs under all weights, in the networks' order."""
        variables = [v for network in self.trainer.networks for v in network.weights]
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)
        generator, critic, encoder = self.trainer.networks
        return [generator(self._z).numpy(), critic(self._x).numpy(), encoder(self._x).numpy()]
