"""Messages between a server and clients: lists of arrays, and a few plain values beside them.

What carries them, e.g. Flower's records or a pipe, is the backend's affair.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from federated.core.algorithm import ClientOutput, FederatedAlgorithm, State, ValidatedOutput
from federated.core.scaling import Scaling
from federated.core.structure import put_together, take_apart
from tfcluster.config import from_dict, to_dict
from tfcluster.scaling import Standardizer

Arrays = list[np.ndarray]
"""Tensors of a structure, in order."""

Facts = dict[str, str | int | bool]
"""Plain values beside them, by name."""


def pack_broadcast(algorithm: FederatedAlgorithm, broadcast: State) -> tuple[Arrays, Facts]:
    """Returns what every participant is sent: the arrays, and the algorithm as text.

    Args:
      algorithm: What to compute.
      broadcast: From `FederatedAlgorithm.broadcast`.
    """
    tensors, layout = take_apart(broadcast)
    facts: Facts = {
        "algorithm": json.dumps(to_dict(algorithm)),
        "modules": json.dumps(sorted(_modules(algorithm))),
        "layout": json.dumps(layout),
    }
    return _arrays(tensors), facts


def unpack_broadcast(
    arrays: Sequence[np.ndarray], facts: Mapping[str, Any]
) -> tuple[FederatedAlgorithm, State]:
    """Returns the algorithm and the broadcast that `pack_broadcast` packed.

    Raises:
      ValueError: If the algorithm is not part of `federated`.
    """
    algorithm = _algorithm(json.loads(str(facts["modules"])), str(facts["algorithm"]))
    layout = json.loads(str(facts["layout"]))
    return algorithm, put_together(algorithm.state_type, _tensors(arrays), layout)


def _modules(value: Any) -> set[str]:
    """Returns where an algorithm and its parts, e.g. a labeling, are defined."""
    if not dataclasses.is_dataclass(value):
        return set()
    parts = (getattr(value, field.name) for field in dataclasses.fields(value))
    found = {type(value).__module__}.union(*map(_modules, parts))
    return {name for name in found if not name.startswith("tfcluster.")}


def _algorithm(modules: Sequence[str], text: str) -> FederatedAlgorithm:
    for module in modules:
        # a client imports what the server tells it to, so not just anything
        if not module.startswith("federated."):
            raise ValueError(f"Algorithms are in `federated`. Received: {module!r}.")
        importlib.import_module(module)  # registers its classes
    algorithm: FederatedAlgorithm = from_dict(json.loads(text))
    return algorithm


def pack_answer(answer: ValidatedOutput) -> tuple[Arrays, Facts]:
    """Returns what a client sends back: the arrays, and how they are laid out."""
    sums, sums_layout = take_apart(answer.output.sums)
    each, each_layout = take_apart(answer.output.per_client)
    facts: Facts = {
        "sums_layout": json.dumps(sums_layout),
        "per_client_layout": json.dumps(each_layout),
        "is_finite": bool(answer.is_finite),
    }
    return _arrays([*sums, *each]), facts


def unpack_answer(
    algorithm: FederatedAlgorithm, arrays: Sequence[np.ndarray], facts: Mapping[str, Any]
) -> ValidatedOutput:
    """Returns the answer that `pack_answer` packed."""
    sums_layout = json.loads(str(facts["sums_layout"]))
    each_layout = json.loads(str(facts["per_client_layout"]))
    n_sums = sum(map(abs, sums_layout))
    values = _tensors(arrays)
    output = ClientOutput(
        put_together(algorithm.sums_type, values[:n_sums], sums_layout),
        put_together(algorithm.per_client_type, values[n_sums:], each_layout),
    )
    return ValidatedOutput(output, tf.constant(bool(facts["is_finite"])))


def _arrays(tensors: Sequence[tf.Tensor]) -> Arrays:
    return [np.asarray(tensor) for tensor in tensors]


def _tensors(arrays: Sequence[np.ndarray]) -> list[tf.Tensor]:
    return [tf.constant(array) for array in arrays]


def pack_scaling(scaling: Scaling) -> Arrays:
    """Returns how a client scales its samples, as arrays: none where they stay as they are."""
    if scaling.is_identity:
        return []
    found = [] if scaling.standardizer is None else list(scaling.standardizer)
    return [np.asarray(scaling.factor, np.float64), *found]


def unpack_scaling(arrays: Sequence[np.ndarray]) -> Scaling:
    """Returns the scaling that `pack_scaling` packed."""
    if not len(arrays):
        return Scaling()
    factor, *found = arrays
    return Scaling(Standardizer(*found) if found else None, float(factor))
