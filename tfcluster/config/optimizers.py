"""Hyperparameters of optimizers."""

from __future__ import annotations

import dataclasses

from tfcluster.config.checks import (
    check_below_one,
    check_not_negative,
    check_positive,
    check_types,
)
from tfcluster.config.serialization import register


@register
@dataclasses.dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum, as Keras and Caffe both write it.

    Attributes:
      learning_rate: Step size, positive.
      momentum: In [0, 1).
      bias_rate: Factor of the learning rate of biases (Caffe's `blobs_lr`).
      momentum_ramp: Steps over which momentum grows from 0 to `momentum`, linearly.
      decay_every: Steps after which the learning rate is divided by ten; 0 for never.
    """

    learning_rate: float
    momentum: float = 0.0
    bias_rate: float = 1.0
    momentum_ramp: int = 0
    decay_every: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        check_positive(self, "learning_rate", "bias_rate")
        check_below_one(self, "momentum")
        check_not_negative(self, "momentum_ramp", "decay_every")


@register
@dataclasses.dataclass(frozen=True)
class Adam:
    """Adam in TensorFlow's form, where epsilon is added to the uncorrected root.

    Attributes:
      learning_rate: Step size, positive.
      beta_1: Decay of the first moment, in [0, 1).
      beta_2: Decay of the second moment, in [0, 1).
      epsilon: Added to the root of the second moment; Keras' default is 1e-7.
    """

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        check_types(self)
        check_positive(self, "learning_rate", "epsilon")
        check_below_one(self, "beta_1", "beta_2")
