"""Tables in generated dialects: what is accepted is the table that was written.

`TFCLUSTER_DIALECTS` is the number of tables that are tried.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tfcluster.data.loading import Dataset, TableOptions, load_data
from tfcluster.errors import InputError

N_TABLES = int(os.environ.get("TFCLUSTER_DIALECTS", "100"))
# the last ones look like labels, ids or numbers, and may be refused
NAMES = (
    *("a", "age", "height, cm", "x y", "größe", "BMI (kg/m²)", "a;b", "w|t", "it's", 'q"t', "2nd"),
    *("#n", "a=b", "y", "id", "2020", "NA", "1,5", "e", "-", "Dx 1.5"),
)
IDS = ("p1", "p2", "1.5", "12,5", "1.234.567", "A,1", "x;y", "7", "Zoë", "#", "inf", "1 000", "a b")
LABELS = (("0", "1", "2"), ("x", "y", "z"), ("a,b", "c;d", "1.5"), ("3", "b", "7"))
USUAL_MISSING = ("", "?", "NA", "nan", "null", "N/A")
SPACES = ("  ", " ", "   ")


@dataclasses.dataclass(frozen=True)
class Number:
    """A decimal number that a dialect may write in its way."""

    sign: str
    whole: int
    fraction: str
    exponent: str

    @property
    def value(self) -> float:
        return float(f"{self.sign}{self.whole}.{self.fraction or '0'}{self.exponent}")

    def write(self, decimal: str, thousands: str) -> str:
        whole = str(self.whole)
        if thousands and not self.exponent:
            whole = f"{self.whole:,}".replace(",", thousands)
        mark = decimal if self.fraction else ""
        return f"{self.sign}{whole}{mark}{self.fraction}{self.exponent}"


NUMBERS = st.builds(
    Number,
    st.sampled_from(("", "", "-", "+")),
    st.one_of(st.integers(0, 9), st.integers(0, 1500), st.integers(0, 30_000_000)),
    st.one_of(st.just(""), st.from_regex(r"\A[0-9]{1,4}\Z")),
    st.sampled_from(("", "", "", "", "e3", "E-2")),
)


@dataclasses.dataclass(frozen=True)
class Written:
    """A table as it was written, and what it means."""

    content: bytes
    suffix: str
    options: TableOptions
    names: tuple[str, ...] | None
    X: np.ndarray
    labels: list[str] | None
    ids: list[str] | None


@dataclasses.dataclass(frozen=True)
class Dialect:
    separator: str
    decimal: str
    thousands: str
    quoting: int
    end: str
    comments: bool
    blanks: bool
    empty_lines: int
    empty_cells: int  # at the end of lines
    pad: str

    def join(self, cells: Sequence[str]) -> str:
        stream = io.StringIO()
        separator = "\x01" if self.separator == " " else self.separator
        quoted = [c for c in cells if " " in c or c.startswith("#")] if separator == "\x01" else ()
        writer = csv.writer(stream, delimiter=separator, quoting=self.quoting, lineterminator="")
        writer.writerow(cells)
        text = stream.getvalue()
        if separator == "\x01":
            parts = text.split(separator)
            parts = [
                f'"{p}"' if c in quoted and not p.startswith('"') else p
                for c, p in zip(cells, parts, strict=True)
            ]
            return self.pad.join(parts)
        return text.replace(separator, separator + self.pad) if self.pad else text


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    separator = draw(st.sampled_from((",", ",", ";", ";", "\t", "|", " ")))
    decimal = draw(st.sampled_from((".", ".", ",")))
    others = (",", " ", "'") if decimal == "." else (".", " ", "'")
    is_spaced = separator == " "
    return Dialect(
        separator,
        decimal,
        draw(st.sampled_from(("", "", "", *others))),
        draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL))),
        draw(st.sampled_from(("\n", "\n", "\r\n", "\r"))),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.integers(0, 2)),
        0 if is_spaced else draw(st.sampled_from((0, 0, 1, 2))),
        draw(st.sampled_from(SPACES)) if is_spaced else "",
    )


@st.composite
def tables(draw: st.DrawFn) -> Written:
    dialect = draw(dialects())
    n_rows, n_features = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    mark = draw(st.sampled_from((*USUAL_MISSING, *USUAL_MISSING, "-999", "none")))
    names = draw(
        st.lists(st.sampled_from(NAMES), min_size=n_features, max_size=n_features, unique=True)
    )
    cells = st.one_of(NUMBERS, NUMBERS, NUMBERS, st.none())
    numbers = [[draw(cells) for _ in names] for _ in range(n_rows)]
    # an empty row at the end is no sample
    assume(mark or any(number is not None for number in numbers[-1]))
    X = np.array([[np.nan if c is None else c.value for c in row] for row in numbers])
    if mark == "-999":
        assume(not (X == -999).any())
    rows = [
        [mark if c is None else c.write(dialect.decimal, dialect.thousands) for c in row]
        for row in numbers
    ]
    has_header = draw(st.booleans())
    roles: dict[str, Any] = {}
    labels = ids = None
    if draw(st.booleans()):
        ids = [draw(st.sampled_from(IDS)) for _ in rows]
        rows = [[own, *row] for own, row in zip(ids, rows, strict=True)]
        names = ["pid", *names]
        roles["id_column"] = "pid" if has_header else "1"
    if draw(st.booleans()):
        words = draw(st.sampled_from(LABELS))
        labels = [draw(st.sampled_from(words)) for _ in rows]
        rows = [[*row, own] for own, row in zip(labels, rows, strict=True)]
        names = [*names, "label"]
        if not has_header or draw(st.booleans()):
            roles["label_column"] = "label" if has_header else str(len(names))
    options = TableOptions(
        **roles,
        header=draw(st.sampled_from((None, has_header))),
        separator=draw(st.sampled_from((None, dialect.separator))),
        missing=() if mark in USUAL_MISSING else (mark,),
        **draw(st.sampled_from(({}, _say_format(dialect)))),
    )
    _assume_rules(dialect, options, numbers, rows, names if has_header else None)
    lines = _write_lines(draw, dialect, [names, *rows] if has_header else rows)
    content, suffix = _encode(draw, dialect.end.join(lines), dialect)
    feature_names = tuple(n for n in names if n not in ("pid", "label"))
    return Written(content, suffix, options, feature_names if has_header else None, X, labels, ids)


def _say_format(dialect: Dialect) -> dict[str, str | None]:
    return {"decimal": dialect.decimal, "thousands": dialect.thousands or None}


def _assume_rules(
    dialect: Dialect,
    options: TableOptions,
    numbers: Sequence[Sequence[Number | None]],
    rows: Sequence[Sequence[str]],
    names: Sequence[str] | None,
) -> None:
    """Leaves out what a documented rule reads otherwise than it was meant."""
    if names is not None and options.header is None:  # a first row of numbers is a sample
        assume(not {"2020", "NA", "1,5", "-"}.issuperset(names))
    if names is None:  # cells at the end that are empty in all lines are no column
        assume(any(row[-1] for row in rows))
    if dialect.separator == " " and dialect.quoting != csv.QUOTE_ALL:  # an empty cell is nothing
        assume(all(cell for row in (names or (), *rows) for cell in row))
    if dialect.quoting != csv.QUOTE_ALL:  # a line of # without a number is a comment
        assume(all(row[0][:1] != "#" or re.search(r"\d", "".join(row[1:])) for row in rows))
    if options.header is None and len(rows[0]) == 1:  # words behind # are a comment there
        assume(names is None or not names[0].startswith("#") or dialect.quoting == csv.QUOTE_ALL)
    if options.separator is None and options.decimal is None and len(rows[0]) == 1:
        # a single column with commas is several columns
        cells = [cell for row in (names or (), *rows) for cell in row]
        assume(dialect.quoting == csv.QUOTE_ALL or "," not in "".join(cells))
    if options.separator is None and options.thousands is None and len(rows[0]) == 1:
        # and so is one with spaces
        assume(not any(" " in cell for row in rows for cell in row))
    if options.decimal is None and dialect.thousands == "." and dialect.separator != ";":
        # points are decimal marks where no cell has a comma
        assume(any(n is not None and n.fraction for row in numbers for n in row))


def _write_lines(draw: st.DrawFn, dialect: Dialect, rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [dialect.join([*row, *[""] * dialect.empty_cells]) for row in rows]
    for kind, text in (("comments", "# by hand"), ("blanks", "")):
        if getattr(dialect, kind):
            lines.insert(draw(st.integers(0, len(lines))), text)
    separator = "" if dialect.separator == " " else dialect.separator
    return [*lines, *[separator * draw(st.integers(0, 4)) for _ in range(dialect.empty_lines)]]


def _encode(draw: st.DrawFn, text: str, dialect: Dialect) -> tuple[bytes, str]:
    text += dialect.end * draw(st.integers(0, 2))
    content = text.encode(draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16"))))
    suffix = ".tsv" if dialect.separator == "\t" else ".csv"
    suffix = draw(st.sampled_from((suffix, ".txt", ".data")))
    return (gzip.compress(content), suffix + ".gz") if draw(st.booleans()) else (content, suffix)


def read(written: Written, folder: Path) -> Dataset | None:
    """Returns what was accepted; None for what was refused in one line."""
    path = folder / f"table{written.suffix}"
    path.write_bytes(written.content)
    try:
        return load_data(path, table=written.options)
    except InputError as error:
        assert "\n" not in str(error) and str(error).endswith("."), str(error)
        return None


def expected_labels(labels: Sequence[str]) -> list[int]:
    if all(label.isdigit() for label in labels):
        return list(map(int, labels))
    return [sorted(set(labels)).index(label) for label in labels]


counts = {"tried": 0, "accepted": 0}


@settings(
    max_examples=N_TABLES,
    deadline=None,
    derandomize="TFCLUSTER_DIALECTS" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(written=tables())
def check_dialects(folder: Path, written: Written) -> None:
    data = read(written, folder)
    counts["tried"] += 1
    if data is None:
        return
    counts["accepted"] += 1
    np.testing.assert_array_equal(data.X.astype(np.float64), written.X)
    if written.names is not None:
        assert data.feature_names == written.names
    assert data.has_columns == (written.names is not None)
    assert (data.y is None) == (written.labels is None)
    if written.labels is not None:
        assert data.y is not None and data.y.tolist() == expected_labels(written.labels)
    if written.ids is not None:
        assert data.table is not None and data.table.ids.tolist() == written.ids


def test_what_is_accepted_is_the_table_that_was_written(tmp_path: Path) -> None:
    counts.update(tried=0, accepted=0)
    check_dialects(tmp_path)
    assert counts["accepted"] > counts["tried"] / 4
