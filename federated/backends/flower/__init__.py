"""The Flower backend: Flower's client, strategy and simulation engine around the core.

Raises:
  InputError: On import, where Flower or Ray is not installed.
"""

import os

from tfcluster.errors import InputError

# read when the packages are imported
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import flwr  # noqa: F401
    import ray  # noqa: F401  # without it, Flower's simulation engine would wait forever
except ImportError as error:
    raise InputError(
        f"The Flower backend needs flwr and ray, which cannot be imported ({error}). Install the "
        "lock: pip install --no-deps -r requirements.txt."
    ) from error
