"""Deep clustering that matches the originals' code: DEC and ClusterGAN.

Names are imported on first use, so that `import tfcluster` is fast.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from tfcluster.tensorflow_log import quieten_tensorflow

quieten_tensorflow()  # set TF_CPP_MIN_LOG_LEVEL=0 to see TensorFlow's log

if TYPE_CHECKING:
    from tfcluster.clustergan.estimator import ClusterGAN as ClusterGAN
    from tfcluster.data.loading import load_data as load_data
    from tfcluster.dec.estimator import DEC as DEC
    from tfcluster.dec.self_training import target_distribution as target_distribution
    from tfcluster.errors import InputError as InputError
    from tfcluster.layers import ClusteringLayer as ClusteringLayer

    __version__: str

_HOMES = {
    "ClusterGAN": "tfcluster.clustergan.estimator",
    "DEC": "tfcluster.dec.estimator",
    "ClusteringLayer": "tfcluster.layers",
    "InputError": "tfcluster.errors",
    "load_data": "tfcluster.data.loading",
    "target_distribution": "tfcluster.dec.self_training",
}

_MODULES = {
    "config": "tfcluster.config",
    "gan_losses": "tfcluster.clustergan.losses",
    "gan_networks": "tfcluster.clustergan.networks",
    "metrics": "tfcluster.metrics",
}

__all__ = [
    "DEC",
    "ClusterGAN",
    "ClusteringLayer",
    "InputError",
    "config",
    "gan_losses",
    "gan_networks",
    "load_data",
    "metrics",
    "target_distribution",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("tfcluster")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'tfcluster' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
