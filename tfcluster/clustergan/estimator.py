"""ClusterGAN as a scikit-learn estimator.

Mukherjee, Asnani, Lin, Kannan: ClusterGAN: Latent Space Clustering in Generative Adversarial
Networks, AAAI 2019. Matches sudiptodip15/ClusterGAN.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from sklearn.utils.validation import check_is_fitted

from tfcluster.clustergan.adversarial import sample_latent
from tfcluster.clustergan.codes import assign_codes
from tfcluster.clustergan.fitted import GANFitted, check_weights, count_features
from tfcluster.clustergan.networks import Networks, build_networks, check_range, check_samples
from tfcluster.clustergan.trainer import Evaluate, GANTrainer
from tfcluster.config import Adam, GANConfig, get_gan_config
from tfcluster.errors import InputError, unknown_name
from tfcluster.estimator import DeepClusterer, digest
from tfcluster.scaling import Standardizer
from tfcluster.training.phases import Callback, Record, run_phases
from tfcluster.training.trainer_pool import TrainerPool
from tfcluster.validation import check_callbacks, check_feature_names, check_seed, check_whole

Decoder = Literal["kmeans", "argmax", "backpropagation"]
DECODERS = ("kmeans", "argmax", "backpropagation")

_POOL = TrainerPool(GANTrainer)


class ClusterGAN(DeepClusterer):
    """ClusterGAN, as a scikit-learn estimator.

    A generator makes samples from codes (z_n, z_c), noise and a one-hot cluster; an encoder learns
    to recover the code of a generated sample. Clusters of real samples are k-means clusters of
    their codes.

    Where the networks normalize over their batch (`"pendigits"`, `"image"`), a sample's code
    depends on the rest of its batch: samples are taken in order, in batches as in training, and
    generated samples, always the same, fill the last batch. The same matrix gives the same labels;
    another order of samples may not.

    Args:
      n_clusters: Number of clusters, at least 2.
      preset: The protocol: the name of a data set the authors used (see
        `tfcluster.config.presets.GAN_PRESETS`); `"gene"`, for samples of any width and range; or
        a `GANConfig`. Arguments that are None are the preset's; `tfcluster.config.GANConfig`
        describes each in full.
      standardize: Whether features get mean 0 and standard deviation 1 over the samples of `fit`,
        before anything else, and missing values (NaN) the mean. Only for `networks="gene"`.
      networks: "image" (28 x 28), "gene" (any width, linear output) or "pendigits" (any width,
        features in [0, 1]).
      n_noise: Length of z_n.
      beta_n: Weight of recovering z_n.
      beta_c: Weight of recovering z_c.
      noise_scale: Standard deviation of z_n.
      critic_steps: Steps of the critic for each step of generator and encoder.
      batch_size: Samples per step.
      penalty: Weight of the gradient penalty.
      epsilon_per_row: Whether each sample is interpolated by its own number.
      weight_decay: Factor of half the squared kernels.
      optimizer: `Adam`, one for the critic and one for generator and encoder together.
      steps: Steps of generator and encoder.
      shuffle: Whether batches pass through shuffled epochs instead of being drawn with
        replacement.
      precision: "float32", or "bfloat16" for all products.
      random_state: Seed. The same seed on the same machine with the same thread setting gives
        the same bits.

    Attributes:
      labels_: `(n_samples,)` labels of the samples of `fit`, equal to `predict` on them.
      cluster_centers_: `(n_clusters, n_units)` k-means centroids of the codes, matched with the
        numbers of z_c.
      network_weights_: The weights of generator, critic and encoder.
      history_: Records of training: `loss` of generator and encoder, `critic_loss`; see
        `tfcluster.training.phases.Record`.
      standardizer_: The `tfcluster.scaling.Standardizer` of the samples of `fit`; None without
        `standardize`.
      config_: The configuration: the preset's, with the arguments that were given.
    """

    kind = "ClusterGAN"
    fitted_kind = GANFitted

    network_weights_: list[list[np.ndarray]]

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        preset: str | GANConfig = "gene",
        standardize: bool = False,
        networks: Literal["image", "gene", "pendigits"] | None = None,
        n_noise: int | None = None,
        beta_n: float | None = None,
        beta_c: float | None = None,
        noise_scale: float | None = None,
        critic_steps: int | None = None,
        batch_size: int | None = None,
        penalty: float | None = None,
        epsilon_per_row: bool | None = None,
        weight_decay: float | None = None,
        optimizer: Adam | None = None,
        steps: int | None = None,
        shuffle: bool | None = None,
        precision: Literal["float32", "bfloat16"] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.preset = preset
        self.standardize = standardize
        self.networks = networks
        self.n_noise = n_noise
        self.beta_n = beta_n
        self.beta_c = beta_c
        self.noise_scale = noise_scale
        self.critic_steps = critic_steps
        self.batch_size = batch_size
        self.penalty = penalty
        self.epsilon_per_row = epsilon_per_row
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.steps = steps
        self.shuffle = shuffle
        self.precision = precision
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 180.0,
        evaluate: Evaluate | None = None,
        evaluate_every: int = 10_000,
    ) -> ClusterGAN:
        """Learns clusters.

        Args:
          X: `(n_samples, n_features)` finite numbers; with `standardize`, NaN where missing; in
            [0, 1] for networks with a sigmoid output.
          y: Never used.
          callbacks: Functions that are called with every record of training, in order; the first
            that raises stops the run.
          checkpoint: A file that keeps the progress. If it exists, the run resumes from it and
            ends with the weights of an uninterrupted run; `random_state` must be a whole number.
          checkpoint_seconds: Least time between two checkpoints.
          evaluate: Called every `evaluate_every` steps, and at the end, with a function from
            samples to codes, `transform` with the current weights. The numbers it returns join
            the record, e.g. the purity of validation samples. It changes no weights.
          evaluate_every: Steps between two evaluations, at least 1.

        Returns:
          The estimator.

        Raises:
          InputError: If X, a parameter or a file does not fit.
          TrainingError: If a loss stops being finite.
        """
        del y
        check_callbacks(callbacks)
        check_whole("evaluate_every", evaluate_every, 1)
        config = self._resolve_config()
        data = self._check_fit(X)
        check_samples(data.x, config)
        seed = check_seed(self.random_state)
        with _POOL.borrow(data.x.shape[1], int(self.n_clusters), config) as trainer:
            trainer.reset(seed)
            identity = {"random_state": seed, "data": digest(data.x)}
            saver = self._open_checkpoint(checkpoint, checkpoint_seconds, trainer, identity)
            evaluate = _standardize(evaluate, data.standardizer)
            phases = trainer.phases(tf.constant(data.x), seed, evaluate, int(evaluate_every))
            history = run_phases(phases, callbacks=callbacks, checkpoint=saver)
            self._set_fitted(GANFitted.of(trainer, data, history))
        return self

    def _resolve_config(self) -> GANConfig:
        return get_gan_config(self.preset, arguments=self.get_params(deep=False))

    @property
    def n_iter_(self) -> int:
        """Steps of generator and encoder."""
        check_is_fitted(self)
        return max((record["step"] for record in self.history_), default=0)

    def predict(self, X: Any, decoder: Decoder = "kmeans") -> np.ndarray:
        """Returns labels of samples, new ones too.

        Args:
          X: `(n_samples, n_features)`; see the class on the effect of their order.
          decoder: `"kmeans"`, the centroid nearest to a sample's code, as in the original;
            `"argmax"`, the largest entry of its z_c; or `"backpropagation"`, the cluster that can
            generate the nearest sample, which needs no encoder but about a hundred times as long.

        Returns:
          `(n_samples,)` clusters.

        Raises:
          InputError: If X does not fit or there is no such decoder.
        """
        if decoder not in DECODERS:
            raise unknown_name("decoder", decoder, DECODERS)
        if decoder == "backpropagation":
            x = self._check_new(X)
            with self._borrow_trainer() as trainer:
                return trainer.inference.recover(x)
        codes = self.transform(X)
        if decoder == "argmax":
            return np.argmax(codes[:, self.config_.n_noise :], axis=1)
        return assign_codes(codes, self.cluster_centers_, self.config_)

    def transform(self, X: Any) -> np.ndarray:
        """Returns the latent codes of samples.

        Args:
          X: `(n_samples, n_features)`; see the class on the effect of their order.

        Returns:
          `(n_samples, n_noise + n_clusters)` float32: z_n, then the softmax of z_c.
        """
        x = self._check_new(X)
        with self._borrow_trainer() as trainer:
            return trainer.inference.encode(x)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Returns samples encoded and generated again, in the units of X.

        Args:
          X: `(n_samples, n_features)`.

        Returns:
          `(n_samples, n_features)` float32; float64 with `standardize`.
        """
        return self._generate(self.transform(X))

    def sample(self, n: int, cluster: int | None = None, *, seed: int = 0) -> np.ndarray:
        """Generates samples, in the units of `fit`.

        Args:
          n: Number of samples.
          cluster: z_c of all of them; drawn uniformly if left out. As many samples of every other
            cluster are generated with them, since the generator normalizes over its batch.
          seed: Seed of z_n, and of z_c if drawn.

        Returns:
          `(n, n_features)` float32; float64 with `standardize`.

        Raises:
          InputError: If `n` is no positive whole number or there is no such cluster.
        """
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise InputError(f"`n` must be a positive whole number. Received: n={n!r}.")
        if cluster is None:
            return self._generate(self._draw(n, seed))
        self._check_cluster(cluster)
        k = len(self.cluster_centers_)
        z = self._draw(n * k, seed)
        z[:, self.config_.n_noise :] = np.tile(np.eye(k), (n, 1))
        return self._generate(z)[cluster::k]

    def interpolate(self, a: int, b: int, n: int = 10, *, seed: int = 0) -> np.ndarray:
        """Generates samples between two clusters, all with the same z_n.

        Args:
          a: Cluster of the first sample.
          b: Cluster of the last sample.
          n: Number of samples, at least 2.
          seed: Seed of z_n.

        Returns:
          `(n, n_features)` float32; float64 with `standardize`.

        Raises:
          InputError: If there is no such cluster or `n` is below 2.
        """
        if not isinstance(n, (int, np.integer)) or n < 2:
            raise InputError(f"`n` must be a whole number of at least 2. Received: n={n!r}.")
        self._check_cluster(a)
        self._check_cluster(b)
        clusters = np.eye(len(self.cluster_centers_), dtype=np.float32)
        share = np.linspace(0, 1, n, dtype=np.float32)[:, np.newaxis]
        z = np.repeat(self._draw(1, seed), n, axis=0)
        z[:, self.config_.n_noise :] = (1 - share) * clusters[a] + share * clusters[b]
        return self._generate(z)

    @property
    def networks_(self) -> Networks:
        """Generator, critic and encoder as Keras models, weights copied.

        Each call normalizes over all samples passed to it; see the class.
        """
        check_is_fitted(self)
        k = len(self.cluster_centers_)
        networks = build_networks(self.n_features_in_, k, self.config_)
        for network, weights in zip(networks, self.network_weights_, strict=True):
            network.set_weights(weights)
        return networks

    @property
    def _n_features_out(self) -> int:
        return int(self.config_.n_noise + len(self.cluster_centers_))

    def _check_scaled(self, X: Any) -> np.ndarray:
        x = super()._check_scaled(X)
        check_range(x, self.config_)
        return x

    @contextlib.contextmanager
    def _borrow_trainer(self) -> Iterator[GANTrainer]:
        k = len(self.cluster_centers_)
        with _POOL.borrow(self.n_features_in_, k, self.config_) as trainer:
            for network, weights in zip(trainer.networks, self.network_weights_, strict=True):
                network.set_weights(weights)
            yield trainer

    def _generate(self, z: np.ndarray) -> np.ndarray:
        with self._borrow_trainer() as trainer:
            return self._restore_units(trainer.inference.generate(z))

    def _draw(self, n: int, seed: int) -> np.ndarray:
        check_is_fitted(self)
        k = len(self.cluster_centers_)
        z: np.ndarray = sample_latent(n, k, self.config_, tf.constant([seed, 1])).numpy()
        return z

    def _check_cluster(self, cluster: Any) -> None:
        check_is_fitted(self)
        k = len(self.cluster_centers_)
        if not isinstance(cluster, (int, np.integer)) or not 0 <= cluster < k:
            raise InputError(f"Clusters are numbered 0 to {k - 1}. Received: {cluster!r}.")

    @classmethod
    def from_weights(
        cls,
        weights: Sequence[Sequence[np.ndarray]],
        centroids: np.ndarray,
        config: GANConfig,
        *,
        standardizer: Standardizer | None = None,
        random_state: int | None = None,
        history: Sequence[Record] = (),
        labels: np.ndarray | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> ClusterGAN:
        """Returns an estimator with weights that were trained elsewhere, e.g. by federation.

        Args:
          weights: Those of generator, critic and encoder, in the order data pass through them.
          centroids: `(n_clusters, n_units)`, as `cluster_centers_`.
          config: The protocol.
          standardizer: Standardizes samples, if given.
          random_state: Seed of the run.
          history: Records of training.
          labels: `(n_samples,)`, becomes `labels_`, which is missing if left out.
          feature_names: `(n_features,)`, becomes `feature_names_in_`, likewise.

        Raises:
          InputError: If the weights are not those of the networks, or names not as many as
            features.
        """
        lists = [list(map(np.asarray, part)) for part in weights]
        n_features = count_features(lists[0], config)
        check_weights(lists, n_features, len(centroids), config)
        fitted = GANFitted(
            config_=config,
            history_=list(history),
            cluster_centers_=np.asarray(centroids),
            n_features_in_=n_features,
            standardizer_=standardizer,
            feature_names_in_=check_feature_names(feature_names, n_features),
            labels_=labels,
            network_weights_=lists,
        )
        return cls._made(fitted, random_state)


def _standardize(evaluate: Evaluate | None, standardizer: Standardizer | None) -> Evaluate | None:
    """Returns an evaluation that encodes samples in their own units."""
    if evaluate is None:
        return None
    if standardizer is None:
        return lambda encode: evaluate(lambda x: encode(np.asarray(x, np.float32)))
    return lambda encode: evaluate(lambda x: encode(standardizer(x)))
