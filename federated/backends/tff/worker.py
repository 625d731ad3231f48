"""Starts TensorFlow Federated's worker program, and controls its threads, output and end.

TFF's own `create_sync_local_cpp_execution_context` gives it the terminal, leaves its threads to
TensorFlow's defaults, polls for its start every second, starts it again and repeats the round
forever when it dies, and may leave it behind. This module does the same with the same parts,
but without these faults.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import portpicker
import tensorflow as tf
import tensorflow_federated as tff

from tfcluster.errors import TrainingError

_PROGRAM = Path(tff.__file__).parent / "data" / "worker_binary"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.02
_MESSAGE_BYTES = 2_000_000_000  # the worker's own limit
_OPTIONS = [
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
]


class Worker:
    """A worker program and the context that runs computations in it.

    Args:
      n_clients: Clients at work at a time.
      n_threads: Operations that run side by side, each on one thread, as `runtime.set_threads`
        does for this process.

    Attributes:
      context: To install while computations are called.

    Raises:
      TrainingError: If it does not start.
    """

    def __init__(self, n_clients: int, n_threads: int) -> None:
        port = portpicker.pick_unused_port()
        command = [
            str(_PROGRAM),
            f"--port={port}",
            f"--max_concurrent_computation_calls={n_clients}",
        ]
        threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": str(n_threads)}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, open as long as the worker runs
        # with the terminal's pipes it would hold up whoever reads them, were it left behind
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **threads},
            start_new_session=True,  # an interrupt lets the round end first
        )
        self._channel = grpc.insecure_channel(f"localhost:{port}", _OPTIONS)
        try:
            self._await_start(port)
        except BaseException:
            self.close()
            raise
        self.context = self._new_context()

    def _await_start(self, port: int) -> None:
        """Returns once the program listens.

        `grpc.channel_ready_future` would watch the channel; see `_UnwatchedChannel`.
        """
        limit = time.monotonic() + _START_SECONDS
        while True:
            try:
                return socket.create_connection(("localhost", port), timeout=1.0).close()
            except OSError:
                if not self.is_alive or time.monotonic() > limit:
                    raise self.death("did not start") from None
            time.sleep(_POLL_SECONDS)

    def _new_context(self) -> tff.framework.SyncContext:
        return tff.framework.SyncExecutionContext(
            _OneExecutor(_Stub(self._channel, self)),
            tff.backends.native.desugar_and_transform_to_native,
            transform_args=_arrays,
        )

    @property
    def is_alive(self) -> bool:
        """Whether the program runs."""
        return self._process.poll() is None

    def failure(self, error: grpc.RpcError) -> TrainingError:
        """Returns the error of a call that failed."""
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)  # the connection is lost a moment before
        if not self.is_alive:
            return self.death("ended")
        return TrainingError(f"A computation failed in TensorFlow Federated: {error.details()}")

    def death(self, what: str) -> TrainingError:
        """Returns the error of a program that ended, with the last lines it wrote."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-5:]
        return TrainingError(
            f"The worker of TensorFlow Federated {what} (exit code {self._process.poll()}; -9 is "
            "that of a process that was killed, as when memory runs out). Its last words: "
            + ("; ".join(lines) or "none")
        )

    def close(self) -> None:
        """Ends the program."""
        self._channel.close()
        self._process.kill()
        self._process.wait()
        self._log.close()


def _arrays(arguments: Any) -> Any:
    """Arguments as the connection takes them: arrays in place of tensors."""
    return tf.nest.map_structure(lambda v: v.numpy() if tf.is_tensor(v) else v, arguments)


class _OneExecutor(tff.framework.ExecutorFactory):
    """Makes the worker's executor for a number of clients, and ends the one before.

    TFF's own keeps one for each number of clients that ever took part, and with every one of them
    what the worker needed for so many.
    """

    def __init__(self, stub: tff.framework.RemoteExecutorStub) -> None:
        self._stub = stub
        self._executor: tff.framework.RemoteExecutor | None = None
        self._cardinalities: Mapping[Any, int] = {}

    def create_executor(self, cardinalities: Mapping[Any, int]) -> tff.framework.RemoteExecutor:
        """One for so many clients."""
        cardinalities = {tff.CLIENTS: 0, **cardinalities}
        if self._executor is None or cardinalities != self._cardinalities:
            self.clean_up_executor(self._cardinalities)
            executor = tff.framework.RemoteExecutor(self._stub, dispose_batch_size=1)
            executor.set_cardinalities(cardinalities)
            self._executor, self._cardinalities = executor, cardinalities
        return self._executor

    def clean_up_executor(self, cardinalities: Mapping[Any, int]) -> None:
        """Ends it."""
        del cardinalities  # there is one
        if self._executor is not None:
            self._executor.close()
            self._executor = None


class _UnwatchedChannel:
    """A channel that makes calls, and whose connectivity nobody watches.

    TFF's stub subscribes to its channel for good, so that a thread of gRPC's polls it five times a
    second. Closing the channel does not wait for this thread: it polled a closed channel at times,
    and ended with "Cannot invoke RPC: Channel closed!".
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.unary_unary = channel.unary_unary

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        """Does nothing: a call that fails says that the worker ended."""
        del callback, try_to_connect


class _Stub(tff.framework.RemoteExecutorGrpcStub):
    """Fails where TFF would repeat a call forever: a dead worker stays dead, a bug a bug."""

    def __init__(self, channel: grpc.Channel, worker: Worker) -> None:
        super().__init__(_UnwatchedChannel(channel))
        self._worker = worker


def _once(name: str) -> Any:
    call = getattr(tff.framework.RemoteExecutorGrpcStub, name)

    def call_once(self: _Stub, request: Any) -> Any:
        try:
            return call(self, request)
        except grpc.RpcError as error:
            raise self._worker.failure(error) from error

    return call_once


for _name in (
    "get_executor",
    "create_value",
    "create_struct",
    "create_call",
    "create_selection",
    "compute",
):
    setattr(_Stub, _name, _once(_name))
