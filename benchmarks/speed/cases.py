"""What is timed: the work, our way of doing it, the originals' way, and its least arithmetic."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from benchmarks.speed import originals
from benchmarks.speed.originals import Run
from tfcluster.clustergan.networks import build_networks
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import DEC_PRESETS, GAN_PRESETS, GANConfig, override
from tfcluster.dec.self_training import DECTrainer
from tfcluster.training.loop import BatchOrder

DEC = DEC_PRESETS["keras:mnist"]
_FOREVER = 10**9


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
      unit: What is timed.
      goal: How many times faster than the originals' way.
      n_rows: Rows of the data, uniform random numbers.
      n_features: Width of a row.
      n_units: Units a measurement takes.
      ours: From data to a function that takes so many units.
      theirs: The same, in the originals' way.
      flops: Floating-point operations a unit cannot do without: products of layers alone.
      per_operation: How ours is threaded; see `runtime.set_threads`.
    """

    unit: str
    goal: float
    n_rows: int
    n_features: int
    n_units: int
    ours: Callable[[np.ndarray], Run]
    theirs: Callable[[np.ndarray], Run]
    flops: Callable[[], float]
    per_operation: bool = False

    def data(self) -> np.ndarray:
        """`(n_rows, n_features)` float32 in [0, 1]."""
        shape = (self.n_rows, self.n_features)
        return np.random.default_rng(0).random(shape, dtype=np.float32)


def _our_autoencoder(precision: str) -> Callable[[np.ndarray], Run]:
    config = override(DEC, {"pretraining.epochs": _FOREVER, "precision": precision})

    def make(x: np.ndarray) -> Run:
        trainer = DECTrainer(x.shape[1], 10, config)
        trainer.reset(0)
        epochs = trainer.pretraining_phases(tf.constant(x), 0)[0].run(0)
        return lambda n: [next(epochs) for _ in range(n)]

    return make


def _targets(x: np.ndarray) -> np.ndarray:
    p = np.random.default_rng(1).random((len(x), 10), dtype=np.float32)
    return p / p.sum(axis=1, keepdims=True)


def _our_dec_steps(precision: str) -> Callable[[np.ndarray], Run]:
    config = override(DEC, {"precision": precision})

    def make(x: np.ndarray) -> Run:
        trainer = DECTrainer(x.shape[1], 10, config)
        trainer.reset(0)
        data = [tf.constant(x), tf.constant(_targets(x))]
        order = BatchOrder(len(x), config.batch_size)
        return lambda n: trainer.loop.run(data, order, 0, n, seed=0)

    return make


def _our_target(x: np.ndarray) -> Run:
    trainer = DECTrainer(x.shape[1], 10, DEC)
    trainer.reset(0)
    data = tf.constant(x)
    return lambda n: [trainer.soft_assign(data).numpy() for _ in range(n)]


def _our_gan(n_clusters: int, config: GANConfig) -> Callable[[np.ndarray], Run]:
    def make(x: np.ndarray) -> Run:
        endless = dataclasses.replace(config, steps=_FOREVER)
        trainer = GANTrainer(x.shape[1], n_clusters, endless)
        trainer.reset(0)
        records = trainer.phases(tf.constant(x), 0)[0].run(0)
        done = 0

        def run(n: int) -> None:
            nonlocal done
            until = done + n
            while done < until:
                done = next(records)["step"]

        return run

    return make


def _gan(name: str, unit: str, goal: float, shape: tuple[int, int], k: int, n_units: int) -> Case:
    config = GAN_PRESETS[name.partition(":")[0]]
    fast = dataclasses.replace(config, precision="bfloat16") if ":" in name else config
    return Case(
        unit,
        goal,
        *shape,
        n_units,
        _our_gan(k, fast),
        lambda x: originals.gan_sessions(x, k, config),
        lambda: gan_flops(shape[1], k, config),
        config.has_large_products,
    )


def dense_flops(widths: tuple[int, ...], *, to_input: bool = False) -> float:
    """Forward, weights' gradient and rows' gradient of a stack of dense layers, for one row."""
    products = [2.0 * a * b for a, b in itertools.pairwise(widths)]
    return 3 * sum(products) - (0 if to_input else products[0])


def gan_flops(n_features: int, n_clusters: int, config: GANConfig) -> float:
    """The products an iteration of ClusterGAN cannot do without.

    A critic step: generator once; critic forward, back to its units and to its weights for three
    batches, back to the rows and forward again along the penalty's directions for one. A generator
    step: all three forward, back through all, weights of generator and encoder.
    """
    generator, critic, encoder = (
        [_layer_flops(layer) for layer in network.layers]
        for network in build_networks(n_features, n_clusters, config)
    )
    first = critic[next(i for i, flops in enumerate(critic) if flops)]
    critic_step = sum(generator) + 10 * sum(critic) - 2 * first
    start = next(flops for flops in generator if flops)
    other_step = 3 * sum(generator) - start + 2 * sum(critic) + 3 * sum(encoder)
    return config.batch_size * (config.critic_steps * critic_step + other_step)


def _layer_flops(layer: tf.keras.layers.Layer) -> float:
    if isinstance(layer, tf.keras.layers.Conv2DTranspose):
        positions = np.prod(layer.input_shape[1:3])
    elif isinstance(layer, tf.keras.layers.Conv2D):
        positions = np.prod(layer.output_shape[1:3])
    elif isinstance(layer, tf.keras.layers.Dense):
        positions = 1
    else:
        return 0.0
    return 2.0 * float(positions) * float(np.prod(layer.kernel.shape))


_ENCODER = (784, *DEC.dims)
_AUTOENCODER = (*_ENCODER, *_ENCODER[-2::-1])
_ROWS = 70_000


def _autoencoder(unit: str, precision: str) -> Case:
    return Case(
        unit, 2.3, _ROWS, 784, 1, _our_autoencoder(precision),
        lambda x: originals.autoencoder_fit(x, DEC),
        lambda: _ROWS * dense_flops(_AUTOENCODER),
    )  # fmt: skip


def _dec(unit: str, precision: str) -> Case:
    return Case(
        unit, 2.0, 20_000, 784, 140, _our_dec_steps(precision),
        lambda x: originals.dec_train_on_batch(x, _targets(x), DEC),
        lambda: DEC.batch_size * dense_flops(_ENCODER),
    )  # fmt: skip


CASES: Mapping[str, Case] = {
    "autoencoder": _autoencoder("epoch of 70,000 rows", "float32"),
    "autoencoder:bfloat16": _autoencoder("epoch, bfloat16", "bfloat16"),
    "dec": _dec("step of 256 rows", "float32"),
    "dec:bfloat16": _dec("step, bfloat16", "bfloat16"),
    "target": Case(
        "update on 70,000 rows", 1.0, _ROWS, 784, 1, _our_target,
        lambda x: originals.dec_predict(x, DEC),
        lambda: _ROWS * dense_flops(_ENCODER, to_input=True) / 3,
    ),
    "pendigits": _gan("pendigits", "iteration (5 + 1 steps)", 3.0, (7_494, 16), 10, 400),
    "10x_73k": _gan("10x_73k", "iteration (5 + 1 steps)", 2.0, (20_000, 720), 8, 200),
    "mnist": _gan("mnist", "iteration (5 + 1 steps)", 1.7, (20_000, 784), 10, 10),
    "mnist:bfloat16": _gan("mnist:bfloat16", "iteration, bfloat16", 1.7, (20_000, 784), 10, 10),
}  # fmt: skip
