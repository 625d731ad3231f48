"""The TFF backend: the algorithms as processes of TensorFlow Federated, and what runs them.

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
        "The TFF backend needs tensorflow-federated, which cannot be imported "
        f"({error}). Install the lock: pip install --no-deps -r requirements.txt."
    ) from error
