"""An algorithm's rounds as a process of TensorFlow Federated: types and placement, no arithmetic.

process = build_process(algorithm, state)
state = process.initialize()
for number in range(n_rounds):
    clients = [SamplesInput(ClientData(x, y), seed) for x, y, seed in ...]
    state, metrics, is_finite = process.next(state, clients)
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.core.algorithm import (
    ClientData,
    FederatedAlgorithm,
    State,
    ValidatedOutput,
    client_update,
)


class SamplesInput(NamedTuple):
    """A client's input to a round.

    Attributes:
      data: Its samples, in float32, and classes.
      seed: Scalar int32, seed of everything it draws.
    """

    data: ClientData
    seed: Any


class FilesInput(NamedTuple):
    """The same for samples that are read where the client works, so that none are sent.

    Attributes:
      path: Path of the files of raw samples (float32 or float64) and int64 classes, without their
        `.x` and `.y`; see `ClientStore`.
      seed: Scalar int32, seed of everything it draws.
    """

    path: Any
    seed: Any


Clients = Literal["samples", "files"]


class RoundOutput(NamedTuple):
    """The result of a round, all at the server.

    Attributes:
      state: The new state.
      metrics: What the server's update found, by name.
      is_finite: `(participants,)`, whether a client's numbers were finite, and so counted.
    """

    state: Any
    metrics: Any
    is_finite: Any


def build_process(
    algorithm: FederatedAlgorithm, state: State, clients: Clients = "samples"
) -> tff.templates.IterativeProcess:
    """Returns an algorithm as an iterative process.

    `initialize()` returns `state`; `next(state, clients)` takes the state and a list with a
    `SamplesInput` or a `FilesInput` for each participant, and returns a `RoundOutput`.

    Args:
      algorithm: What to compute.
      state: The state before the first round.
      clients: Whether `next` takes samples or the names of files.

    Raises:
      TypeError: If the algorithm's rounds change the shape of the state; use `build_round`.
    """

    @tff.tensorflow.computation
    def first() -> Any:
        return tf.nest.map_structure(tf.constant, state)

    @tff.federated_computation
    def initialize() -> Any:
        return tff.federated_eval(first, tff.SERVER)

    return tff.templates.IterativeProcess(initialize, build_round(algorithm, state, clients).next)


class Round(NamedTuple):
    """A round, whatever the state before the first one.

    Attributes:
      next: As `next` of `build_process`.
      bytes_up: Bytes of the tensors that a participant sends.
    """

    next: tff.Computation
    bytes_up: int


def build_round(algorithm: FederatedAlgorithm, state: State, clients: Clients = "samples") -> Round:
    """Returns the rounds of `build_process`, for states of the shapes and types of `state`.

    Args:
      algorithm: What to compute.
      state: Only shapes and types of its tensors are read.
      clients: Whether `next` takes samples or the names of files.
    """
    with keras_untouched():
        return _round(algorithm, state, clients)


def _round(algorithm: FederatedAlgorithm, state: State, clients: Clients) -> Round:
    state_type = tff.types.tensorflow_to_type(tf.nest.map_structure(_spec, state))

    @tff.tensorflow.computation(state_type)
    def broadcast(state: State) -> State:
        return algorithm.broadcast(state)

    work = _client_work(algorithm, broadcast.type_signature.result, clients)
    answer_type = work.type_signature.result
    zero, accumulate, merge = _in_client_order(
        (answer_type.output.per_client, answer_type.is_finite)
    )
    totals_type = (answer_type.output.sums, *zero.type_signature.result)

    @tff.tensorflow.computation(state_type, *totals_type)
    def server(state: State, sums: Any, per_client: Any, is_finite: tf.Tensor) -> RoundOutput:
        with tf.variable_creator_scope(_zeros):
            update = tf.function(algorithm.make_server())
        new_state, metrics = update(state, sums, per_client)
        return RoundOutput(new_state, OrderedDict(metrics), is_finite)

    @tff.tensorflow.computation(zero.type_signature.result)
    def report(found: Any) -> Any:
        return found

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(work.type_signature.parameter[1], tff.CLIENTS),
    )
    def one_round(state: Any, clients: Any) -> RoundOutput:
        sent = tff.federated_broadcast(tff.federated_map(broadcast, state))
        answers = tff.federated_map(work, (sent, clients))
        sums = tff.federated_sum(answers.output.sums)
        apart = tff.federated_zip((answers.output.per_client, answers.is_finite))
        stacked = tff.federated_aggregate(apart, zero(), accumulate, merge, report)
        result = tff.federated_map(server, (state, sums, stacked[0], stacked[1]))
        return RoundOutput(result.state, result.metrics, result.is_finite)

    return Round(one_round, _n_bytes(answer_type.output))


@contextlib.contextmanager
def keras_untouched() -> Iterator[None]:
    """Undoes what Keras does to all existing layers when one is made in a graph of TFF's.

    Such a graph counts as TensorFlow 1, for which Keras changes the base classes of the layer's
    class. Models that were made before would no longer run.
    """

    def classes(kind: type) -> Iterator[type]:
        child: type
        for child in kind.__subclasses__():
            yield child
            yield from classes(child)

    before = {kind: kind.__bases__ for kind in classes(tf.keras.layers.Layer)}
    try:
        yield
    finally:
        for kind, bases in before.items():
            if kind.__bases__ != bases:
                kind.__bases__ = bases


def state_signature(state: State) -> Any:
    """Returns shapes and types of a state's arrays; a round is built once for equal ones."""
    return tf.nest.map_structure(lambda value: (tuple(value.shape), value.dtype.name), state)


def _spec(value: Any) -> tf.TensorSpec:
    return tf.TensorSpec(np.shape(value), value.dtype)


def _n_bytes(kind: tff.Type) -> int:
    if isinstance(kind, tff.TensorType):
        return math.prod(kind.shape) * kind.dtype.itemsize
    return sum(map(_n_bytes, kind.children()))


def _client_work(
    algorithm: FederatedAlgorithm, sent_type: tff.Type, clients: Clients
) -> tff.Computation:
    """Returns a client's part: from what was sent and its input to its answer."""
    samples = ClientData(
        tf.TensorSpec((None, algorithm.n_features)), tf.TensorSpec((None,), tf.int64)
    )
    seed = tf.TensorSpec((), tf.int32)
    given_spec = (
        SamplesInput(samples, seed)
        if clients == "samples"
        else FilesInput(tf.TensorSpec((), tf.string), seed)
    )

    @tff.tensorflow.computation(sent_type, tff.types.tensorflow_to_type(given_spec))
    def work(sent: State, given: SamplesInput | FilesInput) -> ValidatedOutput:
        # variables are made out here, for within the function they would be made with every call
        with tf.variable_creator_scope(_zeros):
            learner = algorithm.make_learner()

        @tf.function
        def update(sent: State, data: ClientData, seed: tf.Tensor) -> ValidatedOutput:
            return client_update(algorithm, learner, sent, data, seed)

        data = (
            given.data
            if isinstance(given, SamplesInput)
            else _read(given.path, algorithm.n_features, algorithm.sample_dtype)
        )
        data = data._replace(x=tf.cast(data.x, algorithm.sample_dtype))
        return update(sent, data, given.seed)

    return work


def _zeros(next_creator: Callable[..., tf.Variable], **arguments: Any) -> tf.Variable:
    """Makes a trainable variable from zeros.

    TFF initialises variables whenever a client works, and random numbers for millions of weights
    take as long as training steps; the received weights replace them at once.
    """
    shape = arguments.get("shape")
    if arguments.get("trainable") and shape is not None:
        kind = arguments.get("dtype") or tf.float32
        arguments["initial_value"] = lambda: tf.zeros(shape, kind)
    return next_creator(**arguments)


def _read(path: tf.Tensor, n_features: int, dtype: tf.DType) -> ClientData:
    """Reads the samples of a client of a `ClientStore`, inside a graph, as `dtype`."""
    y = tf.io.decode_raw(tf.io.read_file(path + ".y"), tf.int64)
    raw = tf.io.read_file(path + ".x")
    # the number of classes tells how many bytes a feature takes
    n_bytes = tf.size(y) * n_features * tf.float64.size
    x = tf.cond(
        tf.equal(tf.strings.length(raw), n_bytes),  # `==` compares objects in TFF's graphs
        lambda: tf.cast(tf.io.decode_raw(raw, tf.float64), dtype),
        lambda: tf.cast(tf.io.decode_raw(raw, tf.float32), dtype),
    )
    return ClientData(tf.reshape(x, (-1, n_features)), y)


def _nothing_of(kind: tff.Type) -> Any:
    """Returns tensors of length 0 in a structure of this type, inside a graph."""
    if isinstance(kind, tff.TensorType):
        nothing = tf.zeros((0, *kind.shape), kind.dtype)
        # its length is unknown, since it grows
        return tf.compat.v1.placeholder_with_default(nothing, (None, *kind.shape))
    parts = [_nothing_of(part) for part in kind.children()]
    container = kind.python_container
    return container(*parts) if hasattr(container, "_fields") else tuple(parts)


def _in_client_order(value_type: Any) -> tuple[tff.Computation, ...]:
    """Returns what `federated_aggregate` needs to stack values in client order.

    Returns:
      Computations of the empty stack, of a stack and one client's value, and of two stacks.
    """

    @tff.tensorflow.computation
    def zero() -> Any:
        per_client, is_finite = value_type
        return _nothing_of(per_client), _nothing_of(is_finite)

    stacked_type = zero.type_signature.result

    @tff.tensorflow.computation(stacked_type, tff.to_type(value_type))
    def accumulate(stacked: Any, value: Any) -> Any:
        return tf.nest.map_structure(lambda s, v: tf.concat([s, v[tf.newaxis]], 0), stacked, value)

    @tff.tensorflow.computation(stacked_type, stacked_type)
    def merge(first: Any, second: Any) -> Any:
        return tf.nest.map_structure(lambda a, b: tf.concat([a, b], 0), first, second)

    return zero, accumulate, merge
