"""The backend that runs rounds on TensorFlow Federated in an environment of its own."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

import tensorflow as tf

from federated.backends.messages import pack_broadcast
from federated.backends.piped.frames import Frame, raise_error, read_frame, write_frame
from federated.backends.piped.serve import INSECURE
from federated.backends.tff_environment import prepare_command
from federated.core.algorithm import FederatedAlgorithm, State
from federated.core.backend import RoundResult
from federated.core.sampling import Participant
from federated.core.scaling import Scaling
from federated.core.structure import put_together
from federated.data.client_store import ClientStore
from tfcluster.errors import TrainingError

_END_SECONDS = 20.0  # until a process that does not end is killed


class PipedBackend:
    """Runs rounds in another process, of TensorFlow Federated's Python; see `piped.serve`.

    State and participants go over a pipe, the clients' samples do not: the process reads them where
    they lie. It belongs inside `backend_processes`, which ends it if this process cannot.

    Args:
      clients: Samples of each.
      n_workers: Clients at work at a time.
      insecure_worker: Whether TFF's worker may be reached over the network where the system does
        not permit a network of its own.

    Raises:
      InputError: If the environment cannot be made, or the system does not permit isolating it.
      TrainingError: If the process does not start.
    """

    def __init__(
        self, clients: ClientStore, n_workers: int = 1, insecure_worker: bool = False
    ) -> None:
        self._clients = clients
        self._process: _Process | None = None
        folder = clients.folder.resolve()
        command, self._variables = prepare_command("federated.backends.piped.serve", folder)
        self._command = [*command, *([INSECURE] if insecure_worker else [])]
        self._settings = {
            "folder": str(folder),
            "workers": n_workers,
            # as many threads as this process has, so that backends can be compared
            "threads": tf.config.threading.get_inter_op_parallelism_threads(),
        }
        self._started()
        # its worker is built without support for GPUs
        logging.getLogger("federated").info("Clients compute on CPU.")

    def run_round(
        self, algorithm: FederatedAlgorithm, state: State, participants: Sequence[Participant]
    ) -> RoundResult:
        """Runs one round; see `Backend`.

        Raises:
          InputError: If the algorithm is none of `federated`.
          TrainingError: If a client, the worker or the process fails.
        """
        arrays, facts = pack_broadcast(algorithm, state)
        given = [(int(each.client), int(each.seed)) for each in participants]
        found, values = self._started().ask(Frame({**facts, "participants": given}, arrays))
        tensors = [tf.constant(value) for value in values]
        n_metrics = len(found["metrics"])
        n_state = len(tensors) - n_metrics
        return RoundResult(
            put_together(algorithm.state_type, tensors[:n_state], found["layout"]),
            dict(zip(found["metrics"], tensors[n_state:], strict=True)),
            found["left_out"],
            found["bytes_up"],
        )

    def scale_samples(self, scaling: Scaling) -> None:
        """Makes every client scale its own samples; see `Backend`."""
        self._clients.scale(scaling)

    def close(self) -> None:
        """Ends the process, and what it started."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _started(self) -> _Process:
        """Returns the process: a new one, if the one before was lost."""
        if self._process is None or not self._process.is_open:
            self._process = _Process(self._command, self._variables)
            self._process.ask(Frame(self._settings))
        return self._process


class _Process:
    """A process that answers frames, and ends with this one.

    Args:
      command: Python and what it runs.
      variables: Its environment.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, open as long as the process runs
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=variables,
            start_new_session=True,  # an interrupt ends it through this process
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self.is_open = True

    def ask(self, request: Frame) -> Frame:
        """Returns the answer to a request; closes the process if there is none."""
        try:
            write_frame(self._requests, request)
            answer = read_frame(self._answers)
        except (EOFError, BrokenPipeError) as error:
            raise self._lost() from error
        except BaseException:  # an interrupt: the answer would be taken for the next request's
            self.close()
            raise
        raise_error(answer)
        return answer

    def _lost(self) -> TrainingError:
        """Closes the process; returns the error with the last lines it wrote."""
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-5:]
        self.close()
        return TrainingError(
            f"The process of TensorFlow Federated ended (exit code {code}; -9 is that of a process "
            "that was killed, e.g. when memory runs out). Its last words: "
            + ("; ".join(lines) or "none")
        )

    def close(self) -> None:
        """Ends the process."""
        self.is_open = False
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._log.close()
