"""Training of ClusterGAN; batches and latent samples are drawn on the device.

An iteration is `critic_steps` steps of the critic, each on a new batch with new latent samples,
then one step of generator and encoder. Everything drawn is a function of the run's seed and the
iteration's number, so that a run can resume anywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfcluster.clustergan.adversarial import critic_step_on, generate, generator_step, sample_latent
from tfcluster.clustergan.inference import Inference
from tfcluster.clustergan.networks import Networks, build_networks
from tfcluster.config import Adam, GANConfig
from tfcluster.files import Arrays
from tfcluster.training.loop import STEPS_PER_CALL
from tfcluster.training.optimizers import Optimizer, build_optimizer
from tfcluster.training.phases import Phase, Record

Evaluate = Callable[[Callable[[np.ndarray], np.ndarray]], Mapping[str, float]]
"""Takes `Inference.encode`, with the current weights, and returns numbers for the record."""

MakeOptimizer = Callable[[Adam, Sequence[tf.Variable]], Optimizer]
"""Makes an optimizer, like `optimizers.build_optimizer`."""

Step = Callable[..., tf.Tensor]
"""Takes a step, or several, and returns the loss before the last of them."""

_IMAGE_STEPS_PER_CALL = 10


def choose_batch(
    first: tf.Tensor, n_samples: tf.Tensor, config: GANConfig, seed: tf.Tensor
) -> tf.Tensor:
    """Chooses the samples of a batch.

    Args:
      first: Number of samples used by all batches before this one, int64.
      n_samples: Number of samples in the data, int64.
      config: With `shuffle`, each pass is a permutation of the samples, and batches continue
        across the end of a pass, as in the original's image loader; otherwise samples are drawn
        with replacement.
      seed: `(2,)` integers; those of the run with `shuffle`, otherwise those of this batch.

    Returns:
      `(batch_size,)` numbers of samples, int64.
    """
    size = config.batch_size
    if not config.shuffle:
        return tf.random.stateless_uniform((size,), seed, maxval=n_samples, dtype=tf.int64)
    position = first + tf.range(size, dtype=tf.int64)
    epoch = tf.cast(position // n_samples, tf.int32)
    seeds = tf.concat([tf.ones((size, 1), tf.int32) * seed, epoch[:, tf.newaxis]], axis=1)
    # the raw kernel: its Python wrapper pads a seed per sample along the wrong axis
    return tf.raw_ops.RandomIndexShuffle(
        index=position % n_samples, seed=seeds, max_index=n_samples - 1, rounds=4
    )


class GANTrainer:
    """The networks of ClusterGAN with their optimizers and compiled iterations.

    Args:
      n_features: Number of features.
      n_clusters: Length of z_c.
      config: The protocol.
      make_optimizer: Makes the two optimizers.

    Attributes:
      networks: Generator, critic, encoder.
      critic_optimizer: Holds the critic's variables.
      other_optimizer: Holds the generator's variables, then the encoder's.
      inference: Applies the networks to samples.
    """

    def __init__(
        self,
        n_features: int,
        n_clusters: int,
        config: GANConfig,
        make_optimizer: MakeOptimizer = build_optimizer,
    ) -> None:
        self.config = config
        self.n_clusters = n_clusters
        self.networks: Networks = build_networks(n_features, n_clusters, config)
        generator, critic, encoder = self.networks
        self.critic_optimizer = make_optimizer(config.optimizer, critic.trainable_variables)
        self.other_optimizer = make_optimizer(
            config.optimizer, [*generator.trainable_variables, *encoder.trainable_variables]
        )
        self.inference = Inference(self.networks, n_clusters, config)
        self._iterate = tf.function(self.iterate)
        compiled = [tf.function(f) for f in (self._generate_fakes, self._critic_step)]
        self._eager_steps: tuple[Step, Step] = (
            functools.partial(self._critic_steps, *compiled),
            tf.function(self._generator_step),
        )
        self._graph_steps: tuple[Step, Step] = (
            functools.partial(self._critic_steps, self._generate_fakes, self._critic_step),
            self._generator_step,
        )
        if config.networks == "image":
            # Functions that are not inlined: in a loop's body, sums of the convolutions'
            # gradients trigger a bug of TensorFlow 2.14 (AlreadyExistsError of a `tmp_var`).
            critic, others = (
                tf.function(step, experimental_attributes={"_noinline": True})
                for step in self._graph_steps
            )
            self._graph_steps = critic, others

    def reset(self, seed: int) -> None:
        """Sets the initial weights of this seed."""
        n_features = self.networks.critic.input_shape[1]
        fresh = build_networks(n_features, self.n_clusters, self.config, seed)
        for network, other in zip(self.networks, fresh, strict=True):
            network.set_weights(other.get_weights())

    def state(self) -> Arrays:
        """Returns all weights, by name."""
        return {
            f"{network.name}/{i}": weight
            for network in self.networks
            for i, weight in enumerate(network.get_weights())
        }

    def set_state(self, state: Arrays) -> None:
        """Restores what `state` returned."""
        for network in self.networks:
            network.set_weights([state[f"{network.name}/{i}"] for i in range(len(network.weights))])

    def phases(
        self, x: tf.Tensor, seed: int, evaluate: Evaluate | None = None, evaluate_every: int = 1
    ) -> list[Phase]:
        """Returns the one phase of training.

        Args:
          x: `(n_samples, n_features)`.
          seed: Seed of everything that is drawn.
          evaluate: Called every `evaluate_every` steps and at the end.
          evaluate_every: Steps between two evaluations.
        """
        is_image = self.config.networks == "image"
        chunk = _IMAGE_STEPS_PER_CALL if is_image else STEPS_PER_CALL
        # Convolutions in a loop inside the graph take longer than one call per step.
        iterate = self.iterate if is_image else self._iterate

        def run(start: int) -> Iterator[Record]:
            step = start
            while step < self.config.steps:
                last = min(step + chunk, self.config.steps)
                if evaluate:
                    last = min(last, step + evaluate_every - step % evaluate_every)
                numbers = tf.range(step, last, dtype=tf.int64)
                critic_losses, losses = iterate(x, tf.constant(seed), numbers)
                step = last
                record: Record = {
                    "phase": "adversarial",
                    "step": step,
                    "loss": float(np.mean(losses)),
                    "critic_loss": float(np.mean(critic_losses)),
                }
                if evaluate and (step % evaluate_every == 0 or step == self.config.steps):
                    record |= evaluate(self.inference.encode)
                yield record

        optimizers = [self.critic_optimizer, self.other_optimizer]
        return [Phase("adversarial", self.config.steps, run, optimizers)]

    def iterate(
        self, x: tf.Tensor, seed: tf.Tensor, numbers: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes iterations: in a graph one loop, otherwise one call per step.

        Args:
          x: `(n_samples, n_features)`.
          seed: Scalar int32.
          numbers: `(n_iterations,)` int64, the iterations' numbers; what an iteration draws
            depends on its number.

        Returns:
          Losses of the critic's last step, and of generator and encoder: `(n_iterations,)` each.
        """
        critic, others = self._steps
        losses, other_losses = _loop(
            [lambda number: critic(x, seed, number), lambda number: others(seed, number)], numbers
        )
        return losses, other_losses

    def train_critic(self, x: tf.Tensor, seed: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Takes the critic's part of `iterate`; generator and encoder stay as they are."""
        critic, _ = self._steps
        (losses,) = _loop([lambda number: critic(x, seed, number)], numbers)
        return losses

    def train_generator(self, seed: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Takes the part of generator and encoder in `iterate`; the critic stays as it is."""
        _, others = self._steps
        (losses,) = _loop([lambda number: others(seed, number)], numbers)
        return losses

    @property
    def _steps(self) -> tuple[Step, Step]:
        """The steps of an iteration: the critic's, and that of generator and encoder."""
        return self._eager_steps if tf.executing_eagerly() else self._graph_steps

    def _critic_steps(
        self, generate_fakes: Step, step: Step, x: tf.Tensor, seed: tf.Tensor, number: tf.Tensor
    ) -> tf.Tensor:
        fakes = generate_fakes(seed, number)
        for i in range(self.config.critic_steps):
            loss = step(x, fakes, seed, number, tf.constant(i))
        return loss

    def _generate_fakes(self, seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """Generates samples for all critic steps at once: the generator does not change."""
        config = self.config
        latent = [
            sample_latent(
                config.batch_size, self.n_clusters, config, self._derive_seeds(seed, number, i)[1]
            )
            for i in range(config.critic_steps)
        ]
        fakes = generate(self.networks.generator, tf.concat(latent, axis=0), config.critic_steps)
        return tf.reshape(fakes, (config.critic_steps, config.batch_size, -1))

    def _critic_step(
        self, x: tf.Tensor, fakes: tf.Tensor, seed: tf.Tensor, number: tf.Tensor, i: tf.Tensor
    ) -> tf.Tensor:
        config = self.config
        step = number * config.critic_steps + tf.cast(i, tf.int64)
        order_seed, _, epsilon_seed = self._derive_seeds(seed, number, i)
        n_samples = tf.shape(x, tf.int64)[0]
        batch = choose_batch(step * config.batch_size, n_samples, config, order_seed)
        shape = (config.batch_size, 1) if config.epsilon_per_row else ()
        epsilon = tf.random.stateless_uniform(shape, epsilon_seed)
        critic, optimizer = self.networks.critic, self.critic_optimizer
        return critic_step_on(critic, optimizer, tf.gather(x, batch), fakes[i], epsilon, config)

    def _derive_seeds(
        self, seed: tf.Tensor, number: tf.Tensor, i: tf.Tensor | int
    ) -> list[tf.Tensor]:
        """Returns the seeds of a critic step's batch, latent samples and epsilon."""
        step = number * self.config.critic_steps + tf.cast(i, tf.int64)
        seeds = tf.unstack(tf.random.experimental.stateless_split(_derive_seed(seed, step, 1), 3))
        if self.config.shuffle:
            seeds[0] = tf.stack([seed, 0])
        return seeds

    def _generator_step(self, seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        config = self.config
        z = sample_latent(config.batch_size, self.n_clusters, config, _derive_seed(seed, number, 2))
        return generator_step(self.networks, self.other_optimizer, z, config)


def _loop(steps: Sequence[Step], numbers: tf.Tensor) -> list[tf.Tensor]:
    """Takes the steps in turn, once for each number; in a graph or eagerly.

    Args:
      steps: Functions of an iteration's number that return a loss.
      numbers: `(n_iterations,)` int64.

    Returns:
      `(n_iterations,)` losses of each step.
    """
    count = tf.shape(numbers)[0]
    losses = [tf.TensorArray(tf.float32, size=count) for _ in steps]
    for k in tf.range(count):
        losses = [
            array.write(k, step(numbers[k])) for array, step in zip(losses, steps, strict=True)
        ]
    return [array.stack() for array in losses]


def _derive_seed(seed: tf.Tensor, number: tf.Tensor, stream: int) -> tf.Tensor:
    """Returns the seed of a step: the critic's stream is 1, that of generator and encoder 2."""
    return tf.random.experimental.stateless_fold_in(
        tf.stack([tf.cast(seed, tf.int64), number]), stream
    )
