"""What crosses the wire on Flower: lists of arrays, and a few plain values beside them."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from flwr.common import NDArrays, Scalar

from federated.core.algorithm import (
    ClientOutput,
    FederatedAlgorithm,
    Screened,
    ServerState,
    Tensors,
)
from tfcluster.config import from_dict, to_dict

Facts = dict[str, Scalar]


def pack_broadcast(algorithm: FederatedAlgorithm, sent: ServerState) -> tuple[NDArrays, Facts]:
    """What every participant is sent: the arrays, and the algorithm as text.

    Args:
      algorithm: What to do.
      sent: Without slots.
    """
    facts: Facts = {
        "algorithm": json.dumps(to_dict(algorithm)),
        "modules": json.dumps(sorted(_modules(algorithm))),
        "n_weights": len(sent.weights),
    }
    return _arrays((*sent.weights, *sent.context)), facts


def unpack_broadcast(arrays: NDArrays, facts: Facts) -> tuple[FederatedAlgorithm, ServerState]:
    """The algorithm and the state that `pack_broadcast` wrote.

    Raises:
      ValueError: If the algorithm is none of `federated`.
    """
    n_weights = int(facts["n_weights"])
    weights, context = _tensors(arrays[:n_weights]), _tensors(arrays[n_weights:])
    algorithm = _algorithm(json.loads(str(facts["modules"])), str(facts["algorithm"]))
    return algorithm, ServerState(weights, (), context)


def _modules(value: Any) -> set[str]:
    """Where an algorithm and its parts, as a labelling, are defined; beside `tfcluster`."""
    if not dataclasses.is_dataclass(value):
        return set()
    parts = (getattr(value, field.name) for field in dataclasses.fields(value))
    found = {type(value).__module__}.union(*map(_modules, parts))
    return {name for name in found if not name.startswith("tfcluster.")}


def _algorithm(modules: Sequence[str], text: str) -> FederatedAlgorithm:
    for module in modules:
        # a client imports what it is told to by the server, so not just anything
        if not module.startswith("federated."):
            raise ValueError(f"Algorithms are in `federated`. Received: {module!r}.")
        importlib.import_module(module)  # registers the class with `config`
    algorithm: FederatedAlgorithm = from_dict(json.loads(text))
    return algorithm


def pack_answer(answer: Screened) -> tuple[NDArrays, Facts]:
    """What a client sends back: the arrays, and which of them are sums."""
    output = answer.output
    facts: Facts = {"n_sums": len(output.sums), "is_finite": bool(answer.is_finite)}
    return _arrays((*output.sums, *output.gathered)), facts


def unpack_answer(arrays: NDArrays, facts: Facts) -> Screened:
    """The answer that `pack_answer` wrote."""
    n_sums = int(facts["n_sums"])
    output = ClientOutput(_tensors(arrays[:n_sums]), _tensors(arrays[n_sums:]))
    return Screened(output, tf.constant(bool(facts["is_finite"])))


def _arrays(tensors: Sequence[tf.Tensor]) -> NDArrays:
    return [np.asarray(tensor) for tensor in tensors]


def _tensors(arrays: NDArrays) -> Tensors:
    return tuple(tf.constant(array) for array in arrays)
