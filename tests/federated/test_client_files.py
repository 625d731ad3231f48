"""A folder with a file per client: names, order, labels that mean the same, and mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated.data.client_files import load_folder
from federated.data.federated_dataset import PartitionConfig, load_federated_dataset
from tfcluster.data import TableOptions
from tfcluster.errors import InputError

SAMPLES = np.arange(6.0).reshape(3, 2)


def save(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


def test_a_file_is_a_client(tmp_path: Path) -> None:
    save(tmp_path / "south.npz", X=SAMPLES[:1])
    np.save(tmp_path / "north.npy", SAMPLES)
    (tmp_path / "east.csv").write_text("1,2\n3,4\n")
    (tmp_path / ".DS_Store").write_text("hidden")
    names, datasets = load_folder(tmp_path)
    assert names == ("east", "north", "south")
    assert [len(data.X) for data in datasets] == [2, 3, 1]
    np.testing.assert_array_equal(datasets[1].X, SAMPLES)
    assert all(data.y is None and data.X.dtype == np.float32 for data in datasets)


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", SAMPLES)
    monkeypatch.chdir(tmp_path)
    assert load_folder(".")[0] == ("a",)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([["dog", "cat"], ["owl", "dog"]], [[1, 0], [2, 1]]),
        ([[0.5, 1], [0.25, 2]], [[1, 2], [0, 3]]),
        ([[7, 3], [9, -1]], [[7, 3], [9, -1]]),
        ([["7", "3"], [9, 3]], [[7, 3], [9, 3]]),
    ],
)
def test_a_label_is_the_same_class_in_every_file(
    tmp_path: Path, labels: list[list[Any]], expected: list[list[int]]
) -> None:
    for name, y in zip("ab", labels, strict=True):
        save(tmp_path / f"{name}.npz", X=SAMPLES[:2], y=np.array(y))
    _, datasets = load_folder(tmp_path)
    assert [data.y.tolist() for data in datasets] == expected  # type: ignore[union-attr]
    assert all(data.y.dtype == np.int64 for data in datasets)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"X": SAMPLES[:, :1], "y": [0, 1, 2]}, "2 features with labels in a.npz, 1 features with"),
        ({"X": SAMPLES}, "2 features without labels in b.npz"),
        (
            {"X": SAMPLES.reshape(3, 1, 2), "y": [0, 1, 2]},
            r"drawn as image \(1, 2\) with labels in b",
        ),
    ],
)
def test_clients_must_be_alike(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    save(tmp_path / "a.npz", X=SAMPLES, y=[0, 1, 2])
    save(tmp_path / "b.npz", **other)
    with pytest.raises(InputError, match=message):
        load_folder(tmp_path)


def test_folders_that_are_no_clients(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found none at .*nowhere"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="Received: none"):
        load_folder(tmp_path)
    np.save(tmp_path / "a.npy", SAMPLES)
    save(tmp_path / "a.npz", X=SAMPLES)
    with pytest.raises(InputError, match=r"different names .* Received: a.npy, a.npz"):
        load_folder(tmp_path)
    (tmp_path / "a.npz").rename(tmp_path / "readme.md")
    with pytest.raises(InputError, match=r"A data file ends in .csv, .*, .npz; .*readme.md"):
        load_folder(tmp_path)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_columns_are_matched_by_name_in_any_order(tmp_path: Path) -> None:
    write(tmp_path, a="age,bp\n1,2\n3,4\n", b="bp;age\n2,5;1\n4,5;3\n", c="5,6\n7,8\n")
    _, datasets = load_folder(tmp_path)
    assert [data.X.tolist() for data in datasets] == [
        [[1, 2], [3, 4]],
        [[1, 2.5], [3, 4.5]],
        [[5, 6], [7, 8]],  # by position, which is said
    ]
    assert {data.feature_names for data in datasets} == {("age", "bp")}
    assert datasets[2].table is not None
    assert "columns go by their position" in datasets[2].table.describe()


def test_missing_and_extra_columns_are_named(tmp_path: Path) -> None:
    write(tmp_path, a="age,bp,x\n1,2,3\n", b="age,z,bp\n1,2,3\n")
    with pytest.raises(InputError, match=r"b\.csv: .*it lacks 'x' and it also has 'z'"):
        load_folder(tmp_path)


def test_an_id_or_a_dropped_column_may_be_absent_from_some_files(tmp_path: Path) -> None:
    write(tmp_path, a="pid,age,note\np1,2,ok\n", b="age\n1\n")
    options = TableOptions(id_column="pid", drop=("note",))
    made = load_federated_dataset(str(tmp_path), PartitionConfig(), 0, options)
    assert made.feature_names == made.column_names == ("age",) and made.id_column == "pid"
    assert [ids.tolist() for ids in made.ids] == [["p1"], [""]]
    for wrong in (
        TableOptions(id_column="z", drop=("pid", "note")),
        TableOptions(id_column="pid", drop=("note", "z")),
    ):
        with pytest.raises(InputError, match=r"must name a column of a file .*'z'"):
            load_folder(tmp_path, wrong)


def test_a_header_of_numbers_adds_no_sample_to_a_folder(tmp_path: Path) -> None:
    write(tmp_path, a="1.5,2.5\n3,4\n", b="0,1\n5,6\n7,8\n")
    with pytest.raises(InputError, match=r"b\.csv, line 1: the first row, '0, 1', may name"):
        load_folder(tmp_path)


def test_groups_of_a_table_are_the_clients(tmp_path: Path) -> None:
    write(tmp_path, a="site,age,pid\nnorth,1,p0\nsouth,2,p1\nnorth,3,p2\n")
    file, options = str(tmp_path / "a.csv"), TableOptions(group_column="site", id_column="pid")
    made = load_federated_dataset(file, PartitionConfig("natural"), 0, options)
    assert made.names == ("site north", "site south") and made.sizes == [2, 1]
    assert [ids.tolist() for ids in made.ids] == [["p0", "p2"], ["p1"]]
    with pytest.raises(InputError, match="--group-column names the clients of --partition natural"):
        load_federated_dataset(file, PartitionConfig(), 0, options)
    with pytest.raises(InputError, match="takes no --group-column"):
        load_federated_dataset(str(tmp_path), PartitionConfig(), 0, options)


def test_reading_does_not_import_tensorflow(tmp_path: Path) -> None:
    write(tmp_path, a="age,bp\n1,2\n3,4\n")
    code = (
        "import sys; from federated.data.federated_dataset import *;"
        f"load_federated_dataset({str(tmp_path)!r}, PartitionConfig(), 0);"
        "print('tensorflow' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
