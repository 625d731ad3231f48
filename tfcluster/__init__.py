"""Deep clustering that matches the originals' code: DEC and ClusterGAN.

Names are imported when they are first used, so that `import tfcluster` is quick.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# TensorFlow reads this when it is first imported; whoever wants its log sets it beforehand.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from tfcluster.clustergan import ClusterGAN as ClusterGAN
    from tfcluster.data import load_data as load_data
    from tfcluster.dec import DEC as DEC
    from tfcluster.errors import InputError as InputError
    from tfcluster.layers import ClusteringLayer as ClusteringLayer
    from tfcluster.self_training import target_distribution as target_distribution

_HOMES = {
    "ClusterGAN": "tfcluster.clustergan",
    "DEC": "tfcluster.dec",
    "ClusteringLayer": "tfcluster.layers",
    "InputError": "tfcluster.errors",
    "load_data": "tfcluster.data",
    "target_distribution": "tfcluster.self_training",
}

_MODULES = ("gan_losses", "gan_networks", "metrics")

__all__ = [
    "DEC",
    "ClusterGAN",
    "ClusteringLayer",
    "InputError",
    "gan_losses",
    "gan_networks",
    "load_data",
    "metrics",
    "target_distribution",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"tfcluster.{name}")
    raise AttributeError(f"module 'tfcluster' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
