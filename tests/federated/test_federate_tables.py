"""Folders of tables, written by several hands, on the command line."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from federated.data.federated_dataset import PartitionConfig, load_federated_dataset
from tests.tfcluster.helpers import blobs
from tfcluster import DEC
from tfcluster.cli.predict import predict_file
from tfcluster.data import TableOptions
from tfcluster.errors import InputError

SMALL = [
    *("--n-clusters", "3", "--pretrain-rounds", "1", "--rounds", "1", "--local-steps", "1"),
    *("--set", "model.dims=[8,3]", "--set", "model.kmeans_restarts=1", "--set", "lloyd_rounds=1"),
]


def write(path, names, columns, separator=",", decimal="."):
    cells = [[str(value).replace(".", decimal) for value in column] for column in columns]
    lines = [separator.join(row) for row in zip(*cells, strict=True)]
    path.write_text("\n".join([separator.join(names), *lines]) + "\n")


HANDS = {
    "a": (("pid", *"abcd", "site"), ",", "."),
    "b": (("site", *"dcba"), ";", ","),
    "c": ((*"bacd", "site", "note"), "\t", "."),
}
"""Columns, separator and decimal mark of each client's table."""
SITES = {"a": ("north", "south"), "b": ("south", "west"), "c": ("south",)}
"""The categories that each client has."""
ENCODED = (*"abcd", "site=north", "site=south", "site=west")


def write_folders(folder):
    """Writes the tables of three clients by one hand, and by three."""
    X = np.round(blobs(90, 4)[0], 4)
    for name in ("clean", "dirty"):
        (folder / name).mkdir()
    for i, client in enumerate(HANDS):
        columns = dict(zip("abcd", X[30 * i : 30 * (i + 1)].T.tolist(), strict=True))
        sites = SITES[client]
        columns["site"] = [sites[n % len(sites)] for n in range(30)]
        write(folder / "clean" / f"{client}.csv", columns, columns.values())
        columns |= {"pid": [f"p{n}" for n in range(30)], "note": ["?"] * 30}
        names, separator, decimal = HANDS[client]
        own = [columns[name] for name in names]
        write(folder / "dirty" / f"{client}.csv", names, own, separator, decimal)


def test_tables_of_several_hands_are_the_clean_ones(tmp_path):
    """Equal bits in the same order, so that equal runs follow."""
    write_folders(tmp_path)
    site = TableOptions(categorical=("site",))
    options = dataclasses.replace(site, id_column="pid", drop=("note",))
    clean = load_federated_dataset(str(tmp_path / "clean"), PartitionConfig(), 0, site)
    dirty = load_federated_dataset(str(tmp_path / "dirty"), PartitionConfig(), 0, options)
    assert clean.names == dirty.names and clean.feature_names == dirty.feature_names
    for (first, _), (second, _) in zip(clean.clients, dirty.clients, strict=True):
        np.testing.assert_array_equal(first, second)


def test_clients_encode_the_categories_that_any_of_them_has(tmp_path):
    write_folders(tmp_path)
    options = TableOptions(categorical=("site",))
    data = load_federated_dataset(str(tmp_path / "clean"), PartitionConfig(), 0, options)
    assert data.feature_names == ENCODED
    means = [x[:, 4:].mean(axis=0).tolist() for x, _ in data.clients]
    assert means == [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 1, 0]]
    numbers = itertools.count()
    for client in "abc":
        path = tmp_path / "clean" / f"{client}.csv"
        path.write_text(re.sub("north|south|west", lambda _: f"s{next(numbers)}", path.read_text()))
    with pytest.raises(InputError, match="90 different ones for 90 samples in column 'site'"):
        load_federated_dataset(str(tmp_path / "clean"), PartitionConfig(), 0, options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on the tables of three hands."""
    folder = tmp_path_factory.mktemp("hospitals")
    write_folders(folder)
    words = ["--dataset", "dirty", "--out", "run", "--id-column", "pid", "--drop", "note", *SMALL]
    words += ["--categorical", "site"]
    result = subprocess.run(
        [sys.executable, "-m", "tfcluster", "federate", "dec", *words],
        capture_output=True, text=True, cwd=folder, timeout=290,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder, result


def read_labels(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_what_every_table_was_taken_as_is_said_and_kept(run):
    folder, result = run
    for words in ("a.csv: 30 samples", "semicolons", "decimal mark is a comma", "left out 'note'"):
        assert words in result.stdout
    before_training = result.stdout.partition("phase")[0]
    assert "Categories of 'site' over all 3 files: north, south, west\n" in before_training
    assert "valid feature names" not in result.stderr  # scikit-learn's warning
    config = json.loads((folder / "run" / "config.json").read_text())
    assert [table["id_column"] for table in config["tables"]] == ["pid", None, None]
    assert config["drop"] == "note" and config["categorical"] == "site"
    categories = {"site": ["north", "south", "west"]}
    assert [table["categories"] for table in config["tables"]] == [categories] * 3
    rows = read_labels(folder / "run" / "clients" / "a" / "labels.csv")
    assert [row["pid"] for row in rows] == [f"p{n}" for n in range(30)]


def test_predict_matches_columns_of_a_federated_model(run):
    folder, _ = run
    assert tuple(DEC.load(folder / "run" / "model.npz").feature_names_in_) == ENCODED
    expected = read_labels(folder / "run" / "clients" / "b" / "labels.csv")
    text = predict_file(folder / "run", str(folder / "dirty" / "b.csv"))
    labels = [row["label"] for row in csv.DictReader(text.splitlines())]
    assert labels == [row["label"] for row in expected]


def test_predict_refuses_a_category_that_no_client_had(run):
    folder, _ = run
    (folder / "new.csv").write_text("a,b,c,d,site\n1,2,3,4,east\n")
    with pytest.raises(InputError, match=r"line 2, column 'site'.*'west'. Received 'east'"):
        predict_file(folder / "run", str(folder / "new.csv"))
