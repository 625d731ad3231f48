"""Clients scale by sums over all of them, as scikit-learn scales the pooled samples."""

import contextlib
import dataclasses
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.metrics import normalized_mutual_info_score
from sklearn.preprocessing import StandardScaler

from federated.algorithms.moments import Moments
from federated.backends.local import LocalBackend
from federated.core import sums as parts
from federated.core.local_training import LocalWork
from federated.core.rounds import Federation, RoundCheckpoint, run_phases
from federated.core.sampling import ClientSampler
from federated.core.scaling import Scaling
from federated.data.client_store import ClientStore
from federated.data.federated_dataset import PartitionConfig, load_federated_dataset
from federated.estimators.kmeans import FederatedKMeans
from federated.phases.dec import FederatedDECConfig, clustering_phases, pretraining_phases
from federated.phases.scaling import build_scaling_phases
from tests.federated.helpers import (
    MemoryClients,
    StopRun,
    assert_same_artifacts,
    run_locally,
    stop_after,
)
from tests.tfcluster.helpers import blobs
from tfcluster import load_data
from tfcluster.config import LayerWise, from_dict, get_dec_config, to_dict
from tfcluster.data.loading import load_groups
from tfcluster.errors import InputError
from tfcluster.scaling import Standardizer

FOLDER = os.environ.get("TFCLUSTER_DATA")
real = pytest.mark.skipif(not FOLDER, reason="TFCLUSTER_DATA names no folder of data sets")


def table(n: int = 200, seed: int = 0) -> np.ndarray:
    """Columns of all kinds: plain, far off, constant, sparse, without values; a tenth missing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    x[:, 1] = 1e4 + x[:, 1] / 4
    x[:, 2] = 0.1
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 3] = np.where(np.arange(n) == n - 1, 5.0, np.nan)
    x[:, 4] = np.nan
    return x.astype(np.float32)


def centralized(x: np.ndarray) -> np.ndarray:
    filled = SimpleImputer(keep_empty_features=True).fit_transform(x.astype(np.float64))
    return StandardScaler().fit_transform(filled).astype(np.float32)


def find_scaling(clients: list[np.ndarray], **options) -> Scaling:
    phases = build_scaling_phases(clients[0].shape[1], **{"standardize": False, **options})
    return Scaling.from_artifacts(run_locally(phases, MemoryClients(clients)).artifacts)


def find_standardizer(clients: list[np.ndarray]) -> Standardizer:
    found = find_scaling(clients, standardize=True)
    assert found.factor == 1.0
    return found.standardizer


def assert_scales_as_pooled(x: np.ndarray, clients: list[np.ndarray], expected: np.ndarray):
    found = find_standardizer(clients)(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ends", [[], [7, 50, 50, 51], range(1, 200)])
def test_equal_to_scikit_learn_on_the_pooled_samples(ends):
    x = table()
    assert_scales_as_pooled(x, np.split(x, list(ends)), centralized(x))


def test_samples_are_summed_in_parts(monkeypatch):
    monkeypatch.setattr(parts, "_PART_NUMBERS", 7 * 6)
    test_equal_to_scikit_learn_on_the_pooled_samples([50])


def test_by_hand():
    # A column with 1, 3 and a missing value: mean 2, deviations -1, 1 and 0 over three samples.
    x = np.array([[1, np.nan, 7], [3, np.nan, 7], [np.nan, np.nan, 7]], np.float32)
    found = find_standardizer([x[:1], x[1:]])
    np.testing.assert_allclose(found.mean, [2, 0, 7])
    np.testing.assert_allclose(found.sd, [np.sqrt(2 / 3), 1, 1])
    expected = np.array([[-1, 0, 0], [1, 0, 0], [0, 0, 0]]) * np.sqrt(1.5)
    np.testing.assert_allclose(found(x), expected, rtol=1e-6)


numbers = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32))
tables = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(numbers, numbers), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)


@pytest.fixture(scope="module")
def by_one_backend():
    """Finds standardizers by one backend, so that the rounds are compiled once."""
    clients = MemoryClients([])
    backend, phases = LocalBackend(clients), build_scaling_phases(2, standardize=True)

    def found(*samples: np.ndarray) -> Standardizer:
        clients.give(samples)
        federation = Federation(backend, ClientSampler(len(samples)), list("abcd"))
        return Scaling.from_artifacts(run_phases(phases, federation).artifacts).standardizer

    yield found
    backend.close()


@settings(max_examples=60, deadline=None)
@given(drawn=tables)
def test_any_split_scales_as_the_pooled_samples(by_one_backend, drawn):
    x, owners = np.array(drawn[0], np.float32), np.array(drawn[1])
    pooled, split = by_one_backend(x), by_one_backend(*(x[owners == i] for i in range(4)))
    scale = np.max(np.nan_to_num(np.abs(x)), axis=0, initial=1.0)
    np.testing.assert_allclose(split.mean, pooled.mean, atol=1e-12 * scale.max())
    # where all that differs in a column is rounding, its spread is that of rounding
    steady = (pooled.sd > 1e-9 * scale) & (split.sd > 1e-9 * scale)
    np.testing.assert_allclose(split.sd[steady], pooled.sd[steady], rtol=1e-6)


def test_rms_is_the_scale_of_a_centralized_fit():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(100, 7)).astype(np.float32)
    found = find_scaling(np.split(x, [3, 60]), scaling="rms")
    assert found.standardizer is None
    expected = 1 / np.sqrt(np.mean(np.square(x, dtype=np.float64)))
    assert found.factor == pytest.approx(expected, rel=1e-12)
    assert np.mean(np.square(found.factor * x)) == pytest.approx(1, rel=1e-6)
    with pytest.raises(InputError, match="values other than 0"):
        find_scaling([np.zeros((2, 2), np.float32)], scaling="rms")


def test_rms_is_found_among_standardized_samples():
    x = table()
    clients = MemoryClients(np.split(x, [20, 90]))
    artifacts = run_locally(
        build_scaling_phases(6, standardize=True, scaling="rms"), clients
    ).artifacts
    rms = np.sqrt(np.mean(np.square(centralized(x), dtype=np.float64)))
    assert float(artifacts["scale"]) == pytest.approx(1 / rms, rel=1e-6)


def test_mistakes():
    x = table()
    wrong = [x[:50], x[50:], np.full((1, 6), np.inf, np.float32)]
    for options in ({"standardize": True}, {"scaling": "rms"}):
        with pytest.raises(InputError, match="infinite values of client 2"):
            find_scaling(wrong, **options)
    with pytest.raises(InputError, match="at least one sample"):
        find_standardizer([x[:0]])


def test_a_backend_can_send_it_as_text():
    assert from_dict(to_dict(Moments(3))) == Moments(3)


def test_clients_scale_their_own_files(tmp_path):
    x = table()
    store = ClientStore.write(tmp_path, [(part, None) for part in np.split(x, [20, 90])])
    phases = build_scaling_phases(store.n_features, standardize=True)
    store.scale(Scaling.from_artifacts(run_locally(phases, store).artifacts))
    scaled = np.concatenate([store.samples(i)[0] for i in range(3)])
    np.testing.assert_allclose(scaled, centralized(x), rtol=1e-6, atol=1e-6)


@real
@pytest.mark.parametrize("name", ["heart_disease", "mice_protein"])
def test_real_tables_by_their_natural_clients(name):
    raw, groups = load_data(name, standardize=False).X, load_groups(name)
    clients = [raw[groups == group] for group in np.unique(groups)]
    assert_scales_as_pooled(raw, clients, load_data(name).X)


def test_a_missing_value_is_zero_afterwards():
    standardizer = Standardizer(np.array([1.0]), np.array([2.0]))
    found = standardizer(np.array([[np.nan], [5.0]], np.float32))
    np.testing.assert_array_equal(found, [[0], [2]])


# Whole runs.


def paper(scaling, *, standardize=False):
    """Returns a moment of the paper's protocol for DEC."""
    protocol = get_dec_config("paper")
    assert isinstance(protocol.pretraining, LayerWise)
    pretraining = dataclasses.replace(protocol.pretraining, steps_per_layer=3, finetune_steps=6)
    model = dataclasses.replace(
        protocol, dims=(8, 3), scaling=scaling, pretraining=pretraining, kmeans_restarts=2
    )
    config = FederatedDECConfig(
        model=model,
        standardize=standardize,
        pretrain_rounds=4,
        pretraining=LocalWork(steps=2, batch_size=16),
        lloyd_rounds=2,
        rounds=3,
        clustering=LocalWork(steps=2, batch_size=16),
    )
    return [
        *pretraining_phases(6, config, seed=5),
        *clustering_phases(6, 3, config, seed=5),
    ]


X = blobs(90)[0].astype(np.float32)
GIVEN = [X[:10], X[10:40], X[40:]]


class AnyStore:
    """Stands for the store that is used now, so that one backend serves all runs."""

    def __init__(self):
        self.now = None

    def __getitem__(self, client):
        return self.now[client]

    def scale(self, scaling):
        self.now.scale(scaling)


class Watched(LocalBackend):
    """Notes the samples that clients had in every round."""

    def __init__(self):
        self.stores, self.seen = AnyStore(), []
        super().__init__(self.stores)

    def run_round(self, algorithm, state, participants):
        self.seen.append([self.stores[i].x.numpy() for i in range(len(GIVEN))])
        return super().run_round(algorithm, state, participants)


@pytest.fixture(scope="module")
def backend():
    """One for all runs, so that each algorithm is compiled once."""
    with contextlib.closing(Watched()) as made:
        yield made


@pytest.fixture
def run(tmp_path, backend):
    """Runs phases on a new store; returns the position and what clients had in each round."""

    def on_new_store(phases, **options):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        backend.stores.now = ClientStore.write(folder, [(x, None) for x in GIVEN])
        backend.seen = []
        federation = Federation(backend, ClientSampler(3, seed=2), list("abc"))
        return run_phases(phases, federation, **options), backend.seen

    return on_new_store


@pytest.mark.parametrize("scaling", [1.0, 5.1, "rms"])
@pytest.mark.parametrize("standardize", [False, True])
def test_clients_train_on_what_the_artifacts_say(run, scaling, standardize):
    end, seen = run(paper(scaling, standardize=standardize))
    scale = end.artifacts["scale"]
    if scaling != "rms":
        assert scale == scaling
    elif not standardize:
        pooled = np.concatenate(GIVEN).astype(np.float64)
        assert scale == pytest.approx(1 / np.sqrt(np.mean(np.square(pooled))), rel=1e-12)
    assert ("standardizer/mean" in end.artifacts) == standardize
    used = GIVEN
    if standardize:
        mean, sd = (end.artifacts[f"standardizer/{name}"] for name in ("mean", "sd"))
        used = [((x - mean) / sd).astype(np.float32) for x in used]
    used = [x * np.float32(scale) for x in used]
    assert len(seen) == len(end.history)
    for record, samples in zip(end.history, seen, strict=True):
        if record.phase not in ("standardization", "scaling"):
            for a, b in zip(samples, used, strict=True):
                np.testing.assert_array_equal(a, b)


def test_scaling_cannot_be_forgotten(run):
    """Through the phases, another factor gives other weights, as in the estimators."""
    ends = {scaling: run(paper(scaling))[0].artifacts for scaling in (1.0, 5.1, "rms")}
    scales = [float(artifacts["scale"]) for artifacts in ends.values()]
    assert scales[:2] == [1.0, 5.1]
    assert len(set(scales)) == 3
    for name in ("encoder/0", "decoder/0", "clusters"):
        weights = {artifacts[name].tobytes() for artifacts in ends.values()}
        assert len(weights) == 3, name


@pytest.mark.parametrize(("scaling", "standardize"), [(5.1, False), ("rms", True)])
def test_a_run_stopped_after_any_round_resumes_to_the_same_bits(
    tmp_path_factory, run, scaling, standardize
):
    """Also within the phases that find the scaling: samples are scaled again from the start."""
    phases = paper(scaling, standardize=standardize)
    whole, seen = run(phases)
    names = list(dict.fromkeys(record.phase for record in whole.history))
    found = ["standardization", "scaling"] if standardize else []
    assert names == [*found, "layer 1", "layer 2", "finetune", "centroids", "cluster"]
    folder = tmp_path_factory.mktemp("checkpoints")
    for n_rounds in range(1, len(whole.history) + 1):
        checkpoint = RoundCheckpoint(folder / f"{n_rounds}.npz", {})
        with pytest.raises(StopRun):
            run(phases, checkpoint=checkpoint, callbacks=[stop_after(n_rounds)])
        resumed, again = run(phases, checkpoint=checkpoint)
        assert_same_artifacts(resumed.artifacts, whole.artifacts)
        assert len(resumed.history) == len(whole.history)
        for samples, expected in zip(again, seen[n_rounds:], strict=True):
            for a, b in zip(samples, expected, strict=True):
                np.testing.assert_array_equal(a, b)


# Digits that float32 would round.


def stamped(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Two groups that differ in time only, by 30 s, with a deviation of 1 s."""
    rng, y = np.random.default_rng(0), np.arange(n) % 2
    return np.stack([1.7e9 - 15 + 30 * y + rng.normal(size=n), rng.normal(size=n)], axis=1), y


def test_features_are_summed_before_they_are_rounded(tmp_path):
    x, _ = stamped()
    store = ClientStore.write(tmp_path, [(x[:20], None), (x[20:], None)])
    found = run_locally(build_scaling_phases(2, standardize=True), store).artifacts
    expected = Standardizer.fit(x)
    np.testing.assert_allclose(found["standardizer/mean"], expected.mean, rtol=1e-14)
    np.testing.assert_allclose(found["standardizer/sd"], expected.sd, rtol=1e-9)


def test_time_stamps_from_files_are_clustered(tmp_path):
    """Rounded to float32, whose steps are 128 s there, all would be the same."""
    x, y = stamped()
    assert len(np.unique(x[:, 0].astype(np.float32))) == 1
    for name, rows in (("a", x[:30]), ("b", x[30:])):
        np.savetxt(tmp_path / f"{name}.csv", rows, "%.17g", ",", header="time,noise", comments="")
    dataset = load_federated_dataset(str(tmp_path), PartitionConfig(), 0)
    np.testing.assert_array_equal(dataset.pooled()[0], x)
    model = FederatedKMeans(2, standardize=True, random_state=0).fit(dataset)
    assert normalized_mutual_info_score(y, model.labels_) == 1.0
    np.testing.assert_array_equal(model.predict(x), model.labels_)
    labels = FederatedKMeans(2, standardize=True, random_state=0).fit([x[:30], x[30:]]).labels_
    np.testing.assert_array_equal(labels, model.labels_)


def test_a_number_beyond_float32_needs_standardization():
    x = blobs()[0].astype(np.float64)
    x[3, 1] = 1e39
    with pytest.raises(InputError, match=r"in float32\. Received 1 other values"):
        FederatedKMeans(3, standardize=False).fit([x])
    assert FederatedKMeans(3, standardize=True, random_state=0).fit([x]).n_clusters_ == 3
