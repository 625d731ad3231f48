"""The timed cases: the work, our implementation, the originals', and the least arithmetic."""

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
    """A row of the table.

    Attributes:
      unit: Unit of work that is timed.
      goal: Wanted ratio of the originals' time to ours.
      n_samples: Number of samples, which are uniform random numbers.
      n_features: Number of features.
      n_units: Units of work per measurement.
      ours: Function of the data that returns our function of the number of units.
      theirs: The same for the originals' implementation.
      flops: Function that returns the least floating-point operations of a unit: matrix products.
      per_operation: Threading of our implementation; see `runtime.set_threads`.
    """

    unit: str
    goal: float
    n_samples: int
    n_features: int
    n_units: int
    ours: Callable[[np.ndarray], Run]
    theirs: Callable[[np.ndarray], Run]
    flops: Callable[[], float]
    per_operation: bool = False

    def make_data(self) -> np.ndarray:
        """Returns `(n_samples, n_features)` float32 in [0, 1]."""
        shape = (self.n_samples, self.n_features)
        return np.random.default_rng(0).random(shape, dtype=np.float32)


def _prepare_autoencoder(precision: str) -> Callable[[np.ndarray], Run]:
    config = override(DEC, {"pretraining.epochs": _FOREVER, "precision": precision})

    def make(x: np.ndarray) -> Run:
        trainer = DECTrainer(x.shape[1], 10, config)
        trainer.reset(0)
        epochs = trainer.pretraining_phases(tf.constant(x), 0)[0].run(0)
        return lambda n: [next(epochs) for _ in range(n)]

    return make


def _make_targets(x: np.ndarray) -> np.ndarray:
    p = np.random.default_rng(1).random((len(x), 10), dtype=np.float32)
    return p / p.sum(axis=1, keepdims=True)


def _prepare_dec_steps(precision: str) -> Callable[[np.ndarray], Run]:
    config = override(DEC, {"precision": precision})

    def make(x: np.ndarray) -> Run:
        trainer = DECTrainer(x.shape[1], 10, config)
        trainer.reset(0)
        data = [tf.constant(x), tf.constant(_make_targets(x))]
        order = BatchOrder(len(x), config.batch_size)
        return lambda n: trainer.loop.run(data, order, 0, n, seed=0)

    return make


def _prepare_target(x: np.ndarray) -> Run:
    trainer = DECTrainer(x.shape[1], 10, DEC)
    trainer.reset(0)
    data = tf.constant(x)
    return lambda n: [trainer.soft_assign(data).numpy() for _ in range(n)]


def _prepare_gan(n_clusters: int, config: GANConfig) -> Callable[[np.ndarray], Run]:
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


def _make_gan_case(
    name: str, unit: str, goal: float, shape: tuple[int, int], k: int, n_units: int
) -> Case:
    config = GAN_PRESETS[name.partition(":")[0]]
    fast = dataclasses.replace(config, precision="bfloat16") if ":" in name else config
    return Case(
        unit,
        goal,
        *shape,
        n_units,
        _prepare_gan(k, fast),
        lambda x: originals.prepare_gan_sessions(x, k, config),
        lambda: count_gan_flops(shape[1], k, config),
        config.has_large_products,
    )


def count_dense_flops(widths: tuple[int, ...], *, to_input: bool = False) -> float:
    """Counts the operations of dense layers for a sample: forward pass and gradients.

    Args:
      widths: Widths of the layers, input first.
      to_input: Whether the gradient of the input of the first layer is needed.
    """
    products = [2.0 * a * b for a, b in itertools.pairwise(widths)]
    return 3 * sum(products) - (0 if to_input else products[0])


def count_gan_flops(n_features: int, n_clusters: int, config: GANConfig) -> float:
    """Counts the operations of the products that an iteration of ClusterGAN needs.

    Critic step: the generator forward; the critic forward, backward to its units and to its weights
    for three batches, and for one batch backward to the samples and forward again along the
    directions of the penalty. Generator step: all three networks forward, backward through all, and
    to the weights of generator and encoder.
    """
    generator, critic, encoder = (
        [_count_layer_flops(layer) for layer in network.layers]
        for network in build_networks(n_features, n_clusters, config)
    )
    first = critic[next(i for i, flops in enumerate(critic) if flops)]
    critic_step = sum(generator) + 10 * sum(critic) - 2 * first
    start = next(flops for flops in generator if flops)
    other_step = 3 * sum(generator) - start + 2 * sum(critic) + 3 * sum(encoder)
    return config.batch_size * (config.critic_steps * critic_step + other_step)


def _count_layer_flops(layer: tf.keras.layers.Layer) -> float:
    if isinstance(layer, tf.keras.layers.Conv2DTranspose):
        positions = np.prod(layer.input.shape[1:3])
    elif isinstance(layer, tf.keras.layers.Conv2D):
        positions = np.prod(layer.output.shape[1:3])
    elif isinstance(layer, tf.keras.layers.Dense):
        positions = 1
    else:
        return 0.0
    return 2.0 * float(positions) * float(np.prod(layer.kernel.shape))


_ENCODER = (784, *DEC.dims)
_AUTOENCODER = (*_ENCODER, *_ENCODER[-2::-1])
_N_SAMPLES = 70_000


def _make_autoencoder_case(unit: str, precision: str) -> Case:
    return Case(
        unit, 2.3, _N_SAMPLES, 784, 1, _prepare_autoencoder(precision),
        lambda x: originals.prepare_autoencoder_fit(x, DEC),
        lambda: _N_SAMPLES * count_dense_flops(_AUTOENCODER),
    )  # fmt: skip


def _make_dec_case(unit: str, precision: str) -> Case:
    return Case(
        unit, 2.0, 20_000, 784, 140, _prepare_dec_steps(precision),
        lambda x: originals.prepare_dec_train_on_batch(x, _make_targets(x), DEC),
        lambda: DEC.batch_size * count_dense_flops(_ENCODER),
    )  # fmt: skip


CASES: Mapping[str, Case] = {
    "autoencoder": _make_autoencoder_case("epoch of 70,000 samples", "float32"),
    "autoencoder:bfloat16": _make_autoencoder_case("epoch, bfloat16", "bfloat16"),
    "dec": _make_dec_case("step of 256 samples", "float32"),
    "dec:bfloat16": _make_dec_case("step, bfloat16", "bfloat16"),
    "target": Case(
        "target update on 70,000 samples", 1.0, _N_SAMPLES, 784, 1, _prepare_target,
        lambda x: originals.prepare_dec_predict(x, DEC),
        lambda: _N_SAMPLES * count_dense_flops(_ENCODER, to_input=True) / 3,
    ),
    "pendigits": _make_gan_case("pendigits", "iteration (5 + 1 steps)", 3.0, (7_494, 16), 10, 400),
    "10x_73k": _make_gan_case("10x_73k", "iteration (5 + 1 steps)", 2.0, (20_000, 720), 8, 200),
    "mnist": _make_gan_case("mnist", "iteration (5 + 1 steps)", 1.7, (20_000, 784), 10, 10),
    "mnist:bfloat16": _make_gan_case(
        "mnist:bfloat16", "iteration, bfloat16", 1.7, (20_000, 784), 10, 10
    ),
}  # fmt: skip
