"""Answers rounds on TensorFlow Federated over a pipe.

`PipedBackend` writes frames to standard input: first the clients' folder and the numbers of workers
and threads, then one for each round. Each is answered by a frame on standard output; output of
libraries goes to standard error. The process ends with its standard input, even in the middle of a
round, and TFF's worker with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from federated.backends.messages import unpack_broadcast
from federated.backends.piped.frames import Frame, describe_error, read_frame, write_frame
from federated.backends.processes import backend_processes
from federated.core.algorithm import FederatedAlgorithm, State
from federated.core.backend import Backend
from federated.core.sampling import Participant
from federated.core.structure import take_apart
from federated.data.client_store import ClientStore
from tfcluster.errors import InputError
from tfcluster.runtime import set_threads


def serve() -> None:
    """Answers what comes on standard input, until it ends."""
    requests, answers = _take_standard_streams()
    ending = _watch(requests)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(EOFError, BrokenPipeError):
            _answer_all(requests, answers, stack)
        ending.set()


def _answer_all(requests: IO[bytes], answers: IO[bytes], stack: contextlib.ExitStack) -> None:
    backend: Backend | None = None
    while True:
        request = read_frame(requests)
        try:
            if backend is None:
                backend = _open_backend(request.facts, stack)
                answer = Frame({})
            else:
                answer = _run_round(backend, request)
        except Exception as error:
            traceback.print_exc()  # to the log
            answer = describe_error(error)
        write_frame(answers, answer)


def _take_standard_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Returns standard input and output, and leaves libraries neither."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


def _open_backend(settings: Mapping[str, Any], stack: contextlib.ExitStack) -> Backend:
    """Returns TFF's backend, open as long as the stack is."""
    from federated.backends.tff.backend import TFFBackend  # the end of the pipe is watched already

    if settings["threads"]:
        set_threads(settings["threads"])
    stack.enter_context(backend_processes())  # ends TFF's worker if this process is killed
    clients = ClientStore(Path(settings["folder"]))
    return stack.enter_context(contextlib.closing(TFFBackend(clients, settings["workers"])))


def _run_round(backend: Backend, request: Frame) -> Frame:
    algorithm, state = _unpack(request)
    participants = [Participant(*each) for each in request.facts["participants"]]
    result = backend.run_round(algorithm, state, participants)
    tensors, layout = take_apart(result.state)
    facts = {
        "layout": layout,
        "metrics": list(result.metrics),
        "left_out": result.left_out,
        "bytes_up": result.bytes_up,
    }
    return Frame(facts, [np.asarray(tensor) for tensor in (*tensors, *result.metrics.values())])


def _unpack(request: Frame) -> tuple[FederatedAlgorithm, State]:
    try:
        return unpack_broadcast(request.arrays, request.facts)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"The algorithm cannot be run in TensorFlow Federated's environment: {error}"
        ) from error


def _watch(requests: IO[bytes]) -> threading.Event:
    """Ends this process soon after the other end of the pipe is closed, or its parent has ended.

    Returns:
      To be set when it ends by itself.
    """
    ending, parent = threading.Event(), os.getppid()

    def wait() -> None:
        pipe = select.poll()
        pipe.register(requests, 0)  # which reports that it was closed, and nothing else
        # the parent too, for a forked copy of it would keep the pipe open
        while not pipe.poll(1000) and os.getppid() == parent:
            pass
        if not ending.wait(1.0):
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    return ending
