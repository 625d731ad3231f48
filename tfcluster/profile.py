"""Profiles of clusters: mean and spread of every feature in every cluster."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tfcluster.data.dataset import number_features
from tfcluster.errors import InputError
from tfcluster.metrics import finite_matrix
from tfcluster.scaling import Standardizer


@dataclasses.dataclass(frozen=True, eq=False)
class ClusterProfile:
    """Mean and spread of every feature in every cluster, in the features' original units.

    Missing values that were filled before training count as what they were filled with, so that a
    profile shows what the model saw, and is the same for centralized and federated training.

    Attributes:
      feature_names: Name of each feature.
      counts: `(n_clusters,)` number of samples.
      mean: `(n_clusters, n_features)`; NaN for clusters without samples.
      sd: `(n_clusters, n_features)` standard deviation, with divisor n; NaN likewise.
    """

    feature_names: tuple[str, ...]
    counts: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    @classmethod
    def from_samples(
        cls,
        X: ArrayLike,
        labels: ArrayLike,
        n_clusters: int,
        feature_names: Sequence[str] | None = None,
        *,
        units: Standardizer | None = None,
    ) -> ClusterProfile:
        """Returns the profile of labeled samples.

        Args:
          X: `(n_samples, n_features)` finite numbers.
          labels: `(n_samples,)` clusters, integers in `[0, n_clusters)`.
          n_clusters: Number of clusters, those without samples included.
          feature_names: Names of the features; `x0`, `x1`, ... if None.
          units: How `X` was scaled; None if it is in the original units.

        Raises:
          InputError: If `X` is not a finite matrix, or labels or names do not fit it.
        """
        samples, codes = finite_matrix(X), np.asarray(labels)
        if codes.shape != (len(samples),) or codes.dtype.kind not in "iu":
            raise InputError(
                f"`labels` must hold an integer for each of the {len(samples)} samples. Received: "
                f"shape {codes.shape}, {codes.dtype}. Pass the estimator's `labels_`."
            )
        if codes.min() < 0 or codes.max() >= n_clusters:
            raise InputError(
                f"`labels` must be in [0, n_clusters={n_clusters}). Received: {codes.min()} to "
                f"{codes.max()}. Pass the estimator's number of clusters."
            )
        counts = np.bincount(codes, minlength=n_clusters)
        sums = _sum_by_cluster(samples, codes, n_clusters)
        deviations = samples - (sums / np.maximum(counts, 1)[:, np.newaxis])[codes]
        squared = _sum_by_cluster(deviations**2, codes, n_clusters)
        return cls.from_sums(counts, sums, squared, feature_names, units=units)

    @classmethod
    def from_sums(
        cls,
        counts: ArrayLike,
        sums: ArrayLike,
        squared_deviations: ArrayLike,
        feature_names: Sequence[str] | None = None,
        *,
        units: Standardizer | None = None,
    ) -> ClusterProfile:
        """Returns the profile of sums, which federated clients can add up.

        Args:
          counts: `(n_clusters,)` number of samples.
          sums: `(n_clusters, n_features)` sums of the samples.
          squared_deviations: `(n_clusters, n_features)` sums of squared deviations from the
            cluster's mean.
          feature_names: Names of the features; `x0`, `x1`, ... if None.
          units: How the samples were scaled; None if they are in the original units.

        Raises:
          InputError: If shapes do not fit each other, a number is not finite, a count or a squared
            deviation is below 0, or there are no samples.
        """
        n = np.asarray(counts)
        totals = finite_matrix(sums, "sums")
        squared = finite_matrix(squared_deviations, "squared_deviations")
        _check_sums(n, totals, squared)
        names = _checked_names(feature_names, totals.shape[1])
        divisor = np.where(n > 0, n, np.nan)[:, np.newaxis]
        mean, sd = totals / divisor, np.sqrt(squared / divisor)
        if units is not None:
            mean, sd = mean * units.sd + units.mean, sd * units.sd
        return cls(names, n, mean, sd)

    @property
    def overall_mean(self) -> np.ndarray:
        """Mean of all samples, `(n_features,)`."""
        return self._average(self.mean)

    @property
    def overall_sd(self) -> np.ndarray:
        """Standard deviation of all samples, `(n_features,)`; 0 for constant features."""
        variance = self._average(self.sd**2 + (self.mean - self.overall_mean) ** 2)
        # the bound of scikit-learn's scalers on what rounding makes of a constant feature
        n, epsilon = self.counts.sum(), np.finfo(np.float64).eps
        rounding = n * epsilon * variance + (n * epsilon * self.overall_mean) ** 2
        return np.where(variance > rounding, np.sqrt(variance), 0.0)

    @property
    def standardized_differences(self) -> np.ndarray:
        """(Cluster mean - overall mean) / overall sd, `(n_clusters, n_features)`.

        0 for constant features; NaN for clusters without samples.
        """
        sd = self.overall_sd
        return (self.mean - self.overall_mean) * (sd > 0) / np.where(sd > 0, sd, 1.0)

    def most_distinct(self, n: int, cluster: int | None = None) -> np.ndarray:
        """Returns the features whose cluster mean is furthest from the overall mean.

        Args:
          n: Number of features; all if there are fewer.
          cluster: The cluster; None for the distance of whichever cluster is furthest.

        Returns:
          Indices of features by decreasing distance in overall standard deviations; equal ones in
          the order of the features.
        """
        distances = np.nan_to_num(np.abs(self.standardized_differences))
        distance = distances.max(axis=0) if cluster is None else distances[cluster]
        return np.argsort(-distance, kind="stable")[:n]

    def to_csv(self) -> str:
        """Returns CSV text with a row for each feature of each cluster.

        Columns: `cluster`, `n_samples`, `feature`, `mean`, `sd`, and `standardized_difference` of
        the cluster's mean from the overall mean. Cells of clusters without samples are empty.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ("cluster", "n_samples", "feature", "mean", "sd", "standardized_difference")
        )
        differences = self.standardized_differences
        for cluster, feature in np.ndindex(*self.mean.shape):
            numbers = (a[cluster, feature] for a in (self.mean, self.sd, differences))
            cells = ("" if np.isnan(value) else f"{value:.6g}" for value in numbers)
            writer.writerow((cluster, self.counts[cluster], self.feature_names[feature], *cells))
        return text.getvalue()

    def _average(self, values: np.ndarray) -> np.ndarray:
        """Returns the mean over clusters, weighted by their samples."""
        return self.counts @ np.nan_to_num(values) / self.counts.sum()


def _sum_by_cluster(values: np.ndarray, codes: np.ndarray, n_clusters: int) -> np.ndarray:
    return np.stack([values[codes == cluster].sum(axis=0) for cluster in range(n_clusters)])


def _check_sums(counts: np.ndarray, sums: np.ndarray, squared: np.ndarray) -> None:
    if counts.shape != sums.shape[:1] or squared.shape != sums.shape:
        raise InputError(
            "`counts` must be (n_clusters,), `sums` and `squared_deviations` (n_clusters, "
            f"n_features). Received: {counts.shape}, {sums.shape} and {squared.shape}."
        )
    if counts.min() < 0 or squared.min() < 0 or not counts.sum():
        raise InputError(
            "`counts` and `squared_deviations` must be at least 0, and a count above 0. Received: "
            f"counts {counts.tolist()}, least squared deviation {squared.min():g}."
        )


def _checked_names(names: Sequence[str] | None, n_features: int) -> tuple[str, ...]:
    if names is None:
        return number_features(n_features)
    if len(names) != n_features:
        raise InputError(
            f"`feature_names` must name each of the {n_features} features. Received: {len(names)} "
            "names. Pass None for x0, x1, ..."
        )
    return tuple(map(str, names))
