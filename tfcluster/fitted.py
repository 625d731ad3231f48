"""Results of a fit, in memory and in a model file."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np

from tfcluster.config import from_dict, to_dict
from tfcluster.errors import InputError
from tfcluster.files import Arrays
from tfcluster.scaling import Standardizer
from tfcluster.shift import Moments
from tfcluster.training.phases import Record

Self = TypeVar("Self", bound="Fitted")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """The fitted attributes that all estimators have, by name.

    Each estimator has a subclass with its own: `DECFitted`, `GANFitted`. An optional attribute
    that is None is missing from the estimator, as in scikit-learn, except `standardizer_`.
    """

    config_: Any
    history_: list[Record]
    cluster_centers_: np.ndarray
    n_features_in_: int
    standardizer_: Standardizer | None = None
    feature_names_in_: np.ndarray | None = None
    image_shape_: tuple[int, int] | None = None
    training_moments_: Moments | None = None
    labels_: np.ndarray | None = None

    def to_arrays(self) -> Arrays:
        """Returns the arrays of a model file."""
        arrays = {"cluster_centers_": self.cluster_centers_}
        if self.labels_ is not None:
            arrays["labels_"] = self.labels_
        if self.standardizer_ is not None:
            standardizer = self.standardizer_._asdict()
            arrays |= {f"standardizer/{name}": value for name, value in standardizer.items()}
        if self.training_moments_ is not None:
            moments = self.training_moments_._asdict()
            arrays |= {f"training_moments/{name}": value for name, value in moments.items()}
        return arrays

    def to_values(self) -> dict[str, Any]:
        """Returns the plain values of a model file."""
        names = self.feature_names_in_
        return {
            "config": to_dict(self.config_),
            "history": self.history_,
            "feature_names": [] if names is None else list(names),
            "image_shape": self.image_shape_,
        }

    @classmethod
    def from_file(cls: type[Self], arrays: Arrays, values: Any) -> Self:
        """Returns the results that `to_arrays` and `to_values` wrote.

        Raises:
          InputError: If the configuration is unknown, or breaks a rule.
          KeyError: If something is missing.
        """
        config, names = from_dict(values["config"]), values["feature_names"]
        standardizer, shape = None, values.get("image_shape")
        if "standardizer/mean" in arrays:  # missing from files of the version before, too
            parts = (arrays[f"standardizer/{name}"] for name in Standardizer._fields)
            standardizer = Standardizer(*parts)
        moments = None
        if "training_moments/mean" in arrays:  # likewise
            moments = Moments(*(arrays[f"training_moments/{name}"] for name in Moments._fields))
        own = cls._read_own(arrays, values, config)
        scales = (*(standardizer or ()), *(moments or ()))
        if any(part.shape != (own["n_features_in_"],) for part in scales):
            raise InputError("Its scaling is of another number of features.")
        return cls(
            config_=config,
            history_=values["history"],
            cluster_centers_=arrays["cluster_centers_"],
            standardizer_=standardizer,
            feature_names_in_=np.array(names, dtype=object) if names else None,
            image_shape_=tuple(shape) if shape else None,
            training_moments_=moments,
            labels_=arrays.get("labels_"),
            **own,
        )

    @classmethod
    def _read_own(cls, arrays: Arrays, values: Any, config: Any) -> dict[str, Any]:
        """Returns `n_features_in_` and the attributes of the subclass from a model file."""
        raise NotImplementedError
