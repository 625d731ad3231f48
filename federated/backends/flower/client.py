"""Flower's client: unpacks what arrived, lets the core do the work, packs the result."""

from __future__ import annotations

import dataclasses
import functools
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp

from federated.backends.flower.messages import FACTS, from_records, to_records
from federated.backends.messages import pack_answer, unpack_broadcast, unpack_scaling
from federated.core.algorithm import ClientData
from federated.core.backend import ClientRunner
from federated.core.sampling import Participant
from federated.core.scaling import Scaling
from tfcluster.runtime import describe_devices, grow_gpu_memory, set_threads
from tfcluster.scaling import narrow

LoadRows = Callable[[Context], Any]
"""Returns the samples of a node, `(n_samples, n_features)`, or a tuple of them and their classes,
`(n_samples,)` whole numbers."""


class AlgorithmClient(NumPyClient):
    """A client with its own samples, which does a client's part of any of our algorithms.

    `client_app` wraps it. Flower's users can also return `AlgorithmClient(x).to_client()` from a
    `client_fn` of theirs, or call `fit` themselves.

    Args:
      x: `(n_samples, n_features)` samples as they were given; scaled by what the message says.
      y: `(n_samples,)` classes, only for scores; unknown if left out.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray | None = None) -> None:
        self._x = narrow(x)
        self._y = np.full(len(x), -1) if y is None else np.asarray(y)

    def fit(
        self, parameters: list[np.ndarray], config: dict[str, Any]
    ) -> tuple[list[np.ndarray], int, dict[str, Any]]:
        """Does a client's work in a round.

        Args:
          parameters: The arrays of the scaling, and those of the broadcast.
          config: What `pack_broadcast` adds; `client` and `seed` of the participant; and `scaling`,
            the number of arrays of the scaling.

        Returns:
          The arrays of the output; the client's number of samples; and what `pack_answer` adds.
        """
        n_scaling = config["scaling"]
        algorithm, broadcast = unpack_broadcast(parameters[n_scaling:], config)
        data = self._scaled(unpack_scaling(parameters[:n_scaling]))
        participant = Participant(config["client"], config["seed"])
        answer = _runner_of_this_process().update(algorithm, broadcast, data, participant)
        arrays, facts = pack_answer(answer)
        return arrays, len(self._x), dict(facts)

    def _scaled(self, scaling: Scaling) -> ClientData:
        x = self._x if scaling.is_identity else scaling(self._x)
        return ClientData(tf.constant(x), tf.constant(self._y, tf.int64))


def client_app(load_rows: LoadRows, *, n_threads: int | None = None) -> ClientApp:
    """Returns a Flower `ClientApp` that takes part in any of our algorithms with a node's own rows.

    It answers two messages: "train" with the client's part of a round, and "query" with who it is:
    the node's `name` in its `node-config`, or else its `partition-id`.

    Args:
      load_rows: Returns the samples of the node from its `Context`, and perhaps their classes. It
        is called for every message, so keep what is slow to read.
      n_threads: Threads of TensorFlow in a client's process, see `runtime.set_threads`; None leaves
        them to TensorFlow.
    """
    app, node = ClientApp(), _Node(load_rows, n_threads)
    app.train()(node.train)
    app.query()(node.query)
    return app


@dataclasses.dataclass(frozen=True)
class _Node:
    """What a node does with a message; a worker of the simulation gets it with every message."""

    load_rows: LoadRows
    n_threads: int | None

    def train(self, message: Message, context: Context) -> Message:
        """Does a client's part of a round.

        If it fails, the traceback is sent as `error`: Flower would cut it short.
        """
        _prepare_this_process(self.n_threads)
        try:
            arrays, _, facts = self._client(context).fit(*from_records(message.content))
        except Exception:
            arrays, facts = [], {"error": traceback.format_exc()}
        return Message(to_records(arrays, facts), reply_to=message)

    def query(self, message: Message, context: Context) -> Message:
        """Tells the server who this is, and on what it computes."""
        _prepare_this_process(self.n_threads)
        facts: dict[str, Any] = {"name": name_of(context), "devices": describe_devices()}
        return Message(RecordDict({FACTS: ConfigRecord(facts)}), reply_to=message)

    def _client(self, context: Context) -> AlgorithmClient:
        rows = self.load_rows(context)
        return AlgorithmClient(*rows) if isinstance(rows, tuple) else AlgorithmClient(rows)


def name_of(context: Context) -> str:
    """Returns the name of a node: `name` in its `node-config`, or else its `partition-id`."""
    config = context.node_config
    return str(config.get("name", config.get("partition-id", context.node_id)))


@functools.cache
def _runner_of_this_process() -> ClientRunner:
    return ClientRunner()  # holds what was compiled, for any node this process works for


@functools.cache
def _prepare_this_process(n_threads: int | None) -> None:
    if n_threads is not None:
        set_threads(n_threads)
    grow_gpu_memory()
