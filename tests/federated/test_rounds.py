"""Stages of federated DEC, their records, and going on after any round."""

import dataclasses

import numpy as np
import pytest

from federated.backends.local import LocalCarrier
from federated.core.aggregation import aggregation
from federated.core.local_training import LocalWork
from federated.core.rounds import RoundCheckpoint, run_stages
from federated.core.sampling import Plan
from federated.phases.dec import FederatedDECConfig, dec_stages
from tests.federated.helpers import clients_of
from tests.tfcluster.helpers import TINY, TINY_LAYERWISE, blobs
from tfcluster import DEC, InputError
from tfcluster.dec.autoencoder import AutoencoderTrainer
from tfcluster.errors import TrainingError
from tfcluster.estimator import unnumbered

X, Y = blobs(n_rows=90)
PARTS = [X[:10], X[10:40], X[40:]]
SMALL = FederatedDECConfig(
    model=TINY,
    aggregation=aggregation("fedadam"),
    pretraining_rounds=4,
    pretraining=LocalWork(epochs=2, batch_size=16),
    lloyd_rounds=5,
    rounds=6,
    clustering=LocalWork(epochs=1, batch_size=16),
    rounds_per_exchange=2,
)


CLIENTS = clients_of(PARTS)


@pytest.fixture(scope="module")
def carrier():
    """One for all tests, so that each algorithm is compiled once."""
    return LocalCarrier(CLIENTS)


@pytest.fixture
def run(carrier):
    def stages_on_carrier(config=SMALL, *, plan=None, **kwargs):
        stages = dec_stages(6, 3, config, seed=5)
        return run_stages(stages, carrier, plan or Plan(3, seed=2), **kwargs)

    return stages_on_carrier


@pytest.fixture
def others():
    """Puts other rows in the clients' place."""
    yield lambda parts: CLIENTS.__setitem__(slice(None), clients_of(parts))
    CLIENTS[:] = clients_of(PARTS)


class Stop(Exception):
    pass


def stopping_after(n_records):
    seen = []

    def monitor(record):
        seen.append(record)
        if len(seen) == n_records:
            raise Stop

    return monitor


@pytest.mark.parametrize("model", [TINY, TINY_LAYERWISE], ids=["end to end", "layer-wise"])
def test_all_stages_in_order(model, run):
    config = dataclasses.replace(SMALL, model=model, pretraining_rounds=8)
    kept, history = run(config)
    phases = list(dict.fromkeys(record["phase"] for record in history))
    first = ["pretrain"] if model is TINY else ["layer 1", "layer 2", "finetune"]
    assert phases == [*first, "centroids", "cluster"]
    assert sum(r["phase"] in first for r in history) == 8
    for phase in phases:
        assert [r["step"] for r in history if r["phase"] == phase] == list(
            range(1, 1 + sum(r["phase"] == phase for r in history))
        )
    cluster = [r for r in history if r["phase"] == "cluster"]
    # exchange, two rounds of training, exchange: it ends with one
    assert ["clusters_used" in r for r in cluster] == [True, False, False, True]
    assert all(r["clients"] == 3 and r["left_out"] == [] for r in history)
    assert all(np.isfinite(value).all() for value in kept.values())


def test_layers_are_trained_where_they_stand(carrier):
    """Every layer's weights move in its own stage, and all of them when the whole is trained."""
    start = AutoencoderTrainer(6, TINY_LAYERWISE)
    start.reset(5)
    before = start.autoencoder.get_weights()
    config = dataclasses.replace(SMALL, model=TINY_LAYERWISE, pretraining_rounds=8)
    stages, after, moved = dec_stages(6, 3, config, seed=5)[:3], {}, []
    history = []
    for i in range(1, 4):
        after, history = run_stages(stages[:i], carrier, Plan(3, seed=2))
        now = [*unnumbered("encoder", {**_start(before), **after})]
        now += unnumbered("decoder", {**_start(before), **after})
        moved.append([not np.array_equal(a, b) for a, b in zip(before, now, strict=True)])
    assert [r["phase"] for r in history].count("layer 2") > 0
    # encoder 1, encoder 2, decoder 2, decoder 1, kernel and bias each
    assert moved[0] == [True, True, False, False, False, False, True, True]
    assert moved[1] == [True] * 8
    assert moved[2] == [True] * 8


def _start(weights):
    encoder, decoder = weights[:4], weights[4:]
    return {f"encoder/{i}": w for i, w in enumerate(encoder)} | {
        f"decoder/{i}": w for i, w in enumerate(decoder)
    }


def test_a_run_stopped_after_any_round_goes_on_to_the_same_bits(tmp_path, run):
    plan = Plan(3, per_round=2, dropout=0.2, seed=2)
    whole, history = run(plan=plan)
    for n_rounds in range(1, len(history) + 1, 2):
        keeper = RoundCheckpoint(tmp_path / f"{n_rounds}.npz", {"run": 1})
        with pytest.raises(Stop):
            run(plan=plan, checkpoint=keeper, monitor=stopping_after(n_rounds))
        kept, resumed = run(plan=plan, checkpoint=keeper)
        assert len(resumed) == len(history)
        for name, value in whole.items():
            np.testing.assert_array_equal(kept[name], value, err_msg=f"{name} after {n_rounds}")


def test_a_finished_run_is_not_begun_again(tmp_path, run):
    keeper = RoundCheckpoint(tmp_path / "c.npz", {})
    kept, history = run(checkpoint=keeper)
    again, same = run(checkpoint=keeper, monitor=stopping_after(1))
    assert same == history
    np.testing.assert_array_equal(again["clusters"], kept["clusters"])


def test_checkpoints_of_other_runs_are_refused(tmp_path, run):
    keeper = RoundCheckpoint(tmp_path / "c.npz", {"data": "a"})
    with pytest.raises(Stop):
        run(checkpoint=keeper, monitor=stopping_after(2))
    with pytest.raises(InputError, match="another run: data differ"):
        run(checkpoint=RoundCheckpoint(keeper.path, {"data": "b"}))
    keeper.path.write_bytes(keeper.path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        run(checkpoint=keeper)


def test_clients_with_numbers_that_are_not_finite_are_named(others, run):
    others([PARTS[0], np.full_like(PARTS[1], np.nan), PARTS[2]])
    _, history = run(names=["a", "b", "c"])
    assert [r["phase"] for r in history if r["left_out"] != ["b"]] == []
    others([np.full_like(PARTS[0], np.nan)] * 3)
    with pytest.raises(TrainingError, match="phase 'pretrain' by round 1"):
        run()


def test_a_client_that_fails_stops_the_run(tmp_path, others, run):
    keeper = RoundCheckpoint(tmp_path / "c.npz", {})
    with pytest.raises(Stop):
        run(checkpoint=keeper, monitor=stopping_after(3))
    others([PARTS[0], PARTS[1][:, :5], PARTS[2]])
    with pytest.raises(TypeError, match="Can not cast") as caught:
        run(checkpoint=keeper)
    assert caught.value.__notes__ == ["This happened at client number 1."]
    others(PARTS)
    run(checkpoint=keeper)  # what was kept is whole


def test_it_stops_where_labels_stay(run):
    model = dataclasses.replace(TINY, tol=1.0)
    _, history = run(dataclasses.replace(SMALL, model=model))
    cluster = [r for r in history if r["phase"] == "cluster"]
    assert len(cluster) == 4 and cluster[-1]["converged"]  # the second exchange


def test_the_result_is_an_ordinary_dec(tmp_path, run):
    kept, history = run()
    dec = DEC.from_weights(
        unnumbered("encoder", kept),
        unnumbered("decoder", kept),
        kept["clusters"],
        TINY,
        history=history,
    )
    dec.save(tmp_path / "m.npz")
    loaded = DEC.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.predict(X), dec.predict(X))
    assert loaded.reconstruct(X).shape == X.shape
    with pytest.raises(InputError, match="shapes"):
        DEC.from_weights(unnumbered("encoder", kept)[1:], [], kept["clusters"], TINY)


@pytest.mark.parametrize(
    "centroids", ["k_fed", "max_min", "double_kmeans", "random", "random_weighted"]
)
def test_centres_from_one_round(centroids, run):
    config = dataclasses.replace(SMALL, centroids=centroids, rounds=0, client_centers=3)
    kept, history = run(config)
    assert [r["phase"] for r in history].count("centroids") == 1
    assert kept["initial_centers"].shape == (3, 3)
    assert "clusters" not in kept or np.array_equal(kept["clusters"], kept["initial_centers"])


def test_mistakes():
    with pytest.raises(InputError, match="rounds_per_exchange"):
        dataclasses.replace(SMALL, rounds_per_exchange=0)
    with pytest.raises(InputError, match="`rounds` must not be negative"):
        dataclasses.replace(SMALL, rounds=-1)
    with pytest.raises(InputError, match="lloyd or k_fed"):
        dataclasses.replace(SMALL, centroids="best")
