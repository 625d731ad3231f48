"""Federated deep clustering: DEC, ClusterGAN and k-means over clients that keep their samples.

Names are imported when they are first used: `import federated` imports no backend and no
TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import tfcluster  # noqa: F401  # quietens TensorFlow before anything imports it

if TYPE_CHECKING:
    from federated.backends.descriptions import TFF as TFF
    from federated.backends.descriptions import Flower as Flower
    from federated.backends.descriptions import Local as Local
    from federated.core.aggregation import FedAdagrad as FedAdagrad
    from federated.core.aggregation import FedAdam as FedAdam
    from federated.core.aggregation import FedAvg as FedAvg
    from federated.core.aggregation import FedAvgM as FedAvgM
    from federated.core.aggregation import FedProx as FedProx
    from federated.core.aggregation import FedYogi as FedYogi
    from federated.core.aggregation import Median as Median
    from federated.core.aggregation import TrimmedMean as TrimmedMean
    from federated.data.federated_dataset import load_federated_dataset as load_federated_dataset
    from federated.estimators.clustergan import FederatedClusterGAN as FederatedClusterGAN
    from federated.estimators.dec import FederatedDEC as FederatedDEC
    from federated.estimators.kmeans import FederatedKMeans as FederatedKMeans

_HOMES = {
    "federated.backends.descriptions": ("Flower", "Local", "TFF"),
    "federated.core.aggregation": (
        "FedAdagrad", "FedAdam", "FedAvg", "FedAvgM", "FedProx", "FedYogi", "Median", "TrimmedMean",
    ),
    "federated.core.records": ("RoundRecord",),
    "federated.data.federated_dataset": ("load_federated_dataset",),
    "federated.estimators.clustergan": ("FederatedClusterGAN",),
    "federated.estimators.dec": ("FederatedDEC",),
    "federated.estimators.kmeans": ("FederatedKMeans",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "TFF",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedProx",
    "FedYogi",
    "FederatedClusterGAN",
    "FederatedDEC",
    "FederatedKMeans",
    "Flower",
    "Local",
    "Median",
    "RoundRecord",
    "TrimmedMean",
    "load_federated_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'federated' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
