"""Folders of tables, written by several hands, on the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.tfcluster.helpers import blobs
from tfcluster import DEC
from tfcluster.cli.predict import predict_file

SMALL = [
    *("--n-clusters", "3", "--pretrain-rounds", "3", "--rounds", "4", "--local-steps", "2"),
    *("--set", "model.dims=[8,3]", "--set", "model.kmeans_restarts=2", "--set", "lloyd_rounds=3"),
]


def federate(folder, *words):
    command = ["-m", "tfcluster", "federate", "dec", "--dataset", str(folder), *words, *SMALL]
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=folder.parent, timeout=250
    )


def write(path, names, columns, separator=",", decimal="."):
    cells = [[str(value).replace(".", decimal) for value in column] for column in columns]
    lines = [separator.join(row) for row in zip(*cells, strict=True)]
    path.write_text("\n".join([separator.join(names), *lines]) + "\n")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs on three tables as one hand wrote them, and as three did."""
    made = tmp_path_factory.mktemp("hospitals")
    X = np.round(blobs(90, 4)[0], 4)
    for name in ("clean", "dirty"):
        (made / name).mkdir()
    for i, client in enumerate("abc"):
        a, b, c, d = X[30 * i : 30 * (i + 1)].T.tolist()
        write(made / "clean" / f"{client}.csv", "abcd", (a, b, c, d))
        ids = [f"p{n}" for n in range(30)]
        dirty = {
            "a": (("pid", *"dcba"), (ids, d, c, b, a)),
            "b": ("abcd", (a, b, c, d), ";", ","),
            "c": ((*"bacd", "note"), (b, a, c, d, ["?"] * 30), "\t"),
        }
        write(made / "dirty" / f"{client}.csv", *dirty[client])
    clean = federate(made / "clean", "--out", "run_clean")
    dirty = federate(made / "dirty", "--out", "run_dirty", "--id-column", "pid", "--drop", "note")
    assert clean.returncode == dirty.returncode == 0, clean.stderr + dirty.stderr
    return made, dirty


def read_labels(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_tables_of_several_hands_cluster_as_the_clean_ones(runs):
    folder, _ = runs
    for client in "abc":
        clean, dirty = (
            read_labels(folder / run / "clients" / client / "labels.csv")
            for run in ("run_clean", "run_dirty")
        )
        assert [row["label"] for row in clean] == [row["label"] for row in dirty]
    rows = read_labels(folder / "run_dirty" / "clients" / "a" / "labels.csv")
    assert [row["pid"] for row in rows] == [f"p{n}" for n in range(30)]


def test_what_every_table_was_taken_as_is_said_and_kept(runs):
    folder, dirty = runs
    for words in ("a.csv: 30 samples", "semicolons", "decimal mark is a comma", "left out 'note'"):
        assert words in dirty.stdout
    assert dirty.stderr == ""
    config = json.loads((folder / "run_dirty" / "config.json").read_text())
    assert [table["id_column"] for table in config["tables"]] == ["pid", None, None]
    assert config["drop"] == "note"


def test_predict_matches_columns_of_a_federated_model(runs):
    folder, _ = runs
    model = DEC.load(folder / "run_dirty" / "model.npz")
    assert sorted(model.feature_names_in_) == list("abcd")
    expected = read_labels(folder / "run_dirty" / "clients" / "b" / "labels.csv")
    text = predict_file(folder / "run_dirty", str(folder / "clean" / "b.csv"))
    labels = [row["label"] for row in csv.DictReader(text.splitlines())]
    assert labels == [row["label"] for row in expected]
