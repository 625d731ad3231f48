"""Sums over a client's samples, part by part, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from federated.core.algorithm import Tensors

_PART_NUMBERS = 2**21  # 16 MB of float64


def sum_over_parts(
    totals: Callable[..., Tensors], samples: Tensors, numbers_per_sample: int
) -> Tensors:
    """Sums what a function returns for successive parts of samples, eagerly or inside a graph.

    Args:
      totals: Takes some samples of each tensor in `samples`, perhaps none, and returns tensors
        that add over samples, all of static shape, zeros for no samples.
      samples: Tensors `(n_samples, ...)`.
      numbers_per_sample: How many numbers `totals` holds in memory per sample, roughly.

    Returns:
      The sum over all samples of each of the function's results.
    """
    size, n_samples = max(1, _PART_NUMBERS // numbers_per_sample), tf.shape(samples[0])[0]

    def step(start: tf.Tensor, before: Tensors) -> tuple[tf.Tensor, Tensors]:
        part = totals(*(tensor[start : start + size] for tensor in samples))
        return start + size, tuple(map(tf.add, before, part))

    nothing = tuple(totals(*(tensor[:0] for tensor in samples)))
    # one part at a time: several side by side would need so many times the memory
    _, total = tf.while_loop(
        lambda start, _: start < n_samples,
        step,
        (tf.constant(0), nothing),
        parallel_iterations=1,
    )
    return total
