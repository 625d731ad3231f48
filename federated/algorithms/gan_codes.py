"""Decoders of ClusterGAN's codes for federated rounds: an embedding and labelings.

Networks that normalize over their batch are applied as the estimator does: each client's samples
in order, generated ones filling the last batch. So weights are the generator's, then the
encoder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from federated.algorithms.evaluation import Label
from federated.algorithms.kmeans import Embed, Embedding, squared_distances
from federated.core.algorithm import assign
from tfcluster.clustergan.inference import Inference, select_recovered
from tfcluster.clustergan.networks import build_networks
from tfcluster.config import GANConfig, register


@register
@dataclass(frozen=True)
class GANCodes:
    """Samples as (z_n, softmax z_c), or the latter alone where training does not recover z_n.

    Attributes:
      n_clusters: Length of z_c.
      config: The protocol.
    """

    n_clusters: int
    config: GANConfig

    def make_embed(self, n_features: int) -> Embed:
        """Builds generator and encoder."""
        codes = _make_codes(n_features, self.n_clusters, self.config)

        def embed(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
            return tf.cast(select_recovered(codes(weights, x), self.config), tf.float64)

        return embed


@register
@dataclass(frozen=True)
class GANArgmax:
    """The largest entry of z_c, as label.

    Attributes:
      n_clusters: Length of z_c.
      config: The protocol.
    """

    n_clusters: int
    config: GANConfig

    def make_label(self, n_features: int) -> Label:
        """Builds generator and encoder."""
        codes = _make_codes(n_features, self.n_clusters, self.config)

        def label(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
            return tf.argmax(codes(weights, x)[:, self.config.n_noise :], axis=1)

        return label


@register
@dataclass(frozen=True)
class NearestCentroid:
    """The nearest centroid, as label. The weights are the embedding's, then the centroids.

    Attributes:
      embedding: How samples are embedded.
      n_clusters: Number of centroids.
    """

    embedding: Embedding
    n_clusters: int

    def make_label(self, n_features: int) -> Label:
        """Builds the embedding."""
        embed = self.embedding.make_embed(n_features)

        def label(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
            *own, centroids = weights
            centroids = tf.ensure_shape(tf.cast(centroids, tf.float64), (self.n_clusters, None))
            return tf.argmin(squared_distances(embed(own, x), centroids), axis=1)

        return label


def _make_codes(n_features: int, n_clusters: int, config: GANConfig) -> Embed:
    networks = build_networks(n_features, n_clusters, config)
    variables = [*networks.generator.trainable_variables, *networks.encoder.trainable_variables]
    inference = Inference(networks, n_clusters, config)

    def codes(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
        assign(variables, weights)
        return inference.codes(x)

    return codes
