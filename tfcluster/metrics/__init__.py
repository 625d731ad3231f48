"""Scores of a clustering: `labels` against classes, `geometry` from samples, `scores` for both."""

from tfcluster.metrics.geometry import (
    calinski_harabasz,
    davies_bouldin,
    score_embedding,
    silhouette,
)
from tfcluster.metrics.inputs import Scores, encode_labels, finite_matrix
from tfcluster.metrics.labels import (
    FROM_COUNTS,
    SUPERVISED,
    accuracy,
    ami,
    ari,
    best_map,
    contingency,
    cycle_accuracy,
    homogeneity,
    kappa,
    nmi,
    purity,
)
from tfcluster.metrics.scores import score, sizes

__all__ = [
    "FROM_COUNTS",
    "SUPERVISED",
    "Scores",
    "accuracy",
    "ami",
    "ari",
    "best_map",
    "calinski_harabasz",
    "contingency",
    "cycle_accuracy",
    "davies_bouldin",
    "encode_labels",
    "finite_matrix",
    "homogeneity",
    "kappa",
    "nmi",
    "purity",
    "score",
    "score_embedding",
    "silhouette",
    "sizes",
]
