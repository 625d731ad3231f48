"""Scores of a clustering against known classes.

Accuracy and NMI are those of DEC (Xie, Girshick, Farhadi, ICML 2016) and of DEC-keras
(`metrics.py`). Scores that scikit-learn has are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from tfcluster.metrics.inputs import check_same_length, encode_labels, get_sklearn


def contingency(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Counts the samples of each class in each cluster.

    Args:
      y_true: `(n_samples,)` classes; integers or strings.
      y_pred: `(n_samples,)` clusters; integers or strings, not necessarily those of the classes.

    Returns:
      `(n_classes, n_clusters)` integers; both in the sorted order of their labels.

    Raises:
      InputError: If the lengths differ, or for labels that `encode_labels` refuses.
    """
    classes, true = encode_labels(y_true, "y_true")
    clusters, predicted = encode_labels(y_pred, "y_pred")
    check_same_length(y_true=len(true), y_pred=len(predicted))
    shape = len(classes), len(clusters)
    cells = np.bincount(true * shape[1] + predicted, minlength=shape[0] * shape[1])
    return cells.reshape(shape)


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Returns the share of right samples under the best match of clusters and classes.

    The ACC of Xie et al. 2016: the match is one to one, found by the Hungarian method. The
    numbers of clusters and classes may differ; samples of unmatched ones count as wrong.

    Args:
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      In `(0, 1]`.

    Raises:
      InputError: As `contingency`.
    """
    return _accuracy(contingency(y_true, y_pred))


def best_map(y_true: ArrayLike, y_pred: ArrayLike) -> dict:
    """Returns the match of clusters to classes that `accuracy` uses.

    Args:
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      `{cluster: class}`, one to one, in the sorted order of the classes. If there are more
      clusters than classes, some clusters are missing. A matched pair may share no sample.

    Raises:
      InputError: As `contingency`.
    """
    true, predicted = _match(contingency(y_true, y_pred))
    clusters, classes = np.unique(y_pred)[predicted], np.unique(y_true)[true]
    return dict(zip(clusters.tolist(), classes.tolist(), strict=True))


def kappa(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Returns Cohen's kappa under the best one-to-one match of clusters and classes.

    `(a - e) / (1 - e)`, where `a` is `accuracy` and `e` the accuracy that chance gives the match,
    from the sizes of clusters and classes (Cohen 1960). SDA-FC reports it (Yan et al. 2022,
    Federated Clustering with GAN-based Data Synthesis). Of equally accurate matches, the one with
    the largest kappa counts.

    Args:
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      At most 1, for equal partitions; 0 is chance, and slightly negative values occur.

    Raises:
      InputError: As `contingency`.
    """
    return _kappa(contingency(y_true, y_pred))


def purity(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Returns the share of samples in the most frequent class of their cluster.

    Never below `accuracy`, and 1 if every sample is its own cluster: compare at equal numbers of
    clusters only. Manning, Raghavan, Schuetze, Introduction to Information Retrieval, eq. 16.1.

    Args:
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      In `(0, 1]`.

    Raises:
      InputError: As `contingency`.
    """
    return _purity(contingency(y_true, y_pred))


def nmi(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Returns the mutual information, divided by the arithmetic mean of the two entropies.

    That mean is scikit-learn's default since 0.22. DEC-keras called scikit-learn too; versions
    before 0.22 took the geometric mean, which is never below this score.

    Args:
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      In `[0, 1]`; 1 for equal partitions.

    Raises:
      InputError: As `contingency`.
    """
    return _nmi(contingency(y_true, y_pred))


def ari(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Returns the adjusted Rand index (Hubert and Arabie 1985), equal to scikit-learn's.

    Args:
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      In `[-0.5, 1]`; 0 is chance, 1 equal partitions.

    Raises:
      InputError: As `contingency`.
    """
    return _ari(contingency(y_true, y_pred))


def ami(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Returns mutual information adjusted for chance (Vinh, Epps, Bailey 2010), scikit-learn's.

    Args:
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      At most 1; 0 is chance, and slightly negative values occur.

    Raises:
      InputError: As `contingency`.
    """
    return _score_agreement("adjusted_mutual_info_score", y_true, y_pred)


def homogeneity(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Returns the share of the class entropy that clusters explain (Rosenberg, Hirschberg 2007).

    Args:
      y_true: `(n_samples,)` classes.
      y_pred: `(n_samples,)` clusters.

    Returns:
      In `[0, 1]`; 1 if each cluster holds samples of one class only.

    Raises:
      InputError: As `contingency`.
    """
    return _score_agreement("homogeneity_score", y_true, y_pred)


def cycle_accuracy(labels: ArrayLike, labels_of_reconstruction: ArrayLike) -> float:
    """Returns the share of samples whose reconstruction gets the label of the sample itself.

    Args:
      labels: `(n_samples,)` clusters of the samples.
      labels_of_reconstruction: `(n_samples,)` clusters of their reconstructions, by the same model.

    Returns:
      In `[0, 1]`.

    Raises:
      InputError: If the lengths differ, or for labels that `encode_labels` refuses.
    """
    names, codes = encode_labels(labels)
    other_names, other_codes = encode_labels(labels_of_reconstruction, "labels_of_reconstruction")
    check_same_length(labels=len(codes), labels_of_reconstruction=len(other_codes))
    return float(np.mean(names[codes] == other_names[other_codes]))


SUPERVISED: Mapping[str, Callable[[ArrayLike, ArrayLike], float]] = MappingProxyType(
    {
        "accuracy": accuracy,
        "nmi": nmi,
        "ari": ari,
        "purity": purity,
        "ami": ami,
        "homogeneity": homogeneity,
        "kappa": kappa,
    }
)
"""The scores of clusters, `(n_samples,)`, against classes, `(n_samples,)`."""


def _accuracy(counts: np.ndarray) -> float:
    return float(counts[_match(counts)].sum() / counts.sum())


def _kappa(counts: np.ndarray) -> float:
    """Computes `(n right - chance) / (n^2 - chance)`, `chance` summing products of matched sizes.

    In Python's integers, since squares of counts may overflow 64 bits.
    """
    counts = _drop_empty(counts)
    classes, clusters, n = counts.sum(axis=1), counts.sum(axis=0), int(counts.sum())
    # at most 0.5 in total, so that it decides between equally accurate matches only
    chances = 0.5 * np.outer(classes / n, clusters / n)
    true, predicted = _match(counts - chances)
    pairs = zip(classes[true].tolist(), clusters[predicted].tolist(), strict=True)
    chance = sum(size * other for size, other in pairs)
    right = int(counts[true, predicted].sum())
    return (n * right - chance) / (n * n - chance) if n * n > chance else 1.0


def _purity(counts: np.ndarray) -> float:
    return float(counts.max(axis=0).sum() / counts.sum())


def _nmi(counts: np.ndarray) -> float:
    """Computes `I / ((H_classes + H_clusters) / 2)`; 1 if neither has any entropy."""
    counts = _drop_empty(counts)
    mean_entropy = (_entropy(counts.sum(axis=1)) + _entropy(counts.sum(axis=0))) / 2
    if not mean_entropy:
        return 1.0
    return float(get_sklearn("mutual_info_score")(None, None, contingency=counts) / mean_entropy)


def _entropy(sizes: np.ndarray) -> float:
    """Computes `-sum p ln p` of the shares `p` of parts of these sizes, none of them 0."""
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum())


def _ari(counts: np.ndarray) -> float:
    """Computes `(both - e) / ((classes + clusters) / 2 - e)` with `e = classes clusters / all`.

    `both`, `classes` and `clusters` count the pairs of samples that share a cell, a class, a
    cluster. Multiplied out and in Python's integers, since products of pairs overflow 64 bits.
    """
    sizes = counts, counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    both, classes, clusters, every = (int((n * (n - 1) // 2).sum()) for n in sizes)
    chance = classes * clusters
    room = (classes + clusters) * every - 2 * chance
    return 2 * (both * every - chance) / room if room else 1.0


FROM_COUNTS: Mapping[str, Callable[[np.ndarray], float]] = MappingProxyType(
    {"accuracy": _accuracy, "nmi": _nmi, "ari": _ari, "purity": _purity, "kappa": _kappa}
)
"""The scores of `SUPERVISED` that need only the table of `contingency`, `(n_classes, n_clusters)`.

Classes and clusters may be empty; at least one sample is needed.
"""


def _drop_empty(counts: np.ndarray) -> np.ndarray:
    return counts[counts.any(axis=1)][:, counts.any(axis=0)]


def _match(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows, ascending, and columns of the one-to-one match with the largest total."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(values, maximize=True)


def _score_agreement(name: str, y_true: ArrayLike, y_pred: ArrayLike) -> float:
    true, predicted = encode_labels(y_true, "y_true")[1], encode_labels(y_pred, "y_pred")[1]
    check_same_length(y_true=len(true), y_pred=len(predicted))
    return float(get_sklearn(name)(true, predicted))
