"""The common part of the federated estimators: conventions, clients, fitted attributes."""

from __future__ import annotations

import abc
import contextlib
import copy
import dataclasses
import numbers
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from rich.console import Console
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from federated.core.records import Callback, RoundRecord
from federated.core.sampling import ClientSampler
from federated.data.federated_dataset import (
    FederatedDataset,
    PartitionConfig,
    build_dataset,
    partition_matrix,
)
from federated.estimators.fit import Fit, begin_fit
from tfcluster import metrics
from tfcluster.config import to_python
from tfcluster.data import Picture
from tfcluster.errors import InputError
from tfcluster.profile import ClusterProfile
from tfcluster.scaling import Standardizer
from tfcluster.shift import Moments
from tfcluster.training.progress import TrainingProgress
from tfcluster.validation import (
    check_callbacks,
    check_matrix,
    check_n_clusters,
    check_seed,
    unfold,
)

_LAST_SEED = 2**32 - 1

Config = TypeVar("Config")


class FederatedEstimator(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator, abc.ABC
):
    """Base of the federated estimators; see `FederatedDEC`.

    A subclass says by `config` what it was asked for, and by `_train` how it is trained.
    """

    accepts_range: ClassVar[bool] = False
    """Whether `n_clusters` may be a range, from which one number is recommended."""

    n_clusters: Any
    partition: str
    n_clients: int | None
    alpha: float | None
    per_client: int | None
    share: float | None
    clients_per_round: int | None = None
    dropout: float = 0.0
    standardize: bool | None
    backend: Any
    random_state: Any

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        names: Sequence[str] | None = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> Self:
        """Learns clusters over clients; processes of the backend live within the call.

        Args:
          X: The clients: a dictionary from name to matrix or data frame `(n_samples, n_features)`,
            a list of those, or a `FederatedDataset`. Or one matrix, which is partitioned by
            `partition`, `n_clients`, `alpha`, `per_client` and `share`.
          y: Classes in the same structure, for scores only.
          names: Names of the clients of a list.
          callbacks: Each is called with a `RoundRecord` after every round, when its checkpoint is
            written; may raise to stop the fit.
          checkpoint: File for the run's progress. If it exists, the fit resumes there and ends with
            the bits of an uninterrupted one; `random_state` must be a whole number. With a range
            of numbers of clusters, each has a file of its own beside it.
          verbose: Whether to show progress.

        Returns:
          The estimator.

        Raises:
          InputError: If X, an argument or the checkpoint does not fit.
          TrainingError: If training diverges or a client fails.
        """
        check_callbacks(callbacks)
        seed = self._seed(checkpoint)
        dataset = self._dataset(X, y, names, seed)
        with self.begin(dataset, seed, callbacks, checkpoint, verbose) as fit:
            self._train(fit)
        return self

    def fit_predict(self, X: Any, y: Any = None, **arguments: Any) -> np.ndarray:
        """Fits and returns `labels_`; the arguments are those of `fit`."""
        return self.fit(X, y, **arguments).labels_

    def fit_transform(self, X: Any, y: Any = None, **arguments: Any) -> np.ndarray:
        """Fits and returns the embedding of all samples, in the order of `labels_`."""
        self.fit(X, y, **arguments)
        if isinstance(X, FederatedDataset):
            return self.transform(X.pooled()[0])
        if isinstance(X, Mapping) or _is_list_of_matrices(X):
            parts = X.values() if isinstance(X, Mapping) else X
            return np.concatenate([self.transform(part) for part in parts])
        return self.transform(X)

    @contextlib.contextmanager
    def begin(
        self,
        dataset: FederatedDataset,
        seed: int,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> Iterator[Fit]:
        """Checks everything, then starts the backend on the clients."""
        config = self.config(dataset)
        self.check(dataset, config)
        sampler = self._sampler(dataset, seed)
        with contextlib.ExitStack() as stack:
            if verbose:
                progress = stack.enter_context(TrainingProgress(Console(), unit="rounds"))
                callbacks = (*callbacks, lambda record: progress(record.flat()))
            yield stack.enter_context(
                begin_fit(
                    dataset,
                    self.backend,
                    sampler,
                    config,
                    checkpoint=checkpoint,
                    callbacks=callbacks,
                    n_clusters=list(map(int, self._numbers())),
                )
            )

    @abc.abstractmethod
    def config(self, dataset: FederatedDataset) -> Any:
        """Returns the configuration that the arguments name, for these clients."""

    @abc.abstractmethod
    def _train(self, fit: Fit) -> None:
        """Runs the phases and sets the fitted attributes."""

    def check(self, dataset: FederatedDataset, config: Any) -> None:
        """Raises `InputError` if the clients do not fit the configuration."""
        self._sampler(dataset, seed=0)
        for k in self._numbers():
            check_n_clusters(k)
        n_samples, most = sum(dataset.sizes), max(self._numbers())
        if n_samples < most:
            raise InputError(
                f"{most} clusters need at least as many samples. Received: {n_samples}."
            )
        dataset.check_finite(missing_allowed=config.standardize)
        for k in self._numbers():
            config.search(int(k), 0).check(dataset.sizes)

    def _sampler(self, dataset: FederatedDataset, seed: int) -> ClientSampler:
        per_round, dropout = to_python(self.clients_per_round), to_python(self.dropout)
        return ClientSampler(len(dataset.names), per_round, dropout, seed)

    def _numbers(self) -> Sequence[int]:
        """Returns the numbers of clusters to try."""
        if not isinstance(self.n_clusters, (Sequence, np.ndarray)):
            return [self.n_clusters]
        if not self.accepts_range:
            raise InputError(
                f"{type(self).__name__} takes one number as `n_clusters`: its networks depend on "
                f"it from the start. Received: {self.n_clusters!r}."
            )
        if not len(self.n_clusters):
            raise InputError("`n_clusters` must hold at least one number. Received none.")
        several = list(self.n_clusters)
        if len(set(several)) < len(several):
            raise InputError(f"`n_clusters` must hold different numbers. Received: {several}.")
        return several

    def _seed(self, checkpoint: Any) -> int:
        state = self.random_state
        if isinstance(state, numbers.Integral) and not isinstance(state, bool):
            seed = int(state)
            if not 0 <= seed <= _LAST_SEED:
                raise InputError(f"`random_state` must be in [0, {_LAST_SEED}]. Received: {seed}.")
            return seed
        if checkpoint is not None:
            raise InputError(
                "A fit with a checkpoint needs a whole number as `random_state`, so that it can be "
                f"resumed. Received: {state!r}."
            )
        return check_seed(state)

    def _dataset(self, X: Any, y: Any, names: Sequence[str] | None, seed: int) -> FederatedDataset:
        if isinstance(X, FederatedDataset):
            if y is not None or names is not None:
                raise InputError("A `FederatedDataset` has its own classes and names.")
            return X
        if isinstance(X, Mapping) or _is_list_of_matrices(X):
            return build_dataset(X, y, names)
        if names is not None:
            raise InputError("`names` are for a list of clients. Received one matrix.")
        seen = BaseEstimator()
        matrix = check_matrix(seen, X, reset=True, allow_missing=self.standardize is not False)
        how = PartitionConfig(
            self.partition, self.n_clients, self.alpha, self.per_client, self.share
        )
        features = tuple(map(str, getattr(seen, "feature_names_in_", ())))
        has_units = bool(np.isnan(matrix).any())
        picture = None if seen.image_shape_ is None else Picture("image", seen.image_shape_)
        made = partition_matrix(matrix, y, how, seed)
        return dataclasses.replace(
            made,
            feature_names=features,
            has_columns=bool(features),
            has_units=has_units,
            picture=picture,
        )

    def _is_standardized(self, dataset: FederatedDataset | None) -> bool:
        if self.standardize is not None:
            return bool(self.standardize)
        return dataset is not None and dataset.has_units

    # Fitted attributes; `_set_fitted` alone sets them.

    labels_: np.ndarray
    client_labels_: dict[str, np.ndarray]
    cluster_centers_: np.ndarray
    history_: list[RoundRecord]
    scores_: dict[str, Any]
    n_clusters_: int
    n_features_in_: int
    profile_: ClusterProfile

    def _set_fitted(
        self,
        dataset: FederatedDataset,
        model: Any,
        config: Any,
        history: Sequence[RoundRecord],
        scores: Mapping[str, Any],
    ) -> None:
        self._model, self.config_ = model, config
        self.history_, self.scores_ = list(history), dict(scores)
        self.cluster_centers_ = model.cluster_centers_
        self.n_clusters_ = len(model.cluster_centers_)
        self.n_features_in_ = dataset.n_features
        labels = [self._labels_of(x) for x, _ in dataset.clients]
        self.__dict__.pop("feature_names_in_", None)
        if dataset.has_columns:  # from here on, columns of new samples are compared by name
            self.feature_names_in_ = np.array(dataset.feature_names, dtype=object)
            model.feature_names_in_ = self.feature_names_in_
        if dataset.picture is not None and dataset.picture.kind == "image":
            model.image_shape_ = dataset.picture.shape
        self.client_labels_ = dict(zip(dataset.names, labels, strict=True))
        self.labels_ = np.concatenate(labels)
        if dataset.order is not None and len(dataset.order) == dataset.order.max() + 1:
            in_order = np.empty_like(self.labels_)
            in_order[dataset.order] = self.labels_
            self.labels_ = in_order

    def _keep_moments(self, units: Standardizer | None) -> None:
        """Gives the model the moments of all samples, which the profile has from sums.

        Args:
          units: What undoes the scaling that samples had before `fit`.
        """
        profile, own = self.profile_, self._model.standardizer_
        moments = Moments(profile.overall_mean, profile.overall_sd)
        scaling = units if own is None else own.after(units)
        if scaling is not None:
            moments = moments.scaled(-scaling.mean / scaling.sd, 1 / scaling.sd)
        self._model.training_moments_ = moments

    def _labels_of(self, x: np.ndarray) -> np.ndarray:
        labels: np.ndarray = self._model.predict(x)
        return labels

    def _fitted_model(self) -> Any:
        check_is_fitted(self)
        return self._model

    def _copy_of_model(self) -> Any:
        return copy.deepcopy(self._fitted_model())

    @property
    def _n_features_out(self) -> int:
        return int(self.cluster_centers_.shape[1])

    @property
    def n_iter_(self) -> int:
        """Rounds of all phases."""
        check_is_fitted(self)
        return len(self.history_)

    def predict(self, X: Any) -> np.ndarray:
        """Labels samples, new ones too: `(n_samples, n_features)` to `(n_samples,)`."""
        labels: np.ndarray = self._fitted_model().predict(X)
        return labels

    def transform(self, X: Any) -> np.ndarray:
        """Embeds samples: `(n_samples, n_features)` to `(n_samples, n_units)`."""
        embedded: np.ndarray = self._fitted_model().transform(X)
        return embedded

    def score(self, X: Any, y: Any = None) -> float:
        """Returns how good the clusters of samples are; higher is better.

        Args:
          X: `(n_samples, n_features)`.
          y: `(n_samples,)` classes, or None.

        Returns:
          With `y`, the accuracy under the best one-to-one match of clusters and classes; without,
          the silhouette of the clusters in the input space (of at most 10,000 samples),
          standardized where the model standardizes.
        """
        labels = self.predict(X)
        if y is not None:
            return metrics.accuracy(y, labels)
        return metrics.silhouette(self.standardized(X), labels)

    def standardized(self, X: Any) -> np.ndarray:
        """Returns samples, `(n_samples, n_features)`, standardized if the model standardizes."""
        standardizer = self._fitted_model().standardizer_
        matrix = np.asarray(unfold(X).samples, np.float64)
        return matrix if standardizer is None else standardizer(matrix)


def _is_list_of_matrices(X: Any) -> bool:
    if not isinstance(X, (list, tuple)) or not X:
        return False
    return all(hasattr(part, "columns") or np.ndim(part) in (2, 3, 4) for part in X)
