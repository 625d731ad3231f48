"""Hyperparameters of DEC."""

from __future__ import annotations

import dataclasses
import sys
from typing import Literal

from tfcluster.config.checks import (
    LARGEST,
    check_below_one,
    check_not_negative,
    check_positive,
    check_types,
    require,
)
from tfcluster.config.optimizers import SGD, Adam
from tfcluster.config.serialization import register

_ADAM = Adam()
_SGD = SGD(0.01, momentum=0.9)
_CAFFE_SGD = SGD(0.1, momentum=0.9, bias_rate=2.0, momentum_ramp=1000, decay_every=20_000)


@register
@dataclasses.dataclass(frozen=True)
class EndToEnd:
    """Pretraining of DEC-keras: the whole autoencoder at once, without noise.

    Attributes:
      epochs: Passes over the data.
      optimizer: The optimizer, fresh at the start.
      shuffle: Whether samples are reshuffled every epoch (the default of Keras' `fit`).
    """

    epochs: int = 200
    optimizer: SGD | Adam = _ADAM
    shuffle: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_not_negative(self, "epochs")


@register
@dataclasses.dataclass(frozen=True)
class LayerWise:
    """Pretraining of the paper: one denoising autoencoder per layer, then end to end.

    Attributes:
      steps_per_layer: Steps for each layer's own autoencoder.
      finetune_steps: Steps for the whole autoencoder afterwards, without dropout.
      dropout: Share dropped of a layer's input (not of the data themselves, whose
        dropout is 0 in `pretrain.py`) and of its code (not of the embedding).
      optimizer: The optimizer, fresh at the start of every phase.
    """

    steps_per_layer: int = 50_000
    finetune_steps: int = 100_000
    dropout: float = 0.2
    optimizer: SGD | Adam = _CAFFE_SGD

    def __post_init__(self) -> None:
        check_types(self)
        check_not_negative(self, "steps_per_layer", "finetune_steps")
        check_below_one(self, "dropout")


@register
@dataclasses.dataclass(frozen=True)
class DECConfig:
    """Hyperparameters of DEC.

    Attributes:
      dims: Units of the encoder's layers; the last is the embedding.
      initializer: Distribution of the initial weights: "glorot_uniform"; "fan_in_uniform",
        uniform with limit sqrt(1 / fan_in); or "normal", N(0, 0.01). Biases start at zero.
      scaling: Factor of all features, applied before anything else but standardization: a number,
        or "rms" for the factor that makes the mean of x^2 one on the data of `fit`.
      pretraining: `EndToEnd` or `LayerWise`.
      reconstruction_weight: Factor of the mean squared error (Caffe's loss has 1/2).
      alpha: Degrees of freedom of Student's t, positive.
      kmeans_restarts: Restarts of the k-means that finds the initial centroids.
      batch_size: Samples per step, in every phase.
      remainder: Treatment of samples that do not fill a batch: "short" takes a short batch at the
        end of a pass (Keras), "wrap" continues with the first samples (Caffe).
      optimizer: Optimizer of the clustering phase.
      reset_optimizer: Whether it starts afresh whenever the target is updated; the paper's
        code starts a new solver there.
      update_interval: Steps between two updates of the target; 0 for one pass.
      target: "global" for eq. 3 of the paper over all samples; "batch" computes it within each
        batch, as pt-dec does, which is not DEC and serves for comparison.
      tol: Training stops when a smaller share of labels changed between two updates.
      max_steps: Largest number of steps of the clustering phase.
      precision: "bfloat16" computes the products of all layers but the embedding's in it; weights,
        biases, embeddings, losses and optimizers stay in float32.
    """

    dims: tuple[int, ...] = (500, 500, 2000, 10)
    initializer: Literal["glorot_uniform", "fan_in_uniform", "normal"] = "glorot_uniform"
    scaling: float | Literal["rms"] = 1.0
    pretraining: EndToEnd | LayerWise = EndToEnd()
    reconstruction_weight: float = 1.0
    alpha: float = 1.0
    kmeans_restarts: int = 20
    batch_size: int = 256
    remainder: Literal["short", "wrap"] = "short"
    optimizer: SGD | Adam = _SGD
    reset_optimizer: bool = False
    update_interval: int = 140
    target: Literal["global", "batch"] = "global"
    tol: float = 1e-3
    max_steps: int = 20_000
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        check_types(self)
        require(
            isinstance(self.dims, tuple)
            and len(self.dims) > 0
            and all(type(units) is int and 0 < units <= LARGEST for units in self.dims),
            "`dims` must be a tuple of at least one layer size, all whole and positive.",
            dims=self.dims,
        )
        require(
            self.scaling == "rms"
            or (type(self.scaling) in (int, float) and 0 < self.scaling <= sys.float_info.max),
            "`scaling` must be 'rms' or a positive number.",
            scaling=self.scaling,
        )
        check_positive(self, "reconstruction_weight", "alpha", "kmeans_restarts", "batch_size")
        check_not_negative(self, "update_interval", "max_steps")
        require(0 <= self.tol <= 1, "`tol` is a share and must be in [0, 1].", tol=self.tol)
