"""Checked inputs of metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tfcluster.errors import InputError

Scores = dict[str, float | int]


def encode_labels(labels: ArrayLike, name: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Numbers the distinct labels 0, 1, ... in sorted order.

    Args:
      labels: `(n_samples,)` integers, strings or floats without NaN.
      name: The argument's name in an error message.

    Returns:
      The distinct labels, `(n_labels,)` and sorted, and the number of each sample's label,
      `(n_samples,)` in `[0, n_labels)`.

    Raises:
      InputError: If labels are not one-dimensional, empty, NaN, or of kinds that cannot be sorted.
    """
    array = np.asarray(labels)
    if array.ndim != 1:
        hint = "Pass `q.argmax(1)` or `labels.ravel()`."
        raise InputError(
            f"`{name}` needs one label per sample. Received shape {array.shape}. {hint}"
        )
    if not array.size:
        raise InputError(
            f"`{name}` needs at least one sample. Received none. Check how it was read."
        )
    missing = np.count_nonzero(np.not_equal(array, array))
    if missing:
        hint = "Leave those samples out, here and in the other arguments."
        raise InputError(f"`{name}` must not be NaN. Received {missing} NaN labels. {hint}")
    try:
        return np.unique(array, return_inverse=True)
    except TypeError as error:
        hint = "Convert them all to integers or all to strings."
        raise InputError(f"`{name}` must be of one kind. Received a mixture. {hint}") from error


def finite_matrix(X: ArrayLike, name: str = "X", *, min_samples: int = 1) -> np.ndarray:
    """Returns samples as a checked matrix in float64.

    Args:
      X: `(n_samples, n_features)` numbers.
      name: The argument's name in an error message.
      min_samples: Fewest samples allowed.

    Returns:
      `(n_samples, n_features)` float64.

    Raises:
      InputError: If `X` is not a matrix, has no features or too few samples, or is not finite.
    """
    matrix = np.asarray(X, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.shape[1] or len(matrix) < min_samples:
        hint = f"Pass `{name}.reshape(len({name}), -1)`."
        raise InputError(
            f"`{name}` must be (n_samples, n_features). Received {matrix.shape}. {hint}"
        )
    if not np.isfinite(matrix).all():
        bad = np.count_nonzero(~np.isfinite(matrix).all(axis=1))
        hint = "Fill or drop them; in an embedding, lower the learning rate."
        raise InputError(f"`{name}` must be finite. Received {bad} samples with NaN or inf. {hint}")
    return matrix


def check_same_length(**lengths: int) -> None:
    """Raises `InputError` unless all arguments, by name, have as many samples."""
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        hint = "Pass the same samples in the same order."
        raise InputError(f"Arguments need the same number of samples. Received: {received}. {hint}")


def get_sklearn(name: str) -> Callable[..., float]:
    """Returns a metric of scikit-learn, imported on use because the import takes long."""
    from sklearn import metrics

    return getattr(metrics, name)
