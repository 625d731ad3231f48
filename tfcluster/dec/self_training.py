"""What DEC learns by: the target, the loss, and the phases that train on them.

Xie, Girshick, Farhadi: Unsupervised Deep Embedding for Clustering Analysis, ICML 2016. Matches
`DEC.py` of XifengGuo/DEC-keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.cluster import KMeans

from tfcluster.config import DECConfig
from tfcluster.dec.autoencoder import AutoencoderTrainer, batch_order, step_record
from tfcluster.files import Arrays
from tfcluster.layers import ClusteringLayer
from tfcluster.runtime import single_threaded
from tfcluster.training.loop import Forward, TrainingLoop, derived_seed
from tfcluster.training.optimizers import build_optimizer
from tfcluster.training.phases import Phase, Record, diverged

_KLD_EPSILON = 1e-7  # Keras' `kl_divergence` clips both arguments to [1e-7, 1].


def target_distribution(q: Any, mass: Any = None) -> Any:
    """Sharpened assignments that DEC trains towards: eq. 3 of the paper.

    Args:
      q: `(rows, clusters)` soft assignments, numpy or tensor.
      mass: `(clusters,)` total of q over all data, positive; the column sums of `q` when left
        out. Federated training hands in the sum over all clients.

    Returns:
      p, `(rows, clusters)`, of the same kind as `q`; each row sums to one.
    """
    if tf.is_tensor(q):
        mass = tf.reduce_sum(q, axis=0) if mass is None else tf.cast(mass, q.dtype)
        weight = q**2 / mass
        return weight / tf.reduce_sum(weight, axis=1)[:, tf.newaxis]
    q = np.asarray(q)
    mass = np.sum(q, axis=0) if mass is None else np.asarray(mass, q.dtype)
    weight = q**2 / mass
    return weight / np.sum(weight, axis=1)[:, np.newaxis]


def clustering_loss(q: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """KL(P || Q) of each row: eq. 2 of the paper, clipped as Keras' `kl_divergence` does.

    Args:
      q: `(rows, clusters)` soft assignments.
      p: `(rows, clusters)` target, held constant.

    Returns:
      `(rows,)` losses.
    """
    p = tf.clip_by_value(p, _KLD_EPSILON, 1.0)
    q = tf.clip_by_value(q, _KLD_EPSILON, 1.0)
    return tf.reduce_sum(p * tf.math.log(p / q), axis=1)


class DECTrainer:
    """The networks of DEC with their compiled functions, made once and used for many fits.

    Args:
      n_features: Width of a row.
      n_clusters: Number of centres.
      config: The protocol.

    Attributes:
      pretraining: The autoencoder and its training.
      clustering: The layer that holds the centres.
      initial_labels: Labels by k-means on the pretrained embedding, `(rows,)`.
      labels: Labels at the last update of the target, `(rows,)`.
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
            self.row_loss,
            build_optimizer(config.optimizer, trained),
            divisible=config.target == "global",
        )
        self.embed = Forward(self.encoder)
        self.soft_assign = Forward(lambda x: self.clustering(self.encoder(x)))
        self.reconstruct = Forward(self.pretraining.autoencoder)

    def reset(self, seed: int) -> None:
        """Sets the weights a fresh model with this seed would start from."""
        self.pretraining.reset(seed)
        self.clustering.clusters.assign(tf.zeros_like(self.clustering.clusters))
        self.initial_labels = self.labels = np.zeros(0, np.int64)

    def state(self) -> Arrays:
        """All weights and the labels, by name."""
        weights = self.pretraining.autoencoder.get_weights()
        return {
            **{f"autoencoder/{i}": w for i, w in enumerate(weights)},
            "clusters": self.clustering.clusters.numpy(),
            "initial_labels": self.initial_labels,
            "labels": self.labels,
        }

    def set_state(self, state: Arrays) -> None:
        """Puts back what `state` gave."""
        autoencoder = self.pretraining.autoencoder
        autoencoder.set_weights(
            [state[f"autoencoder/{i}"] for i in range(len(autoencoder.weights))]
        )
        self.clustering.clusters.assign(state["clusters"])
        self.initial_labels, self.labels = state["initial_labels"], state["labels"]

    def pretraining_phases(self, x: tf.Tensor, seed: int) -> list[Phase]:
        """The phases that train the autoencoder on `x`, `(rows, n_features)`, already scaled."""
        return self.pretraining.phases(x, derived_seed(seed, 0))

    def clustering_phases(self, x: tf.Tensor, seed: int) -> list[Phase]:
        """The phases that follow: first centres, then encoder and centres together."""
        return [self._centroids(x, derived_seed(seed, 1)), self._cluster(x)]

    def _centroids(self, x: tf.Tensor, seed: int) -> Phase:
        def run(start: int) -> Iterator[Record]:
            del start  # one step
            z = self.embed(x).numpy()
            if not np.isfinite(z).all():
                raise diverged("before the first centres")
            kmeans = fit_kmeans(z, self.clustering.n_clusters, self.config.kmeans_restarts, seed)
            self.clustering.clusters.assign(kmeans.cluster_centers_)
            self.initial_labels = self.labels = kmeans.labels_.astype(np.int64)
            yield {"phase": "centroids", "step": 1, "inertia": float(kmeans.inertia_)}

        return Phase("centroids", 1, run)

    def _cluster(self, x: tf.Tensor) -> Phase:
        order = batch_order(len(x), self.config)
        interval = self.config.update_interval or order.steps_per_pass

        def run(step: int) -> Iterator[Record]:
            q = self.soft_assign(x).numpy()
            if step == 0:
                self._update_labels(q)  # the first comparison is with k-means, and not looked at
            while step < self.config.max_steps:
                if self.config.reset_optimizer:
                    self.loop.optimizer.reset()
                n_steps = min(interval, self.config.max_steps - step)
                # In numpy, as the original: TensorFlow's float32 column sums over many rows are
                # 60 times further off (2e-6 in the weights after 60 steps).
                p = tf.constant(target_distribution(q))
                losses = self.loop.run([x, p], order, step, n_steps, seed=0)
                record = step_record("cluster", step, losses)
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

    def row_loss(self, x: tf.Tensor, p: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
        """The clustering loss of each row of `x` with its target in `p`; `seed` is not used."""
        del seed  # nothing is drawn
        q = self.clustering(self.encoder(x))
        if self.config.target == "batch":
            p = tf.stop_gradient(target_distribution(q))
        return clustering_loss(q, p)


def fit_kmeans(z: np.ndarray, n_clusters: int, restarts: int, seed: int) -> KMeans:
    """scikit-learn's k-means on one thread: on several it is not bit-equal from run to run.

    Args:
      z: `(rows, features)`.
      n_clusters: Number of centres.
      restarts: The best of so many starts is kept.
      seed: Of the starts.
    """
    with single_threaded():
        return KMeans(n_clusters, n_init=restarts, random_state=seed).fit(z)
