"""A folder with a file per client: names, order, labels that mean the same, and mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated.data.client_files import load_folder
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
    (tmp_path / "a.npz").rename(tmp_path / "readme.txt")
    with pytest.raises(InputError, match=r"A data file ends in .csv, .npy, .npz; .*readme.txt"):
        load_folder(tmp_path)


def test_columns_of_another_order_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("age,bp\n1,2\n3,4\n")
    (tmp_path / "b.csv").write_text("bp,age\n2,1\n4,3\n")
    with pytest.raises(InputError, match=r"'age' as feature 0 in a\.csv, 'bp' in b\.csv"):
        load_folder(tmp_path)
