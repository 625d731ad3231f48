"""Runs cases as `case_process` does, in a network of its own, where TFF's worker may listen."""

from federated.backends.piped.serve import isolate

if __name__ == "__main__":
    isolate()
    # only now, for NumPy starts threads, and a process with threads cannot be isolated
    from benchmarks.compare.case_process import main

    main()
