"""The clustering phase of DEC: its target, its loss, and the phases that train with them.

Xie, Girshick, Farhadi: Unsupervised Deep Embedding for Clustering Analysis, ICML 2016. Matches
`DEC.py` of XifengGuo/DEC-keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfcluster.config import DECConfig
from tfcluster.dec.autoencoder import AutoencoderTrainer, make_batch_order, make_step_record
from tfcluster.files import Arrays
from tfcluster.layers import ClusteringLayer
from tfcluster.training.kmeans import fit_kmeans
from tfcluster.training.loop import Forward, TrainingLoop, derive_seed
from tfcluster.training.optimizers import build_optimizer
from tfcluster.training.phases import Phase, Record, diverged

_KLD_EPSILON = 1e-7  # Keras' `kl_divergence` clips both arguments to [1e-7, 1].


def target_distribution(q: Any, frequencies: Any = None) -> Any:
    """Computes the sharpened assignments that DEC trains towards: eq. 3 of the paper.

    Args:
      q: `(n_samples, n_clusters)` soft assignments, array or tensor.
      frequencies: `(n_clusters,)` soft cluster frequencies f_j, the sums of q over all data,
        positive; the column sums of `q` if left out. Federated training passes the sums over all
        clients.

    Returns:
      p, `(n_samples, n_clusters)`, array or tensor like `q`; each row sums to one.
    """
    if tf.is_tensor(q):
        f = tf.reduce_sum(q, axis=0) if frequencies is None else tf.cast(frequencies, q.dtype)
        weight = q**2 / f
        return weight / tf.reduce_sum(weight, axis=1)[:, tf.newaxis]
    q = np.asarray(q)
    f = np.sum(q, axis=0) if frequencies is None else np.asarray(frequencies, q.dtype)
    weight = q**2 / f
    return weight / np.sum(weight, axis=1)[:, np.newaxis]


def clustering_loss(q: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """Computes KL(P || Q) of each sample: eq. 2 of the paper, clipped like Keras' `kl_divergence`.

    Args:
      q: `(n_samples, n_clusters)` soft assignments.
      p: `(n_samples, n_clusters)` target, held constant.

    Returns:
      `(n_samples,)` losses.
    """
    p = tf.clip_by_value(p, _KLD_EPSILON, 1.0)
    q = tf.clip_by_value(q, _KLD_EPSILON, 1.0)
    return tf.reduce_sum(p * tf.math.log(p / q), axis=1)


class DECTrainer:
    """The networks of DEC with their compiled functions, reusable for many fits.

    Args:
      n_features: Number of features.
      n_clusters: Number of clusters.
      config: The protocol.

    Attributes:
      pretraining: The autoencoder and its training.
      encoder: Maps `(n_samples, n_features)` to `(n_samples, dims[-1])`.
      clustering: The layer that holds the centroids.
      initial_labels: `(n_samples,)` labels of k-means on the pretrained embedding.
      labels: `(n_samples,)` labels at the last update of the target.
      loop: Trains encoder and centroids.
      embed: The compiled encoder.
      soft_assign: Maps `(n_samples, n_features)` to `(n_samples, n_clusters)`, compiled.
      reconstruct: The compiled autoencoder.
    """

    def __init__(self, n_features: int, n_clusters: int, config: DECConfig) -> None:
        self.config = config
        self.pretraining = AutoencoderTrainer(n_features, config)
        self.encoder = self.pretraining.encoder
        self.clustering = ClusteringLayer(n_clusters, config.alpha, name="clustering")
        self.clustering.build((None, config.dims[-1]))
        self.initial_labels = self.labels = np.zeros(0, np.int64)
        trained = [*self.encoder.trainable_variables, *self.clustering.trainable_variables]
        self.loop = TrainingLoop(
            self.sample_loss,
            build_optimizer(config.optimizer, trained),
            divisible=config.target == "global",
        )
        self.embed = Forward(self.encoder)
        self.soft_assign = Forward(lambda x: self.clustering(self.encoder(x)))
        self.reconstruct = Forward(self.pretraining.autoencoder)

    def reset(self, seed: int) -> None:
        """Sets the initial weights of this seed, and forgets centroids and labels."""
        self.pretraining.reset(seed)
        self.clustering.clusters.assign(tf.zeros_like(self.clustering.clusters))
        self.initial_labels = self.labels = np.zeros(0, np.int64)

    def state(self) -> Arrays:
        """Returns all weights and the labels, by name."""
        weights = self.pretraining.autoencoder.get_weights()
        return {
            **{f"autoencoder/{i}": w for i, w in enumerate(weights)},
            "clusters": self.clustering.clusters.numpy(),
            "initial_labels": self.initial_labels,
            "labels": self.labels,
        }

    def set_state(self, state: Arrays) -> None:
        """Restores what `state` returned."""
        autoencoder = self.pretraining.autoencoder
        autoencoder.set_weights(
            [state[f"autoencoder/{i}"] for i in range(len(autoencoder.weights))]
        )
        self.clustering.clusters.assign(state["clusters"])
        self.initial_labels, self.labels = state["initial_labels"], state["labels"]

    def pretraining_phases(self, x: tf.Tensor, seed: int) -> list[Phase]:
        """Returns the phases that train the autoencoder.

        Args:
          x: `(n_samples, n_features)`, already scaled.
          seed: Seed of the run.
        """
        return self.pretraining.phases(x, derive_seed(seed, 0))

    def clustering_phases(self, x: tf.Tensor, seed: int) -> list[Phase]:
        """Returns the later phases: initial centroids, then encoder and centroids together.

        Args:
          x: `(n_samples, n_features)`, already scaled.
          seed: Seed of the run.
        """
        return [self._centroids(x, derive_seed(seed, 1)), self._cluster(x)]

    def _centroids(self, x: tf.Tensor, seed: int) -> Phase:
        def run(start: int) -> Iterator[Record]:
            del start  # one step
            z = self.embed(x).numpy()
            if not np.isfinite(z).all():
                raise diverged("before the initial centroids")
            kmeans = fit_kmeans(z, self.clustering.n_clusters, self.config.kmeans_restarts, seed)
            self.clustering.clusters.assign(kmeans.cluster_centers_)
            self.initial_labels = self.labels = kmeans.labels_.astype(np.int64)
            yield {"phase": "centroids", "step": 1, "inertia": float(kmeans.inertia_)}

        return Phase("centroids", 1, run)

    def _cluster(self, x: tf.Tensor) -> Phase:
        order = make_batch_order(len(x), self.config)
        interval = self.config.update_interval or order.steps_per_pass

        def run(step: int) -> Iterator[Record]:
            q = self.soft_assign(x).numpy()
            if step == 0:
                self._update_labels(q)  # compared with k-means, which stops no training
            while step < self.config.max_steps:
                if self.config.reset_optimizer:
                    self.loop.optimizer.reset()
                n_steps = min(interval, self.config.max_steps - step)
                # In NumPy, as the original: TensorFlow's float32 column sums over many samples
                # have 60 times the error (2e-6 in the weights after 60 steps).
                p = tf.constant(target_distribution(q))
                losses = self.loop.run([x, p], order, step, n_steps, seed=0)
                record = make_step_record("cluster", step, losses)
                step, q = step + n_steps, self.soft_assign(x).numpy()
                update = self._update_labels(q)
                converged = update["changed"] < self.config.tol
                yield {**record, **update, "converged": converged}
                if converged:
                    return

        return Phase("cluster", self.config.max_steps, run, [self.loop.optimizer])

    def _update_labels(self, q: np.ndarray) -> Record:
        if not np.isfinite(q).all():
            raise diverged("in phase 'cluster'")
        labels = np.argmax(q, axis=1)
        changed = float(np.mean(labels != self.labels))
        self.labels = labels
        return {"changed": changed, "clusters_used": len(np.unique(labels))}

    def sample_loss(self, x: tf.Tensor, p: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
        """Computes the clustering loss of each sample.

        Args:
          x: `(n_samples, n_features)`, already scaled.
          p: `(n_samples, n_clusters)` target.
          seed: Not used.

        Returns:
          `(n_samples,)` losses.
        """
        del seed  # nothing is drawn
        q = self.clustering(self.encoder(x))
        if self.config.target == "batch":
            p = tf.stop_gradient(target_distribution(q))
        return clustering_loss(q, p)
