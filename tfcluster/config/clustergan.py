"""Hyperparameters of ClusterGAN."""

from __future__ import annotations

import dataclasses
from typing import Literal

from tfcluster.config.checks import check_not_negative, check_positive, check_types
from tfcluster.config.optimizers import Adam
from tfcluster.config.serialization import register

_ADAM = Adam(1e-4, beta_1=0.5, beta_2=0.9, epsilon=1e-8)


@register
@dataclasses.dataclass(frozen=True)
class GANConfig:
    """Hyperparameters of ClusterGAN.

    Attributes:
      networks: "image" (28 x 28, convolutions), "gene" (any width, linear output) or "pendigits"
        (any width, features in [0, 1], normalized layers, sigmoid output).
      n_noise: Length of z_n.
      beta_n: Weight of recovering z_n.
      beta_c: Weight of recovering z_c.
      noise_scale: Standard deviation of z_n.
      critic_steps: Steps of the critic for each step of generator and encoder.
      batch_size: Samples per step.
      penalty: Weight of the gradient penalty.
      epsilon_per_row: Whether each sample is interpolated by its own number (the Wasserstein GAN
        paper) instead of one for the batch (the original's code).
      weight_decay: Factor of half the squared kernels; the original declares 2.5e-5 but never
        adds it to a loss.
      optimizer: Used for the critic, and for generator and encoder together.
      steps: Number of steps of generator and encoder, at least one.
      shuffle: Whether batches pass through reshuffled epochs (images) instead of being drawn with
        replacement (Pendigits and genes).
      precision: "bfloat16" computes all products in it, which took a third of the time on a
        processor with such instructions; weights, normalization and losses stay in float32.
    """

    networks: Literal["image", "gene", "pendigits"] = "gene"
    n_noise: int = 30
    beta_n: float = 10.0
    beta_c: float = 10.0
    noise_scale: float = 0.10
    critic_steps: int = 5
    batch_size: int = 64
    penalty: float = 10.0
    epsilon_per_row: bool = False
    weight_decay: float = 0.0
    optimizer: Adam = _ADAM
    steps: int = 500_000
    shuffle: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        check_types(self)
        check_positive(self, "n_noise", "critic_steps", "batch_size", "steps")
        check_not_negative(self, "beta_n", "beta_c", "noise_scale", "penalty", "weight_decay")

    @property
    def has_large_products(self) -> bool:
        """Whether one product occupies several threads: on images each has 0.8 GFLOP."""
        return self.networks == "image"
