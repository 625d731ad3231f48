"""The phases of federated DEC: their order, what each trains, and when they end."""

import dataclasses

import numpy as np
import pytest

from federated.backends.local import LocalBackend
from federated.core.rounds import Federation, run_phases
from federated.core.sampling import ClientSampler
from federated.phases.dec import FederatedDECConfig, clustering_phases, pretraining_phases
from tests.federated.helpers import MemoryClients
from tests.federated.test_rounds import PARTS, SMALL, X
from tests.tfcluster.helpers import TINY, TINY_LAYERWISE
from tfcluster import DEC, InputError
from tfcluster.config import DECConfig
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.files import pack_arrays, unpack_arrays


@pytest.fixture(scope="module")
def federation():
    """One backend for all tests, so that each algorithm is compiled once."""
    return Federation(LocalBackend(MemoryClients(PARTS)), ClientSampler(3, seed=2), ["a", "b", "c"])


def phases_of(config):
    return [*pretraining_phases(6, config, seed=5), *clustering_phases(6, 3, config, seed=5)]


@pytest.mark.parametrize("model", [TINY, TINY_LAYERWISE], ids=["end to end", "layer-wise"])
def test_all_phases_in_order(model, federation):
    config = dataclasses.replace(SMALL, model=model, pretrain_rounds=8)
    end = run_phases(phases_of(config), federation)
    history = end.history
    names = list(dict.fromkeys(record.phase for record in history))
    scaling = [] if model is TINY else ["scaling"]
    first = ["pretrain"] if model is TINY else ["layer 1", "layer 2", "finetune"]
    assert names == [*scaling, *first, "centroids", "cluster"]
    assert sum(r.phase in first for r in history) == 8
    for name in names:
        assert [r.step for r in history if r.phase == name] == list(
            range(1, 1 + sum(r.phase == name for r in history))
        )
    cluster = [r for r in history if r.phase == "cluster"]
    # a target update, two rounds of training, a target update: the phase ends with one
    assert ["clusters_used" in r.metrics for r in cluster] == [True, False, False, True]
    assert ["changed" in r.metrics for r in cluster] == [False, False, False, True]
    assert all(r.participants == 3 and r.left_out == () for r in history)
    assert all(np.isfinite(value).all() for value in end.artifacts.values())


def test_layers_are_trained_where_they_stand(federation):
    """Every layer's weights move in its own phase, and all of them when the whole is trained."""
    start = AutoencoderTrainer(6, TINY_LAYERWISE)
    start.reset(5)
    before = start.autoencoder.get_weights()
    config = dataclasses.replace(SMALL, model=TINY_LAYERWISE, pretrain_rounds=8)
    scaling, *layers = pretraining_phases(6, config, seed=5)
    assert (scaling.name, len(layers)) == ("scaling", 3)
    moved = []
    for i in range(1, 4):
        end = run_phases([scaling, *layers[:i]], federation)
        known = {**pack_arrays("encoder", before[:4]), **pack_arrays("decoder", before[4:])}
        known |= end.artifacts
        now = [*unpack_arrays("encoder", known), *unpack_arrays("decoder", known)]
        moved.append([not np.array_equal(a, b) for a, b in zip(before, now, strict=True)])
    assert [r.phase for r in end.history].count("layer 2") > 0
    # encoder 1, encoder 2, decoder 2, decoder 1, kernel and bias each
    assert moved[0] == [True, True, False, False, False, False, True, True]
    assert moved[1] == [True] * 8
    assert moved[2] == [True] * 8


def test_the_run_ends_where_labels_stay(federation):
    model = dataclasses.replace(TINY, tol=1.0)
    history = run_phases(phases_of(dataclasses.replace(SMALL, model=model)), federation).history
    cluster = [r for r in history if r.phase == "cluster"]
    assert len(cluster) == 4 and cluster[-1].converged  # the second target update


@pytest.mark.parametrize(("asked", "taken"), [(0, 0), (1, 1), (2, 3), (4, 5), (21, 21)])
def test_clustering_ends_with_a_target_update(asked, taken):
    config = FederatedDECConfig(rounds=asked, model=DECConfig(dims=(3,)))
    assert clustering_phases(4, 2, config, seed=0)[-1].n_rounds == taken


def test_records_hold_the_soft_cluster_frequencies(federation):
    history = run_phases(phases_of(SMALL), federation).history
    found = [r.metrics["frequencies"] for r in history if r.kind == "target update"]
    assert len(found) == 2
    assert all(len(f) == 3 and sum(f) == pytest.approx(90, abs=0.01) for f in found)


def test_the_result_is_an_ordinary_dec(tmp_path, federation):
    end = run_phases(phases_of(SMALL), federation)
    found = end.artifacts
    dec = DEC.from_weights(
        unpack_arrays("encoder", found),
        unpack_arrays("decoder", found),
        found["clusters"],
        TINY,
        history=[record.flat() for record in end.history],
    )
    dec.save(tmp_path / "m.npz")
    loaded = DEC.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.predict(X), dec.predict(X))
    assert loaded.reconstruct(X).shape == X.shape
    with pytest.raises(InputError, match="shapes"):
        DEC.from_weights(unpack_arrays("encoder", found)[1:], [], found["clusters"], TINY)


@pytest.mark.parametrize(
    "centroids", ["k_fed", "max_min", "double_kmeans", "random", "random_weighted"]
)
def test_centroids_from_one_round(centroids, federation):
    config = dataclasses.replace(SMALL, centroids=centroids, rounds=0, client_centroids=3)
    end = run_phases(phases_of(config), federation)
    assert [r.phase for r in end.history].count("centroids") == 1
    initial = end.artifacts["initial_centroids"]
    assert initial.shape == (3, 3)
    np.testing.assert_array_equal(end.artifacts["clusters"], initial)


def test_rounds_that_a_config_leaves_out_are_the_protocols():
    assert FederatedDECConfig().n_pretrain_rounds == 100  # 200 passes, two a round
    for asked in (0, 7):
        assert FederatedDECConfig(pretrain_rounds=asked).n_pretrain_rounds == asked


def test_mistakes():
    with pytest.raises(InputError, match="rounds_per_update"):
        dataclasses.replace(SMALL, rounds_per_update=0)
    for name in ("rounds", "pretrain_rounds", "lloyd_rounds"):
        with pytest.raises(InputError, match=f"`{name}` must be a whole number, not negative"):
            dataclasses.replace(SMALL, **{name: -1})
    with pytest.raises(InputError, match="lloyd or k_fed"):
        dataclasses.replace(SMALL, centroids="best")


def test_too_few_client_centroids_are_told_before_the_run():
    config = FederatedDECConfig(centroids="k_fed")
    search = config.search(10, seed=0)
    assert search.n_sent == 4  # the root of 10, rounded up
    search.check([9, 9, 9])
    with pytest.raises(InputError, match=r"the 8 that 2 clients.*client_centroids=10"):
        search.check([9, 9])
    with pytest.raises(InputError, match="the 8 that 3 clients"):
        search.check([2, 2, 100])  # a client sends no more centroids than it has samples
