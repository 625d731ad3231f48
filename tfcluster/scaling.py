"""Common units for features: mean 0 and standard deviation 1, missing values filled."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfcluster.errors import InputError
from tfcluster.files import load_arrays, save_arrays


def narrow(x: np.ndarray) -> np.ndarray:
    """Returns numbers as a contiguous array of float32 if no digit is lost, or else of float64."""
    x = np.ascontiguousarray(x)
    if x.dtype == np.float32:
        return x
    with np.errstate(over="ignore"):
        narrowed = x.astype(np.float32)
    wide = x.astype(np.float64)
    return narrowed if np.array_equal(narrowed, wide, equal_nan=True) else wide


class Standardizer(NamedTuple):
    """Gives features mean 0 and standard deviation 1; missing values (NaN) become the mean.

    Features of categories, 0 or 1, are no exception. So each category has the variance of any
    other feature, and the rarer it is, the farther its samples are from the rest.

    Attributes:
      mean: `(n_features,)` float64, over the values that are not missing; 0 without any.
      sd: `(n_features,)` float64, over all samples after filling; 1 for constant features.
    """

    mean: np.ndarray
    sd: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray) -> Standardizer:
        """Returns the standardizer of some samples, computed in float64.

        Args:
          x: `(n_samples, n_features)`, NaN where a value is missing.

        Raises:
          InputError: If a mean or standard deviation overflows.
        """
        x = np.asarray(x, np.float64)
        missing = np.isnan(x)
        counts = np.maximum(len(x) - missing.sum(axis=0), 1)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.where(missing, 0.0, x).sum(axis=0) / counts
            deviations = np.where(missing, 0.0, x - mean)
            # subtracts what rounding left in the mean
            squares = np.square(deviations).sum(axis=0) - deviations.sum(axis=0) ** 2 / counts
        if not np.isfinite(squares).all():
            features = ", ".join(map(str, np.flatnonzero(~np.isfinite(squares))))
            raise InputError(
                "Standardized features need finite means and standard deviations. Received "
                f"values that overflow in feature(s) {features}, counted from 0. Correct or drop "
                "them."
            )
        return cls.from_moments(len(x), mean, squares)

    @classmethod
    def from_moments(cls, n_samples: float, mean: np.ndarray, squares: np.ndarray) -> Standardizer:
        """Returns the standardizer of samples whose sums are known.

        Args:
          n_samples: Number of samples, those with missing values included.
          mean: `(n_features,)` float64 means of the values that are not missing.
          squares: `(n_features,)` float64 sums of the squared deviations from them.
        """
        variance = np.maximum(squares, 0) / n_samples
        # scikit-learn's bound on the variance that rounding gives a constant feature
        epsilon = np.finfo(np.float64).eps
        bound = n_samples * epsilon * variance + (n_samples * mean * epsilon) ** 2
        return cls(mean, np.where(variance <= bound, 1.0, np.sqrt(variance)))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns `(x - mean) / sd` in float32, 0 where a value is missing.

        Args:
          x: `(n_samples, n_features)`, NaN where a value is missing.

        Raises:
          InputError: If `x` has another number of features, or values that are infinite or too
            far from the mean for float32.
        """
        if x.shape[1:] != self.mean.shape:
            raise InputError(f"Samples need {len(self.mean)} features. Received: {x.shape[1]}.")
        with np.errstate(over="ignore"):
            scaled = np.where(np.isnan(x), 0.0, (x - self.mean) / self.sd).astype(np.float32)
        if not np.isfinite(scaled).all():
            bad = np.count_nonzero(~np.isfinite(scaled).all(axis=1))
            raise InputError(
                f"Standardized features must be finite in float32. Received {bad} samples with "
                "infinite or too large values. Correct or drop them."
            )
        return scaled

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Returns standardized samples in the units of the features: `z * sd + mean`.

        Args:
          z: `(n_samples, n_features)`.

        Returns:
          `(n_samples, n_features)` float64, because the mean may be large beside the sd.
        """
        return z * self.sd + self.mean

    def after(self, units: Standardizer | None) -> Standardizer:
        """Returns the standardizer of samples in original units that `units` scaled before.

        Args:
          units: The scaling that comes first; None for none.
        """
        if units is None:
            return self
        return Standardizer(units.mean + units.sd * self.mean, units.sd * self.sd)

    @property
    def is_factor(self) -> bool:
        """Whether features are only divided, e.g. pixels by 255: there is no mean to fill with."""
        return not self.mean.any()

    def save(self, path: Path) -> None:
        """Writes a file for `load`."""
        save_arrays(path, self._asdict(), {})

    @classmethod
    def load(cls, path: Path) -> Standardizer:
        """Returns the standardizer that `save` wrote.

        Raises:
          InputError: If the file is missing or damaged.
        """
        return cls(**load_arrays(path)[0])
