"""The backend that runs rounds on TensorFlow Federated's runtime, in a worker program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.backends.tff.process import FilesInput, Round, build_round, state_signature
from federated.backends.tff.worker import Worker
from federated.core.algorithm import FederatedAlgorithm, State
from federated.core.backend import RoundResult
from federated.core.sampling import Participant
from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore


class TFFBackend:
    """Runs clients in TFF's worker program, which reads their samples by itself.

    The worker starts with the first round. Nothing of TFF's global state is changed. Rounds belong
    inside `backend_processes`, which ends the worker if this process cannot.

    Args:
      clients: Samples of each.
      n_workers: Clients at work at a time.
    """

    def __init__(self, clients: ClientStore, n_workers: int = 1) -> None:
        self._clients = clients
        self._n_workers = n_workers
        self._worker: Worker | None = None
        self._rounds: dict[Any, Round] = {}

    def run_round(
        self, algorithm: FederatedAlgorithm, state: State, participants: Sequence[Participant]
    ) -> RoundResult:
        """Runs one round; see `Backend`.

        Raises:
          TrainingError: If a client or the worker fails.
        """
        worker = self._started()
        arrays = tf.nest.map_structure(np.asarray, state)
        folder = self._clients.folder.resolve()
        clients = [
            FilesInput(str(folder / str(participant.client)), np.int32(participant.seed))
            for participant in participants
        ]
        compiled = self._compiled(algorithm, arrays)
        with tff.framework.get_context_stack().install(worker.context):
            result = compiled.next(arrays, clients)
        pairs = zip(participants, result.is_finite, strict=True)
        return RoundResult(
            tf.nest.map_structure(tf.convert_to_tensor, result.state),
            {name: tf.convert_to_tensor(value) for name, value in result.metrics.items()},
            [participant.client for participant, is_finite in pairs if not is_finite],
            len(participants) * compiled.bytes_up,
        )

    def scale_samples(self, scaling: Scaling) -> None:
        """Makes every client scale its own samples; see `Backend`."""
        self._clients.scale(scaling)

    def _started(self) -> Worker:
        if self._worker is None:
            # as many threads as this process has, so that backends can be compared
            n_threads = tf.config.threading.get_inter_op_parallelism_threads()
            self._worker = Worker(self._n_workers, n_threads or self._n_workers)
        return self._worker

    def _compiled(self, algorithm: FederatedAlgorithm, state: State) -> Round:
        key = (algorithm, state_signature(state))
        if key not in self._rounds:
            self._rounds[key] = build_round(algorithm, state, "files")
        return self._rounds[key]

    def close(self) -> None:
        """Ends the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
