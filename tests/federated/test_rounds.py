"""Runs of phases: records, checkpoints, and going on after any round."""

import numpy as np
import pytest

from federated.backends.local import LocalBackend
from federated.core.aggregation import FedAdam
from federated.core.local_training import LocalWork
from federated.core.rounds import Federation, RoundCheckpoint, run_phases
from federated.core.sampling import ClientSampler
from federated.phases.dec import FederatedDECConfig, clustering_phases, pretraining_phases
from tests.federated.helpers import MemoryClients, StopRun, assert_same_artifacts, stop_after
from tests.tfcluster.helpers import TINY, blobs
from tfcluster import InputError
from tfcluster.errors import TrainingError

X, _ = blobs(90)
PARTS = [X[:10], X[10:40], X[40:]]
SMALL = FederatedDECConfig(
    model=TINY,
    aggregation=FedAdam(),
    pretrain_rounds=4,
    pretraining=LocalWork(epochs=2, batch_size=16),
    lloyd_rounds=5,
    rounds=6,
    clustering=LocalWork(epochs=1, batch_size=16),
    rounds_per_update=2,
)
CLIENTS = MemoryClients(PARTS)


def phases_of(n_clusters=3):
    pretraining = pretraining_phases(6, SMALL, seed=5)
    return [*pretraining, *clustering_phases(6, n_clusters, SMALL, seed=5)]


@pytest.fixture(scope="module")
def backend():
    """One for all tests, so that each algorithm is compiled once."""
    return LocalBackend(CLIENTS)


@pytest.fixture
def run(backend):
    def phases_on_backend(*, sampler=None, **options):
        federation = Federation(backend, sampler or ClientSampler(3, seed=2), ["a", "b", "c"])
        return run_phases(phases_of(), federation, **options)

    return phases_on_backend


@pytest.fixture
def others():
    """Puts other samples in the clients' place."""
    yield CLIENTS.give
    CLIENTS.give(PARTS)


def test_a_run_stopped_after_any_round_resumes_to_the_same_bits(tmp_path, run):
    sampler = ClientSampler(3, per_round=2, dropout=0.2, seed=2)
    whole = run(sampler=sampler)
    for n_rounds in range(1, len(whole.history) + 1, 2):
        checkpoint = RoundCheckpoint(tmp_path / f"{n_rounds}.npz", {"run": 1})
        with pytest.raises(StopRun):
            run(sampler=sampler, checkpoint=checkpoint, callbacks=[stop_after(n_rounds)])
        resumed = run(sampler=sampler, checkpoint=checkpoint)
        assert len(resumed.history) == len(whole.history)
        assert_same_artifacts(resumed.artifacts, whole.artifacts)


def test_a_finished_run_is_not_begun_again(tmp_path, run):
    checkpoint = RoundCheckpoint(tmp_path / "c.npz", {})
    end = run(checkpoint=checkpoint)
    again = run(checkpoint=checkpoint, callbacks=[stop_after(1)])
    assert again.history == end.history
    np.testing.assert_array_equal(again.artifacts["clusters"], end.artifacts["clusters"])


def test_a_run_begins_where_another_ended(run, backend):
    """A pretraining serves several numbers of clusters, each as if it had a run of its own."""
    federation = Federation(backend, ClientSampler(3, seed=2), ["a", "b", "c"])
    shared = run_phases(pretraining_phases(6, SMALL, seed=5), federation)
    for n_clusters in (2, 3):
        begun = run_phases(phases_of(n_clusters), federation, start=shared)
        separate = run_phases(phases_of(n_clusters), federation)
        assert_same_artifacts(begun.artifacts, separate.artifacts)
        assert begun.history[: len(shared.history)] == shared.history
    assert "clusters" not in shared.artifacts


def test_checkpoints_of_other_runs_are_refused(tmp_path, run):
    checkpoint = RoundCheckpoint(tmp_path / "c.npz", {"data": "a"})
    with pytest.raises(StopRun):
        run(checkpoint=checkpoint, callbacks=[stop_after(2)])
    with pytest.raises(InputError, match="another run: data differ"):
        run(checkpoint=RoundCheckpoint(checkpoint.path, {"data": "b"}))
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        run(checkpoint=checkpoint)


def test_clients_with_numbers_that_are_not_finite_are_named(others, run):
    others([PARTS[0], np.full_like(PARTS[1], np.nan), PARTS[2]])
    assert [r.phase for r in run().history if r.left_out != ("b",)] == []
    others([np.full_like(PARTS[0], np.nan)] * 3)
    with pytest.raises(TrainingError, match="phase 'pretrain' by round 1"):
        run()


def test_a_client_that_fails_stops_the_run(tmp_path, others, run):
    checkpoint = RoundCheckpoint(tmp_path / "c.npz", {})
    with pytest.raises(StopRun):
        run(checkpoint=checkpoint, callbacks=[stop_after(3)])
    others([PARTS[0], PARTS[1][:, :5], PARTS[2]])
    with pytest.raises(TypeError, match="Can not cast") as caught:
        run(checkpoint=checkpoint)
    assert caught.value.__notes__ == ["This happened at client number 1."]
    others(PARTS)
    run(checkpoint=checkpoint)  # the checkpoint is whole


# Records.


def test_rounds_are_counted_in_their_phase(run):
    history = run().history
    for name in ("scaling", "pretrain", "centroids", "cluster"):
        records = [r for r in history if r.phase == name]
        assert [r.step for r in records] == list(range(1, len(records) + 1))
        assert all(r.of >= r.step and not r.is_last for r in records[:-1])
        assert all(r.is_last for r in records[-1:])
    assert {r.kind for r in history if r.phase == "pretrain"} == {"training"}
    assert [r.kind for r in history if r.phase == "centroids"][:2] == ["client centroids", "lloyd"]
    cluster = [r.kind for r in history if r.phase == "cluster"]
    assert cluster == ["target update", "training", "training", "target update"]
    assert [r.seconds for r in history] == sorted(r.seconds for r in history)
    assert all(r.backend == "local" and r.bytes_up > 0 < r.bytes_down for r in history)


def test_losses_are_of_training_rounds_and_nothing_else(run):
    for record in run().history:
        assert set(record.losses) == ({"loss"} if record.kind == "training" else set())
        assert "loss" not in record.metrics
        assert all(type(value) is float for value in record.losses.values())


def test_scores_are_exactly_those_of_the_scorer(tmp_path, run):
    """Nothing a round found becomes a score, also under the same name."""
    asked = []

    def scorer(phase, state, record):
        asked.append((phase.name, state, record))
        if phase.name != "cluster":
            return {}
        return {"accuracy": 0.1 * len(asked), "n_samples": -1, "cluster_sizes": [1, 2, 3]}

    checkpoint = RoundCheckpoint(tmp_path / "c.npz", {})
    end, plain = run(scorer=scorer, checkpoint=checkpoint), run()
    assert len(asked) == len(end.history) == len(plain.history)
    for number, (record, without) in enumerate(zip(end.history, plain.history, strict=True)):
        phase, state, before = asked[number]
        assert (phase, before.scores) == (record.phase, {})
        assert state is not None
        is_scored = record.phase == "cluster"
        found = {"accuracy": 0.1 * (number + 1), "n_samples": -1, "cluster_sizes": [1, 2, 3]}
        assert record.scores == (found if is_scored else {})
        assert without.scores == {}
        assert record.metrics == without.metrics
        assert record.losses == without.losses
    assert run(checkpoint=checkpoint).history == end.history
    assert [r.metrics["n_samples"] for r in end.history if r.kind == "target update"] == [90, 90]


def test_callbacks_come_after_the_checkpoint(tmp_path, run):
    checkpoint, seen = RoundCheckpoint(tmp_path / "c.npz", {}), []

    def look(record):
        assert checkpoint.restore(phases_of()).history[-1] == record

    end = run(checkpoint=checkpoint, callbacks=[seen.append, look])
    assert tuple(seen) == end.history
