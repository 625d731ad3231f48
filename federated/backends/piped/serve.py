"""Serves rounds on TensorFlow Federated: `python -m federated.backends.piped.serve`.

`PipedBackend` starts it in TFF's environment; see `federated.backends.piped.server`.
"""

import sys

from federated.backends.piped.network import isolate_network
from tfcluster.errors import InputError

INSECURE = "--insecure-worker"
"""The word on the command line that lets it go on where it cannot be isolated."""


def isolate() -> None:
    """Isolates this process from the network.

    Raises:
      InputError: If the system does not permit it, and `INSECURE` does not stand on the command
        line.
    """
    try:
        isolate_network()
    except InputError:
        if INSECURE not in sys.argv:
            raise


def main() -> None:
    """Isolates this process from the network, and serves."""
    try:
        isolate()
    except InputError as error:
        return _refuse(error)
    # only now, for NumPy starts threads, and a process with threads cannot be isolated
    from federated.backends.piped.server import serve

    serve()


def _refuse(error: InputError) -> None:
    """Answers the first request, before anything slow is imported."""
    from federated.backends.piped.frames import describe_error, read_frame, write_frame

    read_frame(sys.stdin.buffer)
    write_frame(sys.stdout.buffer, describe_error(error))


if __name__ == "__main__":
    main()
