"""The fully connected autoencoder of DEC and its two kinds of pretraining.

Xie, Girshick, Farhadi: Unsupervised Deep Embedding for Clustering Analysis, ICML 2016. Networks
and end-to-end pretraining match `DEC.py` of XifengGuo/DEC-keras; greedy layer-wise pretraining
matches `dec/pretrain.py` of piiswrong/dec.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfcluster.config import DECConfig, EndToEnd, LayerWise
from tfcluster.dec import keras_weights
from tfcluster.errors import InputError
from tfcluster.layers import CoarseDense
from tfcluster.training.loop import (
    STEPS_PER_CALL,
    BatchOrder,
    Forward,
    SampleLoss,
    TrainingLoop,
    derive_seed,
)
from tfcluster.training.optimizers import build_optimizer
from tfcluster.training.phases import Phase, Record

Pretrained = str | os.PathLike[str] | Sequence[np.ndarray]
"""An autoencoder that was trained before; see `load_pretrained`."""

_INITIALIZERS: dict[str, Callable[[int], tf.keras.initializers.Initializer]] = {
    "glorot_uniform": lambda seed: tf.keras.initializers.GlorotUniform(seed),
    "fan_in_uniform": lambda seed: tf.keras.initializers.VarianceScaling(
        1 / 3, "fan_in", "uniform", seed
    ),
    "normal": lambda seed: tf.keras.initializers.RandomNormal(0.0, 0.01, seed),
}


def build_autoencoder(
    n_features: int, config: DECConfig, seed: int = 0
) -> tuple[tf.keras.Model, tf.keras.Model]:
    """Builds the autoencoder and its encoder, which share layers.

    Layers have the names of DEC-keras: `encoder_0` up to the embedding, then `decoder_{n-1}` down
    to `decoder_0`. ReLU inside; linear at the embedding and the reconstruction.

    Args:
      n_features: Number of features.
      config: `dims`, `initializer` and `precision` are used.
      seed: Seed of the initial weights.

    Returns:
      Models that map `(n_samples, n_features)` to the same, and to `(n_samples, dims[-1])`.
    """
    widths = (n_features, *config.dims)
    last = len(config.dims) - 1
    inputs = tf.keras.Input((n_features,), name="input")
    hidden = inputs
    for i, units in enumerate(config.dims):
        layer = _make_dense(f"encoder_{i}", units, i != last, config, derive_seed(seed, 0, i))
        hidden = layer(hidden)
    encoder = tf.keras.Model(inputs, hidden, name="encoder")
    for i in range(last, -1, -1):
        layer = _make_dense(f"decoder_{i}", widths[i], i != 0, config, derive_seed(seed, 1, i))
        hidden = layer(hidden)
    return tf.keras.Model(inputs, hidden, name="autoencoder"), encoder


def _make_dense(
    name: str, units: int, is_inside: bool, config: DECConfig, seed: int
) -> tf.keras.layers.Dense:
    # The embedding separates the clusters, and takes 1 % of the arithmetic.
    is_coarse = config.precision == "bfloat16" and name != f"encoder_{len(config.dims) - 1}"
    kind = CoarseDense if is_coarse else tf.keras.layers.Dense
    return kind(
        units,
        activation="relu" if is_inside else None,
        kernel_initializer=_INITIALIZERS[config.initializer](seed),
        name=name,
    )


def reconstruction_loss(reconstruction: tf.Tensor, x: tf.Tensor, weight: float = 1.0) -> tf.Tensor:
    """Computes the mean squared error of each sample, times `weight`.

    Args:
      reconstruction: `(n_samples, n_features)`.
      x: `(n_samples, n_features)`.
      weight: Factor.

    Returns:
      `(n_samples,)` losses.
    """
    return weight * tf.reduce_mean(tf.math.squared_difference(reconstruction, x), axis=1)


def denoising_loss(
    encode: tf.keras.layers.Layer,
    decode: tf.keras.layers.Layer,
    x: tf.Tensor,
    *,
    input_dropout: float,
    code_dropout: float,
    weight: float,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Computes the loss of one layer's denoising autoencoder, section 3.2 of the paper.

    Args:
      encode: Maps `(n_samples, n_features)` to `(n_samples, n_units)`.
      decode: Maps it back.
      x: `(n_samples, n_features)`, the output of the layers below.
      input_dropout: Share of `x` that is dropped.
      code_dropout: Share of the code that is dropped.
      weight: Factor of the mean squared error.
      seed: `(2,)` integers.

    Returns:
      `(n_samples,)` losses.
    """
    corrupted = _drop(x, input_dropout, seed)
    code = _drop(encode(corrupted), code_dropout, seed + [1 << 29, 0])
    return reconstruction_loss(decode(code), x, weight)


def _drop(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    return tf.nn.experimental.stateless_dropout(x, rate, seed=seed) if rate else x


def load_pretrained(source: Pretrained, n_features: int, config: DECConfig) -> list[np.ndarray]:
    """Returns the weights of an autoencoder that was trained before.

    Args:
      source: Kernels and biases in the order data pass through them, or DEC-keras'
        `ae_weights.h5`.
      n_features: Number of features.
      config: `dims` is used.

    Returns:
      Kernels and biases.

    Raises:
      InputError: If the file cannot be read, or the weights are not those of this architecture.
    """
    if isinstance(source, (str, os.PathLike)):
        layers = keras_weights.read_layers(source)
        weights = keras_weights.get_encoder(layers) + keras_weights.get_decoder(layers)
    else:
        weights = list(source)
    expected = list_weight_shapes(n_features, config)
    received = [np.shape(w) for w in weights]
    if received != expected:
        raise InputError(
            "Pretrained weights must be those of the layers `encoder_i` and `decoder_i`, with the "
            f"shapes {expected}. Received: {received}."
        )
    return weights


def list_weight_shapes(n_features: int, config: DECConfig) -> list[tuple[int, ...]]:
    """Returns the shapes of kernels and biases in the order data pass through them."""
    inwards = (n_features, *config.dims)
    widths = (*inwards, *reversed(inwards[:-1]))
    return [shape for a, b in itertools.pairwise(widths) for shape in ((a, b), (b,))]


class AutoencoderTrainer:
    """An autoencoder with its optimizers and compiled loops, reusable for many fits.

    Args:
      n_features: Number of features.
      config: The protocol.

    Attributes:
      autoencoder: Maps `(n_samples, n_features)` to the same.
      encoder: Maps `(n_samples, n_features)` to `(n_samples, dims[-1])`.
    """

    def __init__(self, n_features: int, config: DECConfig) -> None:
        self.config = config
        self.autoencoder, self.encoder = build_autoencoder(n_features, config)
        self._pairs = [
            (self.autoencoder.get_layer(f"encoder_{i}"), self.autoencoder.get_layer(f"decoder_{i}"))
            for i in range(len(config.dims))
        ]
        self._loops: dict[str, TrainingLoop] = {}

    def reset(self, seed: int) -> None:
        """Sets the initial weights of this seed."""
        fresh, _ = build_autoencoder(self.autoencoder.input_shape[1], self.config, seed)
        self.autoencoder.set_weights(fresh.get_weights())

    def get_decoder_weights(self) -> list[np.ndarray]:
        """Returns the decoder's kernels and biases, from the embedding outwards."""
        return self.autoencoder.get_weights()[2 * len(self._pairs) :]

    def set_decoder_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Sets the decoder's kernels and biases; an empty list leaves them as they are."""
        if weights:
            encoder_weights = self.autoencoder.get_weights()[: 2 * len(self._pairs)]
            self.autoencoder.set_weights([*encoder_weights, *weights])

    def set_pretrained(self, source: Pretrained) -> None:
        """Sets the autoencoder's weights; see `load_pretrained`.

        Raises:
          InputError: If they cannot be read or are not those of this architecture.
        """
        n_features = self.autoencoder.input_shape[1]
        self.autoencoder.set_weights(load_pretrained(source, n_features, self.config))

    def phases(self, x: tf.Tensor, seed: int) -> list[Phase]:
        """Returns the phases of pretraining on `x`, `(n_samples, n_features)`."""
        protocol = self.config.pretraining
        if isinstance(protocol, EndToEnd):
            return [self._end_to_end(protocol, x, seed)]
        layers = [self._layer(protocol, i, x, seed) for i in range(len(self._pairs))]
        return [*layers, self._finetune(protocol, x, seed)]

    def _end_to_end(self, protocol: EndToEnd, x: tf.Tensor, seed: int) -> Phase:
        order = make_batch_order(len(x), self.config)
        loop = self._loop("pretrain", self.autoencoder.trainable_variables, self.whole_loss)

        def run(start: int) -> Iterator[Record]:
            for epoch in range(start // order.steps_per_pass, protocol.epochs):
                generator = np.random.default_rng([seed, epoch])
                permutation = generator.permutation(len(x)) if protocol.shuffle else None
                first, n_steps = epoch * order.steps_per_pass, order.steps_per_pass
                losses = loop.run([x], order, first, n_steps, seed, permutation)
                yield make_step_record("pretrain", first, losses) | {"epoch": epoch + 1}

        return Phase("pretrain", protocol.epochs * order.steps_per_pass, run, [loop.optimizer])

    def layer_loss(self, i: int) -> tuple[SampleLoss, list[tf.Variable]]:
        """Returns the loss function of the denoising autoencoder of layer `i`, and its variables.

        Its samples are the output of the layers `below` it.
        """
        protocol, (encode, decode) = self.config.pretraining, self._pairs[i]
        assert isinstance(protocol, LayerWise)
        is_last = i == len(self._pairs) - 1

        def sample_loss(inputs: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
            return denoising_loss(
                encode,
                decode,
                inputs,
                # pretrain.py: no dropout of the data themselves, nor of the embedding.
                input_dropout=protocol.dropout if i else 0.0,
                code_dropout=0.0 if is_last else protocol.dropout,
                weight=self.config.reconstruction_weight,
                seed=seed,
            )

        return sample_loss, [*encode.trainable_variables, *decode.trainable_variables]

    def below(self, i: int) -> list[tf.keras.layers.Layer]:
        """Returns the encoder's layers below layer `i`."""
        return [encoder for encoder, _ in self._pairs[:i]]

    def _layer(self, protocol: LayerWise, i: int, x: tf.Tensor, seed: int) -> Phase:
        name, below = f"layer {i + 1}", self.below(i)
        sample_loss, variables = self.layer_loss(i)
        loop = self._loop(name, variables, sample_loss)

        def inputs() -> tf.Tensor:
            return Forward(tf.keras.Sequential(below))(x) if below else x

        return self._stepwise(name, loop, inputs, protocol.steps_per_layer, derive_seed(seed, i))

    def _finetune(self, protocol: LayerWise, x: tf.Tensor, seed: int) -> Phase:
        loop = self._loop("finetune", self.autoencoder.trainable_variables, self.whole_loss)
        return self._stepwise("finetune", loop, lambda: x, protocol.finetune_steps, seed)

    def _stepwise(
        self,
        name: str,
        loop: TrainingLoop,
        inputs: Callable[[], tf.Tensor],
        n_steps: int,
        seed: int,
    ) -> Phase:
        def run(start: int) -> Iterator[Record]:
            x = inputs()
            order = make_batch_order(len(x), self.config)
            for first in range(start, n_steps, STEPS_PER_CALL):
                steps = min(STEPS_PER_CALL, n_steps - first)
                yield make_step_record(name, first, loop.run([x], order, first, steps, seed))

        return Phase(name, n_steps, run, [loop.optimizer])

    def whole_loss(self, x: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
        """Computes the reconstruction loss of each sample of `x`, end to end.

        Args:
          x: `(n_samples, n_features)`.
          seed: Not used.

        Returns:
          `(n_samples,)` losses.
        """
        del seed  # nothing is drawn
        return reconstruction_loss(self.autoencoder(x), x, self.config.reconstruction_weight)

    def _loop(
        self, name: str, variables: Sequence[tf.Variable], sample_loss: SampleLoss
    ) -> TrainingLoop:
        if name not in self._loops:
            optimizer = build_optimizer(self.config.pretraining.optimizer, variables)
            self._loops[name] = TrainingLoop(sample_loss, optimizer)
        return self._loops[name]


def make_batch_order(n_samples: int, config: DECConfig) -> BatchOrder:
    """Returns the batches of a protocol on `n_samples` samples."""
    return BatchOrder(n_samples, min(config.batch_size, n_samples), config.remainder == "wrap")


def make_step_record(phase: str, first_step: int, losses: np.ndarray) -> Record:
    """Returns the record of some steps: the number of steps so far, and the mean loss.

    Args:
      phase: Name of the phase.
      first_step: Number of steps before.
      losses: `(n_steps,)`.
    """
    return {"phase": phase, "step": first_step + len(losses), "loss": float(losses.mean())}
