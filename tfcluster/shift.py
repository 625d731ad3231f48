"""Whether new samples are in the units of those a model was trained on.

Judged by means and deviations: the smallest and largest values are those of single samples, which
may be persons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FAR = 10.0
"""Standard deviations of training from which on a feature is far. By Chebyshev's inequality, at
most 1 in 100 samples of the training distribution is."""

_SHARE = 0.05  # of the features; by chance, a few of thousands of features are far in few samples
_SHRUNK = 0.1  # of the deviations and of the root mean squares in training
_ROUNDING = 1e-12  # of a mean: the deviation that sums give constant features

_PART = 4096  # samples that are held in float64 at a time


class FarSamplesWarning(UserWarning):
    """New samples are far from those a model was trained on, e.g. in other units."""


class Moments(NamedTuple):
    """Mean and deviation of every feature.

    Attributes:
      mean: `(n_features,)` float64.
      sd: `(n_features,)` float64, 0 for constant features.
    """

    mean: np.ndarray
    sd: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Moments:
        """Returns the moments of finite numbers, `(n_samples, n_features)`, from float64 sums."""
        count, mean, squares = 0, np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for start in range(0, len(x), _PART):
            part = x[start : start + _PART].astype(np.float64)
            own = part.mean(axis=0)
            total, difference = count + len(part), own - mean
            squares += np.square(part - own).sum(axis=0)
            squares += np.square(difference) * count * len(part) / total
            mean += difference * len(part) / total
            count = total
        return cls(mean, np.sqrt(squares / count))

    def scaled(self, mean: np.ndarray, sd: np.ndarray) -> Moments:
        """Returns the moments of samples times `sd` plus `mean`, each `(n_features,)`."""
        return Moments(self.mean * sd + mean, self.sd * sd)


def describe_shift(new: Moments, training: Moments, names: Sequence[str]) -> str | None:
    """Returns in what new samples differ from those of training, or None if they may be alike.

    Args:
      new: Moments of the new samples, in the units of the features.
      training: Those of the training samples, in the same units.
      names: Names of the features.
    """
    varies = training.sd > _ROUNDING * np.abs(training.mean)
    scale = np.where(varies, training.sd, np.maximum(np.abs(training.mean), 1))
    distance = np.hypot(new.mean - training.mean, new.sd) / scale
    n_far = np.count_nonzero(distance > FAR)
    if n_far > _SHARE * len(distance):
        found = _compare(new, training, names, int(distance.argmax()))
        return f"{n_far} of {len(distance)} features are far: {found}"
    if not varies.any() or not new.sd.any():
        return None
    # of samples that were divided by a number, deviations and root mean squares are small
    spread = _root_mean_square(new.sd[varies] / scale[varies])
    size = np.hypot(new.mean, new.sd)[varies] / np.hypot(training.mean, training.sd)[varies]
    if spread < _SHRUNK and _root_mean_square(size) < _SHRUNK:
        at = int(np.argmax(np.where(varies, training.sd, -1)))
        return (
            f"deviations are {spread:.2g} of those in training: "
            f"{_compare(new, training, names, at)}"
        )
    return None


def _root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _compare(new: Moments, training: Moments, names: Sequence[str], at: int) -> str:
    return (
        f"{names[at]!r} has mean {new.mean[at]:.4g} and deviation {new.sd[at]:.3g}, in training "
        f"{training.mean[at]:.4g} and {training.sd[at]:.3g}"
    )
