"""Runs cases as `case_process` does, in a network of its own, where TFF's worker may listen."""

import contextlib
import sys

from federated.backends.piped.network import isolate_network
from federated.backends.piped.serve import INSECURE
from tfcluster.errors import InputError

if __name__ == "__main__":
    # as in `serve`: without isolation only where the system does not permit it
    with contextlib.suppress(InputError) if INSECURE in sys.argv else contextlib.nullcontext():
        isolate_network()
    # only now, for NumPy starts threads, and a process with threads cannot be isolated
    from benchmarks.compare.case_process import main

    main()
