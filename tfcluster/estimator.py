"""What the estimators share: scikit-learn's manners, checked input, files and checkpoints."""

from __future__ import annotations

import dataclasses
import hashlib
import numbers
import os
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

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
from tfcluster.scaling import Standardizer
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
    """Some clusters own no rows."""


class DeepClusterer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """Base of the estimators; see `DEC` and `ClusterGAN`.

    A subclass sets `config_`, `history_` and `cluster_centers_` in `fit`, and says by
    `_saved_arrays`, `_saved_values` and `_restore` what else a file must hold.
    """

    kind: ClassVar[str]
    """The estimator's name in files."""

    n_clusters: int
    preset: Any
    standardize: Any
    random_state: Any

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the fitted estimator to one file; see `tfcluster.training.checkpoint`.

        Raises:
          InputError: If it cannot be written; what stood there before stays.
        """
        check_is_fitted(self)
        meta = {
            "estimator": self.kind,
            "preset": _to_json(self.preset),
            "arguments": {name: _to_json(value) for name, value in self._arguments().items()},
            "random_state": int(self.random_state) if self._is_repeatable else None,
            "config": to_dict(self.config_),
            "history": self.history_,
            "feature_names": list(getattr(self, "feature_names_in_", [])),
            **self._saved_values(),
        }
        standardizer = self.standardizer_._asdict() if self.standardizer_ else {}
        arrays = {f"standardizer/{name}": value for name, value in standardizer.items()}
        save_arrays(path, {**self._saved_arrays(), **arrays}, meta)

    @classmethod
    def load(cls: type[Self], path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
          InputError: If the file is missing, damaged or not saved by this kind of estimator.
        """
        arrays, meta = load_arrays(path)
        try:
            return cls._from_saved(arrays, meta)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            raise InputError(
                f"{path} holds no fitted {cls.kind} of this version. Give a file that "
                f"`{cls.kind}.save` wrote."
            ) from error

    @classmethod
    def _from_saved(cls: type[Self], arrays: Arrays, meta: Any) -> Self:
        if meta["estimator"] != cls.kind:
            raise KeyError(cls.kind)
        config = from_dict(meta["config"])
        arguments = {name: _from_json(value) for name, value in meta.get("arguments", {}).items()}
        loaded = cls(
            n_clusters=len(arrays["cluster_centers_"]),
            preset=_from_json(meta["preset"]) or config,
            random_state=meta["random_state"],
            **arguments,
        )
        if meta["feature_names"]:
            loaded.feature_names_in_ = np.array(meta["feature_names"], dtype=object)
        loaded.config_, loaded.history_ = config, meta["history"]
        loaded.standardizer_ = None
        if "standardizer/mean" in arrays:
            parts = (arrays[f"standardizer/{name}"] for name in Standardizer._fields)
            loaded.standardizer_ = Standardizer(*parts)
        loaded._restore(arrays, meta)
        return loaded

    def _saved_arrays(self) -> Arrays:
        raise NotImplementedError

    def _saved_values(self) -> dict[str, Any]:
        return {}

    def _restore(self, arrays: Arrays, meta: Any) -> None:
        raise NotImplementedError

    history_: list[Record]
    standardizer_: Standardizer | None
    config_: Any
    cluster_centers_: np.ndarray

    def __sklearn_tags__(self) -> Any:
        """Returns scikit-learn's description of the estimator.

        Embeddings are float32 whatever comes in; NaN is allowed with `standardize`.
        """
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = bool(self.standardize)
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

    def _checked(self, X: Any) -> tuple[np.ndarray, Standardizer | None, BaseEstimator]:
        """Returns the samples of `fit` and what is to be remembered of them.

        `self` stays as it is until a fit has ended well.

        Returns:
          `(n_samples, n_features)` float32; their standardizer, which was applied; and the number
          and names of features, for `_adopt_features`.
        """
        check_n_clusters(self.n_clusters)
        check_standardize(self.standardize)
        seen = BaseEstimator()
        matrix = check_matrix(
            seen, X, min_rows=self.n_clusters, reset=True, allow_missing=bool(self.standardize)
        )
        if not self.standardize:
            return matrix, None, seen
        standardizer = Standardizer.fit(matrix)
        matrix = standardizer(matrix)
        check_distinct(matrix)
        return matrix, standardizer, seen

    def _check_new(self, X: Any) -> np.ndarray:
        """Returns new samples as the networks take them, `(n_samples, n_features)` float32."""
        check_is_fitted(self)
        if self.standardizer_ is None:
            return check_matrix(self, X)
        return self.standardizer_(check_matrix(self, X, allow_missing=True))

    def _restore_units(self, x: np.ndarray) -> np.ndarray:
        """Returns generated samples, `(n_samples, n_features)`, in the units of `fit`."""
        return x if self.standardizer_ is None else self.standardizer_.inverse(x)

    def _adopt_features(self, seen: BaseEstimator) -> None:
        self.__dict__.pop("feature_names_in_", None)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(seen, name):
                setattr(self, name, getattr(seen, name))

    def _keeper(
        self,
        path: str | os.PathLike[str] | None,
        every_seconds: float,
        trainer: Any,
        identity: dict[str, Any],
    ) -> FitCheckpoint | None:
        """A checkpoint that only this run can go on from; None without a path."""
        if path is None:
            return None
        if not self._is_repeatable:
            raise InputError(
                "A run with a checkpoint needs a whole number as `random_state`, so that it can be "
                "begun again. Received none."
            )
        identity = {
            "n_clusters": int(self.n_clusters),
            "preset": to_dict(trainer.config),
            **identity,
        }
        return FitCheckpoint(path, identity, trainer.state, trainer.set_state, every_seconds)


def _to_json(value: Any) -> Any:
    return to_dict(value) if dataclasses.is_dataclass(value) else to_python(value)


def _from_json(value: Any) -> Any:
    return from_dict(value) if isinstance(value, Mapping) else to_python(value)


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of the arrays' bytes."""
    value = hashlib.sha256()
    for array in arrays:
        value.update(array.tobytes())
    return value.hexdigest()


def numbered(prefix: str, arrays: list[np.ndarray]) -> Arrays:
    """A list as named arrays, for `unnumbered` to take apart."""
    return {f"{prefix}/{i}": array for i, array in enumerate(arrays)}


def unnumbered(prefix: str, arrays: Arrays) -> list[np.ndarray]:
    """The list that `numbered` named."""
    count = sum(name.startswith(f"{prefix}/") for name in arrays)
    return [arrays[f"{prefix}/{i}"] for i in range(count)]
