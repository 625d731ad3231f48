"""Checks of input from users; private code trusts its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_random_state, validate_data

from tfcluster.errors import InputError


def check_whole(name: str, value: Any, least: int) -> None:
    """Raises `InputError` unless the argument `name` is a whole number of at least `least`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise InputError(f"`{name}` must be a whole number. Received: {name}={value!r}.")
    if value < least:
        raise InputError(f"`{name}` must be at least {least}. Received: {name}={value}.")


def check_n_clusters(n_clusters: Any) -> None:
    """Raises `InputError` unless `n_clusters` is a whole number of at least two."""
    check_whole("n_clusters", n_clusters, 2)


def check_seed(random_state: Any) -> int:
    """Returns the seed of a run, in [0, 2^31 - 1).

    Raises:
      InputError: If scikit-learn does not accept `random_state`.
    """
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise InputError(
            "`random_state` must be a whole number, a RandomState or None. "
            f"Received: {random_state!r}."
        ) from error


def check_callbacks(callbacks: Any) -> None:
    """Raises `InputError` unless `callbacks` is a sequence of functions."""
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise InputError(
            "`callbacks` must be a list of functions that take a record. Received: "
            f"{callbacks!r}. Write a single one as `callbacks=[function]`."
        )


def check_standardize(standardize: Any) -> None:
    """Raises `InputError` unless `standardize` is True or False."""
    if not isinstance(standardize, (bool, np.bool_)):
        raise InputError(
            f"`standardize` must be True or False. Received: standardize={standardize!r}."
        )


def check_feature_names(names: Any, n_features: int) -> np.ndarray | None:
    """Returns names of features as scikit-learn keeps them, `(n_features,)`; None for None.

    Raises:
      InputError: If there are not as many as features.
    """
    if names is None:
        return None
    if len(names) != n_features:
        raise InputError(f"{n_features} features need as many names. Received: {len(names)}.")
    return np.array(names, dtype=object)


def check_matrix(
    estimator: Any,
    X: Any,
    *,
    min_samples: int = 1,
    reset: bool = False,
    allow_missing: bool = False,
    dtype: type | None = None,
) -> np.ndarray:
    """Returns the samples an estimator was given, as a matrix.

    Args:
      estimator: Its `n_features_in_` holds, or is set when `reset`.
      X: `(n_samples, n_features)`, anything scikit-learn takes.
      min_samples: Fewest samples allowed.
      reset: Whether this is `fit`.
      allow_missing: Whether NaN is allowed, for a `Standardizer` to fill.
      dtype: Type of the result; None for float64 with `allow_missing`, since standardization comes
        before rounding, and float32 without.

    Returns:
      `(n_samples, n_features)`, contiguous.

    Raises:
      InputError: If X is not a finite numeric matrix of enough samples with the features of `fit`.
    """
    try:
        # a number too large for float32 becomes infinite, and is refused as such
        with np.errstate(over="ignore"):
            matrix: np.ndarray = validate_data(
                estimator,
                X,
                dtype=dtype or (np.float64 if allow_missing else np.float32),
                order="C",
                reset=reset,
                ensure_min_samples=1,
                ensure_all_finite="allow-nan" if allow_missing else True,
            )
    except ValueError as error:
        rule, *more = str(error).splitlines()
        if "contains" in rule:  # NaN or infinity; the advice is for supervised estimators
            more = ["Impute or drop such values first."]
            if reset and "NaN" in rule:
                more.append("`standardize=True` (--standardize) replaces missing ones by the mean.")
        raise InputError(" ".join([rule, *more])) from error
    if len(matrix) < min_samples:
        raise InputError(
            f"n_samples={len(matrix)} should be >= n_clusters={min_samples}. Give more samples or "
            "ask for fewer clusters."
        )
    if reset:
        check_distinct(matrix)
    return matrix


def check_distinct(matrix: np.ndarray) -> None:
    """Raises `InputError` if all samples of `matrix`, `(n_samples, n_features)`, are the same."""
    if (matrix == matrix[0]).all():
        raise InputError(
            f"All {len(matrix)} samples are identical, so there is nothing to cluster."
        )
