"""Structures that cross process boundaries: NamedTuples of tensors and of tuples of tensors.

A structure is taken apart into its tensors and a layout of plain integers, from which its class
puts it together again: for files and for Flower's messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Layout = list[int]
"""For each field the number of tensors in its tuple, or -1 for a single tensor."""


def take_apart(structure: Any) -> tuple[list[Any], Layout]:
    """Returns a structure's tensors in order, and its layout."""
    tensors: list[Any] = []
    layout: Layout = []
    for field in structure:
        is_tuple = isinstance(field, tuple)
        tensors += field if is_tuple else [field]
        layout.append(len(field) if is_tuple else -1)
    return tensors, layout


def put_together(kind: type, tensors: Sequence[Any], layout: Layout) -> Any:
    """Returns the structure of class `kind` that `take_apart` took apart."""
    fields: list[Any] = []
    at = 0
    for count in layout:
        if count < 0:
            fields.append(tensors[at])
        else:
            fields.append(tuple(tensors[at : at + count]))
        at += abs(count)
    if at != len(tensors):
        raise ValueError(f"The layout {layout} is of {at} tensors. Received: {len(tensors)}.")
    return kind(*fields)


def to_arrays(structure: Any) -> dict[str, np.ndarray]:
    """Returns a structure as arrays by name, `field` or `field/i`, for a file."""
    named: dict[str, np.ndarray] = {}
    for name, field in zip(structure._fields, structure, strict=True):
        if isinstance(field, tuple):
            named |= {f"{name}/{i}": np.asarray(tensor) for i, tensor in enumerate(field)}
        else:
            named[name] = np.asarray(field)
    return named


def from_arrays(kind: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Returns the structure of class `kind` that `to_arrays` named."""
    fields = []
    for name in kind._fields:
        if name in arrays:
            fields.append(tf.constant(arrays[name]))
        else:
            count = sum(known.startswith(f"{name}/") for known in arrays)
            fields.append(tuple(tf.constant(arrays[f"{name}/{i}"]) for i in range(count)))
    return kind(*fields)


def n_bytes(structure: Any) -> int:
    """Returns the total size of the tensors in bytes."""
    return sum(t.shape.num_elements() * t.dtype.size for t in tf.nest.flatten(structure))
