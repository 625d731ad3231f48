"""The networks of ClusterGAN, as Keras models of flat samples.

Sources: `clus_wgan.py` in `mnist/`, `10x_73k/` and `pendigit/` of sudiptodip15/ClusterGAN. Kernels
start from N(0, 0.02), biases and shifts at zero; the last dense layer of the image critic and
encoder and of the gene encoder starts from Glorot's uniform, the library's default where the
original names none. The original declares L2 regularizers but never adds them to a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfcluster.config import GANConfig
from tfcluster.errors import InputError
from tfcluster.layers import BatchStatisticsNormalization
from tfcluster.training.loop import derive_seed

IMAGE_WIDTH = 784
"""Features of a sample for `networks="image"`: 28 x 28 pixels."""

Layers = Iterable[tf.keras.layers.Layer]


class Networks(NamedTuple):
    """Generator, critic and encoder.

    Attributes:
      generator: Maps latent samples, `(batch_size, n_noise + n_clusters)`, to
        `(batch_size, n_features)`.
      critic: Maps `(batch_size, n_features)` to `(batch_size, 1)`.
      encoder: Maps `(batch_size, n_features)` to `(batch_size, n_noise + n_clusters)`: z_n, then
        the logits of z_c.
    """

    generator: tf.keras.Model
    critic: tf.keras.Model
    encoder: tf.keras.Model


def build_networks(n_features: int, n_clusters: int, config: GANConfig, seed: int = 0) -> Networks:
    """Builds the three networks of a protocol.

    Args:
      n_features: Number of features; 784 for `networks="image"`.
      n_clusters: Length of z_c.
      config: `networks`, `n_noise` and `precision` are used.
      seed: Seed of the initial weights.

    Raises:
      InputError: If the image networks are asked for samples that are not 28 x 28 images.
    """
    check_width(n_features, config)
    n_latent = config.n_noise + n_clusters
    make = _Layers(config.precision, seed)
    generator, critic, encoder = _BUILDERS[config.networks](n_features, n_latent, make)
    return Networks(
        make.model("generator", n_latent, generator),
        make.model("critic", n_features, critic),
        make.model("encoder", n_features, encoder),
    )


def check_width(n_features: int, config: GANConfig) -> None:
    """Raises `InputError` unless the networks take samples with so many features."""
    if config.networks == "image" and n_features != IMAGE_WIDTH:
        raise InputError(
            f"The image networks take 28 x 28 images, 784 features. Received: {n_features}. "
            'Use networks="gene" or networks="pendigits" for other samples.'
        )


def check_samples(X: np.ndarray, config: GANConfig) -> None:
    """Raises `InputError` unless ClusterGAN can train on `X`, `(n_samples, n_features)`."""
    if len(X) < config.batch_size:
        raise InputError(
            f"n_samples={len(X)} should be >= batch_size={config.batch_size}. Give more samples or "
            "set a smaller batch_size."
        )
    check_width(X.shape[1], config)
    check_range(X, config)


def check_range(X: np.ndarray, config: GANConfig) -> None:
    """Raises `InputError` unless the generator can make samples in the range of `X`."""
    if config.networks == "gene":
        return
    low, high = X.min(), X.max()
    if low < 0 or high > 1:
        raise InputError(
            f'The generator of networks="{config.networks}" ends in a sigmoid, so features must '
            f"be in [0, 1]. Received: {low:g} to {high:g}. Scale them, without `standardize`, or "
            'use the preset "gene".'
        )


class _Layers:
    """Makes layers in one precision; the seeds of kernels depend on the order of the calls.

    Only products are computed in bfloat16: a mean in it is useless, and elementwise operations
    in it were slower than in float32.
    """

    def __init__(self, precision: str, seed: int) -> None:
        self._seed, self._count = seed, 0
        self._policy = "mixed_bfloat16" if precision == "bfloat16" else precision

    def model(self, name: str, n_inputs: int, layers: Layers) -> tf.keras.Model:
        if self._policy != "float32":
            layers = [*layers, tf.keras.layers.Activation("linear", dtype="float32")]
        return tf.keras.Sequential([tf.keras.Input((n_inputs,)), *layers], name=name)

    def dense(
        self, units: int, *, glorot: bool = False, activation: str | None = None
    ) -> tf.keras.layers.Layer:
        kernel = self._kernel(glorot)
        return tf.keras.layers.Dense(
            units, activation, kernel_initializer=kernel, dtype=self._policy
        )

    def convolution(self, filters: int) -> tf.keras.layers.Layer:
        kernel = self._kernel()
        return tf.keras.layers.Conv2D(
            filters, 4, 2, "same", kernel_initializer=kernel, dtype=self._policy
        )

    def deconvolution(self, filters: int, activation: str | None = None) -> tf.keras.layers.Layer:
        kernel = self._kernel()
        return tf.keras.layers.Conv2DTranspose(
            filters, 4, 2, "same",
            activation=activation, kernel_initializer=kernel, dtype=self._policy,
        )  # fmt: skip

    def leaky(self) -> tf.keras.layers.Layer:
        return tf.keras.layers.LeakyReLU(0.2)

    def _kernel(self, glorot: bool = False) -> tf.keras.initializers.Initializer:
        self._count += 1
        seed = derive_seed(self._seed, self._count)
        if glorot:
            return tf.keras.initializers.GlorotUniform(seed)
        return tf.keras.initializers.RandomNormal(0.0, 0.02, seed)


def _make_gene(n_features: int, n_latent: int, make: _Layers) -> tuple[Layers, Layers, Layers]:
    """Makes two hidden layers of 256 units, no normalization, linear output: 10x_73k."""

    def stack(units: int, *, glorot: bool = False) -> Layers:
        hidden = [layer for _ in range(2) for layer in (make.dense(256), make.leaky())]
        return [*hidden, make.dense(units, glorot=glorot)]

    return stack(n_features), stack(1), stack(n_latent, glorot=True)


def _make_pendigits(n_features: int, n_latent: int, make: _Layers) -> tuple[Layers, Layers, Layers]:
    """Makes two normalized hidden layers of 256 units, sigmoid output: Pendigits."""

    def stack(units: int, activation: str | None = None) -> Layers:
        hidden = [
            layer
            for _ in range(2)
            for layer in (make.dense(256), BatchStatisticsNormalization(), make.leaky())
        ]
        return [*hidden, make.dense(units, activation=activation)]

    return stack(n_features, "sigmoid"), stack(1), stack(n_latent)


def _make_image(n_features: int, n_latent: int, make: _Layers) -> tuple[Layers, Layers, Layers]:
    """Makes convolutions on 28 x 28 images: MNIST and Fashion-MNIST."""
    del n_features  # 784, see `check_width`
    return (
        _make_image_generator(make),
        _make_image_stack(1, make),
        _make_image_stack(n_latent, make),
    )


def _make_image_generator(make: _Layers) -> Layers:
    def normalize() -> Layers:
        return [BatchStatisticsNormalization(), tf.keras.layers.ReLU()]

    return [
        make.dense(1024),
        *normalize(),
        make.dense(7 * 7 * 128),
        tf.keras.layers.Reshape((7, 7, 128)),
        *normalize(),
        make.deconvolution(64),
        *normalize(),
        make.deconvolution(1, "sigmoid"),
        tf.keras.layers.Flatten(),
    ]


def _make_image_stack(units: int, make: _Layers) -> Layers:
    return [
        tf.keras.layers.Reshape((28, 28, 1)),
        make.convolution(64),
        make.leaky(),
        make.convolution(128),
        make.leaky(),
        tf.keras.layers.Flatten(),
        make.dense(1024),
        make.leaky(),
        make.dense(units, glorot=True),
    ]


_BUILDERS: dict[str, Callable[[int, int, _Layers], tuple[Layers, Layers, Layers]]] = {
    "image": _make_image,
    "gene": _make_gene,
    "pendigits": _make_pendigits,
}
