"""Times one side of a case: `python -m benchmarks.speed.timing_process CASE SIDE`.

After one round of warming up, the process runs a round for every line on standard input and answers
with a line of JSON: seconds of the round, and peak memory so far in bytes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable

import tensorflow as tf

from benchmarks.speed.timed_cases import CASES
from tfcluster.runtime import count_cores, set_threads

_SQUARE = 2_048


def main() -> None:
    """Runs the case and the side that the command line names."""
    name, side = sys.argv[1:]
    if side != "theirs":  # the originals do not set threads
        per_operation = side == "ours" and CASES[name].per_operation
        set_threads(min(2, count_cores()), per_operation=per_operation)
    run = _prepare_products() if side == "floor" else _prepare_work(name, side)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(
            json.dumps({"seconds": time.perf_counter() - start, "peak": _measure_peak()}),
            flush=True,
        )


def _prepare_work(name: str, side: str) -> Callable[[], object]:
    case = CASES[name]
    x = case.make_data()
    before = _measure_peak()
    take = getattr(case, side)(x)
    take(case.n_units)
    print(json.dumps({"data": x.nbytes, "before": before}), flush=True)
    return lambda: take(case.n_units)


def _prepare_products() -> Callable[[], object]:
    """Returns a function that multiplies two pairs of large matrices in parallel."""
    a, b = tf.random.normal((_SQUARE, _SQUARE)), tf.random.normal((_SQUARE, _SQUARE))

    @tf.function
    def run() -> tuple[tf.Tensor, tf.Tensor]:
        return tf.reduce_sum(tf.matmul(a, a)), tf.reduce_sum(tf.matmul(b, b))

    run()
    print(json.dumps({"flops": 4.0 * _SQUARE**3}), flush=True)
    return lambda: [float(value) for value in run()]


def _measure_peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
