"""Users' files and downloads, and every way in which they can be wrong."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from federated.data.client_files import load_folder
from tfcluster.data import downloads
from tfcluster.data.loading import Picture, TableOptions, load_data
from tfcluster.errors import InputError


def save(path: Path, **arrays: NDArray[Any]) -> str:
    np.savez(path, **arrays)
    return str(path)


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


# Users' arrays.


@pytest.mark.parametrize("key", ["X", "x"])
def test_an_npz_of_samples_is_used_as_it_is(tmp_path: Path, key: str) -> None:
    samples = np.array([[0, 200], [3, np.nan]], ">f8")
    X, y, picture, *_ = load_data(save(tmp_path / "a.npz", **{key: samples}))
    np.testing.assert_array_equal(X, samples)
    assert X.dtype == np.float32 and X.flags.c_contiguous and y is None and picture is None


def test_images_are_flattened_and_bytes_are_scaled(tmp_path: Path) -> None:
    images = np.array([[[0, 51], [102, 255]]] * 2, np.uint8)
    X, _, picture, *_ = load_data(save(tmp_path / "a.npz", X=images))
    np.testing.assert_allclose(X[0], [0, 0.2, 0.4, 1], rtol=1e-6)
    assert picture == Picture("image", (2, 2))
    X = load_data(save(tmp_path / "a.npz", X=images.astype(np.int64))).X
    assert X[0].tolist() == [0, 51, 102, 255]
    X = load_data(save(tmp_path / "a.npz", X=images.reshape(2, 4))).X
    assert X[0].tolist() == [0, 51, 102, 255]


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5)))
    X, y, picture, *_ = load_data(tmp_path / "a.npy")
    assert X.shape == (3, 20) and y is None and picture == Picture("image", (4, 5))


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    assert load_data("~/a.npy").X.shape == (3, 4)


def test_features_have_names_and_units(tmp_path: Path) -> None:
    X = np.arange(6.0).reshape(2, 3)
    assert load_data(save(tmp_path / "a.npz", X=X)).feature_names == ("x0", "x1", "x2")
    names = np.array(["age", "dose", "site"])
    for arrays in ({"X": X}, {"x_train": X, "x_test": X}):
        loaded = load_data(save(tmp_path / "a.npz", feature_names=names, **arrays))
        assert loaded.feature_names == ("age", "dose", "site") and loaded.units is None
    images = np.array([[[0, 51], [102, 255]]] * 2, np.uint8)
    loaded = load_data(save(tmp_path / "a.npz", X=images))
    assert loaded.feature_names == ("pixel_0_0", "pixel_0_1", "pixel_1_0", "pixel_1_1")
    assert loaded.units is not None
    back = loaded.X * loaded.units.sd + loaded.units.mean
    np.testing.assert_allclose(back, images.reshape(2, 4), rtol=1e-6)


WRONG_ARRAYS = {
    "rank 1": ({"X": np.ones(3)}, "images \\(n, h, w\\).*shape \\(3,\\)"),
    "rank 4": ({"X": np.ones((2, 3, 3, 1))}, "shape \\(2, 3, 3, 1\\)"),
    "no samples": ({"X": np.ones((0, 3))}, "shape \\(0, 3\\)"),
    "text": ({"X": np.array([["a", "b"]])}, "real numbers, received <U1"),
    "complex": ({"X": np.ones((2, 2), complex)}, "real numbers, received complex"),
    "names": (
        {"X": np.ones((2, 2)), "feature_names": np.array(["a"])},
        "each of the 2 features, received 1 names",
    ),
    "labels": ({"X": np.ones((2, 2)), "y": np.ones(3)}, "each of the 2 samples.*shape \\(3,\\)"),
    "one-hot": ({"X": np.ones((2, 2)), "y": np.eye(2)}, "shape \\(2, 2\\)"),
    "no label": ({"X": np.ones((2, 2)), "y": np.array([1, np.nan])}, "needs a label.*NaN"),
    "other names": ({"features": np.ones((2, 2))}, "must hold X or x.*holds: none"),
    "half": ({"x_train": np.ones((2, 2)), "y_train": np.ones(2)}, "holds: y?.*x_train"),
    "half labels": (
        {"x_train": np.ones((2, 2)), "x_test": np.ones((2, 2)), "y_test": np.ones(2)},
        "y_train and y_test",
    ),
    "widths": (
        {"x_train": np.ones((2, 2)), "x_test": np.ones((2, 3))},
        "received \\(2, 2\\) and \\(2, 3\\)",
    ),
}


@pytest.mark.parametrize("case", WRONG_ARRAYS)
def test_wrong_arrays_get_the_rule_and_what_was_received(tmp_path: Path, case: str) -> None:
    arrays, message = WRONG_ARRAYS[case]
    with pytest.raises(InputError, match=message) as caught:
        load_data(save(tmp_path / "wrong.npz", **arrays))
    assert "wrong.npz" in str(caught.value)


class Trap:
    """Leaves a trace if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_objects_are_never_unpickled(tmp_path: Path, suffix: str) -> None:
    path, trace = tmp_path / f"a{suffix}", tmp_path / "trace"
    objects = np.array([[Trap(trace), 1]], object)
    np.save(path, objects, allow_pickle=True) if suffix == ".npy" else np.savez(path, X=objects)
    with pytest.raises(InputError, match=f"a{suffix} cannot be read.*without Python objects"):
        load_data(str(path))
    assert not trace.exists()


def test_an_array_that_is_not_used_may_be_anything(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", X=np.ones((2, 2)), names=np.array(["a", 1], object))
    assert load_data(path).X.shape == (2, 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 600), st.integers(0, 255), st.booleans(), st.booleans())
def test_a_damaged_file_is_an_input_error_or_still_readable(
    at: int, value: int, cut: bool, zipped: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        (np.savez_compressed if zipped else np.savez)(path, X=np.eye(4), y=np.arange(4))
        content = bytearray(path.read_bytes())
        at %= len(content)
        content[at] = value
        path.write_bytes(content[:at] if cut else content)
        try:
            assert load_data(str(path)).X.ndim == 2
        except InputError as error:
            assert "a.npz" in str(error)


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x80\x04N.", b"PK\x03\x04junk"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_what_is_no_array_file_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        load_data(str(path))


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X.npy", "no array")
    with pytest.raises(InputError, match=r"a.npz"):
        load_data(str(tmp_path / "a.npz"))


def test_a_path_must_be_a_data_file(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    for path, message in (
        (tmp_path / "absent.csv", "absent.csv' and found nothing"),
        (tmp_path / "folder.npz", "found a folder"),
        (tmp_path / "a.xlsx", "ends in .csv, .tsv, .*.npy, .npz; received"),
        (tmp_path, "ends in .csv"),
        ("mnist.npz", "'mnist.npz' and found nothing"),
    ):
        with pytest.raises(InputError, match=message):
            load_data(path)


# Users' tables.


@pytest.mark.parametrize("column", ["label", "Label", "y", "class", "Target"])
def test_csv_with_a_header_and_labels(tmp_path: Path, column: str) -> None:
    text = f"height, {column} ,weight\n1.5,dog,2\n\n,cat,-3e1\n"
    asked = None if column.lower() == "label" else TableOptions(label_column=column)
    data = load_data(write(tmp_path / "a.csv", text), table=asked)
    X, y, picture = data
    names, units = data.feature_names, data.units
    assert names == ("height", "weight") and units is None
    np.testing.assert_array_equal(X, np.array([[1.5, 2], [np.nan, -30]], np.float32))
    assert y is not None and y.tolist() == [1, 0] and picture is None
    assert X.dtype == np.float32 and X.flags.c_contiguous


@pytest.mark.parametrize("text", ["1,2\n3,4", "\ufeffa,b\r\n1,2\r\n3,4\r\n", '"a, b",c\n1,2\n3,4'])
def test_csv_without_labels(tmp_path: Path, text: str) -> None:
    data = load_data(write(tmp_path / "a.csv", text))
    X, y, _ = data
    names = data.feature_names
    assert X.tolist() == [[1, 2], [3, 4]] and y is None
    assert names == {"1": ("x0", "x1"), "\ufeff": ("a", "b"), '"': ("a, b", "c")}[text[0]]


def test_a_header_of_numbers_is_known_by_its_label_column(tmp_path: Path) -> None:
    X, y, *_ = load_data(write(tmp_path / "a.csv", "0,1,label\n5,6,1\n7,8,0\n"))
    assert X.tolist() == [[5, 6], [7, 8]] and y is not None and y.tolist() == [1, 0]


WRONG_TABLES = {
    "text": ("a,b\n1,2\n3,red", "line 3, column 'b': features must be numbers.*'red'"),
    "text without header": ("1,2\n3,red", "line 2, column '2'.*'red'"),
    "text in row 1": ("1,red\n3,4", "line 1, column '2'.*'red'"),
    "ragged": ("1,2\n3,4,5", "line 2: every row needs 2 cells.*received 3"),
    "two labels": ("a,Label,label\n1,2,3", "only one column may hold the labels.*'Label', 'label'"),
    "empty label": ("a,label\n1,\n", "line 2, column 'label': every row needs a label"),
    "row numbers": (",a,b\n0,1,2\n", "'Unnamed: 0' looks like an id or a row number"),
    "empty": ("", "is empty"),
    "blank": ("\n\n", "is empty"),
    "header only": ("a,b\n", "a header and no rows"),
    "labels only": ("label\n1\n", "at least one column must be a feature"),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_a_wrong_csv_gets_the_place_and_the_rule(tmp_path: Path, case: str) -> None:
    text, message = WRONG_TABLES[case]
    with pytest.raises(InputError, match=message) as caught:
        load_data(write(tmp_path / "wrong.csv", text))
    assert "wrong.csv" in str(caught.value)


def test_a_csv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1,2\n\xff\xfe,3\n")
    with pytest.raises(InputError, match=r"a.csv cannot be read.*UTF-8"):
        load_data(str(tmp_path / "a.csv"))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=True), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_a_csv_gives_back_the_numbers_written(rows: list[list[float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join(",".join(map(repr, row)) for row in rows)
        X = load_data(write(Path(folder) / "a.csv", text)).X
    np.testing.assert_array_equal(X, np.array(rows, np.float32))


# What a download must be before it is taken for the published data.


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TFCLUSTER_DATA", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def openml(monkeypatch: pytest.MonkeyPatch, X: NDArray[Any], y: NDArray[Any]) -> None:
    names = [f"feature {i}" for i in range(X.shape[1])]
    result = SimpleNamespace(data=X, target=y.astype(object), feature_names=names)
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda **_: result)


def test_usps_from_openml_is_shifted_to_digits_in_the_unit_range(
    no_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.repeat(np.arange(1, 11), downloads.USPS_COUNTS)
    X = np.tile(np.linspace(-1, 1, 256), (len(labels), 1))
    openml(monkeypatch, X, labels.astype(str))
    loaded = load_data("usps")
    assert loaded.X.shape == (9298, 256) and (loaded.X.min(), loaded.X.max()) == (0, 1)
    assert loaded.y is not None
    np.testing.assert_array_equal(loaded.y, labels - 1)


def test_pendigits_from_openml_must_be_in_the_published_order(
    no_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (downloads.PENDIGITS_TRAIN_COUNTS, downloads.PENDIGITS_TEST_COUNTS)
    labels = np.concatenate([np.repeat(np.arange(10), sizes) for sizes in parts])
    X = np.tile(np.linspace(0, 100, 16), (len(labels), 1))
    openml(monkeypatch, X, labels.astype(str))
    assert load_data("pendigits", "test").X.shape == (3498, 16)
    openml(monkeypatch, X, labels[::-1].astype(str))
    with pytest.raises(InputError, match=r"class sizes must be.*pendigits.npz"):
        load_data("pendigits")


def test_mice_from_openml_must_come_mouse_by_mouse(
    no_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.repeat(np.array(downloads.MICE_CLASSES), downloads.MICE_COUNTS)
    X = np.random.default_rng(0).normal(size=(1080, 77))
    openml(monkeypatch, X, labels)
    loaded = load_data("mice_protein")
    assert loaded.y is not None and np.bincount(loaded.y).tolist() == list(downloads.MICE_COUNTS)
    assert loaded.feature_names[::76] == ("feature 0", "feature 76")
    openml(monkeypatch, X, np.random.default_rng(0).permutation(labels))
    with pytest.raises(InputError, match="mouse by mouse"):
        load_data("mice_protein")


def test_the_reuters_sample_has_one_root_a_document_and_the_most_frequent_terms() -> None:
    names = ["C15", "CCAT", "ECAT", "GCAT", "MCAT"]
    roots = np.eye(5, dtype=np.uint8)[[1, 2, 3, 4, 0, 1]]
    roots[5, 4] = 1  # two roots: dropped, as is document 4, which has none
    terms = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [0, 9, 0], [0, 9, 0]])
    raw = downloads._sample_roots(csr_array(terms), csr_array(roots), names, n_samples=4, n_terms=2)
    assert raw.y is not None and sorted(raw.y) == [0, 1, 2, 3]
    by_root = raw.X[np.argsort(raw.y)]  # CCAT, GCAT, MCAT, ECAT: documents 0, 2, 3, 1
    np.testing.assert_array_equal(by_root, terms[[0, 2, 3, 1]][:, [0, 2]])


@pytest.mark.parametrize(
    ("arrays", "rule"),
    [
        (
            {"x_train": np.full((2, 3, 3), 255, np.uint8), "x_test": np.ones((2, 3, 3))},
            "x_train and x_test must be of one kind",
        ),
        (
            {
                "x_train": np.ones((2, 3)), "x_test": np.ones((2, 3)),
                "y_train": np.array(["a", "b"]), "y_test": np.array([0, 1]),
            },
            "y_train and y_test must be of one kind",
        ),
        ({"X": np.ones((4, 3)), "y": np.ones((2, 2))}, "one label for each of the 4 samples"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_each_other(tmp_path: Path, arrays, rule) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=rule):
        load_data(tmp_path / "x.npz")


def test_an_underscore_is_no_separator_of_thousands(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1_0,2\n")
    with pytest.raises(InputError, match="received '1_0'"):
        load_data(tmp_path / "x.csv")


@pytest.mark.parametrize("options", [{"label_column": "none"}, {"drop": ("a",), "header": False}])
def test_options_of_tables_are_not_for_arrays(tmp_path: Path, options: dict[str, Any]) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    np.save(tmp_path / "y.npy", np.ones((3, 2)))
    names = ", ".join(TableOptions(**options).list_asked())
    with pytest.raises(InputError, match=f"x.npy holds arrays; {names} are for tables"):
        load_data(tmp_path / "x.npy", table=TableOptions(**options))
    with pytest.raises(InputError, match=f"holds arrays; {names} are for tables"):
        load_folder(tmp_path, TableOptions(**options))
