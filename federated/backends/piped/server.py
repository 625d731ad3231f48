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
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from federated.backends.messages import unpack_broadcast
from federated.backends.piped.frames import Frame, read_frame, write_frame
from federated.backends.processes import backend_processes
from federated.core.algorithm import FederatedAlgorithm, State
from federated.core.backend import Backend
from federated.core.sampling import Participant
from federated.core.structure import take_apart
from federated.data.client_store import ClientStore
from tfcluster.errors import InputError, TrainingError
from tfcluster.runtime import set_threads


def serve(refusal: InputError | None) -> None:
    """Answers what comes on standard input, until it ends.

    Args:
      refusal: Why this process could not be isolated from the network, if it could not.
    """
    requests, answers = _take_standard_streams()
    with contextlib.suppress(EOFError, BrokenPipeError), contextlib.ExitStack() as stack:
        stack.callback(_watch(requests).set)
        backend: Backend | None = None
        while True:
            request = read_frame(requests)
            try:
                if backend is None:
                    backend = _open_backend(request.facts, refusal, stack)
                    answer = Frame({})
                else:
                    answer = _run_round(backend, request)
            except Exception as error:
                answer = Frame({"error": _describe(error)})
            write_frame(answers, answer)


def _take_standard_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Returns standard input and output, and leaves libraries neither."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


def _open_backend(
    settings: Mapping[str, Any], refusal: InputError | None, stack: contextlib.ExitStack
) -> Backend:
    """Returns TFF's backend, open as long as the stack is."""
    if refusal and not settings["insecure_worker"]:
        raise refusal
    from federated.backends.tff.backend import TFFBackend  # takes seconds, which a refusal need not

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


def _describe(error: Exception) -> dict[str, str]:
    """Returns an error as `PipedBackend` raises it again."""
    if isinstance(error, (InputError, TrainingError)):
        return {"kind": type(error).__name__, "message": str(error)}
    traceback.print_exc(file=sys.stderr)
    return {"kind": TrainingError.__name__, "message": f"{type(error).__name__}: {error}"}
