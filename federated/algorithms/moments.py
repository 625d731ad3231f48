"""Moments of features from sums over clients: what scaling is computed from.

Two rounds find means and standard deviations. The first gives the means; the second sums around
them, so that a feature far from 0 does not lose its spread in the rounding of squares.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    Tensors,
)
from federated.core.sums import sum_over_parts
from tfcluster.config import register
from tfcluster.errors import InputError
from tfcluster.scaling import Standardizer


class MomentsState(NamedTuple):
    """State of a round that sums features.

    Attributes:
      origin: `(n_features,)` float64.
    """

    origin: tf.Tensor


class MomentSums(NamedTuple):
    """Sums that clients send, in float64. Missing values count in `n_samples` only.

    Attributes:
      n_samples: Scalar.
      counts: `(n_features,)`, values that are not missing.
      sums: `(n_features,)`, of `x - origin`.
      squares: `(n_features,)`, of `(x - origin)^2`.
    """

    n_samples: tf.Tensor
    counts: tf.Tensor
    sums: tf.Tensor
    squares: tf.Tensor


@register
@dataclasses.dataclass(frozen=True)
class Moments(FederatedAlgorithm):
    """A round that sums every feature around an origin; the metrics are the total `MomentSums`."""

    kind: ClassVar[str] = "moments"
    state_type: ClassVar[type] = MomentsState
    sums_type: ClassVar[type] = MomentSums
    full_participation: ClassVar[bool] = True
    allows_missing: ClassVar[bool] = True
    sample_dtype: ClassVar[tf.DType] = tf.float64

    def initial_state(self, origin: Any = 0.0) -> MomentsState:
        """Returns the state before the round; `origin` is `(n_features,)` or one number."""
        full = np.broadcast_to(np.asarray(origin, np.float64), (self.n_features,))
        return MomentsState(tf.constant(full))

    def make_learner(self) -> _MomentsLearner:
        """Returns what sums."""
        return _MomentsLearner()

    def server_update(
        self, state: MomentsState, sums: MomentSums, per_client: Any
    ) -> tuple[MomentsState, Metrics]:
        """Leaves the state; returns the sums by name."""
        del per_client
        return state, sums._asdict()


class _MomentsLearner:
    def update(self, broadcast: MomentsState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums the client's features; see `MomentSums`."""
        del seed  # nothing is drawn

        def totals(x: tf.Tensor) -> Tensors:
            # a client with NaN in its sums would be left out
            missing = tf.math.is_nan(x)
            values = x - broadcast.origin
            values = tf.where(missing, tf.zeros_like(values), values)
            columns = (tf.cast(~missing, tf.float64), values, tf.square(values))
            n_samples = tf.cast(tf.shape(x)[0], tf.float64)
            return n_samples, *(tf.reduce_sum(column, axis=0) for column in columns)

        width = data.x.shape[1]
        return ClientOutput(MomentSums(*sum_over_parts(totals, (data.x,), width)))


def compute_feature_means(sums: MomentSums) -> np.ndarray:
    """Returns the features' means, `(n_features,)`, from sums around 0; 0 without values."""
    return np.asarray(sums.sums) / np.maximum(sums.counts, 1)


def build_standardizer(mean: np.ndarray, around_mean: MomentSums) -> Standardizer:
    """Returns means and standard deviations, missing values counted as the mean.

    Args:
      mean: `(n_features,)`, from `compute_feature_means`.
      around_mean: Sums with `mean` as origin.

    Raises:
      InputError: If there are no samples.
    """
    if not around_mean.n_samples:
        raise InputError(
            "Scaling needs at least one sample. Received none. Check the clients' data."
        )
    counts = np.maximum(around_mean.counts, 1)
    # subtracts what rounding left in the mean
    squares = np.asarray(around_mean.squares) - np.asarray(around_mean.sums) ** 2 / counts
    return Standardizer.from_moments(float(around_mean.n_samples), mean, squares)
