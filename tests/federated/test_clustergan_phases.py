"""The phases of federated ClusterGAN: resumed runs, lost clusters, and the estimator they make."""

import dataclasses

import numpy as np
import pytest

from federated.algorithms.clustergan import AdversarialWork
from federated.backends.local import LocalBackend
from federated.core.rounds import Federation, RoundCheckpoint, run_phases
from federated.core.sampling import ClientSampler
from federated.phases.clustergan import (
    FederatedGANConfig,
    build_gan_phases,
    describe_cluster_use,
    match_to_codes,
)
from tests.federated.helpers import (
    MemoryClients,
    StopRun,
    assert_same_artifacts,
    run_locally,
    stop_after,
)
from tests.tfcluster.helpers import blobs
from tfcluster import ClusterGAN, InputError
from tfcluster.clustergan.networks import Networks
from tfcluster.config import GANConfig
from tfcluster.errors import TrainingError
from tfcluster.files import unpack_arrays

MODEL = GANConfig(networks="pendigits", n_noise=2, critic_steps=2, batch_size=16, steps=30)
SMALL = FederatedGANConfig(
    model=MODEL, generator="server", work=AdversarialWork(2, True), rounds=3, lloyd_rounds=4
)
X, _ = blobs(90)


def phases_of(config=SMALL):
    return build_gan_phases(6, 3, config, seed=5)


@pytest.fixture(scope="module")
def federation():
    """One backend for all tests, so that each algorithm is compiled once."""
    backend = LocalBackend(MemoryClients([X[:10], X[10:40], X[40:]]))
    return Federation(backend, ClientSampler(3, per_round=2, seed=2), ["a", "b", "c"])


@pytest.fixture(scope="module")
def whole(federation):
    return {
        standardize: run_phases(
            phases_of(dataclasses.replace(SMALL, standardize=standardize)), federation
        )
        for standardize in (False, True)
    }


def test_records_have_both_losses(whole):
    history = whole[False].history
    assert [r.phase for r in history[:4]] == 3 * ["adversarial"] + ["centroids"]
    assert all(set(r.losses) == {"loss", "critic_loss"} for r in history[:3])
    assert all(set(r.metrics) == {"n_samples"} for r in history[:3])


@pytest.mark.parametrize("standardize", [False, True])
def test_a_run_stopped_after_any_round_resumes_to_the_same_bits(
    tmp_path, federation, whole, standardize
):
    phases = phases_of(dataclasses.replace(SMALL, standardize=standardize))
    expected = whole[standardize]
    for n_rounds in range(1, len(expected.history) + 1):
        checkpoint = RoundCheckpoint(tmp_path / f"{n_rounds}.npz", {})
        stop = [stop_after(n_rounds)]
        with pytest.raises(StopRun):
            run_phases(phases, federation, callbacks=stop, checkpoint=checkpoint)
        resumed = run_phases(phases, federation, checkpoint=checkpoint)
        assert len(resumed.history) == len(expected.history)
        assert_same_artifacts(resumed.artifacts, expected.artifacts)


def test_standardized_samples_train_other_networks(whole):
    """And the phase that standardizes changes no participant's seed: the start is the same."""
    plain, standardized = (whole[key].artifacts for key in (False, True))
    assert standardized["standardizer/mean"].shape == (6,)
    assert standardized.keys() - plain.keys() == {"standardizer/mean", "standardizer/sd"}
    assert not np.array_equal(plain["critic/0"], standardized["critic/0"])
    seen = [
        [(r.participants, r.bytes_down) for r in whole[key].history if r.phase == "adversarial"]
        for key in (False, True)
    ]
    assert seen[0] == seen[1]


def test_a_server_that_diverges_is_noticed():
    """Its own steps are not validated as the clients' outputs are."""
    *_, phase, _ = phases_of()
    state = phase.begin({})
    metrics = {"loss": 1.0, "critic_loss": 2.0, "n_samples": np.float32(3)}
    assert phase.receive(0, state, metrics).state is state
    first, *others = state.generator
    state = state._replace(generator=(np.nan * first, *others))
    with pytest.raises(TrainingError, match="'adversarial' by round 1"):
        phase.receive(0, state, metrics)


def test_the_result_is_an_ordinary_clustergan(tmp_path):
    config = dataclasses.replace(SMALL, generator="clients")
    end = run_locally(phases_of(config), MemoryClients([X[:40], X[40:]]))
    weights = [unpack_arrays(name, end.artifacts) for name in Networks._fields]
    centroids = end.artifacts["centroids"]
    history = [record.flat() for record in end.history]
    gan = ClusterGAN.from_weights(weights, centroids, MODEL, random_state=5, history=history)
    labels = gan.predict(X)
    gan.save(tmp_path / "model.npz")
    loaded = ClusterGAN.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict(X), labels)
    assert not hasattr(loaded, "labels_")
    with pytest.raises(InputError, match="shapes"):
        ClusterGAN.from_weights(weights[::-1], centroids, MODEL)


def test_cluster_use_by_hand():
    """Shares 1/2, 1/4, 1/4 and 0: entropy 1.5 log 2."""
    found = describe_cluster_use(np.array([[2, 1, 0, 0], [0, 0, 1, 0]]))
    assert found["clusters_used"] == 3
    assert found["cluster_sizes"] == [2, 1, 1, 0]
    assert found["cluster_entropy"] == pytest.approx(1.5 * np.log(2))


def test_centroids_are_numbered_as_z_c():
    """z_n first, then z_c: the first centroid is most of cluster 1, the second of 0."""
    centroids = np.array([[7.0, 0.1, 0.8, 0.1], [8.0, 0.9, 0.1, 0.0], [9.0, 0.3, 0.3, 0.4]])
    np.testing.assert_array_equal(match_to_codes(centroids)[:, 0], [8.0, 7.0, 9.0])
    np.testing.assert_array_equal(match_to_codes(centroids[:, 1:])[:, 0], [0.9, 0.1, 0.3])


def test_rounds_that_a_config_leaves_out_are_the_protocols():
    model = dataclasses.replace(MODEL, steps=250)
    config = FederatedGANConfig(model=model)
    assert config.n_rounds == 3  # 250 steps by 100
    assert dataclasses.replace(config, work=AdversarialWork(10)).n_rounds == 25
    for asked in (0, 7):
        assert dataclasses.replace(config, rounds=asked).n_rounds == asked


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"generator": "client"}, "clients or server"),
        ({"centroids": "best"}, "lloyd"),
        ({"rounds": -1}, "`rounds` must be a whole number of at least 0"),
        ({"client_centroids": 0}, "`client_centroids` must be a whole number of at least 1"),
    ],
)
def test_mistakes(fields, words):
    with pytest.raises(InputError, match=words):
        FederatedGANConfig(**fields)
