"""Downloads of the named data sets, by Keras and scikit-learn."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.dataset import RawData

# Published class sizes; a download with other sizes is refused.
PENDIGITS_TRAIN_COUNTS = (780, 779, 780, 719, 780, 720, 720, 778, 719, 719)
PENDIGITS_TEST_COUNTS = (363, 364, 364, 336, 364, 335, 336, 364, 336, 336)
USPS_COUNTS = (1553, 1269, 929, 824, 852, 716, 834, 792, 708, 821)
MICE_CLASSES = ("c-CS-s", "c-CS-m", "c-SC-s", "c-SC-m", "t-CS-s", "t-CS-m", "t-SC-s", "t-SC-m")
MICE_COUNTS = (135, 150, 135, 150, 105, 135, 135, 135)
SAMPLES_PER_MOUSE = 15

REUTERS_ROOTS = ("CCAT", "GCAT", "MCAT", "ECAT")
REUTERS_SEED = 0


def fetch_digits() -> RawData:
    """Returns the copy that scikit-learn contains."""
    from sklearn.datasets import load_digits

    return RawData(*load_digits(return_X_y=True))


def _fetch_keras(name: str) -> RawData:
    from tensorflow import keras

    # Keras reports the download on standard output, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    X, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    return RawData(X, y, len(x_train))


def fetch_mnist() -> RawData:
    """Returns Keras' copy."""
    return _fetch_keras("mnist")


def fetch_fashion_mnist() -> RawData:
    """Returns Keras' copy."""
    return _fetch_keras("fashion_mnist")


def _fetch_openml(data_id: int) -> Any:
    """Returns scikit-learn's `Bunch` with `data`, `target` and `feature_names`."""
    from sklearn.datasets import fetch_openml

    # this parser needs no pandas
    return fetch_openml(data_id=data_id, as_frame=False, parser="liac-arff")


def fetch_pendigits() -> RawData:
    """Returns OpenML's copy, which is in UCI's order.

    Raises:
      ValueError: If class sizes are not the published ones.
    """
    found = _fetch_openml(32)
    digits, n_train = found.target.astype(np.int64), sum(PENDIGITS_TRAIN_COUNTS)
    _check_counts(digits[:n_train], PENDIGITS_TRAIN_COUNTS)
    _check_counts(digits[n_train:], PENDIGITS_TEST_COUNTS)
    return RawData(found.data, digits, n_train)


def fetch_usps() -> RawData:
    """Returns OpenML's copy of LIBSVM's, with values from [-1, 1] and labels 1 to 10 shifted.

    Raises:
      ValueError: If class sizes are not the published ones.
    """
    found = _fetch_openml(41082)
    digits = found.target.astype(np.int64) - 1
    _check_counts(digits, USPS_COUNTS)
    return RawData((found.data + 1) / 2, digits)


def fetch_mice_protein() -> RawData:
    """Returns OpenML's copy, which is in UCI's order: mouse by mouse.

    Raises:
      ValueError: If class sizes or the order are not the published ones.
    """
    found = _fetch_openml(40966)
    codes = np.array([MICE_CLASSES.index(label) for label in found.target])
    _check_counts(codes, MICE_COUNTS)
    if np.ptp(codes.reshape(-1, SAMPLES_PER_MOUSE), axis=1).any():
        raise ValueError("the samples are not in UCI's order, mouse by mouse")
    return RawData(found.data, codes, feature_names=tuple(found.feature_names))


def _check_counts(y: NDArray[np.int64], expected: Sequence[int]) -> None:
    """Raises `ValueError` unless class sizes are the published ones."""
    received = np.unique(y, return_counts=True)[1].tolist()
    if y.min() != 0 or received != list(expected):
        raise ValueError(f"class sizes must be {list(expected)}, received {received}")


def fetch_reuters10k() -> RawData:
    """Returns a subset of scikit-learn's copy of RCV1 like DEC's.

    As in DEC, it has 10,000 documents of exactly one of four root categories, and tf-idf of the
    2,000 most frequent terms. It differs in three ways: scikit-learn has weights instead of counts,
    so the frequency of a term is its number of documents, and idf is that of RCV1's own vectors;
    documents are drawn at random, whereas DEC-keras takes the first 10,000; and DEC-keras
    multiplies by sqrt(2000).
    """
    from sklearn.datasets import fetch_rcv1

    data = fetch_rcv1()
    return _sample_roots(data.data, data.target, data.target_names, n_samples=10_000, n_terms=2_000)


def _sample_roots(
    data: Any, target: Any, names: Sequence[str], n_samples: int, n_terms: int
) -> RawData:
    """Returns documents of a single root category, with the terms that most of them contain.

    Args:
      data: `(n_documents, n_all_terms)` CSR matrix of weights.
      target: `(n_documents, n_categories)` CSR matrix of 0 and 1.
      names: Names of the categories.
      n_samples: Number of documents to draw.
      n_terms: Number of terms to keep.
    """
    columns = [list(names).index(root) for root in REUTERS_ROOTS]
    roots = target[:, columns].toarray()
    single = np.flatnonzero(roots.sum(axis=1) == 1)
    n_documents = np.bincount(data[single].indices, minlength=data.shape[1])
    terms = np.sort(np.argsort(-n_documents, kind="stable")[:n_terms])
    drawn = np.random.default_rng(REUTERS_SEED).choice(single, n_samples, replace=False)
    return RawData(data[drawn][:, terms].toarray(), roots[drawn].argmax(axis=1))
