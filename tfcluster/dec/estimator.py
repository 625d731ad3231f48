"""Deep Embedded Clustering as a scikit-learn estimator.

Xie, Girshick, Farhadi: Unsupervised Deep Embedding for Clustering Analysis, ICML 2016. Matches
`DEC.py` of XifengGuo/DEC-keras.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from sklearn.utils.validation import check_is_fitted

from tfcluster.config import SGD, Adam, DECConfig, EndToEnd, LayerWise, get_dec_config
from tfcluster.dec.autoencoder import Pretrained, build_autoencoder
from tfcluster.dec.fit import DECFitted, DECRun
from tfcluster.dec.self_training import DECTrainer
from tfcluster.errors import InputError
from tfcluster.estimator import DeepClusterer, warn_empty_clusters
from tfcluster.layers import ClusteringLayer
from tfcluster.scaling import Standardizer
from tfcluster.training.phases import Callback, Record, run_phases
from tfcluster.training.trainer_pool import TrainerPool
from tfcluster.validation import check_callbacks, check_feature_names, check_seed

_POOL = TrainerPool(DECTrainer)


class DEC(DeepClusterer):
    """Deep Embedded Clustering, as a scikit-learn estimator.

    Pretrains an autoencoder, finds initial centroids by k-means on its embedding, and trains
    encoder and centroids together towards a sharpened copy of their own assignments.

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
      remainder: The last batch of a pass: "short", or "wrap" to continue with the first samples.
      optimizer: Optimizer of the clustering phase, `SGD` or `Adam`.
      reset_optimizer: Whether it starts afresh at every update of the target.
      update_interval: Steps between two updates of the target; 0 for one pass.
      target: "global", or "batch" to compute the target within each batch.
      tol: Share of labels that must change between two updates for training to continue.
      max_steps: Largest number of steps of the clustering phase.
      precision: "float32", or "bfloat16" for the products of all layers but the embedding's.
      pretrain_epochs: Passes over the data in end-to-end pretraining (`pretraining.epochs`).
      random_state: Seed. The same seed on the same machine with the same thread setting gives
        the same bits.

    Attributes:
      labels_: `(n_samples,)` labels of the samples of `fit`, equal to `predict` on them.
      initial_labels_: `(n_samples,)` labels before the clustering phase: k-means on the embedding
        of the pretrained autoencoder, the baseline "AE + k-means" of the papers.
      cluster_centers_: `(n_clusters, dims[-1])` centroids in the embedding.
      encoder_weights_: Kernels and biases in the order data pass through them.
      decoder_weights_: The same; empty after `load_weights_h5` of a file without a decoder.
      history_: Records of training; see `tfcluster.training.phases.Record`.
      standardizer_: The `tfcluster.scaling.Standardizer` of the samples of `fit`; None without
        `standardize`.
      scale_: Factor of all features, after standardization.
      config_: The configuration: the preset's, with the arguments that were given.

    Departure from the original: labels are those of the final weights, not of the last update of
    the target.
    """

    kind = "DEC"
    fitted_kind = DECFitted

    encoder_weights_: list[np.ndarray]
    decoder_weights_: list[np.ndarray]
    scale_: float
    initial_labels_: np.ndarray

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
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 60.0,
        pretrained: Pretrained | None = None,
    ) -> DEC:
        """Learns clusters.

        Args:
          X: `(n_samples, n_features)` finite numbers; with `standardize`, NaN where missing.
          y: Never used.
          callbacks: Functions that are called with every record of training, in order; the first
            that raises stops the run.
          checkpoint: A file that keeps the progress. If it exists, the run resumes from it and
            ends with the weights of an uninterrupted run; `random_state` must be a whole number.
          checkpoint_seconds: Least time between two checkpoints.
          pretrained: An autoencoder to start from instead of pretraining: the result of
            `pretrain`, or an HDF5 file of DEC-keras (`ae_weights.h5`).

        Returns:
          The estimator.

        Raises:
          InputError: If X, a parameter or a file does not fit.
          TrainingError: If the loss stops being finite.
        """
        del y
        check_callbacks(callbacks)
        with self._begin_run(X) as run:
            phases = run.phases(pretrained)
            saver = self._open_checkpoint(checkpoint, checkpoint_seconds, run.trainer, run.identity)
            history = run_phases(phases, callbacks=callbacks, checkpoint=saver)
            self._set_fitted(run.fitted(history))
        warn_empty_clusters(self.labels_, int(self.n_clusters))
        return self

    def pretrain(
        self,
        X: Any,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 60.0,
    ) -> list[np.ndarray]:
        """Pretrains the autoencoder only, for `fit(X, pretrained=...)` to start from.

        `fit(X, pretrained=pretrain(X))` ends with the weights of `fit(X)`. Fits with several
        numbers of clusters can share one pretraining.

        Args:
          X: As for `fit`.
          callbacks: As for `fit`.
          checkpoint: As for `fit`; not the file of a `fit`.
          checkpoint_seconds: As for `fit`.

        Returns:
          Kernels and biases in the order data pass through them.

        Raises:
          InputError: If X, a parameter or a file does not fit.
          TrainingError: If the loss stops being finite.
        """
        check_callbacks(callbacks)
        with self._begin_run(X) as run:
            saver = self._open_checkpoint(checkpoint, checkpoint_seconds, run.trainer, run.identity)
            run_phases(run.pretraining_phases(), callbacks=callbacks, checkpoint=saver)
            weights: list[np.ndarray] = run.trainer.pretraining.autoencoder.get_weights()
        return weights

    @contextlib.contextmanager
    def _begin_run(self, X: Any) -> Iterator[DECRun]:
        """Checks everything and borrows a trainer for a run."""
        config = self._resolve_config()
        data = self._check_fit(X)
        seed = check_seed(self.random_state)
        with _POOL.borrow(data.x.shape[1], int(self.n_clusters), config) as trainer:
            yield DECRun.begin(trainer, data, seed)

    def _resolve_config(self) -> DECConfig:
        return get_dec_config(self.preset, arguments=self.get_params(deep=False))

    @property
    def n_iter_(self) -> int:
        """Steps of the clustering phase."""
        check_is_fitted(self)
        return max((r["step"] for r in self.history_ if r["phase"] == "cluster"), default=0)

    def predict(self, X: Any) -> np.ndarray:
        """Returns labels of samples, new ones too.

        Args:
          X: `(n_samples, n_features)`, or of any kind that `fit` takes.

        Returns:
          `(n_samples,)` clusters, the largest entry of `soft_assign`.
        """
        return np.argmax(self.soft_assign(X), axis=1)

    def soft_assign(self, X: Any) -> np.ndarray:
        """Returns soft assignments q, eq. 1 of the paper.

        Args:
          X: `(n_samples, n_features)`.

        Returns:
          `(n_samples, n_clusters)` float32; each row sums to one.
        """
        return self._apply("soft_assign", X)

    def transform(self, X: Any) -> np.ndarray:
        """Returns embeddings of samples.

        Args:
          X: `(n_samples, n_features)`.

        Returns:
          `(n_samples, dims[-1])` float32.
        """
        return self._apply("embed", X)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Returns the autoencoder's reconstruction of samples, in the units of X.

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

    def _apply(self, function: str, X: Any) -> np.ndarray:
        x = self._check_new(X)
        with _POOL.borrow(x.shape[1], len(self.cluster_centers_), self.config_) as trainer:
            trainer.encoder.set_weights(self.encoder_weights_)
            trainer.pretraining.set_decoder_weights(self.decoder_weights_)
            trainer.clustering.clusters.assign(self.cluster_centers_)
            scaled = tf.constant(x * np.float32(self.scale_))
            result: np.ndarray = getattr(trainer, function)(scaled).numpy()
        return result

    @property
    def has_decoder_(self) -> bool:
        """Whether `reconstruct` works: not after `load_weights_h5` of a file without a decoder."""
        check_is_fitted(self)
        return len(self.decoder_weights_) > 0

    @property
    def encoder_(self) -> tf.keras.Model:
        """Standardized and scaled features to embedding: a Keras model, weights copied."""
        check_is_fitted(self)
        _, encoder = build_autoencoder(self.n_features_in_, self.config_)
        encoder.set_weights(self.encoder_weights_)
        return encoder

    @property
    def autoencoder_(self) -> tf.keras.Model:
        """Standardized and scaled features to the same: a Keras model, weights copied."""
        check_is_fitted(self)
        autoencoder, _ = build_autoencoder(self.n_features_in_, self.config_)
        autoencoder.set_weights([*self.encoder_weights_, *self.decoder_weights_])
        return autoencoder

    @property
    def model_(self) -> tf.keras.Model:
        """Standardized and scaled features to soft assignments: a Keras model, weights copied."""
        encoder = self.encoder_
        layer = ClusteringLayer(len(self.cluster_centers_), self.config_.alpha, name="clustering")
        model = tf.keras.Model(encoder.input, layer(encoder.output), name="dec")
        layer.clusters.assign(self.cluster_centers_)
        return model

    def load_weights_h5(self, path: str | os.PathLike[str]) -> DEC:
        """Takes the weights of a model that DEC-keras trained (`DEC_model_final.h5`).

        Layer sizes come from the file, everything else from the preset and the arguments. There
        are no `labels_`.

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
                'scaling="rms" and `standardize` depend on the data of `fit`, not on weights. '
                f"Received: scaling={config.scaling!r}, standardize={self.standardize}. Give "
                "`scaling` a number and leave out `standardize`."
            )
        self._set_fitted(DECFitted.from_h5(path, config, int(self.n_clusters)))
        return self

    @classmethod
    def from_weights(
        cls,
        encoder: Sequence[np.ndarray],
        decoder: Sequence[np.ndarray],
        centroids: np.ndarray,
        config: DECConfig,
        *,
        scale: float | None = None,
        standardizer: Standardizer | None = None,
        random_state: int | None = None,
        history: Sequence[Record] = (),
        labels: np.ndarray | None = None,
        initial_labels: np.ndarray | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> DEC:
        """Returns an estimator with weights that were trained elsewhere, e.g. by federation.

        Args:
          encoder: Kernels and biases in the order data pass through them.
          decoder: The same, or nothing.
          centroids: `(n_clusters, dims[-1])`.
          config: The protocol.
          scale: Factor of all features; the config's number if left out.
          standardizer: Standardizes samples before the factor, if given.
          random_state: Seed of the run.
          history: Records of training.
          labels: `(n_samples,)`, becomes `labels_`, which is missing if left out.
          initial_labels: `(n_samples,)`, becomes `initial_labels_`, likewise.
          feature_names: `(n_features,)`, becomes `feature_names_in_`, likewise.

        Raises:
          InputError: If the weights are not those of the architecture, or names not as many as
            features.
        """
        n_features = int(encoder[0].shape[0])
        fitted = DECFitted(
            config_=config,
            history_=list(history),
            cluster_centers_=np.asarray(centroids),
            n_features_in_=n_features,
            standardizer_=standardizer,
            feature_names_in_=check_feature_names(feature_names, n_features),
            labels_=labels,
            encoder_weights_=list(encoder),
            decoder_weights_=list(decoder),
            scale_=float(config.scaling) if scale is None else scale,
            initial_labels_=initial_labels,
        )
        return cls._made(fitted, random_state)
