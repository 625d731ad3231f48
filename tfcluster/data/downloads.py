"""Rows of the named data sets as Keras and scikit-learn download them or bring them along."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.dataset import Raw

# Published class sizes: a download must have them, or it is not taken for the same data.
PENDIGITS_TRAIN_COUNTS = (780, 779, 780, 719, 780, 720, 720, 778, 719, 719)
PENDIGITS_TEST_COUNTS = (363, 364, 364, 336, 364, 335, 336, 364, 336, 336)
USPS_COUNTS = (1553, 1269, 929, 824, 852, 716, 834, 792, 708, 821)
MICE_CLASSES = ("c-CS-s", "c-CS-m", "c-SC-s", "c-SC-m", "t-CS-s", "t-CS-m", "t-SC-s", "t-SC-m")
MICE_COUNTS = (135, 150, 135, 150, 105, 135, 135, 135)
ROWS_PER_MOUSE = 15

REUTERS_ROOTS = ("CCAT", "GCAT", "MCAT", "ECAT")
REUTERS_SEED = 0


def fetch_digits() -> Raw:
    """The copy that scikit-learn brings along."""
    from sklearn.datasets import load_digits

    return Raw(*load_digits(return_X_y=True))


def _fetch_keras(name: str) -> Raw:
    from tensorflow import keras

    # Keras reports the download on stdout, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    X, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    return Raw(X, y, len(x_train))


def fetch_mnist() -> Raw:
    """Keras' copy."""
    return _fetch_keras("mnist")


def fetch_fashion_mnist() -> Raw:
    """Keras' copy."""
    return _fetch_keras("fashion_mnist")


def _fetch_openml(data_id: int) -> Any:
    """Returns scikit-learn's `Bunch` with `data`, `target` and `feature_names`."""
    from sklearn.datasets import fetch_openml

    # This parser needs no pandas.
    return fetch_openml(data_id=data_id, as_frame=False, parser="liac-arff")


def fetch_pendigits() -> Raw:
    """OpenML's copy, in UCI's order."""
    found = _fetch_openml(32)
    digits, n_train = found.target.astype(np.int64), sum(PENDIGITS_TRAIN_COUNTS)
    _check_counts(digits[:n_train], PENDIGITS_TRAIN_COUNTS)
    _check_counts(digits[n_train:], PENDIGITS_TEST_COUNTS)
    return Raw(found.data, digits, n_train)


def fetch_usps() -> Raw:
    """OpenML holds LIBSVM's copy: values in [-1, 1], and digit + 1 as the label."""
    found = _fetch_openml(41082)
    digits = found.target.astype(np.int64) - 1
    _check_counts(digits, USPS_COUNTS)
    return Raw((found.data + 1) / 2, digits)


def fetch_mice_protein() -> Raw:
    """OpenML's copy, in UCI's order: mouse by mouse."""
    found = _fetch_openml(40966)
    codes = np.array([MICE_CLASSES.index(label) for label in found.target])
    _check_counts(codes, MICE_COUNTS)
    if np.ptp(codes.reshape(-1, ROWS_PER_MOUSE), axis=1).any():
        raise ValueError("the rows are not in UCI's order, mouse by mouse")
    return Raw(found.data, codes, feature_names=tuple(found.feature_names))


def _check_counts(y: NDArray[np.int64], expected: Sequence[int]) -> None:
    """Refuses a download whose class sizes are not the published ones."""
    received = np.unique(y, return_counts=True)[1].tolist()
    if y.min() != 0 or received != list(expected):
        raise ValueError(f"class sizes must be {list(expected)}, received {received}")


def fetch_reuters10k() -> Raw:
    """DEC's subset of RCV1, from scikit-learn's copy.

    As in DEC: documents of exactly one of four root categories, the 2,000 most frequent terms,
    tf-idf, 10,000 documents. What differs: scikit-learn has weights and no counts, so a term's
    frequency is the number of documents it is in, and terms and idf are those of RCV1's own
    vectors; and the documents are drawn at random from all, where DEC-keras takes the first
    10,000. DEC-keras also multiplies by sqrt(2000).
    """
    from sklearn.datasets import fetch_rcv1

    data = fetch_rcv1()
    return _sample_roots(data.data, data.target, data.target_names, n_rows=10_000, n_terms=2_000)


def _sample_roots(data: Any, target: Any, names: Sequence[str], n_rows: int, n_terms: int) -> Raw:
    """Rows of one root category each, with the terms most of those are in; CSR in, dense out."""
    columns = [list(names).index(root) for root in REUTERS_ROOTS]
    roots = target[:, columns].toarray()
    single = np.flatnonzero(roots.sum(axis=1) == 1)
    n_documents = np.bincount(data[single].indices, minlength=data.shape[1])
    terms = np.sort(np.argsort(-n_documents, kind="stable")[:n_terms])
    rows = np.random.default_rng(REUTERS_SEED).choice(single, n_rows, replace=False)
    return Raw(data[rows][:, terms].toarray(), roots[rows].argmax(axis=1))
