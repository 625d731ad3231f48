"""Scores of a clustering: against known classes, and from the rows alone.

Scores against classes are those of DEC (Xie, Girshick, Farhadi, ICML 2016) and of DEC-keras
(`metrics.py`), and a few more. Those that scikit-learn has are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from tfcluster.errors import InputError

Scores = dict[str, float | int]


def encode_labels(labels: ArrayLike, name: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Numbers the distinct labels 0, 1, ... in sorted order.

    Args:
      labels: `(rows,)` integers, strings or floats without NaN.
      name: What an error message calls them.

    Returns:
      The distinct labels, `(k,)` and sorted, and each row's number, `(rows,)` in `[0, k)`.

    Raises:
      InputError: If labels are not one-dimensional, empty, NaN, or of kinds that cannot be sorted.
    """
    array = np.asarray(labels)
    if array.ndim != 1:
        hint = "Pass `q.argmax(1)` or `labels.ravel()`."
        raise InputError(f"`{name}` needs one label a row. Received shape {array.shape}. {hint}")
    if not array.size:
        raise InputError(f"`{name}` needs at least one row. Received none. Check how it was read.")
    missing = np.count_nonzero(np.not_equal(array, array))
    if missing:
        hint = "Leave those rows out, here and in the other arguments."
        raise InputError(f"`{name}` must not be NaN. Received {missing} NaN labels. {hint}")
    try:
        return np.unique(array, return_inverse=True)
    except TypeError as error:
        hint = "Convert them all to integers or all to strings."
        raise InputError(f"`{name}` must be of one kind. Received a mixture. {hint}") from error


def finite_matrix(X: ArrayLike, name: str = "X", *, min_rows: int = 1) -> np.ndarray:
    """Rows as float64, checked.

    Args:
      X: `(rows, features)` numbers.
      name: What an error message calls them.
      min_rows: The fewest rows there may be.

    Returns:
      `(rows, features)` float64.

    Raises:
      InputError: If `X` is not a matrix, has no feature or too few rows, or is not finite.
    """
    matrix = np.asarray(X, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.shape[1] or len(matrix) < min_rows:
        hint = f"Pass `{name}.reshape(len({name}), -1)`."
        raise InputError(f"`{name}` must be (rows, features). Received {matrix.shape}. {hint}")
    if not np.isfinite(matrix).all():
        bad = np.count_nonzero(~np.isfinite(matrix).all(axis=1))
        hint = "Fill or drop them; in an embedding, lower the learning rate."
        raise InputError(f"`{name}` must be finite. Received {bad} rows with NaN or inf. {hint}")
    return matrix


def contingency(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Counts the rows of each class in each cluster.

    Args:
      y_true: `(rows,)` classes; integers or strings.
      y_pred: `(rows,)` clusters; integers or strings, not necessarily those of the classes.

    Returns:
      `(classes, clusters)` integers; both in the sorted order of their labels.

    Raises:
      InputError: If the lengths differ, or for labels that `encode_labels` refuses.
    """
    classes, true = encode_labels(y_true, "y_true")
    clusters, predicted = encode_labels(y_pred, "y_pred")
    _same_length(y_true=len(true), y_pred=len(predicted))
    shape = len(classes), len(clusters)
    cells = np.bincount(true * shape[1] + predicted, minlength=shape[0] * shape[1])
    return cells.reshape(shape)


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of rows that are right under the best one-to-one match of clusters and classes.

    The ACC of Xie et al. 2016, found by the Hungarian method. The numbers of clusters and
    classes may differ; rows of a class or cluster that stays unmatched count as wrong.

    Args:
      y_true: `(rows,)` classes.
      y_pred: `(rows,)` clusters.

    Returns:
      In `(0, 1]`.

    Raises:
      InputError: As `contingency`.
    """
    return _accuracy(contingency(y_true, y_pred))


def best_map(y_true: ArrayLike, y_pred: ArrayLike) -> dict:
    """The match of clusters to classes that `accuracy` uses.

    Args:
      y_true: `(rows,)` classes.
      y_pred: `(rows,)` clusters.

    Returns:
      `{cluster: class}`, one to one, in the sorted order of the classes. With more clusters than
      classes the clusters left over are missing from it. A matched pair may share no row.

    Raises:
      InputError: As `contingency`.
    """
    true, predicted = _match(contingency(y_true, y_pred))
    clusters, classes = np.unique(y_pred)[predicted], np.unique(y_true)[true]
    return dict(zip(clusters.tolist(), classes.tolist(), strict=True))


def purity(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of rows that belong to the most frequent class of their cluster.

    Never below `accuracy`, and 1 if every row is its own cluster: compare at equal numbers of
    clusters only. Manning, Raghavan, Schuetze, Introduction to Information Retrieval, eq. 16.1.

    Args:
      y_true: `(rows,)` classes.
      y_pred: `(rows,)` clusters.

    Returns:
      In `(0, 1]`.

    Raises:
      InputError: As `contingency`.
    """
    return _purity(contingency(y_true, y_pred))


def nmi(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Normalised mutual information, divided by the arithmetic mean of the two entropies.

    That mean is scikit-learn's default since 0.22. DEC-keras called scikit-learn too; versions
    before 0.22 took the geometric mean, which is never below this score.

    Args:
      y_true: `(rows,)` classes.
      y_pred: `(rows,)` clusters.

    Returns:
      In `[0, 1]`; 1 for equal partitions.

    Raises:
      InputError: As `contingency`.
    """
    return _nmi(contingency(y_true, y_pred))


def ari(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985), equal to scikit-learn's.

    Args:
      y_true: `(rows,)` classes.
      y_pred: `(rows,)` clusters.

    Returns:
      In `[-0.5, 1]`; 0 is what chance gives, 1 equal partitions.

    Raises:
      InputError: As `contingency`.
    """
    return _ari(contingency(y_true, y_pred))


def ami(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mutual information adjusted for chance (Vinh, Epps, Bailey 2010), scikit-learn's.

    Args:
      y_true: `(rows,)` classes.
      y_pred: `(rows,)` clusters.

    Returns:
      At most 1; 0 is what chance gives, and slightly negative values occur.

    Raises:
      InputError: As `contingency`.
    """
    return _agreement("adjusted_mutual_info_score", y_true, y_pred)


def homogeneity(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of the class entropy that the clusters explain (Rosenberg and Hirschberg 2007).

    Args:
      y_true: `(rows,)` classes.
      y_pred: `(rows,)` clusters.

    Returns:
      In `[0, 1]`; 1 if each cluster holds rows of one class only.

    Raises:
      InputError: As `contingency`.
    """
    return _agreement("homogeneity_score", y_true, y_pred)


def silhouette(X: ArrayLike, labels: ArrayLike, *, max_rows: int = 10_000, seed: int = 0) -> float:
    """Mean silhouette (Rousseeuw 1987), scikit-learn's, on at most `max_rows` rows.

    The only sampled score here, because its cost grows with the square of the rows.

    Args:
      X: `(rows, features)` finite numbers.
      labels: `(rows,)` clusters.
      max_rows: Rows above which a sample without replacement of that size stands for all.
      seed: Seed of the sample.

    Returns:
      In `[-1, 1]`, higher is better. NaN if the (sampled) rows have fewer than 2 distinct labels,
      or as many as there are rows.

    Raises:
      InputError: If `X` is not a finite matrix, labels do not fit it, or `max_rows` is below 3.
    """
    if max_rows < 3:
        raise InputError(f"`max_rows` must be at least 3. Received: {max_rows}. Leave it out.")
    matrix, codes = _checked(X, labels)
    if len(matrix) > max_rows:
        rows = np.random.default_rng(seed).choice(len(matrix), max_rows, replace=False)
        matrix, codes = matrix[rows], codes[rows]
    return _where_defined("silhouette_score", matrix, codes)


def calinski_harabasz(X: ArrayLike, labels: ArrayLike) -> float:
    """Ratio of between- to within-cluster variance (Calinski and Harabasz 1974), scikit-learn's.

    Always computed in float64: sums in float32 were seen 13 % off on tight clusters.

    Args:
      X: `(rows, features)` finite numbers.
      labels: `(rows,)` clusters.

    Returns:
      Not negative, higher is better; 1 by convention if no cluster has any spread. NaN with fewer
      than 2 distinct labels, or as many as rows.

    Raises:
      InputError: If `X` is not a finite matrix or labels do not fit it.
    """
    return _where_defined("calinski_harabasz_score", *_checked(X, labels))


def davies_bouldin(X: ArrayLike, labels: ArrayLike) -> float:
    """Mean similarity of each cluster to the one most like it (Davies and Bouldin 1979).

    Args:
      X: `(rows, features)` finite numbers.
      labels: `(rows,)` clusters.

    Returns:
      Not negative, lower is better; scikit-learn's. NaN with fewer than 2 distinct labels, or as
      many as rows.

    Raises:
      InputError: If `X` is not a finite matrix or labels do not fit it.
    """
    return _where_defined("davies_bouldin_score", *_checked(X, labels))


def cycle_accuracy(labels: ArrayLike, labels_of_reconstruction: ArrayLike) -> float:
    """Share of rows whose reconstruction is given the label of the row itself.

    Args:
      labels: `(rows,)` clusters of the rows.
      labels_of_reconstruction: `(rows,)` clusters of their reconstructions, by the same model.

    Returns:
      In `[0, 1]`.

    Raises:
      InputError: If the lengths differ, or for labels that `encode_labels` refuses.
    """
    names, codes = encode_labels(labels)
    other_names, other_codes = encode_labels(labels_of_reconstruction, "labels_of_reconstruction")
    _same_length(labels=len(codes), labels_of_reconstruction=len(other_codes))
    return float(np.mean(names[codes] == other_names[other_codes]))


SUPERVISED: Mapping[str, Callable[[ArrayLike, ArrayLike], float]] = MappingProxyType(
    {
        "accuracy": accuracy,
        "nmi": nmi,
        "ari": ari,
        "purity": purity,
        "ami": ami,
        "homogeneity": homogeneity,
    }
)


def sizes(counts: ArrayLike) -> Scores:
    """How many clusters have rows, and how unequal they are.

    Args:
      counts: `(clusters,)` rows of each cluster; one is not 0.

    Returns:
      `n_clusters_found`, `smallest_cluster_share` and `largest_cluster_share`, in `(0, 1]`.
    """
    found = np.asarray(counts)[np.asarray(counts) > 0]
    return {
        "n_clusters_found": len(found),
        "smallest_cluster_share": float(found.min() / found.sum()),
        "largest_cluster_share": float(found.max() / found.sum()),
    }


def score(
    X: ArrayLike,
    labels: ArrayLike,
    y: ArrayLike | None = None,
    *,
    max_silhouette_rows: int = 10_000,
    seed: int = 0,
) -> Scores:
    """Scores a clustering in the input space, with or without known classes.

    Args:
      X: `(rows, features)` the input rows. Methods are compared here, not in their own embeddings.
      labels: `(rows,)` clusters.
      y: `(rows,)` classes, or None.
      max_silhouette_rows: Rows above which the silhouette is computed on a sample.
      seed: Seed of that sample.

    Returns:
      With `y`: `accuracy`, `nmi`, `ari`, `purity`, `ami`, `homogeneity`. Always: `silhouette`,
      `calinski_harabasz`, `davies_bouldin` (NaN where undefined), `n_clusters_found`,
      `smallest_cluster_share` and `largest_cluster_share`, both in `(0, 1]`. If the silhouette was
      sampled: `silhouette_rows` and `silhouette_seed`.

    Raises:
      InputError: If `X` is not a finite matrix, lengths differ, or labels are not labels.
    """
    matrix, codes = _checked(X, labels)
    supervised: Scores = {}
    if y is not None:
        true = encode_labels(y, "y")[1]
        _same_length(labels=len(codes), y=len(true))
        supervised = {name: metric(true, codes) for name, metric in SUPERVISED.items()}
    return {
        **supervised,
        **_separation(matrix, codes, max_silhouette_rows, seed),
        **sizes(np.bincount(codes)),
    }


def score_embedding(
    Z: ArrayLike, labels: ArrayLike, *, max_silhouette_rows: int = 10_000, seed: int = 0
) -> Scores:
    """Scores how well the clusters stand apart in a method's own embedding.

    Kept apart from `score` because embeddings of different methods are not comparable.

    Args:
      Z: `(rows, dimensions)` embedding.
      labels: `(rows,)` clusters.
      max_silhouette_rows: Rows above which the silhouette is computed on a sample.
      seed: Seed of that sample.

    Returns:
      `embedding_silhouette`, `embedding_calinski_harabasz`, `embedding_davies_bouldin` and, if
      sampled, `embedding_silhouette_rows` and `embedding_silhouette_seed`.

    Raises:
      InputError: If `Z` is not a finite matrix or labels do not fit it.
    """
    scores = _separation(*_checked(Z, labels, "Z"), max_silhouette_rows, seed)
    return {f"embedding_{name}": value for name, value in scores.items()}


def _separation(X: np.ndarray, codes: np.ndarray, max_rows: int, seed: int) -> Scores:
    scores: Scores = {
        "silhouette": silhouette(X, codes, max_rows=max_rows, seed=seed),
        "calinski_harabasz": calinski_harabasz(X, codes),
        "davies_bouldin": davies_bouldin(X, codes),
    }
    if len(X) > max_rows:
        scores |= {"silhouette_rows": max_rows, "silhouette_seed": seed}
    return scores


def _accuracy(counts: np.ndarray) -> float:
    return float(counts[_match(counts)].sum() / counts.sum())


def _purity(counts: np.ndarray) -> float:
    return float(counts.max(axis=0).sum() / counts.sum())


def _nmi(counts: np.ndarray) -> float:
    """`I / ((H_classes + H_clusters) / 2)`; 1 if neither has any entropy."""
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    mean_entropy = (_entropy(counts.sum(axis=1)) + _entropy(counts.sum(axis=0))) / 2
    if not mean_entropy:
        return 1.0
    return float(_sklearn("mutual_info_score")(None, None, contingency=counts) / mean_entropy)


def _entropy(sizes: np.ndarray) -> float:
    """`-sum p ln p` of the shares `p` of parts of these sizes, none of them 0."""
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum())


def _ari(counts: np.ndarray) -> float:
    """`(both - e) / ((classes + clusters) / 2 - e)` with `e = classes clusters / all`.

    `both`, `classes` and `clusters` count the pairs of rows that share a cell, a class, a cluster.
    Multiplied out and in Python's integers, since products of pairs overflow 64 bits.
    """
    sizes = counts, counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    both, classes, clusters, every = (int((n * (n - 1) // 2).sum()) for n in sizes)
    chance = classes * clusters
    room = (classes + clusters) * every - 2 * chance
    return 2 * (both * every - chance) / room if room else 1.0


FROM_COUNTS: Mapping[str, Callable[[np.ndarray], float]] = MappingProxyType(
    {"accuracy": _accuracy, "nmi": _nmi, "ari": _ari, "purity": _purity}
)
"""The scores of `SUPERVISED` that need only the table of `contingency`, `(classes, clusters)`.

Classes and clusters without rows may be in it; one row at least must be.
"""


def _match(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the one-to-one match with the largest total, rows ascending."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(counts, maximize=True)


def _sklearn(name: str) -> Callable[..., float]:
    """scikit-learn's metric, imported on use because the import takes longer than the module."""
    from sklearn import metrics

    return getattr(metrics, name)


def _agreement(name: str, y_true: ArrayLike, y_pred: ArrayLike) -> float:
    true, predicted = encode_labels(y_true, "y_true")[1], encode_labels(y_pred, "y_pred")[1]
    _same_length(y_true=len(true), y_pred=len(predicted))
    return float(_sklearn(name)(true, predicted))


def _where_defined(name: str, X: np.ndarray, codes: np.ndarray) -> float:
    n_labels = len(np.unique(codes))
    return float(_sklearn(name)(X, codes)) if 2 <= n_labels < len(X) else float("nan")


def _checked(X: ArrayLike, labels: ArrayLike, name: str = "X") -> tuple[np.ndarray, np.ndarray]:
    """`X` as float64 and the labels' numbers, checked against each other."""
    matrix = finite_matrix(X, name)
    codes = encode_labels(labels)[1]
    _same_length(**{name: len(matrix), "labels": len(codes)})
    return matrix, codes


def _same_length(**lengths: int) -> None:
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        hint = "Pass the same rows in the same order."
        raise InputError(f"Arguments need the same number of rows. Received: {received}. {hint}")
