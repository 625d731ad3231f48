"""Federated scaling: means, standard deviations and missing values from sums over clients.

What `tfcluster.data` does to a whole table, without the table: missing values, NaN, become the mean
of their column, then every column gets mean 0 and standard deviation 1. Two rounds of one algorithm
find the numbers. The first gives the means; the second sums around them, so that a column far from
0 does not lose its spread in the rounding of squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from federated.core.algorithm import (
    ClientData,
    ClientOutput,
    FederatedAlgorithm,
    Metrics,
    ServerState,
    Tensors,
)
from federated.core.backend import Carrier
from federated.core.sampling import Participant
from federated.core.sums import total_over_parts
from tfcluster.config import register
from tfcluster.errors import InputError
from tfcluster.scaling import Standardizer

_NAMES = ("rows", "counts", "sums", "squares")


@register
@dataclass(frozen=True)
class Moments(FederatedAlgorithm):
    """A round that sums every column around an origin, over all clients' rows, in float64.

    The state's context is the origin, `(features,)` float64; the state stays. The metrics:

    - `rows`: `()`, how many there are.
    - `counts`: `(features,)`, values that are not missing. The others do not count below.
    - `sums`: `(features,)`, of `x - origin`.
    - `squares`: `(features,)`, of `(x - origin)^2`.
    """

    everyone = True
    takes_missing = True

    def state(self, origin: Any = 0.0) -> ServerState:
        """The state before the round.

        Args:
          origin: `(features,)` or one number.
        """
        full = np.broadcast_to(np.asarray(origin, np.float64), (self.n_features,))
        return ServerState((), (), (tf.constant(full),))

    def make_learner(self) -> _Learner:
        """Only sums."""
        return _Learner()

    def server_update(
        self, state: ServerState, sums: Tensors, gathered: Tensors
    ) -> tuple[ServerState, Metrics]:
        """Names the totals."""
        del gathered
        return state, dict(zip(_NAMES, sums, strict=True))


class _Learner:
    def update(self, broadcast: ServerState, data: ClientData, seed: tf.Tensor) -> ClientOutput:
        """Sums: rows, and the columns' counts, sums and squares."""
        del seed  # nothing is drawn
        (origin,) = broadcast.context

        def totals(x: tf.Tensor) -> Tensors:
            # a client with NaN in its sums would be left out
            missing = tf.math.is_nan(x)
            values = tf.cast(x, tf.float64) - origin
            values = tf.where(missing, tf.zeros_like(values), values)
            columns = (tf.cast(~missing, tf.float64), values, tf.square(values))
            n_rows = tf.cast(tf.shape(x)[0], tf.float64)
            return n_rows, *(tf.reduce_sum(column, axis=0) for column in columns)

        return ClientOutput(total_over_parts(totals, (data.x,), numbers_per_row=data.x.shape[1]))


def standardizer(
    carrier: Carrier, participants: Sequence[Participant], n_features: int
) -> Standardizer:
    """Finds means and standard deviations over all clients' rows, in two rounds.

    Args:
      carrier: Has the clients; NaN is a missing value.
      participants: All of them, as from `plan.round(0, everyone=True)`.
      n_features: Width of a row.

    Raises:
      InputError: If a client has an infinite value, or none has rows.
    """
    found = _moments(carrier, participants, n_features, origin=0.0)
    counts = np.maximum(found["counts"], 1)
    mean = found["sums"] / counts
    around = _moments(carrier, participants, n_features, origin=mean)
    # what rounding left of the mean's own error is taken off again
    spread = around["squares"] - around["sums"] ** 2 / counts
    n_rows = found["rows"]
    variance = np.maximum(spread, 0) / n_rows
    # scikit-learn's bound on what rounding makes of a constant column's variance
    epsilon = np.finfo(np.float64).eps
    is_constant = variance <= n_rows * epsilon * variance + (n_rows * mean * epsilon) ** 2
    return Standardizer(mean, np.where(is_constant, 1.0, np.sqrt(variance)))


def rms_factor(carrier: Carrier, participants: Sequence[Participant], n_features: int) -> float:
    """The factor that makes the mean of x^2 one over all clients' rows: `scaling="rms"` of DEC.

    Args:
      carrier: Has the clients; missing values do not count.
      participants: All of them, as from `plan.round(0, everyone=True)`.
      n_features: Width of a row.

    Raises:
      InputError: If a client has an infinite value, or all values are 0 or missing.
    """
    found = _moments(carrier, participants, n_features, origin=0.0)
    total = found["squares"].sum()
    if not total:
        raise InputError('`scaling="rms"` needs values other than 0. Received none. Use a number.')
    return float(np.sqrt(found["counts"].sum() / total))


def _moments(
    carrier: Carrier, participants: Sequence[Participant], n_features: int, origin: Any
) -> dict[str, np.ndarray]:
    algorithm = Moments(n_features)
    _, found, left_out, _ = carrier.round(algorithm, algorithm.state(origin), participants)
    if left_out:
        raise InputError(
            "Scaling needs finite values, or NaN for missing ones. Received infinite ones of "
            f"client {', '.join(map(str, left_out))}. Correct its rows, or leave it out."
        )
    moments = {name: np.asarray(value) for name, value in found.items()}
    if not moments["rows"]:
        raise InputError("Scaling needs at least one row. Received none. Check the clients' data.")
    return moments
