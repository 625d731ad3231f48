"""Totals over a client's rows, a part of them at a time, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from federated.core.algorithm import Tensors

_PART_NUMBERS = 2**21  # 16 MB of float64


def total_over_parts(
    totals: Callable[..., Tensors], rows: Tensors, numbers_per_row: int
) -> Tensors:
    """Adds up what a function makes of successive parts of rows, eagerly or inside a graph.

    Args:
      totals: Takes some rows of each tensor in `rows`, perhaps none, and gives tensors that add
        over rows, all of static shape, zeros for no rows.
      rows: Tensors `(rows, ...)`.
      numbers_per_row: How many numbers `totals` has in memory for one row, about.

    Returns:
      The total over all rows of each of the function's results.
    """
    size, n_rows = max(1, _PART_NUMBERS // numbers_per_row), tf.shape(rows[0])[0]

    def step(start: tf.Tensor, before: Tensors) -> tuple[tf.Tensor, Tensors]:
        part = totals(*(tensor[start : start + size] for tensor in rows))
        return start + size, tuple(map(tf.add, before, part))

    nothing = tuple(totals(*(tensor[:0] for tensor in rows)))
    # one part at a time: several side by side would need so many times the memory
    _, total = tf.while_loop(
        lambda start, _: start < n_rows, step, (tf.constant(0), nothing), parallel_iterations=1
    )
    return total
