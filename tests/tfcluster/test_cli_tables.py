"""Tables on the command line: what columns are, ids in tables of labels, columns by name."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.tfcluster.helpers import blobs
from tfcluster import DEC
from tfcluster.cli.options import PredictOptions, TableArguments, split_names
from tfcluster.cli.predict import predict_file
from tfcluster.cli.tables import get_categories
from tfcluster.data import TableOptions
from tfcluster.errors import InputError

NAMES = ("age", "bp", "chol", "hr", "bmi", "dose")
QUICK = [
    *("--n-clusters", "3", "--set", "dims=[8,3]", "--set", "max_steps=40"),
    *("--set", "pretraining.epochs=5", "--set", "kmeans_restarts=2"),
]
COLUMNS = [*("--id-column", "pid"), *("--drop", "note"), *("--label-column", "dx")]


def write_table(path, columns, separator=","):
    rows = zip(*columns.values(), strict=True)
    lines = [separator.join(map(str, row)) for row in ([*columns], *rows)]
    path.write_text("\n".join(lines) + "\n")


def features():
    X, y = blobs(90)
    return {name: np.round(X[:, i], 4).tolist() for i, name in enumerate(NAMES)}, y


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run that was trained on `train.csv`."""
    folder = tmp_path_factory.mktemp("tables")
    columns, y = features()
    pids = [f"p{i}" for i in range(90)]
    write_table(folder / "train.csv", {"pid": pids, **columns, "note": ["x"] * 90, "dx": y})
    words = ["train", "dec", "--dataset", "train.csv", "--out", "run", *COLUMNS, *QUICK]
    words += ["--no-pictures"]
    result = subprocess.run(
        [sys.executable, "-m", "tfcluster", *words],
        capture_output=True, text=True, cwd=folder, timeout=250,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder, result


def read_labels(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_what_columns_were_taken_as_is_printed_and_kept(trained):
    folder, result = trained
    before_training = result.stdout.partition("k-means")[0]
    for words in ("90 samples, 6 features", "labels in 'dx'", "ids in 'pid'", "left out 'note'"):
        assert words in before_training
    assert result.stderr == ""  # scikit-learn does not warn of names either
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["label_column"] == "dx" and config["drop"] == "note"
    (table,) = config["tables"]
    assert table["features"] == list(NAMES) and table["dropped"] == ["note"]
    assert table["id_column"] == "pid" and table["label_column"] == "dx" and table["has_header"]


def test_labels_repeat_the_ids(trained):
    folder, _ = trained
    rows = read_labels((folder / "run" / "labels.csv").read_text())
    assert list(rows[0]) == ["row", "pid", "label", "confidence"]
    assert [row["pid"] for row in rows] == [f"p{i}" for i in range(90)]


def test_the_model_keeps_names_and_predict_matches_columns_by_name(trained):
    folder, _ = trained
    model = DEC.load(folder / "run" / "model.npz")
    assert tuple(model.feature_names_in_) == NAMES
    columns, _ = features()
    shuffled = {name: columns[name] for name in reversed(NAMES)}
    write_table(folder / "new.csv", shuffled)
    rows = read_labels(predict_file(folder / "run", str(folder / "new.csv")))
    assert [int(row["label"]) for row in rows] == model.labels_.tolist()
    # what the run left out may come again, or not; labels may be missing
    more = {"dx": [""] * 90, **shuffled, "note": ["z"] * 90, "pid": range(90)}
    write_table(folder / "more.csv", more, ";")
    rows = read_labels(predict_file(folder / "run", str(folder / "more.csv")))
    assert [int(row["label"]) for row in rows] == model.labels_.tolist()
    assert [row["pid"] for row in rows] == list(map(str, range(90)))


def test_predict_names_missing_and_extra_columns(trained):
    folder, _ = trained
    columns, _ = features()
    del columns["dose"]
    write_table(folder / "wrong.csv", {**columns, "weight": [1] * 90})
    with pytest.raises(InputError, match="it lacks 'dose' and it also has 'weight'"):
        predict_file(folder / "run", str(folder / "wrong.csv"))


def test_predict_goes_by_position_without_names_and_says_so(trained, capsys):
    folder, _ = trained
    columns, _ = features()
    X = np.column_stack(list(columns.values()))
    np.save(folder / "new.npy", X)
    np.savetxt(folder / "bare.csv", X, delimiter=",")
    labels = DEC.load(folder / "run" / "model.npz").labels_.tolist()
    for name in ("new.npy", "bare.csv"):
        rows = read_labels(predict_file(folder / "run", str(folder / name)))
        assert [int(row["label"]) for row in rows] == labels
        assert (
            f"{name} names no columns, so they go by position: age, bp" in capsys.readouterr().err
        )
    np.save(folder / "few.npy", X[:, 1:])
    with pytest.raises(InputError, match=r"6 features, age, .* Received 5 columns without names"):
        predict_file(folder / "run", str(folder / "few.npy"))


def test_predict_takes_the_categories_of_the_run_only(trained):
    folder, _ = trained
    with pytest.raises(InputError, match=r"must be those of the run, none. Received: 'age'"):
        predict_file(folder / "run", str(folder / "train.csv"), TableArguments(categorical="age"))


@pytest.mark.parametrize(
    "tables", [[3], {"a": 1}, [{"categories": [1]}], [{"categories": {"a": 1}}]]
)
def test_damaged_categories_of_a_run(tmp_path, tables):
    with pytest.raises(InputError, match=r"config.json is damaged: `tables`"):
        get_categories(tmp_path, {"tables": tables})


def test_options_become_table_options():
    arguments = TableArguments(drop='a, "b, c"', categorical="d", missing="-999,x", header=False)
    assert arguments.table_options() == TableOptions(
        drop=("a", "b, c"), categorical=("d",), missing=("-999", "x"), header=False
    )
    assert split_names(None) == ()
    with pytest.raises(InputError, match=r"must stand in one line. Received: 'a\\nb'"):
        split_names("a\nb")
    assert {"run", "file", "label_column"} <= set(PredictOptions.__dataclass_fields__)


@pytest.mark.parametrize("words", [["train", "dec"], ["train", "clustergan"], ["federate", "dec"]])
def test_a_wrong_table_is_refused_before_tensorflow_is_imported(tmp_path, words):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,x\n")
    code = f"""
import sys
from tfcluster.cli.main import main
sys.argv[1:] = {words!r} + ["--dataset", "a.csv", "--n-clusters", "2"]
try:
    main()
finally:
    print(*sorted({{"tensorflow", "sklearn"}} & set(sys.modules)))
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=250
    )
    assert found.returncode == 2 and found.stdout == "\n"
    assert "a.csv, line 3, column 'b'" in found.stderr and "Traceback" not in found.stderr
