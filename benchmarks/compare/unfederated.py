"""The same training without federation: centralized, or on each client's own samples only."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.compare.case_models import SCORES, Model, get_initial_weights
from benchmarks.compare.cases import LOCAL_ONLY, Case
from federated.data.federated_dataset import Federation
from tfcluster import metrics
from tfcluster.estimator import digest


def run_unfederated(case: Case, model: Model, federation: Federation) -> dict[str, Any]:
    """Trains and scores a model on all samples, or one model per client.

    A client's own model is scored on the samples of all clients. The scores are the mean over
    clients, weighted by their samples.

    Args:
      case: With backend "centralized" or "local_only".
      model: Model to train.
      federation: The clients.

    Returns:
      Hash of the initial weights, seconds and scores.
    """
    X, y = federation.pooled()
    X = np.asarray(X, np.float32)
    is_local = case.backend == LOCAL_ONLY
    parts = [np.asarray(x, np.float32) for x, _ in federation.clients] if is_local else [X]
    start = time.perf_counter()
    found = []
    for x in parts:
        predict = model.fit(x)
        labels = predict(X)
        found.append({name: getattr(metrics, name)(y, labels) for name in SCORES})
    seconds = time.perf_counter() - start
    weights = federation.sizes if is_local else None
    scores = {
        name: round(float(np.average([f[name] for f in found], weights=weights)), 5)
        for name in SCORES
    }
    return {
        "start_hash": digest(*get_initial_weights(model.stages(X.shape[1])))[:16],
        "seconds": {"training": seconds},
        "scores": scores,
    }
