"""A running fit of DEC, and its results."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcluster.config import DECConfig
from tfcluster.dec import keras_weights
from tfcluster.dec.autoencoder import Pretrained, list_weight_shapes
from tfcluster.dec.self_training import DECTrainer
from tfcluster.errors import InputError
from tfcluster.estimator import FitData, digest
from tfcluster.files import Arrays, pack_arrays, unpack_arrays
from tfcluster.fitted import Fitted
from tfcluster.training.phases import Phase, Record


@dataclasses.dataclass(frozen=True, kw_only=True)
class DECFitted(Fitted):
    """The fitted attributes of `DEC`, by name; see there.

    Raises:
      InputError: If the weights are not those of the architecture.
    """

    encoder_weights_: list[np.ndarray]
    decoder_weights_: list[np.ndarray]
    scale_: float
    initial_labels_: np.ndarray | None = None

    def __post_init__(self) -> None:
        expected = list_weight_shapes(self.n_features_in_, self.config_)
        received = [w.shape for w in (*self.encoder_weights_, *self.decoder_weights_)]
        is_whole = received in (expected, expected[: len(expected) // 2])
        n_units = self.config_.dims[-1]
        if not is_whole or self.cluster_centers_.shape[1:] != (n_units,):
            raise InputError(
                f"Weights must have the shapes {expected}, with or without the decoder's half, and "
                f"centroids {n_units} features. Received: {received}, centroids "
                f"{self.cluster_centers_.shape}."
            )

    @classmethod
    def from_h5(cls, path: str | os.PathLike[str], config: DECConfig, n_clusters: int) -> DECFitted:
        """Returns a model that DEC-keras saved; see `DEC.load_weights_h5`.

        Args:
          path: HDF5 file with the layers `encoder_i`, `clustering` and perhaps `decoder_i`.
          config: The protocol; layer sizes come from the file.
          n_clusters: The number of clusters it must have.

        Raises:
          InputError: If the file has no such layers or another number of clusters.
        """
        encoder, decoder, centroids = keras_weights.read_model(path)
        if len(centroids) != n_clusters:
            raise InputError(
                f"{path} holds {len(centroids)} clusters. Received: n_clusters={n_clusters}."
            )
        dims = tuple(int(kernel.shape[-1]) for kernel in encoder[::2])
        try:
            return cls(
                config_=dataclasses.replace(config, dims=dims),
                history_=[],
                cluster_centers_=centroids,
                n_features_in_=len(encoder[0]),
                encoder_weights_=encoder,
                decoder_weights_=decoder,
                scale_=float(config.scaling),
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def to_arrays(self) -> Arrays:
        """Returns the arrays of a model file."""
        arrays = super().to_arrays()
        arrays |= pack_arrays("encoder", self.encoder_weights_)
        arrays |= pack_arrays("decoder", self.decoder_weights_)
        if self.initial_labels_ is not None:
            arrays["initial_labels_"] = self.initial_labels_
        return arrays

    def to_values(self) -> dict[str, Any]:
        """Returns the plain values of a model file."""
        return {**super().to_values(), "scale": self.scale_}

    @classmethod
    def _read_own(cls, arrays: Arrays, values: Any, config: DECConfig) -> dict[str, Any]:
        del config  # the weights tell
        encoder = unpack_arrays("encoder", arrays)
        return {
            "n_features_in_": len(encoder[0]),
            "encoder_weights_": encoder,
            "decoder_weights_": unpack_arrays("decoder", arrays),
            "scale_": values["scale"],
            "initial_labels_": arrays.get("initial_labels_"),
        }


class DECRun(NamedTuple):
    """A running fit.

    Attributes:
      trainer: Has fresh weights.
      data: The samples.
      x: `(n_samples, n_features)` float32, the samples times `scale`.
      scale: Factor of all features.
      seed: Seed of all random numbers.
    """

    trainer: DECTrainer
    data: FitData
    x: tf.Tensor
    scale: float
    seed: int

    @classmethod
    def begin(cls, trainer: DECTrainer, data: FitData, seed: int) -> DECRun:
        """Gives the trainer fresh weights, and the samples their factor."""
        trainer.reset(seed)
        scale = find_scale(data.x, trainer.config)
        return cls(trainer, data, tf.constant(data.x * scale), float(scale), seed)

    @property
    def identity(self) -> dict[str, Any]:
        """The values that tell this run from others, for its checkpoint."""
        weights = self.trainer.pretraining.autoencoder.get_weights()
        return {
            "random_state": self.seed,
            "data": digest(self.x.numpy()),
            "initial weights": digest(*weights),
        }

    def pretraining_phases(self) -> list[Phase]:
        """Returns the phases that train the autoencoder."""
        return self.trainer.pretraining_phases(self.x, self.seed)

    def phases(self, pretrained: Pretrained | None) -> list[Phase]:
        """Returns all phases; without those of pretraining if there is a pretrained autoencoder."""
        before: list[Phase] = []
        if pretrained is None:
            before = self.pretraining_phases()
        else:
            self.trainer.pretraining.set_pretrained(pretrained)
        return [*before, *self.trainer.clustering_phases(self.x, self.seed)]

    def fitted(self, history: list[Record]) -> DECFitted:
        """Returns the results, after all phases."""
        trainer = self.trainer
        return DECFitted(
            **self.data.fitted(),
            config_=trainer.config,
            history_=history,
            cluster_centers_=trainer.clustering.clusters.numpy(),
            labels_=np.argmax(trainer.soft_assign(self.x).numpy(), axis=1),
            initial_labels_=trainer.initial_labels,
            encoder_weights_=trainer.encoder.get_weights(),
            decoder_weights_=trainer.pretraining.get_decoder_weights(),
            scale_=self.scale,
        )


def find_scale(x: np.ndarray, config: DECConfig) -> np.float32:
    """Returns the factor of all features of `x`, `(n_samples, n_features)`: `config.scaling`."""
    if config.scaling == "rms":
        return np.float32(1 / np.sqrt(np.mean(np.square(x, dtype=np.float64))))
    return np.float32(config.scaling)
