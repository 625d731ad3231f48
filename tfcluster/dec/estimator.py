"""Deep Embedded Clustering as a scikit-learn estimator.

Xie, Girshick, Farhadi: Unsupervised Deep Embedding for Clustering Analysis, ICML 2016. Matches
`DEC.py` of XifengGuo/DEC-keras.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from tfcluster.config import SGD, Adam, DECConfig, EndToEnd, LayerWise, apply_arguments, dec_config
from tfcluster.dec import keras_weights
from tfcluster.dec.autoencoder import Pretrained, autoencoder_shapes, build_autoencoder
from tfcluster.dec.self_training import DECTrainer
from tfcluster.errors import InputError
from tfcluster.estimator import (
    DeepClusterer,
    EmptyClusterWarning,
    digest,
    numbered,
    unnumbered,
)
from tfcluster.files import Arrays
from tfcluster.layers import ClusteringLayer
from tfcluster.scaling import Standardizer
from tfcluster.training.phases import Monitor, Record, run_phases
from tfcluster.training.trainer_pool import Shelf
from tfcluster.validation import check_seed

_TRAINERS = Shelf(DECTrainer)


class DEC(DeepClusterer):
    """Deep Embedded Clustering, as a scikit-learn estimator.

    Pretrains an autoencoder, starts centres by k-means on its embedding, and trains encoder and
    centres together towards a sharpened copy of their own assignments.

    Args:
      n_clusters: Number of clusters, at least 2.
      preset: The protocol: `"keras"` (DEC-keras), `"paper"`, one of them for a data set, e.g.
        `"keras:mnist"` (see `tfcluster.config.presets.DEC_PRESETS`), or a `DECConfig`. Arguments
        that are None are the preset's; `tfcluster.config.DECConfig` describes each in full.
      standardize: Whether features get mean 0 and standard deviation 1 over the samples of `fit`,
        before anything else, and missing values (NaN) the mean.
      dims: Units of the encoder's layers; the last is the embedding.
      initializer: Initial weights: "glorot_uniform", "fan_in_uniform" or "normal".
      scaling: Factor of all features, or "rms" for the one that makes the mean of x^2 one.
      pretraining: `EndToEnd` or `LayerWise`.
      reconstruction_weight: Factor of the mean squared error of pretraining.
      alpha: Degrees of freedom of Student's t.
      kmeans_restarts: Restarts of the k-means that finds the initial centroids.
      batch_size: Samples per step.
      remainder: The last batch of a pass: "short", or "wrap" to go on with the first samples.
      optimizer: Optimizer of the clustering phase, `SGD` or `Adam`.
      reset_optimizer: Whether it starts afresh at every update of the target.
      update_interval: Steps between two updates of the target; 0 for one pass.
      target: "global", or "batch" to compute the target within each batch.
      tol: Share of labels that must change between two updates for training to go on.
      max_steps: Largest number of steps of the clustering phase.
      precision: "float32", or "bfloat16" for the products of all layers but the embedding's.
      pretrain_epochs: Passes over the data in end-to-end pretraining (`pretraining.epochs`).
      random_state: Seed. The same seed on the same machine with the same thread setting gives
        the same bits.

    Attributes:
      labels_: `(rows,)` labels of the rows of `fit`, equal to `predict` on them.
      initial_labels_: `(rows,)` labels before the clustering phase: k-means on the embedding of
        the pretrained autoencoder, the baseline "AE + k-means" of the papers.
      cluster_centers_: `(n_clusters, dims[-1])` centres in the embedding.
      history_: Records of training; see `tfcluster.training.loop.Record`.
      standardizer_: The `tfcluster.scaling.Standardizer` of the samples of `fit`; None without
        `standardize`.
      scale_: Factor of all features, after standardization.
      config_: The configuration: the preset's, with the arguments that were given.

    Departure from the original: labels are those of the final weights, not of the last update of
    the target.
    """

    kind = "DEC"

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        preset: str | DECConfig = "keras",
        standardize: bool = False,
        dims: Sequence[int] | None = None,
        initializer: Literal["glorot_uniform", "fan_in_uniform", "normal"] | None = None,
        scaling: float | Literal["rms"] | None = None,
        pretraining: EndToEnd | LayerWise | None = None,
        reconstruction_weight: float | None = None,
        alpha: float | None = None,
        kmeans_restarts: int | None = None,
        batch_size: int | None = None,
        remainder: Literal["short", "wrap"] | None = None,
        optimizer: SGD | Adam | None = None,
        reset_optimizer: bool | None = None,
        update_interval: int | None = None,
        target: Literal["global", "batch"] | None = None,
        tol: float | None = None,
        max_steps: int | None = None,
        precision: Literal["float32", "bfloat16"] | None = None,
        pretrain_epochs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.preset = preset
        self.standardize = standardize
        self.dims = dims
        self.initializer = initializer
        self.scaling = scaling
        self.pretraining = pretraining
        self.reconstruction_weight = reconstruction_weight
        self.alpha = alpha
        self.kmeans_restarts = kmeans_restarts
        self.batch_size = batch_size
        self.remainder = remainder
        self.optimizer = optimizer
        self.reset_optimizer = reset_optimizer
        self.update_interval = update_interval
        self.target = target
        self.tol = tol
        self.max_steps = max_steps
        self.precision = precision
        self.pretrain_epochs = pretrain_epochs
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        monitor: Monitor | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 60.0,
        pretrained: Pretrained | None = None,
    ) -> DEC:
        """Learns clusters.

        Args:
          X: `(n_samples, n_features)` finite numbers; with `standardize`, NaN where missing.
          y: Never used.
          monitor: Called with every record of training; what it raises stops the run.
          checkpoint: A file to keep progress in. If it is there, the run goes on from it and ends
            with the weights of an uninterrupted one; `random_state` must be a whole number.
          checkpoint_seconds: Least time between two checkpoints.
          pretrained: What `pretrain` returned, or an HDF5 file with the autoencoder of DEC-keras
            (`ae_weights.h5`), to start from instead of pretraining.

        Returns:
          The estimator.

        Raises:
          InputError: If X, a parameter or a file does not fit.
          TrainingError: If the loss stops being finite.
        """
        del y
        with self._prepared(X) as run:
            if pretrained is None:
                phases = run.trainer.pretraining_phases(run.x, run.seed)
            else:
                run.trainer.pretraining.set_pretrained(pretrained)
                phases = []
            phases = [*phases, *run.trainer.clustering_phases(run.x, run.seed)]
            keeper = self._keeper(checkpoint, checkpoint_seconds, run.trainer, run.identity)
            history = run_phases(phases, monitor=monitor, checkpoint=keeper)
            self._adopt(run, history)
        self._warn_empty_clusters()
        return self

    def pretrain(
        self,
        X: Any,
        *,
        monitor: Monitor | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 60.0,
    ) -> list[np.ndarray]:
        """Pretrains the autoencoder alone, for `fit(X, pretrained=...)` to start from.

        `fit(X, pretrained=pretrain(X))` ends with the weights of `fit(X)`; several numbers of
        clusters can share one pretraining.

        Args:
          X: As for `fit`.
          monitor: As for `fit`.
          checkpoint: As for `fit`; a file of its own.
          checkpoint_seconds: As for `fit`.

        Returns:
          Kernels and biases in the order data pass through them.

        Raises:
          InputError: If X, a parameter or a file does not fit.
          TrainingError: If the loss stops being finite.
        """
        with self._prepared(X) as run:
            phases = run.trainer.pretraining_phases(run.x, run.seed)
            keeper = self._keeper(checkpoint, checkpoint_seconds, run.trainer, run.identity)
            run_phases(phases, monitor=monitor, checkpoint=keeper)
            weights: list[np.ndarray] = run.trainer.pretraining.autoencoder.get_weights()
        return weights

    def _resolve_config(self) -> DECConfig:
        config: DECConfig = apply_arguments(dec_config(self.preset), self.get_params(deep=False))
        return config

    @property
    def n_iter_(self) -> int:
        """Steps of the clustering phase."""
        check_is_fitted(self)
        return max((r["step"] for r in self.history_ if r["phase"] == "cluster"), default=0)

    def predict(self, X: Any) -> np.ndarray:
        """Labels of rows, new ones too: `(rows, features)` to `(rows,)`."""
        return np.argmax(self.soft_assign(X), axis=1)

    def soft_assign(self, X: Any) -> np.ndarray:
        """Soft assignments q, eq. 1: `(rows, features)` to `(rows, n_clusters)`."""
        return self._apply("soft_assign", X)

    def transform(self, X: Any) -> np.ndarray:
        """The embedding: `(rows, features)` to `(rows, dims[-1])`."""
        return self._apply("embed", X)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Returns samples after the autoencoder, in the units of X.

        Args:
          X: `(n_samples, n_features)`.

        Returns:
          `(n_samples, n_features)` float32; float64 with `standardize`.

        Raises:
          InputError: If the weights came from a file without a decoder.
        """
        if not self.has_decoder_:
            raise InputError("These weights came from a file without `decoder_i` layers.")
        return self._restore_units(self._apply("reconstruct", X) / np.float32(self.scale_))

    @property
    def has_decoder_(self) -> bool:
        """Whether `reconstruct` works: not after `load_weights_h5` of a file without a decoder."""
        check_is_fitted(self)
        return len(self._decoder_weights) > 0

    @property
    def encoder_(self) -> tf.keras.Model:
        """Standardized and scaled features to embedding: a Keras model, weights copied."""
        check_is_fitted(self)
        _, encoder = build_autoencoder(self.n_features_in_, self.config_)
        encoder.set_weights(self._encoder_weights)
        return encoder

    @property
    def autoencoder_(self) -> tf.keras.Model:
        """Standardized and scaled features to the same: a Keras model, weights copied."""
        check_is_fitted(self)
        autoencoder, _ = build_autoencoder(self.n_features_in_, self.config_)
        autoencoder.set_weights([*self._encoder_weights, *self._decoder_weights])
        return autoencoder

    @property
    def model_(self) -> tf.keras.Model:
        """Standardized and scaled features to soft assignments: a Keras model, weights copied."""
        encoder = self.encoder_
        layer = ClusteringLayer(len(self.cluster_centers_), self.config_.alpha, name="clustering")
        model = tf.keras.Model(encoder.input, layer(encoder.output), name="dec")
        layer.clusters.assign(self.cluster_centers_)
        return model

    def _saved_arrays(self) -> Arrays:
        return {
            **numbered("encoder", self._encoder_weights),
            **numbered("decoder", self._decoder_weights),
            **{name: getattr(self, name) for name in _FITTED_ARRAYS if name in vars(self)},
        }

    def _saved_values(self) -> dict[str, Any]:
        return {"scale": self.scale_}

    def _restore(self, arrays: Arrays, meta: Any) -> None:
        self._encoder_weights = unnumbered("encoder", arrays)
        self._decoder_weights = unnumbered("decoder", arrays)
        for name in arrays.keys() & set(_FITTED_ARRAYS):
            setattr(self, name, arrays[name])
        self.n_features_in_ = self._encoder_weights[0].shape[0]
        self.scale_ = meta["scale"]

    def load_weights_h5(self, path: str | os.PathLike[str]) -> DEC:
        """Takes over a model that DEC-keras trained (`DEC_model_final.h5`).

        Layer sizes come from the file, everything else from the preset. There are no `labels_`.

        Args:
          path: HDF5 file with the layers `encoder_i`, `clustering` and perhaps `decoder_i`.

        Returns:
          The estimator, ready to predict.

        Raises:
          InputError: If the file has no such layers or another number of clusters, or if scaling
            depends on the data of `fit`.
        """
        config = self._resolve_config()
        if config.scaling == "rms" or self.standardize:
            raise InputError(
                'scaling="rms" and `standardize` depend on the data of `fit`, which a file of '
                f"weights does not hold. Received: scaling={config.scaling!r}, "
                f"standardize={self.standardize}. Give `scaling` a number and leave out "
                "`standardize`."
            )
        layers = keras_weights.read_layers(path)
        encoder = keras_weights.encoder_weights(layers)
        decoder = keras_weights.decoder_weights(layers)
        if not encoder or "clusters" not in layers.get("clustering", {}):
            raise InputError(
                f"{path} must hold the layers `encoder_i` and `clustering`. Received: "
                f"{', '.join(sorted(layers)) or 'no layers'}. An autoencoder alone is for "
                "`fit(X, pretrained=path)`."
            )
        clusters = layers["clustering"]["clusters"]
        if len(clusters) != self.n_clusters:
            raise InputError(
                f"{path} holds {len(clusters)} clusters. Received: n_clusters={self.n_clusters}."
            )
        config = dataclasses.replace(config, dims=tuple(int(w.shape[-1]) for w in encoder[::2]))
        expected = autoencoder_shapes(encoder[0].shape[0], config)
        received = [w.shape for w in (*encoder, *decoder)]
        is_whole = received in (expected, expected[: len(expected) // 2])
        if not is_whole or clusters.shape[1:] != config.dims[-1:]:
            raise InputError(
                f"The layers of {path} do not fit each other: {received}, centres {clusters.shape}."
            )
        self.config_, self.scale_, self.standardizer_ = config, float(config.scaling), None
        self._encoder_weights, self._decoder_weights = encoder, decoder
        self.cluster_centers_ = clusters
        self.n_features_in_ = encoder[0].shape[0]
        self.history_: list[Record] = []
        for stale in ("labels_", "initial_labels_", "feature_names_in_"):
            self.__dict__.pop(stale, None)
        return self

    @classmethod
    def from_weights(
        cls,
        encoder: Sequence[np.ndarray],
        decoder: Sequence[np.ndarray],
        centers: np.ndarray,
        config: DECConfig,
        *,
        scale: float | None = None,
        standardizer: Standardizer | None = None,
        random_state: int | None = None,
        history: Sequence[Record] = (),
    ) -> DEC:
        """The estimator of weights that were trained elsewhere, as over clients.

        Args:
          encoder: Kernels and biases in the order data pass through them.
          decoder: The same, or nothing.
          centers: `(n_clusters, dims[-1])`.
          config: The protocol.
          scale: Factor of all features; the config's number if left out.
          standardizer: What standardizes samples, before the factor.
          random_state: Seed of the run.
          history: Records of training.

        Returns:
          The estimator, ready to predict; it has no `labels_`.

        Raises:
          InputError: If the weights are not those of the architecture.
        """
        n_features = int(encoder[0].shape[0])
        expected = autoencoder_shapes(n_features, config)
        received = [w.shape for w in (*encoder, *decoder)]
        if received not in (expected, expected[: len(encoder)]):
            raise InputError(f"Weights must have the shapes {expected}. Received: {received}.")
        made = cls(
            len(centers),
            preset=config,
            standardize=standardizer is not None,
            random_state=random_state,
        )
        made.standardizer_ = standardizer
        made.config_, made.history_ = config, list(history)
        made.scale_ = float(config.scaling) if scale is None else scale
        made._encoder_weights, made._decoder_weights = list(encoder), list(decoder)
        made.cluster_centers_, made.n_features_in_ = np.asarray(centers), n_features
        return made

    def _apply(self, function: str, X: Any) -> np.ndarray:
        X = self._check_new(X)
        with _TRAINERS.borrow(X.shape[1], len(self.cluster_centers_), self.config_) as trainer:
            trainer.encoder.set_weights(self._encoder_weights)
            trainer.pretraining.set_decoder_weights(self._decoder_weights)
            trainer.clustering.clusters.assign(self.cluster_centers_)
            x = tf.constant(X * np.float32(self.scale_))
            result: np.ndarray = getattr(trainer, function)(x).numpy()
        return result

    @contextlib.contextmanager
    def _prepared(self, X: Any) -> Iterator[_Run]:
        """Checks everything and lends a trainer with fresh weights."""
        config = self._resolve_config()
        X, standardizer, seen = self._checked(X)
        seed = check_seed(self.random_state)
        scale = _fit_scale(X, config)
        with _TRAINERS.borrow(X.shape[1], int(self.n_clusters), config) as trainer:
            trainer.reset(seed)
            yield _Run(trainer, tf.constant(X * scale), standardizer, float(scale), seed, seen)

    def _adopt(self, run: _Run, history: list[Record]) -> None:
        trainer = run.trainer
        self._adopt_features(run.seen)
        self.history_ = history
        self.labels_ = np.argmax(trainer.soft_assign(run.x).numpy(), axis=1)
        self.initial_labels_ = trainer.initial_labels
        self._encoder_weights = trainer.encoder.get_weights()
        self._decoder_weights = trainer.pretraining.decoder_weights()
        self.cluster_centers_ = trainer.clustering.clusters.numpy()
        self.config_, self.scale_ = trainer.config, run.scale
        self.standardizer_ = run.standardizer

    def _warn_empty_clusters(self) -> None:
        used = len(np.unique(self.labels_))
        if used < self.n_clusters:
            warnings.warn(
                f"{self.n_clusters - used} of {self.n_clusters} clusters own no rows. "
                "Ask for fewer clusters, or pretrain longer.",
                EmptyClusterWarning,
                stacklevel=3,  # the caller of `fit`
            )


@dataclasses.dataclass(frozen=True)
class _Run:
    """A fit in the making."""

    trainer: DECTrainer
    x: tf.Tensor
    standardizer: Standardizer | None
    scale: float
    seed: int
    seen: BaseEstimator

    @property
    def identity(self) -> dict[str, Any]:
        """Which run this is, for its checkpoint."""
        weights = self.trainer.pretraining.autoencoder.get_weights()
        return {
            "random_state": self.seed,
            "data": digest(self.x.numpy()),
            "initial weights": digest(*weights),
        }


_FITTED_ARRAYS = ("cluster_centers_", "initial_labels_", "labels_")


def _fit_scale(X: np.ndarray, config: DECConfig) -> np.float32:
    if config.scaling == "rms":
        return np.float32(1 / np.sqrt(np.mean(np.square(X, dtype=np.float64))))
    return np.float32(config.scaling)
