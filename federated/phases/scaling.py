"""Phases that find how clients scale their samples; clients then scale before any later phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

from federated.algorithms.moments import (
    Moments,
    MomentsState,
    MomentSums,
    build_standardizer,
    compute_feature_means,
)
from federated.core.algorithm import FederatedAlgorithm, Metrics
from federated.core.phases import Artifacts, Found, Phase
from tfcluster.errors import InputError


class MomentsPhase(Phase):
    """Sums of features; see `StandardizationPhase` and `FactorPhase`.

    Args:
      n_features: Features of a sample.
    """

    draws: ClassVar[bool] = False
    needs_everyone: ClassVar[bool] = True

    def __init__(self, n_features: int) -> None:
        self._moments = Moments(n_features)

    def begin(self, artifacts: Artifacts) -> MomentsState:
        """Sums around 0 first."""
        del artifacts
        return self._moments.initial_state()

    def algorithm(self, number: int) -> FederatedAlgorithm:
        """Returns the same in every round."""
        del number
        return self._moments


class StandardizationPhase(MomentsPhase):
    """Features get mean 0 and standard deviation 1 over all clients; missing values the mean.

    Leaves `standardizer/mean` and `standardizer/sd`, `(n_features,)` float64.
    """

    name = "standardization"
    n_rounds = 2

    def receive(self, number: int, state: Any, metrics: Metrics) -> Found:
        """Keeps the means as the next origin, and then mean and standard deviation."""
        sums = MomentSums(**{name: np.asarray(value) for name, value in metrics.items()})
        if number == 0:
            return Found(self._moments.initial_state(compute_feature_means(sums)), {}, {})
        # the state carries the result, so that a checkpoint needs nothing else
        mean, sd = build_standardizer(np.asarray(state.origin), sums)
        return Found(state._replace(origin=tf.constant(np.stack([mean, sd]))), {}, {})

    def end(self, state: Any) -> Artifacts:
        """Returns the means and standard deviations."""
        mean, sd = np.asarray(state.origin)
        return {"standardizer/mean": mean, "standardizer/sd": sd}


class FactorPhase(MomentsPhase):
    """The factor of the protocol's `scaling`, which multiplies all features.

    Leaves `scale`, a float64 scalar.

    Args:
      n_features: Features of a sample.
      scaling: A number; or "rms", for the factor that makes the mean of x^2 one over all clients'
        samples, missing values apart.
    """

    name = "scaling"

    def __init__(self, n_features: int, scaling: float | Literal["rms"]) -> None:
        super().__init__(n_features)
        self._scaling = scaling
        self.n_rounds = 1 if scaling == "rms" else 0

    def receive(self, number: int, state: Any, metrics: Metrics) -> Found:
        """Keeps the factor."""
        del number
        factor = compute_rms_factor(metrics)
        return Found(
            state._replace(origin=tf.constant([factor], tf.float64)), {}, {"factor": factor}
        )

    def end(self, state: Any) -> Artifacts:
        """Returns the factor."""
        is_found = self._scaling == "rms"
        factor = np.asarray(state.origin)[0] if is_found else self._scaling
        return {"scale": np.asarray(factor, np.float64)}


def compute_rms_factor(sums: Mapping[str, Any]) -> float:
    """Returns the factor that makes the mean of x^2 one.

    Args:
      sums: Total `MomentSums` around 0, by name.

    Raises:
      InputError: If all values are 0 or missing.
    """
    total = np.sum(sums["squares"])
    if not total:
        raise InputError('`scaling="rms"` needs values other than 0. Received none. Use a number.')
    return float(np.sqrt(np.sum(sums["counts"]) / total))


def build_scaling_phases(
    n_features: int, *, standardize: bool, scaling: float | Literal["rms"] = 1.0
) -> list[Phase]:
    """Returns the phases that every run begins with.

    Args:
      n_features: Features of a sample.
      standardize: Whether features are standardized first.
      scaling: The protocol's factor.
    """
    first: list[Phase] = [StandardizationPhase(n_features)] if standardize else []
    return [*first, FactorPhase(n_features, scaling)]
