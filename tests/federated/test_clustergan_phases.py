"""Stages of federated ClusterGAN, the command, and what it says and draws."""

import csv
import dataclasses
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from federated.algorithms.clustergan import AdversarialWork
from federated.backends.local import LocalCarrier
from federated.cli.federate_clustergan import FederatedGANOptions, told_of_lost_clusters
from federated.core.rounds import RoundCheckpoint, run_stages
from federated.core.sampling import Plan
from federated.phases.clustergan import FederatedGANConfig, cluster_use, gan_stages, matched_centers
from tests.federated.helpers import clients_of
from tests.tfcluster.helpers import blobs
from tfcluster import ClusterGAN, InputError
from tfcluster.clustergan.networks import Networks
from tfcluster.config import GANConfig
from tfcluster.errors import TrainingError
from tfcluster.estimator import unnumbered

MODEL = GANConfig(networks="pendigits", n_noise=2, critic_steps=2, batch_size=16, steps=30)
SMALL = FederatedGANConfig(
    model=MODEL, placement="split", work=AdversarialWork(2, True), rounds=3, lloyd_rounds=4
)
X, Y = blobs(n_rows=90)
PLAN = Plan(3, per_round=2, seed=2)


class Stop(Exception):
    pass


def stages(config=SMALL):
    return gan_stages(6, 3, config, seed=5)


@pytest.mark.parametrize("n_records", [2, 5], ids=["adversarial", "centroids"])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, n_records):
    carrier = LocalCarrier(clients_of([X[:10], X[10:40], X[40:]]))
    expected, history = run_stages(stages(), carrier, PLAN)
    assert [r["phase"] for r in history[:4]] == 3 * ["adversarial"] + ["centroids"]
    assert all({"loss", "critic_loss", "rows"} <= r.keys() for r in history[:3])
    seen = []

    def monitor(record):
        seen.append(record)
        if len(seen) == n_records:
            raise Stop

    keeper = RoundCheckpoint(tmp_path / "checkpoint.npz", {})
    with pytest.raises(Stop):
        run_stages(stages(), carrier, PLAN, monitor=monitor, checkpoint=keeper)
    kept, again = run_stages(stages(), carrier, PLAN, checkpoint=keeper)
    assert len(again) == len(history)
    assert kept.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(kept[name], value, err_msg=name)


def test_a_server_that_diverges_is_noticed():
    """Its own steps are not screened as what clients send is."""
    stage, _ = stages()
    state = stage.begin({})
    first, *others = state.context
    assert stage.receive(0, state, {})[0] is state
    state = state._replace(context=(np.nan * first, *others))
    with pytest.raises(TrainingError, match="'adversarial' by round 1"):
        stage.receive(0, state, {})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The command on labelled rows, in a process of its own."""
    folder = tmp_path_factory.mktemp("federate")
    np.savez(folder / "rows.npz", x=X.astype(np.float32), y=np.array(["a", "b", "c"])[Y])
    words = [
        *("federate", "clustergan", "--dataset", "rows.npz", "--preset", "pendigits"),
        *("--clients", "3", "--rounds", "4", "--iterations", "3", "--evaluate-every", "2"),
        *("--carry-optimizer", "--set", "model.batch_size=16", "--out", "run"),
    ]
    command = [sys.executable, "-m", "tfcluster", *words]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_what_is_printed_and_written(finished):
    folder, result = finished
    assert result.stderr == ""
    for word in ("client 2", "argmax of z_c", "ClusterGAN", "clusters in use", "sums over clients"):
        assert word in result.stdout
    assert {path.name for path in (folder / "run").iterdir()} == {
        "checkpoint.npz", "client_clusters.png", "clients", "cluster_use.png", "config.json",
        "confusion.png", "curves.png", "embedding.png", "events", "metrics.jsonl", "model.npz",
        "partition.png", "result.json", "samples.png",
    }  # fmt: skip
    records = [json.loads(x) for x in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    looked = [r["step"] for r in records if "cluster_sizes" in r and r["phase"] == "adversarial"]
    assert looked == [1, 2, 4]
    assert all(sum(r["cluster_sizes"]) == 90 for r in records if "cluster_sizes" in r)


def test_labels_at_the_clients_are_those_that_were_scored(finished):
    folder, _ = finished
    scores = json.loads((folder / "run" / "result.json").read_text())["scores"]
    labels = []
    for client in sorted((folder / "run" / "clients").iterdir()):
        with (client / "labels.csv").open() as file:
            labels += [int(row["label"]) for row in csv.DictReader(file)]
    sizes = np.bincount(labels, minlength=3).tolist()
    # the record was written before the centres got their numbers
    assert sorted(scores["ClusterGAN"]["cluster_sizes"]) == sorted(sizes)
    assert len(labels) == 90


def test_estimator_of_weights_kept(tmp_path):
    carrier = LocalCarrier(clients_of([X[:40], X[40:]]))
    config = dataclasses.replace(SMALL, placement="average")
    kept, history = run_stages(stages(config), carrier, Plan(2))
    weights = [unnumbered(name, kept) for name in Networks._fields]
    gan = ClusterGAN.from_weights(weights, kept["centers"], MODEL, random_state=5, history=history)
    labels = gan.predict(X)
    gan.save(tmp_path / "model.npz")
    loaded = ClusterGAN.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict(X), labels)
    assert not hasattr(loaded, "labels_")
    with pytest.raises(InputError, match="shapes"):
        ClusterGAN.from_weights(weights[::-1], kept["centers"], MODEL)


def test_use_of_clusters_by_hand():
    """Shares 1/2, 1/4, 1/4 and 0: entropy 1.5 log 2."""
    found = cluster_use(np.array([[2, 1, 0, 0], [0, 0, 1, 0]]))
    assert found["clusters_used"] == 3
    assert found["cluster_sizes"] == [2, 1, 1, 0]
    assert found["cluster_entropy"] == pytest.approx(1.5 * np.log(2))


def test_centres_are_numbered_as_z_c():
    """z_n first, then z_c: the first centre is most of cluster 1, the second of 0."""
    centers = np.array([[7.0, 0.1, 0.8, 0.1], [8.0, 0.9, 0.1, 0.0], [9.0, 0.3, 0.3, 0.4]])
    np.testing.assert_array_equal(matched_centers(centers)[:, 0], [8.0, 7.0, 9.0])
    np.testing.assert_array_equal(matched_centers(centers[:, 1:])[:, 0], [0.9, 0.1, 0.3])


def test_lost_clusters_are_told_once():
    text = io.StringIO()
    seen = []
    watch = told_of_lost_clusters(Console(file=text, width=200), seen.append)
    looks = [[4, 0, 5], [0, 0, 9], None, [4, 0, 5], [0, 0, 9]]
    for step, sizes in enumerate(looks, start=1):
        record = {"phase": "adversarial", "step": step, "of": len(looks)}
        if sizes:
            record |= {"cluster_sizes": sizes, "clusters_used": sum(map(bool, sizes))}
        watch(record)
    watch({"phase": "centroids", "step": 1, "of": 1, "cluster_sizes": [9, 0, 0]})  # other numbers
    assert len(seen) == len(looks) + 1
    died, never = text.getvalue().splitlines()
    assert "cluster 0 by round 2; 1 of 3" in died
    assert "cluster 1 by round 5; 1 of 3" in never


def test_rounds_take_the_protocols_steps():
    options = FederatedGANOptions(dataset="digits", preset="auto")
    assert options.config().rounds == 200  # 20,000 steps by 100
    assert dataclasses.replace(options, placement="split").config().rounds == 2000
    assert dataclasses.replace(options, rounds=7).config().rounds == 7
    shorter = dataclasses.replace(options, overrides={"model.steps": 250})
    assert shorter.config().rounds == 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"placement": "splitt"}, "average or split"),
        ({"aggregation": "mean"}, "fedavg"),
        ({"centroids": "best"}, "lloyd"),
        ({"iterations": -1}, "iterations"),
        ({"overrides": {"work.iteration": 3}}, "iterations"),
    ],
)
def test_mistakes(fields, words):
    with pytest.raises(InputError, match=words):
        FederatedGANOptions(**fields).config()
