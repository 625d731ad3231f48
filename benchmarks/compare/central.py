"""The same training without federation: all rows in one place, or every client for itself."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.compare.cases import ALONE, Case
from benchmarks.compare.models import SCORES, Model, first_weights
from federated.data.federated_dataset import Federation
from tfcluster import metrics
from tfcluster.estimator import digest


def run(case: Case, model: Model, federation: Federation) -> dict[str, Any]:
    """Fits and scores.

    A client's own model is scored on the rows of all: what it would be worth to everyone. Scores
    are the clients' mean, weighted by rows.

    Args:
      case: With backend "central" or "alone".
      model: What is trained.
      federation: The clients.
    """
    X, y = federation.pooled()
    X = np.asarray(X, np.float32)
    parts = [np.asarray(x, np.float32) for x, _ in federation.clients]
    start = time.perf_counter()
    found = []
    for x in parts if case.backend == ALONE else [X]:
        label = model.fit(x)
        labels = label(X)
        found.append({name: getattr(metrics, name)(y, labels) for name in SCORES})
    seconds = time.perf_counter() - start
    weights = federation.sizes if case.backend == ALONE else None
    scores = {
        name: round(float(np.average([f[name] for f in found], weights=weights)), 5)
        for name in SCORES
    }
    return {
        "start_hash": digest(*first_weights(model.stages(X.shape[1])))[:16],
        "seconds": {"training": seconds},
        "scores": scores,
    }
