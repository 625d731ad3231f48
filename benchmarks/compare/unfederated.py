"""The same training without federation: centralized, or on each client's own samples only."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.compare.case_models import SCORES, Model
from benchmarks.compare.cases import LOCAL_ONLY
from tfcluster import metrics


def run_unfederated(model: Model) -> dict[str, Any]:
    """Trains and scores a model on all samples, or one model per client.

    A client's own model is scored on the samples of all clients. The scores are the mean over
    clients, weighted by their samples.

    Args:
      model: Model of a case with backend "centralized" or "local_only".

    Returns:
      Seconds and scores.
    """
    dataset = model.dataset
    X, y = dataset.pooled()
    X = np.asarray(X, np.float32)
    is_local = model.case.backend == LOCAL_ONLY
    parts = [np.asarray(x, np.float32) for x, _ in dataset.clients] if is_local else [X]
    start = time.perf_counter()
    found = []
    for x in parts:
        predict = model.fit(x)
        labels = predict(X)
        found.append({name: getattr(metrics, name)(y, labels) for name in SCORES})
    seconds = time.perf_counter() - start
    weights = dataset.sizes if is_local else None
    scores = {
        name: round(float(np.average([f[name] for f in found], weights=weights)), 5)
        for name in SCORES
    }
    return {"seconds": {"training": seconds}, "scores": scores}
