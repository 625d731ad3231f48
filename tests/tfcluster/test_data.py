"""Data by name and by path: splits, labels, and where a named set comes from."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.error import URLError

import numpy as np
import pytest
from numpy.typing import NDArray

from tfcluster.data import loading as data
from tfcluster.data.loading import DATASETS, load_data, load_groups
from tfcluster.errors import InputError

Keras = tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No files, no caches, and loaders that fail as they do without a network."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise URLError("connection refused")

    def keras_refuse() -> NoReturn:
        # A plain Exception is what Keras raises.
        raise Exception("URL fetch failure: None -- connection refused")

    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("TFCLUSTER_DATA", str(folder))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    monkeypatch.setattr("sklearn.datasets.fetch_rcv1", refuse)
    use_keras(monkeypatch, keras_refuse)
    return folder


def use_keras(monkeypatch: pytest.MonkeyPatch, load: Callable[[], Keras]) -> None:
    """Replaces TensorFlow by one that has only these loaders."""
    sets = SimpleNamespace(load_data=load)
    keras = SimpleNamespace(datasets=SimpleNamespace(mnist=sets, fashion_mnist=sets))
    module = types.ModuleType("tensorflow")
    module.keras = keras  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow", module)


def save(path: Path, **arrays: NDArray[Any]) -> str:
    np.savez(path, **arrays)
    return str(path)


# Names and splits.


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(InputError, match=r"Unknown data set 'minst'.*Did you mean 'mnist'"):
        load_data("minst")
    with pytest.raises(InputError, match="heart_disease, mice_protein, mnist"):
        load_groups("fashion_mnist")


@pytest.mark.parametrize("name", ["digits", "synthetic", "usps", "heart_disease", "10x_73k"])
def test_a_set_without_a_split_has_only_all(name: str) -> None:
    for split in ("train", "validation", "fit"):
        with pytest.raises(InputError, match=f"'{name}' has no split '{split}'. There is: all.$"):
            load_data(name, split)


def test_an_unknown_split_gets_those_there_are() -> None:
    for load in (load_data, load_groups):
        with pytest.raises(InputError, match=r"'dev'. There is: all, train, test, validation, fit"):
            load("mnist", "dev")


def test_validation_and_fit_are_the_samples_the_catalogue_names(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, "mnist", n_samples=5, n_train=3, validation=slice(1), fit=slice(1, 3))
    save(offline / "mnist.npz", **keras_layout())
    save(offline / "mnist_writers.npz", writer_train=np.arange(3), writer_test=np.arange(3, 5))
    for split, part in {"validation": [0], "fit": [1, 2], "train": [0, 1, 2]}.items():
        X, y, *_ = load_data("mnist", split)
        np.testing.assert_array_equal(X, load_data("mnist").X[part])
        assert y is not None and y.tolist() == [[7, 2, 1][i] for i in part]
        assert load_groups("mnist", split).tolist() == part


def keras_layout(top: int = 255) -> dict[str, NDArray[Any]]:
    images = np.arange(5 * 784, dtype=np.uint8).reshape(5, 28, 28)
    images[0, 0, 0], images[0, 0, 1] = 0, top
    labels = np.array([7, 2, 1, 0, 4], np.uint8)
    parts = {"x_train": images[:3], "y_train": labels[:3]}
    return {**parts, "x_test": images[3:], "y_test": labels[3:]}


def test_keras_layout_has_splits(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", **keras_layout())
    assert [len(load_data(path, split).X) for split in ("all", "train", "test")] == [5, 3, 2]
    assert load_data(path, "test").y.tolist() == [0, 4]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"no split 'validation'. There is: all, train, test.$"):
        load_data(path, "validation")
    path = save(tmp_path / "b.npz", X=np.ones((2, 2)))
    with pytest.raises(InputError, match=r"no split 'test'. There is: all.$"):
        load_data(path, "test")


def test_text_labels_get_the_same_numbers_in_every_split(tmp_path: Path) -> None:
    X = np.ones((2, 2))
    train, test = np.array(["cat", "dog"]), np.array(["dog", "zebra"])
    path = save(tmp_path / "a.npz", x_train=X, y_train=train, x_test=X, y_test=test)
    assert load_data(path).y.tolist() == [0, 1, 1, 2]  # type: ignore[union-attr]
    assert load_data(path, "test").y.tolist() == [1, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[3], [-1]], [3, -1]),
        ([2.0, 5.0], [2, 5]),
        ([0.5, 0.25], [1, 0]),
        ([True, False], [1, 0]),
        (["10", "9"], [10, 9]),
        (["1", "b"], [0, 1]),
        ([np.inf, 1], [1, 0]),
    ],
)
def test_labels(tmp_path: Path, labels: list[Any], expected: list[int]) -> None:
    y = load_data(save(tmp_path / "a.npz", X=np.ones((2, 2)), y=np.array(labels))).y
    assert y is not None and y.tolist() == expected and y.dtype == np.int64


# Where named sets come from.


@pytest.mark.parametrize("name", [name for name, info in DATASETS.items() if info.file])
def test_offline_the_error_says_what_to_get_and_where_to_put_it(offline: Path, name: str) -> None:
    info = DATASETS[name]
    with pytest.raises(InputError) as caught:
        load_data(name)
    message = str(caught.value)
    assert str(info.file) in message and "https://" in message and info.layout in message
    assert "TFCLUSTER_DATA" in message and str(offline) in message
    if info.fetch:
        assert "connection refused" in message and caught.value.__cause__ is not None
    assert not any(offline.iterdir())


def test_the_error_says_that_no_folder_is_set(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TFCLUSTER_DATA")
    with pytest.raises(InputError, match="TFCLUSTER_DATA names \\(now: not set\\)"):
        load_data("stl10")


@pytest.mark.parametrize("name", ["mnist", "heart_disease", "mice_protein"])
def test_groups_need_their_file(offline: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"groups of '{name}' need a file.*TFCLUSTER_DATA"):
        load_groups(name)


def test_groups_must_cover_every_row(offline: Path) -> None:
    save(offline / "mice_protein.npz", mouse=np.arange(3))
    with pytest.raises(InputError, match="must hold mouse, 1080 values"):
        load_groups("mice_protein")


def small(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """Makes a named set small enough to be written by a test."""
    info = dataclasses.replace(DATASETS[name], **changes)
    monkeypatch.setattr(data, "DATASETS", {**DATASETS, name: info})


def test_the_folder_comes_before_the_cache_and_the_cache_before_the_loader(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, "mnist", n_samples=5, n_train=3)
    arrays = keras_layout()
    use_keras(
        monkeypatch,
        lambda: (
            ((arrays["x_train"], arrays["y_test"][[0, 0, 0]]),)
            + ((arrays["x_test"], arrays["y_test"]),)
        ),
    )
    assert load_data("mnist").y.tolist() == [0, 0, 0, 0, 4]  # type: ignore[union-attr]
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    save(tmp_path / "keras" / "datasets" / "mnist.npz", **arrays)
    assert load_data("mnist").y.tolist() == [7, 2, 1, 0, 4]  # type: ignore[union-attr]
    save(offline / "mnist.npz", **{**arrays, "y_test": np.array([9, 9])})
    assert load_data("mnist").y.tolist() == [7, 2, 1, 9, 9]  # type: ignore[union-attr]
    assert load_data("mnist", "test").X.shape == (2, 784)


def test_fashion5_joins_the_classes_that_look_alike(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, "fashion5", n_samples=5, n_train=3)
    save(offline / "fashion_mnist.npz", **keras_layout())
    assert load_data("fashion5").y.tolist() == [3, 2, 1, 0, 2]  # type: ignore[union-attr]


def test_fashion5_needs_the_ten_classes_it_joins(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, "fashion5", n_samples=5, n_train=3)
    for labels, received in (
        (np.array([0, 10]), "0 to 10"),
        (np.array([-1, 9]), "-1 to 9"),
        (np.array([0.5, 1]), "float64"),
        (np.array(["bag", "coat"]), "<U4"),
    ):
        arrays = {**keras_layout(), "y_train": labels[[0, 0, 0]], "y_test": labels}
        save(offline / "fashion_mnist.npz", **arrays)
        with pytest.raises(InputError, match=f"integers from 0 to 9, received {received}"):
            load_data("fashion5")


def test_a_named_file_must_hold_that_data_set(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(offline / "mnist.npz", **keras_layout())
    with pytest.raises(InputError, match=r"60000 and 10000 images.*received features \(5, 28, 28"):
        load_data("mnist")
    save(offline / "usps.npz", X=np.zeros((9298, 256), np.float32))
    with pytest.raises(InputError, match="without labels"):
        load_data("usps")
    save(offline / "usps.npz", X=np.full((9298, 256), -1, np.int8), y=np.zeros(9298))
    with pytest.raises(InputError, match="'usps' must be in \\[0, 1\\], received -1 to -1"):
        load_data("usps")
    small(monkeypatch, "mnist", n_samples=5, n_train=3)
    arrays = keras_layout()
    scaled = {name: arrays[name] / 255 for name in ("x_train", "x_test")}
    save(offline / "mnist.npz", **{**arrays, **scaled})
    with pytest.raises(InputError, match="must run from 0 to 255"):
        load_data("mnist", "train")


def test_a_wholly_missing_column_becomes_zeros(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, "heart_disease", n_samples=3, n_features=2)
    x = np.array([[1, np.nan], [3, np.nan], [np.nan, np.nan]], np.float32)
    save(offline / "heart_disease_4hospitals.npz", x=x, y=np.array([0, 4, 1]))
    X = load_data("heart_disease").X
    expected = np.array([[-1, 0], [1, 0], [0, 0]]) * np.sqrt(1.5)
    np.testing.assert_allclose(X, expected, rtol=1e-6)


def test_samples_as_in_the_file(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, "heart_disease", n_samples=2, n_features=2)
    x, y = np.array([[1, np.nan], [3, 1e9]], np.float64), np.array([4, 1])
    save(offline / "heart_disease_4hospitals.npz", x=x, y=y)
    found = load_data("heart_disease", standardize=False)
    assert found.X.dtype == np.float32 and found.X.flags.c_contiguous
    np.testing.assert_array_equal(found.X, x)
    np.testing.assert_array_equal(found.y, y)
    scaled = load_data("digits", standardize=False)
    np.testing.assert_array_equal(scaled.X, load_data("digits").X)


def test_reuters_samples_get_unit_length(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, "reuters10k", n_samples=3, n_features=2)
    X = np.array([[30.0, 40.0], [0, 2], [0, 0]])
    save(offline / "reuters10k.npz", X=X, y=np.arange(3))
    expected = np.array([[0.6, 0.8], [0, 1], [0, 0]])
    np.testing.assert_allclose(load_data("reuters10k").X, expected, rtol=1e-6)
    save(offline / "reuters10k.npz", X=-X, y=np.arange(3))
    with pytest.raises(InputError, match="none below 0"):
        load_data("reuters10k")


def test_importing_the_module_loads_neither_tensorflow_nor_scikit_learn() -> None:
    folder = Path(data.__file__).parents[1]
    code = (
        "import sys, types; package = types.ModuleType('tfcluster'); "
        f"package.__path__ = [{str(folder)!r}]; sys.modules['tfcluster'] = package; "
        "import tfcluster.data; print({'tensorflow', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
