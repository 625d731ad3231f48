"""The front door: scikit-learn's conventions, the command's numbers, every backend."""

import asyncio
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from federated import FedAvgM, FederatedClusterGAN, FederatedDEC, FederatedKMeans, Flower, Local
from federated.backends.descriptions import open_backend
from federated.cli.options import FederatedDECOptions, FederatedGANOptions
from federated.data.federated_dataset import build_dataset
from tests.tfcluster.helpers import blobs
from tfcluster import DEC, ClusterGAN, InputError, metrics
from tfcluster.files import load_arrays

# Ray leaves files and children to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

SMALL = {
    "dims": (8, 3),
    "kmeans_restarts": 2,
    "pretrain_rounds": 3,
    "rounds": 4,
    "local_steps": 2,
    "lloyd_rounds": 3,
    "tol": 0.0,
    "random_state": 0,
}
X, Y = blobs(90)
X = X.astype(np.float32)
PARTS = {"Berlin": slice(0, 20), "Oslo": slice(20, 50), "Turin": slice(50, 90)}
CLIENTS = {name: X[part] for name, part in PARTS.items()}
CLASSES = {name: Y[part] for name, part in PARTS.items()}
BACKENDS = ["local", "flower", "tff"]


@pytest.fixture(scope="module")
def fitted():
    return FederatedDEC(3, **SMALL).fit(CLIENTS, CLASSES)


def weights(model):
    dec = model.to_dec()
    return [*dec.autoencoder_.get_weights(), dec.cluster_centers_]


def assert_same_bits(first, second):
    for a, b in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(a, b)


# --- what is fitted


def test_labels_by_client_and_in_client_order(fitted):
    assert list(fitted.client_labels_) == list(CLIENTS)
    np.testing.assert_array_equal(fitted.labels_, np.concatenate([*fitted.client_labels_.values()]))
    np.testing.assert_array_equal(fitted.labels_, fitted.predict(X))
    np.testing.assert_array_equal(fitted.client_labels_["Oslo"], fitted.predict(CLIENTS["Oslo"]))


def test_what_the_model_gives(fitted):
    q = fitted.soft_assign(X)
    assert q.shape == (90, 3)
    np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-6)
    assert fitted.transform(X).shape == (90, 3)
    assert fitted.n_features_in_ == 6
    assert list(fitted.get_feature_names_out()) == [f"federateddec{i}" for i in range(3)]


def test_scores_are_those_of_the_pooled_samples(fitted):
    expected = metrics.score(X, fitted.labels_, Y)
    for name in ("accuracy", "nmi", "ari", "purity", "calinski_harabasz", "davies_bouldin"):
        assert fitted.scores_[name] == pytest.approx(expected[name], rel=1e-6)
    assert fitted.score(X, Y) == expected["accuracy"]
    assert fitted.score(X) == expected["silhouette"]
    assert fitted.initial_scores_.keys() == fitted.scores_.keys()


def test_the_profile_is_that_of_the_pooled_samples(fitted):
    for cluster in range(3):
        own = X[fitted.labels_ == cluster].astype(np.float64)
        assert fitted.profile_.counts[cluster] == len(own)
        if len(own):
            np.testing.assert_allclose(fitted.profile_.mean[cluster], own.mean(axis=0), atol=1e-6)
            np.testing.assert_allclose(fitted.profile_.sd[cluster], own.std(axis=0), atol=1e-6)


def test_records_tell_what_happened(fitted):
    phases = [record.phase for record in fitted.history_]
    assert phases == ["pretrain"] * 3 + ["centroids"] * phases.count("centroids") + ["cluster"] * 5
    kinds = [record.kind for record in fitted.history_ if record.phase == "cluster"]
    assert kinds == ["target update", "training"] * 2 + ["target update"]
    for record in fitted.history_:
        assert set(record.losses) == ({"loss"} if record.kind == "training" else set())
        assert not record.scores or record.kind == "target update"
        json.dumps(record.to_dict())
    assert fitted.n_iter_ == len(fitted.history_)


def test_only_the_result_is_scored_if_asked(fitted):
    model = FederatedDEC(3, **SMALL, evaluate_every=0).fit(CLIENTS, CLASSES)
    *others, last = model.history_
    assert not any(record.scores for record in others)
    assert last.scores == model.scores_ == fitted.scores_
    assert model.initial_scores_ == {}


def test_fits_share_an_open_backend(fitted):
    dataset = build_dataset(CLIENTS, CLASSES)
    with open_backend("local", dataset) as opened:
        models = [FederatedDEC(3, **SMALL, backend=opened).fit(dataset) for _ in range(2)]
    for model in models:
        assert_same_bits(model, fitted)


def test_the_model_stands_alone(fitted, tmp_path):
    dec = fitted.to_dec()
    assert isinstance(dec, DEC)
    np.testing.assert_array_equal(dec.predict(X), fitted.labels_)
    dec.cluster_centers_[:] = 0  # a copy
    assert np.any(fitted.cluster_centers_)
    fitted.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(DEC.load(tmp_path / "model.npz").predict(X), fitted.labels_)


# --- scikit-learn's conventions


@pytest.mark.parametrize("kind", [FederatedDEC, FederatedClusterGAN, FederatedKMeans])
def test_the_constructor_only_stores(kind):
    values = {name: object() for name in kind().get_params()}
    made = kind(**values)
    assert all(made.get_params(deep=False)[name] is value for name, value in values.items())


def test_clone_and_set_params(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "labels_")
    assert copy.set_params(rounds=7).rounds == 7
    backend = Flower(n_workers=1)
    assert clone(FederatedDEC(backend=backend, aggregation=FedAvgM(0.5))).backend == backend


def test_pickling_before_and_after_fit(fitted):
    assert pickle.loads(pickle.dumps(FederatedDEC(4))).n_clusters == 4
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.labels_)
    assert again.history_ == fitted.history_


def test_a_grid_search_over_rounds():
    model = FederatedDEC(3, n_clients=2, partition="iid", **SMALL)
    search = GridSearchCV(model, {"rounds": [1, 3], "dims": [(4, 2)]}, cv=2).fit(X, Y)
    assert search.best_params_["rounds"] in (1, 3)
    assert np.isfinite(search.best_score_)


def test_one_matrix_is_partitioned_and_labels_are_in_its_order():
    model = FederatedDEC(3, partition="dirichlet", n_clients=3, alpha=1.0, **SMALL).fit(X, Y)
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    assert sum(map(len, model.client_labels_.values())) == 90
    assert list(model.client_labels_) == ["client 0", "client 1", "client 2"]


def test_data_frames_keep_their_names():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    names = [f"feature {i}" for i in range(6)]
    frames = [pd.DataFrame(x, columns=names) for x in CLIENTS.values()]
    model = FederatedDEC(3, **SMALL).fit(frames, names=list(CLIENTS))
    assert list(model.feature_names_in_) == names
    assert list(model.profile_.feature_names) == names


class Frame:
    """As much of a data frame as is looked at."""

    def __init__(self, values, columns):
        self.values, self.columns = values, np.array(columns, dtype=object)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_clients_of_other_columns_are_refused():
    names = [f"f{i}" for i in range(6)]
    frames = {"a": Frame(X[:45], names), "b": Frame(X[45:], [*names[:5], "g"])}
    with pytest.raises(InputError, match="same features"):
        FederatedDEC(3, **SMALL).fit(frames)


def test_fit_predict_and_fit_transform_take_clients():
    model = FederatedKMeans(3, random_state=0)
    labels = model.fit_predict(CLIENTS, CLASSES)
    np.testing.assert_array_equal(labels, model.labels_)
    assert FederatedKMeans(3, random_state=0).fit_transform(CLIENTS).shape == (90, 3)
    assert len(model.get_feature_names_out()) == 3


def test_numbers_of_numpy_are_numbers(tmp_path):
    several = {name: np.int64(v) for name, v in SMALL.items() if isinstance(v, int)}
    model = FederatedDEC(np.int64(3), clients_per_round=np.int64(2), **SMALL | several)
    model.fit(CLIENTS, checkpoint=tmp_path / "run.npz")
    assert model.n_clusters_ == 3
    assert FederatedKMeans(np.arange(2, 4), random_state=0).fit(CLIENTS).n_clusters_ in (2, 3)


# --- the same numbers from everywhere


def run_python(folder, *words):
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def commanded(tmp_path_factory):
    """A folder of clients, and a function that returns the arrays of the command's model."""
    folder = tmp_path_factory.mktemp("commanded")
    (folder / "clients").mkdir()
    for name, x in CLIENTS.items():
        np.savez(folder / "clients" / f"{name}.npz", x=x, y=CLASSES[name])

    def train(backend):
        words = [
            *("federate", "dec", "--dataset", "clients", "--backend", backend, "--out", backend),
            "--no-pictures",
            *("--n-clusters", "3", "--threads", "2", "--pretrain-rounds", "3", "--rounds", "4"),
            *("--local-steps", "2", "--set", "model.dims=[8,3]", "--set", "model.tol=0.0"),
            *("--set", "model.kmeans_restarts=2", "--set", "lloyd_rounds=3"),
        ]
        model = folder / backend / "model.npz"
        if not model.exists():
            run_python(folder, "-m", "tfcluster", *words)
        return load_arrays(model)[0]

    return folder, train


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_commands_labels_and_weights(backend, commanded):
    """In fresh processes, with the threads of the command. Flower has the local loop's bits."""
    folder, train = commanded
    script = (
        "import sys, numpy as np\n"
        "from tfcluster.runtime import set_threads\n"
        "set_threads(2)\n"
        "from federated import FederatedDEC\n"
        "names = ['Berlin', 'Oslo', 'Turin']\n"
        "files = {name: np.load(f'clients/{name}.npz') for name in names}\n"
        "X = {name: file['x'] for name, file in files.items()}\n"
        f"model = FederatedDEC(3, backend={backend!r}, **{SMALL!r})\n"
        "model.fit(X, {name: file['y'] for name, file in files.items()})\n"
        f"model.save('{backend}.npz')\n"
    )
    run_python(folder, "-c", script)
    ours, _ = load_arrays(folder / f"{backend}.npz")
    theirs = train("local" if backend == "flower" else backend)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inside_a_running_event_loop_as_in_a_notebook(backend, fitted):
    async def cell():
        return FederatedDEC(3, backend=backend, **SMALL).fit(CLIENTS, CLASSES)

    model = asyncio.run(cell())
    movement = np.sqrt(sum(np.square(w).sum() for w in weights(fitted)))
    apart = np.sqrt(
        sum(np.square(a - b).sum() for a, b in zip(weights(model), weights(fitted), strict=True))
    )
    assert apart <= 1e-3 * movement


@pytest.mark.parametrize(
    ("kind", "options", "preset"),
    [
        (FederatedDEC, FederatedDECOptions, "keras"),
        (FederatedClusterGAN, FederatedGANOptions, "auto"),
    ],
)
def test_the_commands_options_are_the_estimators_arguments(kind, options, preset):
    """By name and default, but for what the command resolves by itself."""
    arguments, known = options().estimator_arguments(), kind().get_params()
    assert arguments.pop("random_state") == 0
    assert arguments.pop("overrides") == {}
    assert options().preset == preset
    for name, value in arguments.items():
        assert known[name] == value, name
    assert set(known) >= set(arguments)


# --- interrupts


class Stop(Exception):
    pass


@pytest.mark.parametrize("n_records", [1, 4, 6, 9])
def test_fit_again_with_the_checkpoint_resumes_to_the_same_bits(fitted, tmp_path, n_records):
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == n_records:
            raise Stop

    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        FederatedDEC(3, **SMALL).fit(CLIENTS, CLASSES, callbacks=[stop], checkpoint=path)
    resumed = FederatedDEC(3, **SMALL).fit(CLIENTS, CLASSES, checkpoint=path)
    assert_same_bits(resumed, fitted)
    assert len(resumed.history_) == len(fitted.history_)
    np.testing.assert_array_equal(resumed.labels_, fitted.labels_)
    finished = FederatedDEC(3, **SMALL).fit(CLIENTS, CLASSES, checkpoint=path)
    assert finished.scores_ == fitted.scores_


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    FederatedDEC(3, **SMALL).fit(CLIENTS, checkpoint=path)
    with pytest.raises(InputError, match="belongs to another run: config differ"):
        FederatedDEC(3, **SMALL | {"rounds": 6}).fit(CLIENTS, checkpoint=path)
    with pytest.raises(InputError, match="whole number"):
        FederatedDEC(3, **SMALL | {"random_state": None}).fit(CLIENTS, checkpoint=path)
    with pytest.raises(InputError, match="belongs to another run: clients, sampler differ"):
        FederatedDEC(3, **SMALL).fit([X[:45], X[45:]], names=["a", "b"], checkpoint=path)


# --- scaling


@pytest.mark.parametrize("scaling", [5.1, "rms"])
def test_predict_works_in_the_units_of_fit(scaling):
    model = FederatedDEC(3, scaling=scaling, **SMALL).fit(CLIENTS)
    plain = FederatedDEC(3, **SMALL).fit(CLIENTS)
    assert model.to_dec().scale_ != 1.0
    assert any((a != b).any() for a, b in zip(weights(model), weights(plain), strict=True))
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    np.testing.assert_array_equal(model.to_dec().predict(X), model.labels_)


def test_standardization_is_part_of_the_model():
    units = np.array([1, 1000, 1, 1e-3, 1, 1], np.float32)
    shifted = {name: x * units + 100 for name, x in CLIENTS.items()}
    shifted["Oslo"][3, 2] = np.nan
    model = FederatedDEC(3, **SMALL).fit(shifted)  # a value is missing
    dec = model.to_dec()
    pooled = np.concatenate([*shifted.values()])
    np.testing.assert_allclose(dec.standardizer_.mean, np.nanmean(pooled, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(dec.predict(pooled), model.labels_)
    with pytest.raises(InputError, match="client Oslo"):
        FederatedDEC(3, standardize=False, **SMALL).fit(shifted)


def test_k_means_labels_samples_with_missing_values():
    missing = {name: x.copy() for name, x in CLIENTS.items()}
    missing["Oslo"][3, 2] = np.nan
    model = FederatedKMeans(3, random_state=0).fit(missing)
    np.testing.assert_array_equal(model.client_labels_["Oslo"], model.predict(missing["Oslo"]))


def test_the_configuration_says_whether_features_are_standardized():
    assert FederatedDEC(standardize=True).config().standardize
    assert not FederatedDEC().config().standardize


# --- several numbers of clusters


def test_a_range_shares_one_pretraining_and_recommends_a_number(tmp_path):
    model = FederatedDEC(range(2, 5), **SMALL).fit(CLIENTS, checkpoint=tmp_path / "run.npz")
    assert [row["n_clusters"] for row in model.selection_] == [2, 3, 4]
    for row in model.selection_:
        assert {"simplified_silhouette", "calinski_harabasz", "davies_bouldin"} <= row.keys()
        assert -1 <= row["stability"] <= 1
    assert model.n_clusters_ in (2, 3, 4)
    assert str(model.n_clusters_) in model.recommendation_.reason
    assert [record.phase for record in model.history_].count("pretrain") == 3
    assert {record.n_clusters for record in model.history_} == {None, 2, 3, 4}
    alone = FederatedDEC(model.n_clusters_, **SMALL).fit(CLIENTS)
    assert_same_bits(model, alone)


def test_k_means_finds_the_number_of_blobs_and_equals_scikit_learns():
    from sklearn.cluster import KMeans

    model = FederatedKMeans(range(2, 6), random_state=0).fit(CLIENTS, CLASSES)
    assert model.n_clusters_ == 3
    assert model.scores_["accuracy"] == 1.0
    pooled = KMeans(3, n_init=10, random_state=0).fit(X.astype(np.float64))
    assert model.inertia_ == pytest.approx(pooled.inertia_, rel=1e-6)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    assert model.transform(X).shape == (90, 3)


def test_clustergan_takes_one_number():
    with pytest.raises(InputError, match="takes one number"):
        FederatedClusterGAN(range(2, 4), random_state=0).fit(CLIENTS)


@pytest.mark.parametrize("generator", ["clients", "server"])
def test_clustergan(generator, tmp_path):
    unit = {name: (x - X.min()) / np.ptp(X) for name, x in CLIENTS.items()}
    model = FederatedClusterGAN(
        3, preset="pendigits", generator=generator, n_noise=2, critic_steps=2, batch_size=16,
        iterations=2, rounds=2, lloyd_rounds=2, evaluate_every=0, backend=Local(n_workers=1),
        random_state=0,
    ).fit(unit, CLASSES)  # fmt: skip
    scored = [record for record in model.history_ if record.scores]
    assert [record.phase for record in scored] == ["adversarial", "centroids"]
    assert all(record.is_last for record in scored)
    assert {"accuracy", "clusters_used"} <= set(model.argmax_scores_)
    assert model.sample(4, 1).shape == (4, 6)
    assert model.transform(unit["Oslo"]).shape == (30, 5)
    model.save(tmp_path / "model.npz")
    gan = ClusterGAN.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(gan.predict(unit["Oslo"]), model.client_labels_["Oslo"])
    losses = [set(record.losses) for record in model.history_ if record.phase == "adversarial"]
    assert losses == [{"loss", "critic_loss"}] * 2


# --- mistakes, before anything slow starts

MISTAKES = [
    ({}, {}, "At least one client"),
    ({"a": X[:5], "b": X[:5, :4]}, {}, "same features"),
    ({"a": X[:5], "b": X[5]}, {}, "Client b needs a matrix"),
    ({"a": X[:5], "b": [["x"] * 6]}, {}, "client b must be numbers"),
    ([X[:2]], {}, "3 clusters"),
    ([X[:45], X[45:]], {"names": ["a", "a"]}, "name of its own"),
    (CLIENTS, {"names": ["a", "b", "c"]}, "a dictionary has its own"),
    (CLIENTS, {"y": Y}, "`y` must be a dictionary"),
    ([X[:45], X[45:]], {"y": [Y[:45]]}, "`y` needs the classes of all 2 clients"),
    ([X[:45], X[45:]], {"y": [Y[:44], Y[45:]]}, "one class per sample"),
    ([X[:45], np.full((3, 6), np.inf)], {}, "finite"),
    (X, {"names": ["a"]}, "one matrix"),
    ([X[:45], X[45:]], {"y": [None, Y[45:]]}, "of all clients, or of none"),
    (CLIENTS, {"callbacks": print}, "callbacks"),
]


@pytest.mark.parametrize(("clients", "more", "rule"), MISTAKES)
def test_what_cannot_be_clients_is_refused(clients, more, rule):
    with pytest.raises(InputError, match=rule):
        FederatedDEC(3, **SMALL).fit(clients, **more)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"backend": "spark"}, "flower, local, tff"),
        ({"aggregation": "mean"}, "fedavg"),
        ({"clients_per_round": 4}, "between 1 and 3"),
        ({"dropout": 1.0}, "dropout"),
        ({"rounds": -1}, "rounds"),
        ({"local_epochs": 0}, "epochs"),
        ({"dims": ()}, "dims"),
        ({"target": "all"}, "target"),
        ({"random_state": -1}, "random_state"),
        ({"overrides": {"pretraining.nothing": 1}}, "nothing"),
        ({"n_clusters": 1}, "at least 2"),
        ({"n_clusters": []}, "at least one number"),
        ({"n_clusters": [3, 3]}, "different numbers"),
        ({"local_steps": 0}, "steps"),
        ({"centroids": "k_fed", "n_clusters": 30, "client_centroids": 9}, "27 that 3 clients"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, rule):
    with pytest.raises(InputError, match=rule):
        FederatedDEC(**{"n_clusters": 3, **SMALL, **change}).fit(CLIENTS)


def test_importing_the_package_loads_no_backend_and_no_tensorflow():
    code = "import federated, sys; print({'tensorflow', 'flwr', 'ray'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
