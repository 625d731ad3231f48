"""Serves rounds on TensorFlow Federated: `python -m federated.backends.piped.serve`.

`PipedBackend` starts it in TFF's environment; see `federated.backends.piped.server`.
"""

from federated.backends.piped.network import isolate_network
from tfcluster.errors import InputError


def main() -> None:
    """Isolates this process from the network, and serves."""
    refusal = None
    try:
        isolate_network()
    except InputError as error:
        refusal = error
    # only now, for NumPy starts threads, and a process with threads cannot be isolated
    from federated.backends.piped.server import serve

    serve(refusal)


if __name__ == "__main__":
    main()
