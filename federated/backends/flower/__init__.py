"""The Flower backend: our algorithms in Flower apps, and its simulation engine around them.

`client_app` and `server_app` make a Flower app of our phases; `AlgorithmClient` is its client as
Flower's NumPyClient. They need no Ray: only the simulation (`backend.py`) does.

Raises:
  InputError: On import, where Flower is not installed.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from tfcluster.errors import InputError

# read when the packages are imported
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")

INSTALL = 'pip install ".[flower,simulation]", run in a clone of this repository'
"""How a user gets what is missing."""

try:
    import flwr  # noqa: F401
except ImportError as error:
    raise InputError(
        f"The Flower backend needs flwr, which cannot be imported ({error}). Install it: {INSTALL}."
    ) from error

if TYPE_CHECKING:
    from federated.backends.flower.client import AlgorithmClient as AlgorithmClient
    from federated.backends.flower.client import client_app as client_app
    from federated.backends.flower.server import Plan as Plan
    from federated.backends.flower.server import server_app as server_app

_MODULES = {
    "AlgorithmClient": "client",
    "Plan": "server",
    "client_app": "client",
    "server_app": "server",
}

__all__ = ["AlgorithmClient", "Plan", "client_app", "server_app"]


def __getattr__(name: str) -> Any:
    """Returns a public name, whose module is loaded with it: TensorFlow takes seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
