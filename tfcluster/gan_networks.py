"""The networks of ClusterGAN, as Keras models on flat rows.

Sources: `clus_wgan.py` in `mnist/`, `10x_73k/` and `pendigit/` of sudiptodip15/ClusterGAN. Weights
start from N(0, 0.02), biases and shifts at zero; the last dense layer of the image critic and
encoder and of the gene encoder starts from Glorot's uniform, the library's default where the
original names none. The original declares L2 regularisers and never adds them to a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import tensorflow as tf

from tfcluster.errors import InputError
from tfcluster.layers import BatchStatisticsNormalization
from tfcluster.presets import GANConfig
from tfcluster.training import derived_seed

Layers = Iterable[tf.keras.layers.Layer]


class Networks(NamedTuple):
    """Generator, critic and encoder.

    Attributes:
      generator: `(rows, n_noise + clusters)` latent rows to `(rows, features)`.
      critic: `(rows, features)` to `(rows, 1)`.
      encoder: `(rows, features)` to `(rows, n_noise + clusters)`: z_n, then the logits of z_c.
    """

    generator: tf.keras.Model
    critic: tf.keras.Model
    encoder: tf.keras.Model


def build_networks(n_features: int, n_clusters: int, config: GANConfig, seed: int = 0) -> Networks:
    """The three networks of a preset.

    Args:
      n_features: Width of a row; 784 for `networks="image"`.
      n_clusters: Length of z_c.
      config: `networks` and `n_noise` are read.
      seed: Of the initial weights.

    Raises:
      InputError: If the image networks are asked for rows that are no 28 x 28 images.
    """
    if config.networks == "image" and n_features != 784:
        raise InputError(
            f"The image networks are for 28 x 28 images, 784 features. Received: {n_features}. "
            'Use networks="gene" or networks="pendigits" for other rows.'
        )
    n_latent = config.n_noise + n_clusters
    generator, critic, encoder = _BUILDERS[config.networks](n_features, n_latent, _Kernels(seed))
    return Networks(
        _model("generator", n_latent, generator),
        _model("critic", n_features, critic),
        _model("encoder", n_features, encoder),
    )


class _Kernels:
    """Initialisers, each with a seed of its own in the order they are asked for."""

    def __init__(self, seed: int) -> None:
        self._seed, self._count = seed, 0

    def normal(self) -> tf.keras.initializers.Initializer:
        return tf.keras.initializers.RandomNormal(0.0, 0.02, self._next())

    def glorot(self) -> tf.keras.initializers.Initializer:
        return tf.keras.initializers.GlorotUniform(self._next())

    def _next(self) -> int:
        self._count += 1
        return derived_seed(self._seed, self._count)


def _model(name: str, n_inputs: int, layers: Layers) -> tf.keras.Model:
    return tf.keras.Sequential([tf.keras.Input((n_inputs,)), *layers], name=name)


def _leaky() -> tf.keras.layers.Layer:
    return tf.keras.layers.LeakyReLU(0.2)


def _dense(
    units: int, kernel: tf.keras.initializers.Initializer, activation: str | None = None
) -> tf.keras.layers.Layer:
    return tf.keras.layers.Dense(units, activation, kernel_initializer=kernel)


def _gene(n_features: int, n_latent: int, kernels: _Kernels) -> tuple[Layers, Layers, Layers]:
    """Two hidden layers of 256, nothing normalised, linear output: 10x_73k."""

    def stack(units: int, last: Callable[[], tf.keras.initializers.Initializer]) -> Layers:
        hidden = [layer for _ in range(2) for layer in (_dense(256, kernels.normal()), _leaky())]
        return [*hidden, _dense(units, last())]

    return (
        stack(n_features, kernels.normal),
        stack(1, kernels.normal),
        stack(n_latent, kernels.glorot),
    )


def _pendigits(n_features: int, n_latent: int, kernels: _Kernels) -> tuple[Layers, Layers, Layers]:
    """Two hidden layers of 256, normalised, sigmoid output: Pendigits."""

    def stack(units: int, activation: str | None = None) -> Layers:
        hidden = [
            layer
            for _ in range(2)
            for layer in (_dense(256, kernels.normal()), BatchStatisticsNormalization(), _leaky())
        ]
        return [*hidden, _dense(units, kernels.normal(), activation)]

    return stack(n_features, "sigmoid"), stack(1), stack(n_latent)


def _image(n_features: int, n_latent: int, kernels: _Kernels) -> tuple[Layers, Layers, Layers]:
    """Convolutions on 28 x 28 images: MNIST and Fashion-MNIST."""
    del n_features  # 784, as was checked
    return _image_generator(kernels), _image_stack(1, kernels), _image_stack(n_latent, kernels)


def _image_generator(kernels: _Kernels) -> Layers:
    def normalised() -> Layers:
        return [BatchStatisticsNormalization(), tf.keras.layers.ReLU()]

    def deconvolution(filters: int, activation: str | None = None) -> tf.keras.layers.Layer:
        return tf.keras.layers.Conv2DTranspose(
            filters, 4, 2, "same", activation=activation, kernel_initializer=kernels.normal()
        )

    return [
        _dense(1024, kernels.normal()),
        *normalised(),
        _dense(7 * 7 * 128, kernels.normal()),
        tf.keras.layers.Reshape((7, 7, 128)),
        *normalised(),
        deconvolution(64),
        *normalised(),
        deconvolution(1, "sigmoid"),
        tf.keras.layers.Flatten(),
    ]


def _image_stack(units: int, kernels: _Kernels) -> Layers:
    def convolution(filters: int) -> tf.keras.layers.Layer:
        return tf.keras.layers.Conv2D(filters, 4, 2, "same", kernel_initializer=kernels.normal())

    return [
        tf.keras.layers.Reshape((28, 28, 1)),
        convolution(64),
        _leaky(),
        convolution(128),
        _leaky(),
        tf.keras.layers.Flatten(),
        _dense(1024, kernels.normal()),
        _leaky(),
        _dense(units, kernels.glorot()),
    ]


_BUILDERS: dict[str, Callable[[int, int, _Kernels], tuple[Layers, Layers, Layers]]] = {
    "image": _image,
    "gene": _gene,
    "pendigits": _pendigits,
}
