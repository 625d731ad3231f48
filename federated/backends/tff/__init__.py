"""The algorithms as processes of TensorFlow Federated, and what runs them: in its environment only.

From any other environment, the backend "tff" reaches it over a pipe (`federated.backends.piped`).

Raises:
  InputError: On import, where TensorFlow Federated is not installed.
"""

import warnings

from tfcluster.errors import InputError

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it imports uses what newer packages deprecate
        import tensorflow_federated  # noqa: F401
except ImportError as error:
    raise InputError(
        f"TensorFlow Federated cannot be imported ({error}). It runs in an environment of its own, "
        'made by: python -m federated.backends.tff_environment. The backend "tff" uses it from '
        "any other; use `build_processes` within it."
    ) from error
