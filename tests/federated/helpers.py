"""What several test modules of federated training need."""

import numpy as np
import tensorflow as tf

from federated.core.algorithm import ClientData
from tfcluster.clustergan.trainer import GANTrainer


def clients_of(parts, labels=None):
    """Arrays of rows, and perhaps of classes, as a carrier takes them."""
    labels = labels or [np.full(len(x), -1) for x in parts]
    return [
        ClientData(tf.constant(x, tf.float32), tf.constant(y, tf.int64))
        for x, y in zip(parts, labels, strict=True)
    ]


def distance(first, second):
    """Euclidean, between two lists of weights."""
    pairs = zip(first, second, strict=True)
    return float(np.sqrt(sum(np.sum((np.asarray(a) - np.asarray(b)) ** 2) for a, b in pairs)))


class GANOutputs:
    """What the networks of ClusterGAN make of fixed rows and codes.

    A bias before a normalisation changes nothing, and its gradient is zero but for rounding, which
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
        """Weights of fresh generator, critic and encoder."""
        self.trainer.reset(seed)
        return [network.get_weights() for network in self.trainer.networks]

    def __call__(self, weights):
        """Outputs under all weights, in the networks' order."""
        variables = [v for network in self.trainer.networks for v in network.weights]
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)
        generator, critic, encoder = self.trainer.networks
        return [generator(self._z).numpy(), critic(self._x).numpy(), encoder(self._x).numpy()]
