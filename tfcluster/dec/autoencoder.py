"""The fully connected autoencoder of DEC and its two ways of pretraining.

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
    RowLoss,
    TrainingLoop,
    derived_seed,
)
from tfcluster.training.optimizers import build_optimizer
from tfcluster.training.phases import Phase, Record

Pretrained = str | os.PathLike[str] | Sequence[np.ndarray]
"""An autoencoder that was trained before; see `pretrained_weights`."""

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
    """The autoencoder and its encoder, which share layers.

    Layers bear the names DEC-keras gives them: `encoder_0` up to the embedding, then
    `decoder_{n-1}` down to `decoder_0`. ReLU inside; linear at the embedding and the
    reconstruction.

    Args:
      n_features: Width of a row.
      config: `dims`, `initializer` and `precision` are read.
      seed: Of the initial weights.

    Returns:
      Models from `(rows, n_features)` to `(rows, n_features)` and to `(rows, dims[-1])`.
    """
    widths = (n_features, *config.dims)
    last = len(config.dims) - 1
    inputs = tf.keras.Input((n_features,), name="input")
    hidden = inputs
    for i, units in enumerate(config.dims):
        hidden = _dense(f"encoder_{i}", units, i != last, config, derived_seed(seed, 0, i))(hidden)
    encoder = tf.keras.Model(inputs, hidden, name="encoder")
    for i in range(last, -1, -1):
        hidden = _dense(f"decoder_{i}", widths[i], i != 0, config, derived_seed(seed, 1, i))(hidden)
    return tf.keras.Model(inputs, hidden, name="autoencoder"), encoder


def _dense(
    name: str, units: int, is_inside: bool, config: DECConfig, seed: int
) -> tf.keras.layers.Dense:
    # The embedding is where clusters are told apart, and a hundredth of the arithmetic.
    is_coarse = config.precision == "bfloat16" and name != f"encoder_{len(config.dims) - 1}"
    kind = CoarseDense if is_coarse else tf.keras.layers.Dense
    return kind(
        units,
        activation="relu" if is_inside else None,
        kernel_initializer=_INITIALIZERS[config.initializer](seed),
        name=name,
    )


def reconstruction_loss(reconstruction: tf.Tensor, x: tf.Tensor, weight: float = 1.0) -> tf.Tensor:
    """Mean squared error of each row, `(rows, features)` twice to `(rows,)`, times `weight`."""
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
    """Loss of one layer's denoising autoencoder, section 3.2 of the paper.

    Args:
      encode: `(rows, features) -> (rows, units)`.
      decode: Back again.
      x: `(rows, features)`, the output of the layers below.
      input_dropout: Share of `x` that is dropped.
      code_dropout: Share of the code that is dropped.
      weight: Factor of the mean squared error.
      seed: `(2,)` integers.

    Returns:
      `(rows,)` losses.
    """
    corrupted = _dropout(x, input_dropout, seed)
    code = _dropout(encode(corrupted), code_dropout, seed + [1 << 29, 0])
    return reconstruction_loss(decode(code), x, weight)


def _dropout(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    return tf.nn.experimental.stateless_dropout(x, rate, seed=seed) if rate else x


def pretrained_weights(source: Pretrained, n_features: int, config: DECConfig) -> list[np.ndarray]:
    """Weights of an autoencoder that was trained before.

    Args:
      source: Kernels and biases in the order data pass through them, or DEC-keras'
        `ae_weights.h5`.
      n_features: Width of a row.
      config: `dims` is read.

    Returns:
      Kernels and biases.

    Raises:
      InputError: If they are not those of this architecture.
    """
    if isinstance(source, (str, os.PathLike)):
        layers = keras_weights.read_layers(source)
        weights = keras_weights.encoder_weights(layers) + keras_weights.decoder_weights(layers)
    else:
        weights = list(source)
    expected = autoencoder_shapes(n_features, config)
    received = [np.shape(w) for w in weights]
    if received != expected:
        raise InputError(
            "Pretrained weights must be those of layers `encoder_i` and `decoder_i`, of shapes "
            f"{expected}. Received: {received}."
        )
    return weights


def autoencoder_shapes(n_features: int, config: DECConfig) -> list[tuple[int, ...]]:
    """Shapes of kernels and biases in the order data pass through them."""
    inwards = (n_features, *config.dims)
    widths = (*inwards, *reversed(inwards[:-1]))
    return [shape for a, b in itertools.pairwise(widths) for shape in ((a, b), (b,))]


class AutoencoderTrainer:
    """An autoencoder with its optimisers and compiled loops, made once and used for many fits.

    Args:
      n_features: Width of a row.
      config: The protocol.

    Attributes:
      autoencoder: `(rows, n_features) -> (rows, n_features)`.
      encoder: `(rows, n_features) -> (rows, dims[-1])`.
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
        """Sets the weights a fresh autoencoder with this seed would start from."""
        fresh, _ = build_autoencoder(self.autoencoder.input_shape[1], self.config, seed)
        self.autoencoder.set_weights(fresh.get_weights())

    def decoder_weights(self) -> list[np.ndarray]:
        """Kernels and biases from the embedding outwards."""
        return self.autoencoder.get_weights()[2 * len(self._pairs) :]

    def set_decoder_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Puts back what `decoder_weights` gave; leaves the decoder as it is if that is nothing."""
        if weights:
            encoder_weights = self.autoencoder.get_weights()[: 2 * len(self._pairs)]
            self.autoencoder.set_weights([*encoder_weights, *weights])

    def set_pretrained(self, source: Pretrained) -> None:
        """Sets the autoencoder's weights.

        Raises:
          InputError: If they are not those of this architecture.
        """
        n_features = self.autoencoder.input_shape[1]
        self.autoencoder.set_weights(pretrained_weights(source, n_features, self.config))

    def phases(self, x: tf.Tensor, seed: int) -> list[Phase]:
        """The phases of pretraining on `x`, `(rows, n_features)`."""
        protocol = self.config.pretraining
        if isinstance(protocol, EndToEnd):
            return [self._end_to_end(protocol, x, seed)]
        stages = [self._layer(protocol, i, x, seed) for i in range(len(self._pairs))]
        return [*stages, self._finetune(protocol, x, seed)]

    def _end_to_end(self, protocol: EndToEnd, x: tf.Tensor, seed: int) -> Phase:
        order = batch_order(len(x), self.config)
        loop = self._loop("pretrain", self.autoencoder.trainable_variables, self.whole_loss)

        def run(start: int) -> Iterator[Record]:
            for epoch in range(start // order.steps_per_pass, protocol.epochs):
                generator = np.random.default_rng([seed, epoch])
                permutation = generator.permutation(len(x)) if protocol.shuffle else None
                first, n_steps = epoch * order.steps_per_pass, order.steps_per_pass
                losses = loop.run([x], order, first, n_steps, seed, permutation)
                yield step_record("pretrain", first, losses) | {"epoch": epoch + 1}

        return Phase("pretrain", protocol.epochs * order.steps_per_pass, run, [loop.optimizer])

    def layer_loss(self, i: int) -> tuple[RowLoss, list[tf.Variable]]:
        """The loss of each row in the denoising autoencoder of layer `i`, and what it trains.

        Rows are the output of the layers `below` it.
        """
        protocol, (encode, decode) = self.config.pretraining, self._pairs[i]
        assert isinstance(protocol, LayerWise)
        is_last = i == len(self._pairs) - 1

        def row_loss(inputs: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
            return denoising_loss(
                encode,
                decode,
                inputs,
                # pretrain.py: the data themselves are not corrupted, the embedding not thinned.
                input_dropout=protocol.dropout if i else 0.0,
                code_dropout=0.0 if is_last else protocol.dropout,
                weight=self.config.reconstruction_weight,
                seed=seed,
            )

        return row_loss, [*encode.trainable_variables, *decode.trainable_variables]

    def below(self, i: int) -> list[tf.keras.layers.Layer]:
        """The encoder's layers under layer `i`."""
        return [encoder for encoder, _ in self._pairs[:i]]

    def _layer(self, protocol: LayerWise, i: int, x: tf.Tensor, seed: int) -> Phase:
        name, below = f"layer {i + 1}", self.below(i)
        row_loss, variables = self.layer_loss(i)
        loop = self._loop(name, variables, row_loss)

        def inputs() -> tf.Tensor:
            return Forward(tf.keras.Sequential(below))(x) if below else x

        return self._stepwise(name, loop, inputs, protocol.steps_per_layer, derived_seed(seed, i))

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
            order = batch_order(len(x), self.config)
            for first in range(start, n_steps, STEPS_PER_CALL):
                steps = min(STEPS_PER_CALL, n_steps - first)
                yield step_record(name, first, loop.run([x], order, first, steps, seed))

        return Phase(name, n_steps, run, [loop.optimizer])

    def whole_loss(self, x: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
        """The reconstruction loss of each row of `x`, end to end; `seed` is not used."""
        del seed  # nothing is drawn
        return reconstruction_loss(self.autoencoder(x), x, self.config.reconstruction_weight)

    def _loop(self, name: str, variables: Sequence[tf.Variable], row_loss: RowLoss) -> TrainingLoop:
        if name not in self._loops:
            optimizer = build_optimizer(self.config.pretraining.optimizer, variables)
            self._loops[name] = TrainingLoop(row_loss, optimizer)
        return self._loops[name]


def batch_order(n_rows: int, config: DECConfig) -> BatchOrder:
    """The batches of a protocol on `n_rows` rows."""
    return BatchOrder(n_rows, min(config.batch_size, n_rows), config.remainder == "wrap")


def step_record(phase: str, first_step: int, losses: np.ndarray) -> Record:
    """The record of some steps: how many are done by now, and their mean loss."""
    return {"phase": phase, "step": first_step + len(losses), "loss": float(losses.mean())}
