"""`tfcluster federate` as a user calls it: in processes of its own, on every backend."""

import csv
import json
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from federated.cli.options import FederatedDECOptions, FederatedGANOptions
from federated.core.local_training import LocalWork
from federated.data.federated_dataset import PartitionConfig, load_federated_dataset
from federated.estimators.clustergan import FederatedClusterGAN
from federated.estimators.dec import FederatedDEC
from federated.phases.dec import FederatedDECConfig, clustering_phases
from tests.federated.helpers import distance
from tests.tfcluster.helpers import blobs
from tfcluster import DEC
from tfcluster.config import DECConfig, get_gan_config
from tfcluster.errors import InputError
from tfcluster.files import load_arrays

COMMAND = [sys.executable, "-m", "tfcluster"]
SMALL = [
    *("--n-clusters", "3", "--clients", "3", "--pretrain-rounds", "3", "--rounds", "4"),
    *("--local-steps", "2", "--set", "model.dims=[8,3]", "--set", "model.kmeans_restarts=2"),
    *("--set", "model.tol=0.0", "--set", "lloyd_rounds=3"),
    "--no-pictures",
]


def tfcluster(*words, cwd):
    result = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=200
    )
    return result


def federate(out, *words, cwd, backend="local"):
    made = ["federate", "dec", "--dataset", "rows.npz", "--backend", backend, "--out", out]
    return tfcluster(*made, *SMALL, *words, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("federate")
    X, y = blobs(90)
    np.savez(made / "rows.npz", x=X.astype(np.float32), y=np.array(["a", "b", "c"])[y])
    return made


@pytest.fixture(scope="module")
def finished(folder):
    result = federate("run", "--pictures", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_what_is_printed_and_written(finished):
    folder, result = finished
    assert result.stderr == ""  # TensorFlow is quiet
    for word in ("client 2", "AE + centroids", "DEC", "ACC", "NMI", "sums over clients"):
        assert word in result.stdout
    names = {path.name for path in (folder / "run").iterdir()}
    assert names == {
        "checkpoint.npz", "client_clusters.png", "clients", "config.json", "confusion.png",
        "curves.png", "embedding.png", "events", "metrics.jsonl", "model.npz", "partition.png",
        "profile.csv", "profile.png", "result.json", "top_confidence.png",
    }  # fmt: skip
    records = [json.loads(x) for x in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [r["phase"] for r in records].count("pretrain") == 3
    assert all({"round_seconds", "bytes_down", "bytes_up", "left_out"} <= r.keys() for r in records)
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["scores"]["DEC"]["accuracy"] == records[-1]["scores"]["accuracy"]


def test_target_updates_are_recorded_with_the_frequencies_of_clusters(finished):
    folder, _ = finished
    records = [json.loads(x) for x in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    found = [r["metrics"] for r in records if r["kind"] == "target update"]
    masses = [metrics["frequencies"] for metrics in found]
    assert len(masses) == 3  # before, between and after two rounds of training; 4 are raised to 5
    assert all(len(mass) == 3 and sum(mass) == pytest.approx(90, abs=0.01) for mass in masses)


def test_overrides_reach_what_depends_on_them():
    def config(**fields):
        options = FederatedDECOptions(**fields)
        return FederatedDEC(preset=options.preset, **options.estimator_arguments()).config()

    changed = config(
        overrides={
            "model.batch_size": 7,
            "model.update_interval": 11,
            "model.pretraining.epochs": 21,
            "pretraining.epochs": 3,
        }
    )
    assert changed.pretraining == LocalWork(epochs=3, batch_size=7)
    assert changed.clustering == LocalWork(steps=11, batch_size=7)
    assert changed.n_pretrain_rounds == 7
    assert config(local_epochs=4).n_pretrain_rounds == 50  # 200 passes
    assert config(preset="paper").n_pretrain_rounds == 100
    assert config(pretrain_rounds=5).n_pretrain_rounds == 5
    for value in ("abc", 1.5):
        with pytest.raises(InputError, match="epochs"):
            config(overrides={"pretraining.epochs": value})


@pytest.mark.parametrize(("asked", "taken"), [(0, 0), (1, 1), (2, 3), (4, 5), (21, 21)])
def test_clustering_ends_with_a_target_update(asked, taken):
    config = FederatedDECConfig(rounds=asked, model=DECConfig(dims=(3,)))
    assert clustering_phases(4, 2, config, seed=0)[-1].n_rounds == taken


def test_a_folder_called_like_a_data_set_does_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert len(load_federated_dataset("digits", PartitionConfig(n_clients=5), 0).names) == 5


def test_labels_stay_with_the_clients_and_are_the_models(finished):
    folder, _ = finished
    dec = DEC.load(folder / "run" / "model.npz")
    rows = np.load(folder / "rows.npz")["x"]
    sizes = []
    for client in sorted((folder / "run" / "clients").iterdir()):
        with (client / "labels.csv").open() as file:
            sizes.append([int(row["label"]) for row in csv.DictReader(file)])
    assert list(map(len, sizes)) == [30, 30, 30]
    np.testing.assert_array_equal(
        np.sort(np.concatenate(sizes)), np.sort(dec.predict(rows))
    )  # the same rows in another order
    predicted = tfcluster("predict", "run", "rows.npz", cwd=folder)
    assert predicted.returncode == 0, predicted.stderr


def test_scores_are_those_of_the_pooled_samples(finished):
    from tfcluster import metrics

    folder, _ = finished
    with np.load(folder / "rows.npz") as file:
        rows, y = file["x"], file["y"]
    labels = DEC.load(folder / "run" / "model.npz").predict(rows)
    expected = metrics.score(rows, labels, np.unique(y, return_inverse=True)[1])
    found = json.loads((folder / "run" / "result.json").read_text())["scores"]["DEC"]
    for name in ("accuracy", "nmi", "ari", "purity", "calinski_harabasz", "davies_bouldin"):
        assert found[name] == pytest.approx(expected[name], abs=1e-6, rel=1e-6)


def kill_after(folder, out, n_records, backend):
    """Starts a run and ends it by SIGKILL once so many rounds are recorded."""
    made = ["federate", "dec", "--dataset", "rows.npz", "--backend", backend, "--out", out]
    process = subprocess.Popen(
        [*COMMAND, *made, *SMALL], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    records = folder / out / "metrics.jsonl"
    limit = time.monotonic() + 150
    while time.monotonic() < limit and process.poll() is None:
        if records.exists() and len(records.read_text().splitlines()) >= n_records:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"


def test_a_killed_run_ends_with_the_same_bits(finished):
    """In clustering; the other phases as in `test_estimators.py`, which resumes in each."""
    folder, _ = finished
    out = "killed"
    kill_after(folder, out, 9, "local")
    resumed = federate(out, "--resume", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    whole, _ = load_arrays(folder / "run" / "model.npz")
    again, _ = load_arrays(folder / out / "model.npz")
    for name, value in whole.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


@pytest.mark.parametrize(("first", "second"), [("tff", "local"), ("flower", "tff")])
def test_a_killed_run_goes_on_with_another_backend(finished, first, second):
    folder, _ = finished
    out = f"{first}-{second}"
    kill_after(folder, out, 2, first)
    resumed = federate(out, "--resume", cwd=folder, backend=second)
    assert resumed.returncode == 0, resumed.stderr
    records = [json.loads(x) for x in (folder / out / "metrics.jsonl").read_text().splitlines()]
    assert {r["backend"] for r in records} == {first, second}
    whole, _ = load_arrays(folder / "run" / "model.npz")
    again, _ = load_arrays(folder / out / "model.npz")
    names = [name for name in whole if whole[name].dtype == np.float32]
    start = [np.zeros_like(whole[name]) for name in names]
    parts = [[arrays[name] for name in names] for arrays in (whole, again)]
    assert distance(*parts) < 1e-3 * distance(start, parts[0])


MISTAKES = [
    (["--backend", "spark"], "flower, local, tff"),
    (["--num-gpus", "0.5"], "--num-gpus is for --backend flower"),
    (["--insecure-worker"], "--insecure-worker is for --backend tff"),
    (["--partition", "dirichlet"], "alpha"),
    (["--partition", "natural"], "groups"),
    (["--clients", "91"], "91"),
    (["--clients-per-round", "4"], "must be between 1 and 3"),
    (["--aggregation", "mean"], "fedavg"),
    (["--centroids", "best"], "lloyd"),
    (["--target", "all"], "global"),
    (["--set", "aggregation.momentum=0.5"], "momentum"),
    (["--dataset", "nowhere.npz"], "nowhere.npz"),
    (["--centroids", "k_fed", "--n-clusters", "10", "--clients", "2"], "client_centroids=10"),
]


def test_mistakes_end_in_a_line_and_leave_nothing(folder):
    """In one process, for each takes seconds to start."""
    script = "import sys, json; from tfcluster.cli import main as cli\n" + (
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['tfcluster', *words]\n"
        "    try:\n"
        "        cli.main()\n"
        "    except SystemExit as end:\n"
        "        print('---', end.code, file=sys.stderr)\n"
    )
    base = ["federate", "dec", "--dataset", "rows.npz", "--out", "wrong", *SMALL]
    calls = json.dumps([[*base, *words] for words, _ in MISTAKES])
    result = subprocess.run(
        [sys.executable, "-c", script, calls],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=200,
    )
    answers = result.stderr.split("--- 2\n")
    assert len(answers) == len(MISTAKES) + 1, result.stderr
    for (words, expected), answer in zip(MISTAKES, answers, strict=False):
        assert answer.startswith("Error:"), (words, answer)
        assert expected in answer, (words, answer)
    assert not (folder / "wrong").exists()


# ClusterGAN.


@pytest.fixture(scope="module")
def finished_gan(tmp_path_factory):
    """The command on labelled rows, in a process of its own."""
    folder = tmp_path_factory.mktemp("federate")
    X, y = blobs(90)
    np.savez(folder / "rows.npz", x=X.astype(np.float32), y=np.array(["a", "b", "c"])[y])
    words = [
        *("federate", "clustergan", "--dataset", "rows.npz", "--preset", "pendigits"),
        *("--clients", "3", "--rounds", "4", "--iterations", "3", "--evaluate-every", "2"),
        *("--carry-optimizer", "--set", "model.batch_size=16", "--out", "run"),
        *("--set", "model.critic_steps=2"),
    ]
    command = [sys.executable, "-m", "tfcluster", *words]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_what_clustergan_prints_and_writes(finished_gan):
    folder, result = finished_gan
    assert result.stderr == ""
    for word in ("client 2", "argmax of z_c", "ClusterGAN", "clusters in use", "sums over clients"):
        assert word in result.stdout
    assert {path.name for path in (folder / "run").iterdir()} == {
        "checkpoint.npz", "client_clusters.png", "clients", "cluster_sizes.png", "config.json",
        "confusion.png", "curves.png", "embedding.png", "events", "metrics.jsonl", "model.npz",
        "partition.png", "profile.csv", "profile.png", "result.json", "samples.png",
    }  # fmt: skip
    records = [json.loads(x) for x in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    looked = [r["step"] for r in records if r["scores"] and r["phase"] == "adversarial"]
    assert looked == [1, 2, 4]
    assert all(sum(r["scores"]["cluster_sizes"]) == 90 for r in records if r["scores"])


def test_clustergans_labels_at_the_clients_are_those_that_were_scored(finished_gan):
    folder, _ = finished_gan
    scores = json.loads((folder / "run" / "result.json").read_text())["scores"]
    labels = []
    for client in sorted((folder / "run" / "clients").iterdir()):
        with (client / "labels.csv").open() as file:
            labels += [int(row["label"]) for row in csv.DictReader(file)]
    sizes = np.bincount(labels, minlength=3).tolist()
    # the record was written before the centres got their numbers
    assert sorted(scores["ClusterGAN"]["cluster_sizes"]) == sorted(sizes)
    assert len(labels) == 90


def test_lost_clusters_are_reported_once():
    from federated.core.records import RoundRecord
    from federated.estimators.clustergan import warn_of_lost_clusters
    from tfcluster.estimator import EmptyClusterWarning

    watch = warn_of_lost_clusters()
    looks = [[4, 0, 5], [0, 0, 9], None, [4, 0, 5], [0, 0, 9]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step, sizes in enumerate(looks, start=1):
            used = {"cluster_sizes": sizes, "clusters_used": sum(map(bool, sizes or []))}
            watch(
                RoundRecord(
                    "adversarial", "training", step, len(looks), 3, scores=used if sizes else {}
                )
            )
        others = {"cluster_sizes": [9, 0, 0], "clusters_used": 1}  # of other numbers
        watch(RoundRecord("centroids", "lloyd", 1, 1, 3, scores=others))
    assert {warning.category for warning in caught} == {EmptyClusterWarning}
    died, never = (str(warning.message) for warning in caught)
    assert "cluster 0 after round 2; 1 of 3" in died
    assert "cluster 1 after round 5; 1 of 3" in never


def gan_config_of(**fields):
    options = FederatedGANOptions(dataset="digits", **fields)
    preset = get_gan_config(options.preset, options.dataset)
    return FederatedClusterGAN(preset=preset, **options.estimator_arguments()).config()


def test_rounds_take_the_protocols_steps():
    assert gan_config_of().n_rounds == 200  # 20,000 steps by 100
    assert gan_config_of(generator="server").n_rounds == 2000
    assert gan_config_of(rounds=7).n_rounds == 7
    assert gan_config_of(overrides={"model.steps": 250}).n_rounds == 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"generator": "servr"}, "clients or server"),
        ({"aggregation": "mean"}, "fedavg"),
        ({"centroids": "best"}, "lloyd"),
        ({"iterations": -1}, "iterations"),
        ({"overrides": {"work.iteration": 3}}, "iterations"),
    ],
)
def test_mistakes_of_clustergans_options(fields, words):
    with pytest.raises(InputError, match=words):
        gan_config_of(**fields)
