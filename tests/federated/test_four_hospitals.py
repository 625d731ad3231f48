"""The four hospitals of heart disease, as tables that four hands wrote."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import federated
from tfcluster import InputError, load_data
from tfcluster.data import TableOptions, load_groups
from tfcluster.files import load_arrays

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
DIAGNOSIS = "num"  # as UCI calls it


class Hand(NamedTuple):
    """How somebody writes tables.

    Attributes:
      order: Rearranges the columns.
      separator: Between columns.
      decimal: The decimal mark.
      missing: Mark of a missing value.
      id_column: A column of ids in front; none if empty.
      end: Ends a line.
      start: Before the first line, e.g. the mark that Excel writes.
    """

    order: Callable[[list[str]], list[str]] = list
    separator: str = ","
    decimal: str = "."
    missing: str = "NaN"
    id_column: str = ""
    end: str = "\n"
    start: str = ""


HANDS = (
    Hand(missing="NA", id_column="patient"),
    Hand(lambda names: names[::-1], missing="?"),
    Hand(lambda names: names[5:] + names[:5], ";", ",", "NaN", end="\r\n", start="\ufeff"),
    Hand(sorted, missing=""),
)


def write_number(value: float, hand: Hand) -> str:
    if math.isnan(value):
        return hand.missing
    return f"{value:g}".replace(".", hand.decimal)


def write_table(path: Path, hand: Hand, columns: dict[str, Sequence[float]]) -> None:
    names = hand.order([*columns])
    rows = [
        [write_number(value, hand) for value in row]
        for row in zip(*(columns[name] for name in names), strict=True)
    ]
    if hand.id_column:
        names = [hand.id_column, *names]
        rows = [[f"P{i:03}", *row] for i, row in enumerate(rows)]
    lines = [hand.separator.join(row) for row in [names, *rows]]
    text = hand.start + "".join(line + hand.end for line in lines)
    path.write_bytes(text.encode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables of one hand, `clean`, and of four, `dirty`."""
    try:
        data, sites = load_data("heart_disease", standardize=False), load_groups("heart_disease")
    except InputError as error:
        pytest.skip(str(error))
    made = tmp_path_factory.mktemp("hospitals")
    for name, hands in (("clean", (Hand(),) * len(HANDS)), ("dirty", HANDS)):
        (made / name).mkdir()
        for site, (hospital, hand) in enumerate(zip(HOSPITALS, hands, strict=True)):
            own = sites == site
            columns = dict(zip(data.feature_names, data.X[own].T.tolist(), strict=True))
            columns[DIAGNOSIS] = data.y[own].tolist()
            write_table(made / name / f"{hospital}.csv", hand, columns)
    return made


DIRTY_OPTIONS = ["--id-column", "patient"]
COMMON_OPTIONS = [
    *("--label-column", DIAGNOSIS, "--pretrain-rounds", "2", "--rounds", "5"),
    *("--set", "model.dims=[16,4]", "--set", "model.kmeans_restarts=2", "--threads", "1"),
    "--no-pictures",
]


def run_command(folder: Path, name: str, *options: str) -> Path:
    out = folder / f"{name}-run"
    words = ["federate", "dec", "--dataset", name, "--out", out.name, *COMMON_OPTIONS, *options]
    result = subprocess.run(
        [sys.executable, "-m", "tfcluster", *words],
        capture_output=True, text=True, cwd=folder, timeout=290,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def runs(folder: Path) -> tuple[Path, Path]:
    """The command's runs on both folders."""
    return run_command(folder, "clean"), run_command(folder, "dirty", *DIRTY_OPTIONS)


def read_labels(run: Path, *columns: str) -> dict[str, list[tuple[str, ...]]]:
    """Returns columns of every client's table of labels."""
    found = {}
    for hospital in HOSPITALS:
        with (run / "clients" / hospital / "labels.csv").open() as file:
            found[hospital] = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
    return found


def test_the_command_finds_the_clusters_of_the_clean_tables(runs: tuple[Path, Path]) -> None:
    clean, dirty = (read_labels(run, "label", "confidence") for run in runs)
    assert clean == dirty
    assert sum(map(len, clean.values())) == 920
    assert len({label for rows in clean.values() for label, _ in rows}) == 5
    ids = read_labels(runs[1], "patient")
    assert ids["cleveland"][:2] == [("P000",), ("P001",)] and set(ids["va"]) == {("",)}


def test_and_the_same_bits(runs: tuple[Path, Path]) -> None:
    clean, dirty = (load_arrays(run / "model.npz")[0] for run in runs)
    assert clean.keys() == dirty.keys()
    for name, array in clean.items():
        np.testing.assert_array_equal(array, dirty[name], err_msg=name)


def fit(folder: Path, **options: str) -> federated.FederatedDEC:
    table = TableOptions(label_column=DIAGNOSIS, **options)  # type: ignore[arg-type]
    dataset = federated.load_federated_dataset(folder, table=table)
    overrides = {"model.dims": [16, 4], "model.kmeans_restarts": 2}
    model = federated.FederatedDEC(
        5, pretrain_rounds=2, rounds=5, overrides=overrides, random_state=0
    )
    return model.fit(dataset)


def test_so_does_python(folder: Path, runs: tuple[Path, Path]) -> None:
    clean, dirty = fit(folder / "clean"), fit(folder / "dirty", id_column="patient")
    np.testing.assert_array_equal(clean.cluster_centers_, dirty.cluster_centers_)
    for hospital, rows in read_labels(runs[0], "label").items():
        labels = [(str(label),) for label in clean.client_labels_[hospital]]
        assert labels == [(str(label),) for label in dirty.client_labels_[hospital]] == rows
