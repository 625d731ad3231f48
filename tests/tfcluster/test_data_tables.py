"""Tables as people have them: dialects, headers, roles of columns, and what is refused."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from tfcluster import files
from tfcluster.data import table_text
from tfcluster.data.columns import describe_id
from tfcluster.data.loading import TableOptions, load_data
from tfcluster.errors import InputError

EXPECTED = [[1.5, 20.0], [2.5, np.nan], [-3.25, 40.0]]
"""What each of the files below holds, in columns `a` and `b`."""

DIALECTS = {
    "comma.csv": "a,b\n1.5,20\n2.5,\n-3.25,40\n",
    "semicolon.csv": "a;b\n1.5;20\n2.5;\n-3.25;40\n",
    "decimal_comma.csv": "a;b\n1,5;20\n2,5;\n-3,25;40\n",
    "quoted_decimal_comma.csv": 'a,b\n"1,5",20\n"2,5",\n"-3,25",40\n',
    "tab.tsv": "a\tb\n1.5\t20\n2.5\t\n-3.25\t40\n",
    "tab.txt": "a\tb\n1,5\t20\n2,5\t\n-3,25\t40\n",
    "spaces.data": "a    b\n1.5   20\n2.5    ?\n-3.25 40\n",
    "question.data": "a,b\n1.5,20\n2.5,?\n-3.25,40\n",
    "words.csv": "a,b\n1.5,20\n2.5,NA\n-3.25,40\n",
    "null.csv": '"a","b"\n"1.5","20"\n"2.5","null"\n"-3.25","40"\n',
    "comments.csv": "# made by hand\na,b\n1.5,20\n# checked\n2.5,nan\n-3.25,40\n",
    "trailing_lines.csv": "a,b\n1.5,20\n2.5,\n-3.25,40\n,\n,,,\n\n",
    "trailing_comma_in_header.csv": "a,b,\n1.5,20\n2.5,\n-3.25,40\n",
    "trailing_commas.csv": "a,b,,\n1.5,20,,\n2.5,,,\n-3.25,40,,\n",
    "trailing_comma_in_rows.csv": "a,b\n1.5,20,\n2.5,,\n-3.25,40,\n",
    "blank_lines.csv": "\n\na,b\n\n1.5,20\n\n2.5,\n-3.25,40\n\n",
    "windows.csv": "\ufeffa,b\r\n1.5,20\r\n2.5,\r\n-3.25,40\r\n",
    "old_mac.csv": "a,b\r1.5,20\r2.5,\r-3.25,40\r",
}


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def load(path: Path, **options: Any) -> Any:
    return load_data(path, table=TableOptions(**options))


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_holds_the_same_table(tmp_path: Path, name: str) -> None:
    data = load(write(tmp_path / name, DIALECTS[name]))
    np.testing.assert_array_equal(data.X, np.array(EXPECTED, np.float32))
    assert data.feature_names == ("a", "b") and data.has_columns and data.y is None


@pytest.mark.parametrize("name", ["a.csv.gz", "a.gz", "a.csv"])
def test_a_compressed_table(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(DIALECTS["comma.csv"].encode()))
    np.testing.assert_array_equal(load(tmp_path / name).X, np.array(EXPECTED, np.float32))


def test_a_table_in_utf_16_as_excel_writes_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(DIALECTS["tab.tsv"].encode("utf-16"))
    assert load(tmp_path / "a.txt").feature_names == ("a", "b")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.TextIOWrapper(io.BytesIO(DIALECTS["comma.csv"].encode()))
    monkeypatch.setattr(sys, "stdin", text)
    table_text._read_standard_input.cache_clear()
    try:
        for _ in range(2):  # it can be read only once, but may be needed twice
            np.testing.assert_array_equal(load_data("-").X, np.array(EXPECTED, np.float32))
    finally:
        table_text._read_standard_input.cache_clear()


def test_marks_of_missing_values_are_compared_as_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b\n-999,1\n2,-999.0\n3,x\n")
    X = load(path, missing=("-999", "X")).X
    np.testing.assert_array_equal(X, [[np.nan, 1], [2, np.nan], [3, np.nan]])


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a;b\n1.234,5;2\n2;3\n", {}, [[1234.5, 2], [2, 3]]),
        ('a,b\n"1,234.5",2\n2,3\n', {}, [[1234.5, 2], [2, 3]]),
        ('a,b\n"1,234,567",2\n2,3\n', {}, [[1234567, 2], [2, 3]]),
        ('a,b\n"1,234",2\n2,3\n', {"thousands": ","}, [[1234, 2], [2, 3]]),
        ('a,b\n"1,234",2\n2,3\n', {"decimal": ","}, [[1.234, 2], [2, 3]]),
        ("a;b\n1.234;2\n2;3\n", {"decimal": "."}, [[1.234, 2], [2, 3]]),
        ("a;b\n1.234;2\n2;3\n", {"thousands": "."}, [[1234, 2], [2, 3]]),
        ("a;b\n1,234;2\n0,5;3\n", {}, [[1.234, 2], [0.5, 3]]),
        ("a\tb\n1.234\t2\n2\t3\n", {}, [[1.234, 2], [2, 3]]),
        ("a;b\n1 234;2\n2;3\n", {"thousands": " "}, [[1234, 2], [2, 3]]),
        ("1,5;2,5\n3,5;4,5\n", {}, [[1.5, 2.5], [3.5, 4.5]]),
        ("a!b\n1!2\n", {"separator": "!"}, [[1, 2]]),
    ],
)
def test_numbers_are_read_as_they_were_meant(
    tmp_path: Path, text: str, options: dict[str, Any], expected: list[list[float]]
) -> None:
    data = load(write(tmp_path / "a.csv", text), **options)
    np.testing.assert_array_equal(data.X, np.array(expected))


DOUBTFUL = {
    "comma": ('a,b\n"1,234",2\n2,3\n', "'1,234' is not certain.*--decimal or --thousands"),
    "point": ("a;b\n1.234;2\n2;3\n", "'1.234' is not certain"),
    "comma beside points": ('a,b\n"1,234",2.5\n2,3\n', "'1,234' is not certain"),
    "two decimal marks": ("a;b\n1,5;2\n2.5;3\n", "must be one, received '2.5' and '1,5'"),
    "two separators": ("a;b,c\n1;2,x\n", "separator is not certain.*comma.*semicolon"),
    "header or sample": ("0,1\n5,6\n7,8\n", "'0, 1', may name the columns.*--header"),
    "commented header": ("# a,b\n\n1,2\n", "line 1: '# a,b' may be a comment, or a row or the"),
    "commented row": ("s,a\np1,1\n#2,2\n", "line 3: '#2,2' may be a comment, or a row"),
    "header or marks": ("1'000;2'000\n?;?\n", "may name the columns or hold numbers with marks"),
    "header of numbers": ("age,2020\n5,6\n", "line 1, column '1'.*'age'.*--header"),
    "empty row": ("a,b\n1,2\n,\n3,4\n", "line 3: every row needs a value"),
    "empty row of tabs": ("0\t1\n\t\n2\t3\n", "line 2: every row needs a value"),
    "gap in one column": ("a\n1\n\n3\n", "line 3: in a table of one column"),
    "quote": ('a,b\n1,"2\n3",4\n', "line 2: a cell must end on the line"),
    "named twice": ("a,a\n1,2\n", "'a' twice"),
    "row names": ("a b\nx 1 2\ny 3 4\n", "line 2.*needs 2 cells.*received 3.*row names"),
    "zero bytes": ("a,b\n1,\0\n", "zero bytes"),
    "cell": ("# c\na,b\n\n1,2\n3,x\n", "line 5, column 'b'.*received 'x'.*--missing"),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, case: str) -> None:
    text, message = DOUBTFUL[case]
    with pytest.raises(InputError, match=message) as caught:
        load(write(tmp_path / "doubtful.csv", text))
    assert "doubtful.csv" in str(caught.value)


def test_a_commented_header_of_one_column(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "# weight\n5\n7\n")
    assert load(path).X.tolist() == [[5], [7]]
    with pytest.raises(InputError, match="line 1: '# weight' may be a comment, or a row or the"):
        load(path, header=True)


def test_names_do_not_say_how_numbers_are_written(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", '"1,5",a\n"1,000",2\n')
    with pytest.raises(InputError, match="'1,000' is not certain"):
        load(path, header=True)


def test_the_header_can_be_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "0,1\n5,6\n7,8\n")
    with_header, without = load(path, header=True), load(path, header=False)
    assert with_header.X.tolist() == [[5, 6], [7, 8]] and with_header.feature_names == ("0", "1")
    assert without.X.tolist() == [[0, 1], [5, 6], [7, 8]] and not without.has_columns
    path = write(tmp_path / "b.csv", "5.1,3.5,setosa\n4.9,3.0,setosa\n6.0,2.9,virginica\n")
    data = load(path, header=False, label_column="3")
    assert data.y.tolist() == [0, 0, 1] and data.X.shape == (3, 2)


def test_comments_with_separators_and_quoted_cells_with_a_mark(tmp_path: Path) -> None:
    text = '# by hand, 2020\na,b\n# checked, twice\n"#1",2\n'
    data = load(write(tmp_path / "a.csv", text), id_column="a")
    assert data.X.tolist() == [[2]] and data.table.ids.tolist() == ["#1"]


def test_ids_and_labels_do_not_say_how_numbers_are_written(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "pid;a;label\n1.234.567;1,5;1.5\n1,5;2;2.5\n")
    assert load(path, id_column="pid").X.tolist() == [[1.5], [2]]
    path = write(tmp_path / "b.csv", "pid;a\n1.234.567;1.234\n7;2\n")
    with pytest.raises(InputError, match=r"'1.234' is not certain"):
        load(path, id_column="pid")


def test_a_mark_of_missing_values_is_no_header(tmp_path: Path) -> None:
    assert len(load(write(tmp_path / "a.csv", "none\n1\nnone\n"), missing=("none",)).X) == 3


def test_what_was_guessed_is_said(tmp_path: Path) -> None:
    table = load(write(tmp_path / "a.csv", "a;label\n1,5;x\n2,5;y\n")).table
    said = table.describe()
    for words in ("2 samples, 1 feature", "labels in 'label'", "header", "semicolons", "a comma"):
        assert words in said
    assert "by their position" in load(write(tmp_path / "b.csv", "1,2\n3,4\n")).table.describe()


# Roles of columns.

PATIENTS = "pid,age,site,dx\n" + "".join(
    f"p{i},{40 + i % 7},{'north' if i % 2 else 'south'},{i % 3}\n" for i in range(12)
)


def test_columns_are_what_the_user_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", PATIENTS.replace("age,", "age,x,").replace(",4", ",1,4"))
    data = load(path, label_column="dx", id_column="pid", group_column="site", drop=("x",))
    assert data.feature_names == ("age",) or data.feature_names == ("x",)
    assert data.table.ids.tolist()[:2] == ["p0", "p1"]
    assert data.table.groups.tolist()[:2] == ["south", "north"]
    assert data.y.tolist() == [i % 3 for i in range(12)]
    assert data.table.to_dict()["dropped"] == ("x",)


@pytest.mark.parametrize("name", ["y", "class", "target", "labels", "cluster", "num", "Target"])
def test_a_name_that_may_hold_labels_is_refused_until_it_is_said(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.csv", f"x,{name}\n1,0\n2,1\n3,1\n")
    rule = f"--label-column {name} if it holds.*--label-column none if it is a feature"
    with pytest.raises(InputError, match=rule):
        load(path)
    labeled, plain = load(path, label_column=name), load(path, label_column="none")
    assert labeled.X.shape == (3, 1) and labeled.y.tolist() == [0, 1, 1]
    assert plain.X.shape == (3, 2) and plain.y is None
    assert load(path, drop=(name,)).feature_names == load(path, id_column=name).feature_names


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("patient_id", [3, 3, 1]),
        ("patientId", [3, 3, 1]),
        ("ID", [1.5, 2, 3]),
        ("Unnamed: 0", [0, 1]),
        ("index", [0, 1]),
        ("x", range(5)),
        ("x", [7, 5, 6, 8, 9, 4]),
        ("x", 100_000 + 7 * np.arange(20) ** 2),
    ],
)
def test_ids_are_known_by_name_or_by_value(name: str, values: Any) -> None:
    assert describe_id(name, np.array(values, float))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lipid", [3, 3, 1]),
        ("body_mass_index", [20, 21]),
        ("x", np.arange(20) / 2),
        ("x", [1, 2, 3, 4, 4]),
        ("x", [1, 2, 3, 4, np.nan]),
        ("x", [1, 2, 3, np.inf, 5]),
        ("seconds", 1_700_000_000 + 30 * np.arange(90)),
        ("x", range(4)),
    ],
)
def test_features_are_not_taken_for_ids(name: str, values: Any) -> None:
    assert describe_id(name, np.array(values, float)) is None


def test_an_id_is_refused_until_it_is_dropped_named_or_kept(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 3},{i % 2}\n" for i in range(100_000, 100_009))
    path = write(tmp_path / "a.csv", "number,a,b\n" + rows)
    with pytest.raises(
        InputError, match=r"'number' looks like an id.*counts from 100000 to 100008"
    ):
        load(path)
    assert load(path, drop=("number",)).feature_names == ("a", "b")
    assert load(path, id_column="number").table.ids.tolist()[0] == "100000"
    assert load(path, keep=("number",)).feature_names == ("number", "a", "b")


def test_labels_of_nearly_as_many_values_as_samples_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{i % 3},{i / 7:.3f}\n" for i in range(90))
    path = write(tmp_path / "a.csv", "age,target\n" + rows)
    with pytest.raises(InputError, match=r"must be classes. Received 90 different values for 90"):
        load(path, label_column="target")


@pytest.mark.parametrize("cell", ["", "NA", "nan", "NaN", "?", "null"])
def test_a_missing_label_is_never_a_class(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "a.csv", f"a,label\n1,x\n\n2,{cell}\n")
    with pytest.raises(InputError, match="line 4, column 'label': every row needs a label"):
        load(path)
    np.savez(tmp_path / "a.npz", X=np.eye(2), y=np.array(["x", cell]))
    with pytest.raises(InputError, match="row 1: every sample needs a label"):
        load_data(tmp_path / "a.npz")


@pytest.mark.parametrize("option", ["label_column", "id_column", "group_column"])
def test_an_option_must_name_a_column(tmp_path: Path, option: str) -> None:
    path = write(tmp_path / "a.csv", "a,b\n1,2\n")
    with pytest.raises(InputError, match=f"--{option.replace('_', '-')} must name a column.*'z'"):
        load(path, **{option: "z"})
    with pytest.raises(InputError, match="--drop must name a column"):
        load(path, drop=("z",))
    with pytest.raises(InputError, match="'b' for several of"):
        load(path, **{option: "b"}, drop=("b",))


def test_options_of_tables_are_for_files() -> None:
    with pytest.raises(InputError, match=r"for a file. Received 'digits'"):
        load(Path("digits"), drop=("z",))


# Categories.

PEOPLE = "age,sex,site,w\n30,m,1,5\n41,f,2.0,6\n52,f,1.0,7\n63,m,10,9\n"


def test_categories_become_a_feature_each(tmp_path: Path) -> None:
    data = load(write(tmp_path / "a.csv", PEOPLE), categorical=("site", "sex"))
    assert data.feature_names == ("age", "sex=f", "sex=m", "site=1", "site=10", "site=2", "w")
    assert data.X.tolist() == [
        [30, 0, 1, 1, 0, 0, 5],
        [41, 1, 0, 0, 0, 1, 6],
        [52, 1, 0, 1, 0, 0, 7],
        [63, 0, 1, 0, 1, 0, 9],
    ]
    assert data.table.categories == {"sex": ("f", "m"), "site": ("1", "10", "2")}
    assert "'sex' has 2 categories" in data.table.describe()
    assert data.table.to_dict()["categories"] == data.table.categories


def test_new_samples_are_encoded_by_the_categories_of_training(tmp_path: Path) -> None:
    sex = ("sex",)
    known = load(write(tmp_path / "a.csv", PEOPLE), categorical=sex, drop=("site",))
    options = {"features": known.feature_names, "categories": known.table.categories}
    new = load(write(tmp_path / "b.csv", "w;sex;age\n5,5;f;30\n"), categorical=sex, **options)
    assert new.feature_names == ("age", "sex=f", "sex=m", "w")
    assert new.X.tolist() == [[30, 1, 0, 5.5]]
    path = write(tmp_path / "c.csv", "w,sex,age\n5,f,30\n6,x,31\n")
    with pytest.raises(InputError, match=r"line 3, column 'sex'.* one of 'f', 'm'. Received 'x'"):
        load(path, categorical=sex, **options)
    with pytest.raises(InputError, match="it lacks 'sex'"):
        load(write(tmp_path / "d.csv", "w,age\n5,30\n"), categorical=sex, **options)
    with pytest.raises(InputError, match="this table names no columns"):
        load(write(tmp_path / "e.csv", "5,30,3\n"), categorical=sex, **options)


def test_categories_of_a_table_without_header_go_by_position(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "30,m\n41,f\n52,f\n")
    data = load(path, categorical=("2",))
    assert data.X.tolist() == [[30, 0, 1], [41, 1, 0], [52, 1, 0]] and not data.has_columns
    assert data.table.features == ("1", "2=f", "2=m")


def test_a_text_column_is_refused_with_both_ways(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", PEOPLE)
    with pytest.raises(InputError, match=r"line 2, column 'sex'.*--categorical 'sex'.*--drop 'sex"):
        load(path)
    assert load(path, drop=("sex",)).feature_names == ("age", "site", "w")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,s\n1,x\n\n2,\n", "line 4, column 's': every row needs a category, received an empty"),
        ("a,s\n1,x\n2,NA\n", "line 3, column 's'.*received 'NA'"),
        ("a,s,s=x\n1,x,3\n2,y,4\n", "'s=x' twice"),
        ("a,s\n" + "".join(f"{i % 3},n{i}\n" for i in range(20)), "20 different ones for 20"),
        ("a,b\n1,2\n", "--categorical must name a column. Received 's'"),
    ],
)
def test_wrong_categories(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(write(tmp_path / "a.csv", text), categorical=("s",))


def test_a_column_of_categories_has_no_other_role(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,num,label\n1,x,0\n2,y,1\n")
    with pytest.raises(InputError, match="'num' for several of"):
        load(path, categorical=("num",), drop=("num",))
    data = load(path, categorical=("num", "label"))
    assert data.y is None and data.feature_names == ("a", "num=x", "num=y", "label=0", "label=1")


# Names.


def test_features_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "b,c,a\n2,3,1\n5,6,4\n")
    assert load(path, features=("a", "b", "c")).X.tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(InputError, match="it lacks 'y' and it also has 'c'"):
        load(path, features=("a", "b", "y"))


def test_what_was_left_out_may_be_absent_from_new_samples(tmp_path: Path) -> None:
    options = {"features": ("a", "b"), "drop": ("z",), "id_column": "pid", "label_column": "dx"}
    assert load(write(tmp_path / "a.csv", "b,a\n2,1\n"), **options).X.tolist() == [[1, 2]]
    data = load(write(tmp_path / "b.csv", "b,z,a,pid,dx\n2,x,1,p7,0\n"), **options)
    assert data.X.tolist() == [[1, 2]] and data.table.ids.tolist() == ["p7"]


# Packages and costs.


@pytest.mark.parametrize(("suffix", "package"), [("parquet", "pyarrow"), ("h5ad", "anndata")])
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, suffix: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"needs the package {package}.*tfcluster\[{suffix}\]"):
        load(write(tmp_path / f"a.{suffix}", "x"))


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    whole = pd.array([2**60 + 1, None, 3], dtype="Int64")
    frame = pd.DataFrame({"a": [1, 2, None], "b": whole, "on": [True, False, True]})
    frame = frame.assign(sex=["f", "m", "f"], label=["x", "y", "x"])
    frame.index = pd.Index([2**60 + 1, 2**60 + 3, 7], name="pid")
    frame.to_parquet(path)
    data = load(path, id_column="pid", categorical=("sex",))
    assert data.feature_names == ("a", "b", "on", "sex=f", "sex=m")
    expected = [[1, 2.0**60, 1, 1, 0], [2, np.nan, 0, 0, 1], [np.nan, 3, 1, 1, 0]]
    np.testing.assert_array_equal(data.X, expected)
    assert data.y.tolist() == [0, 1, 0]
    assert data.table.ids.tolist() == [str(2**60 + 1), str(2**60 + 3), "7"]
    with pytest.raises(InputError, match=r"row 0, column 'sex': .*'f'.*--categorical 'sex'"):
        load(path, id_column="pid")
    assert "pid" in load(path, drop=("sex",)).feature_names


@pytest.mark.parametrize("cell", [[1, 2], np.datetime64("2024-01-01"), {"x": 1}])
def test_parquet_with_cells_that_are_no_numbers(tmp_path: Path, cell: Any) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": [1, 2], "b": [cell, cell]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 0, column 'b': features must be numbers"):
        load(tmp_path / "a.parquet")


COUNTS = np.array([[0, 2], [1, 0], [0, 3]], np.float32)
ignore_warning_of_old_anndata = pytest.mark.filterwarnings("ignore:The 'future.infer_string'")


def write_h5ad(path: Path, X: Any) -> Path:
    anndata = pytest.importorskip("anndata")
    obs = pd.DataFrame({"cell_type": ["x", "y", "x"], "depth": [5, 6, 7]}, ["c1", "c2", "c3"])
    made = anndata.AnnData(X, obs, pd.DataFrame(index=["gene1", "gene2"]))
    with anndata.settings.override(allow_write_nullable_strings=True):  # as pandas 3 has them
        made.write_h5ad(path)
    return path


@ignore_warning_of_old_anndata
@pytest.mark.parametrize("make", ["array", "csr_matrix", "csc_matrix"])
def test_h5ad(tmp_path: Path, make: str) -> None:
    X = COUNTS if make == "array" else getattr(scipy.sparse, make)(COUNTS)
    path = write_h5ad(tmp_path / "a.h5ad", X)
    data = load(path, label_column="cell_type", id_column="obs_names")
    np.testing.assert_array_equal(data.X, COUNTS)
    assert data.X.dtype == np.float32
    assert data.feature_names == ("gene1", "gene2") and data.y.tolist() == [0, 1, 0]
    assert data.table.ids.tolist() == ["c1", "c2", "c3"]
    assert load(path).y is None
    more = load(path, keep=("depth",), categorical=("cell_type",))
    assert more.feature_names == ("gene1", "gene2", "cell_type=x", "cell_type=y", "depth")


@ignore_warning_of_old_anndata
def test_h5ad_without_a_matrix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file with a matrix X"):
        load(write_h5ad(tmp_path / "a.h5ad", None))


@ignore_warning_of_old_anndata
def test_a_table_that_would_be_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", scipy.sparse.csr_matrix(COUNTS))
    monkeypatch.setattr(files, "find_size_limit", lambda: COUNTS.size * 8)
    assert len(load(path).X) == 3
    monkeypatch.setattr(files, "find_size_limit", lambda: COUNTS.size * 8 - 1)
    with pytest.raises(InputError, match=r"3 samples of 2 features, which would take 0.0 GiB"):
        load(path)


@ignore_warning_of_old_anndata
@pytest.mark.parametrize(("suffix", "package"), [("parquet", "pyarrow"), ("h5ad", "anndata")])
def test_a_damaged_file_is_one_line(tmp_path: Path, suffix: str, package: str) -> None:
    pytest.importorskip(package)
    with pytest.raises(InputError, match="must be a whole") as caught:
        load(write(tmp_path / f"a.{suffix}", "no such file"))
    assert "\n" not in str(caught.value)


def test_reading_does_not_import_tensorflow(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", DIALECTS["comma.csv"])
    code = f"import sys; from tfcluster import load_data; load_data({str(path)!r});"
    code += "print(*sorted({'tensorflow', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not found.stdout.split()
