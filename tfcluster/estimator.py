"""The base of the estimators: scikit-learn's conventions, checked input, files, checkpoints."""

from __future__ import annotations

import dataclasses
import hashlib
import numbers
import os
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from tfcluster.config import from_dict, to_dict, to_python
from tfcluster.errors import InputError
from tfcluster.files import Arrays, load_arrays, save_arrays
from tfcluster.fitted import Fitted
from tfcluster.runtime import read_version, refuse_newer
from tfcluster.scaling import Standardizer
from tfcluster.shift import FarSamplesWarning, Moments, describe_shift
from tfcluster.training.checkpoint import FitCheckpoint
from tfcluster.training.phases import Record
from tfcluster.validation import (
    check_distinct,
    check_matrix,
    check_n_clusters,
    check_standardize,
)

Self = TypeVar("Self", bound="DeepClusterer")


class EmptyClusterWarning(UserWarning):
    """Some clusters own no samples."""


class FitData(NamedTuple):
    """The checked samples of `fit`.

    Attributes:
      x: `(n_samples, n_features)` float32, standardized if asked for.
      standardizer: The standardizer that was applied, or None.
      feature_names: `(n_features,)` names of the columns, or None without any.
      image_shape: (height, width) of samples that were images, or None.
    """

    x: np.ndarray
    standardizer: Standardizer | None
    feature_names: np.ndarray | None
    image_shape: tuple[int, int] | None

    def fitted(self) -> dict[str, Any]:
        """Returns the fitted attributes that depend only on the samples."""
        return {
            "n_features_in_": self.x.shape[1],
            "standardizer_": self.standardizer,
            "feature_names_in_": self.feature_names,
            "image_shape_": self.image_shape,
            "training_moments_": Moments.of(self.x),
        }


class DeepClusterer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """Base of the estimators; see `DEC` and `ClusterGAN`.

    A subclass passes a `Fitted` of its kind to `_set_fitted` wherever it becomes fitted.
    """

    kind: ClassVar[str]
    """The estimator's name in files."""

    fitted_kind: ClassVar[type[Fitted]]
    """The class of its fitted attributes."""

    n_clusters: int
    preset: Any
    standardize: Any
    random_state: Any

    config_: Any
    history_: list[Record]
    cluster_centers_: np.ndarray
    n_features_in_: int
    standardizer_: Standardizer | None
    training_moments_: Moments
    feature_names_in_: np.ndarray
    image_shape_: tuple[int, int]
    labels_: np.ndarray

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        units: Standardizer | None = None,
        run: str | None = None,
    ) -> None:
        """Writes the fitted estimator to one file; see `tfcluster.files`.

        Args:
          path: The file.
          units: How samples were scaled before `fit`, e.g. `Dataset.units`. The estimator in the
            file takes them as they were before, so that no one has to remember the scaling.
          run: The `id` of the run folder that holds the file; None for a file of its own.

        Raises:
          InputError: If the file cannot be written; an earlier file at `path` stays.
        """
        check_is_fitted(self)
        fitted = self._get_fitted()
        if units is not None:
            own = fitted.standardizer_
            both = units if own is None else own.after(units)
            fitted = dataclasses.replace(fitted, standardizer_=both)
        meta = {
            "estimator": self.kind,
            "version": read_version(),
            "run": run,
            "preset": _to_json(self.preset),
            "arguments": {name: _to_json(value) for name, value in self._arguments().items()},
            "random_state": int(self.random_state) if self._is_repeatable else None,
            **fitted.to_values(),
        }
        save_arrays(path, fitted.to_arrays(), meta)

    @classmethod
    def load(cls: type[Self], path: str | os.PathLike[str]) -> Self:
        """Returns the estimator that `save` wrote.

        Raises:
          InputError: If the file is missing, damaged, not saved by this kind of estimator, or
            saved by a newer version of tfcluster.
        """
        arrays, meta = load_arrays(path)
        refuse_newer(path, _version_of(meta))
        try:
            return cls._from_saved(arrays, meta)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            reason = f" {error}" if isinstance(error, InputError) else ""
            raise InputError(
                f"{path} holds no fitted {cls.kind} that tfcluster {read_version()} can "
                f"read; {_name_writer(meta)} wrote it.{reason} Give a file that "
                f"`{cls.kind}.save` wrote."
            ) from error

    @classmethod
    def _from_saved(cls: type[Self], arrays: Arrays, meta: Any) -> Self:
        if meta["estimator"] != cls.kind:
            raise InputError(f"It is the file of another estimator, {meta['estimator']}.")
        fitted = cls.fitted_kind.from_file(arrays, meta)
        # files of the version before hold no arguments, and null for a preset without a name
        arguments = {name: _from_json(value) for name, value in meta.get("arguments", {}).items()}
        loaded = cls(
            n_clusters=len(fitted.cluster_centers_),
            preset=_from_json(meta["preset"]) or fitted.config_,
            random_state=meta["random_state"],
            **arguments,
        )
        loaded._set_fitted(fitted)
        return loaded

    @classmethod
    def _made(cls: type[Self], fitted: Fitted, random_state: int | None) -> Self:
        """Returns the estimator of weights that were trained elsewhere."""
        made = cls(
            n_clusters=len(fitted.cluster_centers_),
            preset=fitted.config_,
            standardize=fitted.standardizer_ is not None,
            random_state=random_state,
        )
        made._set_fitted(fitted)
        return made

    def _set_fitted(self, fitted: Fitted) -> None:
        """Sets all fitted attributes, and nothing else does."""
        for field in dataclasses.fields(fitted):
            name, value = field.name, getattr(fitted, field.name)
            if value is None and name != "standardizer_":
                self.__dict__.pop(name, None)
            else:
                setattr(self, name, value)

    def _get_fitted(self) -> Fitted:
        """Returns the attributes that `_set_fitted` set."""
        names = (field.name for field in dataclasses.fields(self.fitted_kind))
        values: dict[str, Any] = {name: getattr(self, name, None) for name in names}
        return self.fitted_kind(**values)

    def __sklearn_tags__(self) -> Any:
        """Returns scikit-learn's description of the estimator.

        Embeddings are float32 whatever comes in; NaN is allowed with `standardize`; sparse samples
        become dense, and images rows.
        """
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = bool(self.standardize)
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.cluster_centers_.shape[1])

    @property
    def _is_repeatable(self) -> bool:
        return isinstance(self.random_state, numbers.Integral)

    def _resolve_config(self) -> Any:
        """Returns the preset's configuration with the arguments that are not None."""
        raise NotImplementedError

    def _arguments(self) -> dict[str, Any]:
        """Returns the hyper-parameters that were given beside the preset."""
        given = self.get_params(deep=False)
        others = ("n_clusters", "preset", "random_state")
        return {k: v for k, v in given.items() if v is not None and k not in others}

    def _check_fit(self, X: Any) -> FitData:
        """Returns the samples of `fit`; leaves the estimator as it is."""
        check_n_clusters(self.n_clusters)
        check_standardize(self.standardize)
        seen = BaseEstimator()
        x = check_matrix(
            seen, X, min_samples=self.n_clusters, reset=True, allow_missing=bool(self.standardize)
        )
        standardizer = Standardizer.fit(x) if self.standardize else None
        if standardizer:
            x = standardizer(x)
            check_distinct(x)
        names = getattr(seen, "feature_names_in_", None)
        return FitData(x, standardizer, names, seen.image_shape_)

    def _check_new(self, X: Any) -> np.ndarray:
        """Returns new samples as the networks take them, `(n_samples, n_features)` float32."""
        check_is_fitted(self)
        x = self._check_scaled(X)
        self._warn_if_far(x)
        return x

    def _check_scaled(self, X: Any) -> np.ndarray:
        if self.standardizer_ is None:
            return check_matrix(self, X)
        fills = bool(self.standardize) or not self.standardizer_.is_factor
        return self.standardizer_(check_matrix(self, X, dtype=np.float64, allow_missing=fills))

    def _warn_if_far(self, x: np.ndarray) -> None:
        """Warns of new samples, scaled, that are far from those of training."""
        training: Moments | None = getattr(self, "training_moments_", None)
        if training is None:  # of a model that was made by an earlier version
            return
        new = Moments.of(x)
        if self.standardizer_ is not None:
            units = self.standardizer_
            new, training = new.scaled(*units), training.scaled(*units)
        names = getattr(self, "feature_names_in_", None)
        names = [f"feature {i}" for i in range(x.shape[1])] if names is None else names
        found = describe_shift(new, training, names)
        if found is not None:
            warnings.warn(
                f"These {len(x)} samples are not like those of training: {found}. Labels may mean "
                "nothing. Give features in the units of training.",
                FarSamplesWarning,
                stacklevel=4,
            )

    def _restore_units(self, x: np.ndarray) -> np.ndarray:
        """Returns generated samples, `(n_samples, n_features)`, in the units of `fit`."""
        return x if self.standardizer_ is None else self.standardizer_.inverse(x)

    def _open_checkpoint(
        self,
        path: str | os.PathLike[str] | None,
        every_seconds: float,
        trainer: Any,
        identity: dict[str, Any],
    ) -> FitCheckpoint | None:
        """Returns a checkpoint from which only this run can resume; None without a path."""
        if path is None:
            return None
        if not self._is_repeatable:
            raise InputError(
                "A run with a checkpoint needs a whole number as `random_state`, so that it can be "
                f"repeated. Received: random_state={self.random_state!r}."
            )
        identity = {
            "n_clusters": int(self.n_clusters),
            "preset": to_dict(trainer.config),
            **identity,
        }
        return FitCheckpoint(path, identity, trainer.state, trainer.set_state, every_seconds)


def _name_writer(meta: Any) -> str:
    version = _version_of(meta)
    return f"tfcluster {version}" if version else "an early tfcluster 0.1, which named no version,"


def _version_of(meta: Any) -> str | None:
    return meta.get("version") if isinstance(meta, Mapping) else None


def _to_json(value: Any) -> Any:
    return to_dict(value) if dataclasses.is_dataclass(value) else to_python(value)


def _from_json(value: Any) -> Any:
    return from_dict(value) if isinstance(value, Mapping) else to_python(value)


def warn_empty_clusters(labels: np.ndarray, n_clusters: int) -> None:
    """Warns of clusters without samples; to be called by `fit` itself.

    Args:
      labels: `(n_samples,)` clusters.
      n_clusters: Number of clusters asked for.
    """
    n_used = len(np.unique(labels))
    if n_used < n_clusters:
        warnings.warn(
            f"{n_clusters - n_used} of {n_clusters} clusters own no samples. Ask for fewer "
            "clusters, or pretrain longer.",
            EmptyClusterWarning,
            stacklevel=3,  # the caller of `fit`
        )


def digest(*arrays: np.ndarray) -> str:
    """Returns the SHA-256 of the arrays' bytes."""
    value = hashlib.sha256()
    for array in arrays:
        value.update(array.tobytes())
    return value.hexdigest()
