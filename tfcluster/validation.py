"""Checks of input from users; private code trusts its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
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


class InputTypeError(InputError, TypeError):
    """The same for values of a type that is not taken; scikit-learn asks for a `TypeError`."""


class Unfolded(NamedTuple):
    """Samples, one per row.

    Attributes:
      samples: A dense array, or the data frame that was given.
      image_shape: (height, width) if samples were images; else None.
    """

    samples: Any
    image_shape: tuple[int, int] | None


def unfold(X: Any) -> Unfolded:
    """Returns samples of any supported kind, one per row.

    Args:
      X: A matrix or data frame `(n_samples, n_features)`; images `(n_samples, height, width)` or
        `(n_samples, height, width, 1)`; or a sparse matrix, which becomes dense.

    Raises:
      InputError: If X is of another kind, or would take more than `DENSE_BYTES` when dense.
    """
    if scipy.sparse.issparse(X):
        return Unfolded(_to_dense(X), None)
    if type(X).__name__ == "LazyFrame":
        raise InputTypeError("X must be in memory. Received a LazyFrame. Pass `X.collect()`.")
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        _check_columns(X)
        return Unfolded(X, None)
    if isinstance(X, np.matrix):
        raise InputTypeError("X must not be a `np.matrix`. Pass `np.asarray(X)`.")
    if not isinstance(X, np.ndarray):
        return Unfolded(X, None)
    if X.dtype.names is not None:
        raise InputTypeError(
            "X must be a plain matrix. Received a structured array with the fields "
            f"{', '.join(X.dtype.names)}. Pass "
            "`numpy.lib.recfunctions.structured_to_unstructured(X)`, or a data frame."
        )
    if X.dtype.kind == "c":
        raise InputError("Complex data not supported: X must hold real numbers.")
    if X.dtype.kind in "mM":
        raise InputTypeError(f"X must hold numbers. Received: {X.dtype}. {_TIMES}")
    is_image = X.ndim == 3 or (X.ndim == 4 and X.shape[3] == 1)
    if not is_image or 0 in X.shape:
        return Unfolded(X, None)
    return Unfolded(X.reshape(len(X), -1), (X.shape[1], X.shape[2]))


DENSE_BYTES = 4 * 2**30
"""Bytes that a sparse matrix may take when it becomes dense, in float64."""

TEXT_ADVICE = (
    "Encode columns of text as numbers, e.g. with `pandas.get_dummies(X, dtype=float)` or polars' "
    "`X.to_dummies()`, or drop them."
)

_TIMES = "Convert times to numbers first, e.g. days since a date, or drop them."
_TIME_TYPES = ("date", "time", "duration", "period")


def _to_dense(X: Any) -> np.ndarray:
    if X.ndim != 2:
        raise InputError(f"X must be a matrix. Received a sparse array of shape {X.shape}.")
    n_bytes = math.prod(X.shape) * np.dtype(np.float64).itemsize
    if n_bytes > DENSE_BYTES:
        raise InputError(
            f"A sparse matrix becomes dense here, and may take {DENSE_BYTES / 2**30:.3g} GB then. "
            f"Received {X.shape[0]:,} samples of {X.shape[1]:,} features, which would take "
            f"{n_bytes / 2**30:,.1f} GB. Keep fewer features, e.g. the 2,000 most variable ones, "
            "or principal components."
        )
    dense: np.ndarray = X.toarray()
    return dense


def _check_columns(frame: Any) -> None:
    """Raises `InputError` for names that are not all text, and for columns of times."""
    names = list(frame.columns)
    kinds = {type(name).__name__ for name in names}
    if len(kinds) > 1 and any(isinstance(name, str) for name in names):
        raise InputTypeError(
            f"The names of columns must all be text, or none. Received {', '.join(sorted(kinds))}. "
            "Pass `X.rename(columns=str)`."
        )
    types = [str(kind).lower() for kind in frame.dtypes]
    pairs = zip(names, types, strict=True)
    times = [f"{name!r} ({kind})" for name, kind in pairs if kind.startswith(_TIME_TYPES)]
    if times:
        raise InputTypeError(
            f"Columns must hold numbers. Received times in {', '.join(times)}. {_TIMES}"
        )


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
      estimator: Its `n_features_in_`, `feature_names_in_` and `image_shape_` hold, or are set when
        `reset`.
      X: What `unfold` takes, or else anything that scikit-learn makes a matrix of.
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
    samples, image_shape = unfold(X)
    if not reset:
        _check_image_shape(estimator, image_shape)
    try:
        # a number too large for float32 becomes infinite, and is refused as such
        with np.errstate(over="ignore"):
            matrix: np.ndarray = validate_data(
                estimator,
                samples,
                dtype=dtype or (np.float64 if allow_missing else np.float32),
                order="C",
                reset=reset,
                ensure_min_samples=1,
                ensure_all_finite="allow-nan" if allow_missing else True,
            )
    except ValueError as error:
        rule, *more = str(error).splitlines()
        if "could not convert string" in rule:
            more = [f"in X. {TEXT_ADVICE}"]
        if "contains" in rule:  # NaN or infinity; the advice is for supervised estimators
            more = ["Impute or drop such values first."]
            if reset and "NaN" in rule:
                more.append("`standardize=True` (--standardize) replaces missing ones by the mean.")
        raise InputError(" ".join([rule, *more])) from error
    except TypeError as error:
        raise InputTypeError(" ".join(str(error).split())) from error
    if len(matrix) < min_samples:
        raise InputError(
            f"n_samples={len(matrix)} should be >= n_clusters={min_samples}. Give more samples or "
            "ask for fewer clusters."
        )
    if reset:
        check_distinct(matrix)
        estimator.image_shape_ = image_shape
    return matrix


def _check_image_shape(estimator: Any, received: tuple[int, int] | None) -> None:
    """Raises `InputError` for images that are not like those of `fit`."""
    known: tuple[int, int] | None = getattr(estimator, "image_shape_", None)
    if known is not None and received is not None and known != received:
        raise InputError(
            f"Images must be like those of `fit`, {known[0]} x {known[1]}. Received "
            f"{received[0]} x {received[1]}."
        )


def check_distinct(matrix: np.ndarray) -> None:
    """Raises `InputError` if all samples of `matrix`, `(n_samples, n_features)`, are the same."""
    if (matrix == matrix[0]).all():
        raise InputError(
            f"All {len(matrix)} samples are identical, so there is nothing to cluster."
        )
