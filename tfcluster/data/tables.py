"""Tables from files: their columns by name, and the place of each cell.

Text files are read by pandas, see `table_text`; .parquet by pyarrow, .h5ad by anndata.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcluster.data import table_text
from tfcluster.data.table_options import TableOptions
from tfcluster.data.table_text import NumberFormat
from tfcluster.errors import InputError
from tfcluster.files import check_dense_size

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".gz")
MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "null"})
"""Cells that say that a value is missing, in small letters."""

LABEL_NAME = "label"
LABEL_LIKE = frozenset(
    {"y", "class", "classes", "target", "targets", "labels", "cluster", "clusters", "num",
     "diagnosis", "outcome", "species"}
)  # fmt: skip
"""Names of columns, in small letters, that hold the labels in some tables and not in others."""


_PLAIN = NumberFormat()


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A table of named columns.

    Attributes:
      where: The file, for messages.
      names: Name of each column.
      columns: Cells of each column, `(n_rows,)`: texts, or numbers where the file has types.
      rows: Number of each row in the file, `(n_rows,)`.
      row_word: What a row is called: a "line" of a text, a "row" of another file.
      has_header: Whether the names are the table's own.
      number_format: How numbers are written.
      guesses: What was decided without being asked for, in words.
      usual_drop: Names of columns that are no features, as annotations in .h5ad.
    """

    where: str
    names: tuple[str, ...]
    columns: Sequence[NDArray[Any]]
    rows: NDArray[np.int64]
    row_word: str = "line"
    has_header: bool = True
    number_format: NumberFormat = _PLAIN
    guesses: tuple[str, ...] = ()
    usual_drop: frozenset[str] = frozenset()

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def column(self, name: str) -> NDArray[Any]:
        """Returns the cells of a column."""
        return self.columns[self._places[name]]

    def place(self, row: int) -> str:
        """Returns where a row is, for messages."""
        return f"{self.where}, {self.row_word} {self.rows[row]}"

    def find_missing(self, name: str, marks: Sequence[str]) -> NDArray[np.bool_]:
        """Returns which cells of a column say that their value is missing."""
        column = self.column(name)
        if column.dtype.kind in "biu":
            return np.zeros(len(column), bool)
        given, numbers = _split_marks(marks)
        if column.dtype.kind == "f":
            return np.isnan(column) | np.isin(column, numbers)
        return np.array([is_missing(cell, given) for cell in column], bool)

    def texts(self, name: str) -> NDArray[Any]:
        """Returns the cells of a column as text."""
        column = self.column(name)
        if column.dtype.kind == "f" and (column == np.round(column)).all():
            column = column.astype(np.int64)
        return np.array([str(cell).strip() for cell in column.tolist()])

    def numbers(self, name: str, marks: Sequence[str]) -> NDArray[np.float64]:
        """Returns a column as numbers, NaN where one is missing.

        Args:
          name: The column.
          marks: Marks of missing values beside the usual ones.

        Raises:
          InputError: If a cell is no number.
        """
        column = self.column(name)
        given, missing_numbers = _split_marks(marks)
        if column.dtype.kind in "biuf":
            values = column.astype(np.float64)
        else:
            values = self._parse(name, column, given)
        values[np.isin(values, missing_numbers)] = np.nan
        return values

    def _parse(self, name: str, column: NDArray[Any], marks: frozenset[str]) -> NDArray[Any]:
        numbers = self.number_format.parse_all(column.tolist())
        if numbers is not None:
            return np.array(numbers)
        parse, missing = self.number_format.parse, marks | MISSING
        values = np.empty(len(column))
        for i, cell in enumerate(column):
            try:
                values[i] = math.nan if cell.lower() in missing else parse(cell)
            except (ValueError, AttributeError):
                raise InputError(
                    f"{self.place(i)}, column {name!r}: features must be numbers (or empty if "
                    f"missing), received {str(cell)!r}. {self._advise(name, i, str(cell), missing)}"
                ) from None
        return values

    def _advise(self, name: str, row: int, cell: str, missing: Collection[str]) -> str:
        if row == 0 and not self.has_header:
            return "If this is the header, say --header."
        cells = [each for each in self.column(name) if each.lower() not in missing]
        others = "name what it is (--label-column, --id-column, --group-column)"
        if not any(_is_number(each, self.number_format) for each in cells):
            return (
                f"The column holds text. Say --categorical {name!r} to encode its categories as "
                f"features, --drop {name!r} to leave it out, or {others}."
            )
        return (
            "Correct it, or leave the column out (--drop), or encode its categories "
            f"(--categorical), or {others}; if {cell!r} means a missing value, say "
            "--missing."
        )


def is_missing(cell: Any, marks: frozenset[str] = frozenset()) -> bool:
    """Returns whether a text says that a value is missing."""
    text = str(cell).strip().lower()
    return text in MISSING or text in marks


def _split_marks(marks: Sequence[str]) -> tuple[frozenset[str], list[float]]:
    """Returns marks as texts in small letters, and those that are numbers as such too."""
    numbers = []
    for mark in marks:
        try:
            numbers.append(float(mark))
        except ValueError:
            continue
    return frozenset(mark.strip().lower() for mark in marks), numbers


def read_table(path: Path, options: TableOptions) -> Table:
    """Returns the table in a file.

    The first row of a text is its header if none of its cells is a number or a missing value, or if
    one is a name that labels have; it is a sample if all its cells are numbers or missing. Other
    first rows, and one of the numbers 0, 1, 2, ..., are refused until `options.header` says it.

    Args:
      path: A file with one of the `TEXT_SUFFIXES`, .parquet or .h5ad; `-` for standard input.
      options: How it is written.

    Raises:
      InputError: If it cannot be read, a package for it is missing, or it can be read in several
        ways.
    """
    reader = {".parquet": _read_parquet, ".h5ad": _read_h5ad}.get(path.suffix.lower(), _read_text)
    table = reader(path, options)
    if len(set(table.names)) < len(table.names):
        twice = next(name for name in table.names if table.names.count(name) > 1)
        raise InputError(f"{path}: every column needs a name of its own, received {twice!r} twice.")
    return table


def _read_text(path: Path, options: TableOptions) -> Table:
    where = "standard input" if str(path) == table_text.STDIN else str(path)
    text = table_text.read_text(path)
    lines = table_text.list_lines(where, text)
    stem = path.name.lower().removesuffix(".gz")
    usual = "\t" if stem.endswith(".tsv") else ""
    separator = table_text.choose_separator(where, lines, options.separator, usual)
    n_columns = table_text.check_widths(where, lines, separator)
    columns = table_text.split_columns(lines, separator, n_columns)
    if options.separator is None:
        table_text.check_comma(where, lines, separator, (options.decimal, options.thousands))
    first = [str(column[0]) for column in columns]
    features = [columns[i] for i in _find_features(first, options)]
    choose_format = functools.partial(
        table_text.choose_number_format,
        where,
        separator=separator,
        decimal=options.decimal,
        thousands=options.thousands,
    )
    number_format = choose_format(features)
    rows = np.array([line.number for line in lines])
    kinds = [_kind(cell, number_format, options.missing) for cell in first]
    comments = table_text.list_row_like_comments(text, separator, n_columns)
    _check_comments(where, comments, separator, lines[0], kinds, options)
    has_header, guess = _choose_header(f"{where}, line {rows[0]}", first, kinds, options)
    _check_single_column(where, rows, n_columns)
    if has_header:  # names do not say how numbers are written
        number_format = choose_format([column[1:] for column in features])
    guesses = _list_guesses(guess, separator, n_columns, number_format, options)
    if not has_header:
        names = [str(i + 1) for i in range(n_columns)]
        return Table(where, tuple(names), columns, rows, "line", False, number_format, guesses)
    if len(lines) == 1:
        raise InputError(f"{where} has a header and no rows: it needs at least one sample.")
    # as pandas calls the row numbers that it wrote itself
    names = [name or f"Unnamed: {i}" for i, name in enumerate(first)]
    columns = [column[1:] for column in columns]
    return Table(where, tuple(names), columns, rows[1:], "line", True, number_format, guesses)


def _list_guesses(
    header: str, separator: str, n_columns: int, number_format: NumberFormat, options: TableOptions
) -> tuple[str, ...]:
    """Returns what was decided without being asked for: `header`, and what is unusual."""
    guesses = [header] if header else []
    if separator != "," and options.separator is None and n_columns > 1:
        word = table_text.SEPARATORS.get(separator, "space")
        guesses.append(f"columns are separated by {word}s")
    if number_format != _PLAIN and options.decimal is None and options.thousands is None:
        mark = "comma" if number_format.decimal == "," else "point"
        between = f", {number_format.thousands!r} between thousands" * bool(number_format.thousands)
        guesses.append(f"the decimal mark is a {mark}{between}")
    return tuple(guesses)


def _find_features(first: Sequence[str], options: TableOptions) -> list[int]:
    """Returns which columns may be features: ids and labels may look like numbers of any format.

    Args:
      first: The first row, which names the columns or not.
      options: What the columns are.
    """
    roles = (options.label_column, options.id_column, options.group_column)
    others = {*roles, *options.drop, *options.categorical}
    if options.label_column is None:
        others |= {name for name in first if name.lower() == LABEL_NAME}
    named = {i for i, name in enumerate(first) if name in others}
    placed = {int(name) - 1 for name in others if name is not None and name.isdecimal()}
    return [i for i in range(len(first)) if i not in (named or placed)]


def _check_comments(
    where: str,
    comments: Sequence[table_text.Line],
    separator: str,
    first: table_text.Line,
    kinds: Sequence[str],
    options: TableOptions,
) -> None:
    """Raises `InputError` for a comment that may be a row, or the header of a table without one.

    Args:
      where: The file, for messages.
      comments: Comments with as many cells as rows have.
      separator: What separates the cells.
      first: The first line of the table.
      kinds: What its cells are.
      options: Whether it is the header, if that was said, and marks of missing values.
    """
    marks = _split_marks(options.missing)[0]
    has_names = set(kinds) == {"text"}
    # above numbers in one column, words are more often a comment than a name
    may_be_header = options.header is True if len(kinds) == 1 else options.header is not False
    for comment in comments:
        is_before = comment.number < first.number
        if is_before and has_names:
            continue
        cells = table_text.split_cells(comment.text, separator)
        is_row = any(
            re.match(r"[+-]?[.,]?\d", cell) or (cell and is_missing(cell, marks))
            for cell in cells[1:]
        )
        if is_row or (is_before and may_be_header):
            raise InputError(
                f"{where}, line {comment.number}: {comment.text[:60]!r} may be a comment, or a row "
                "or the header. If it is a comment, remove it; if not, put its first cell in "
                'quotes (").'
            )


def _check_single_column(where: str, rows: NDArray[np.int64], n_columns: int) -> None:
    """Raises `InputError` for blank lines among the values of a single column."""
    gaps = np.flatnonzero(np.diff(rows) > 1)
    if n_columns == 1 and len(gaps):
        raise InputError(
            f"{where}, line {rows[gaps[0]] + 1}: in a table of one column, a blank line or a "
            "comment may be a missing value. Write NA, or remove the line."
        )


_MARKED_NUMBER = re.compile(r"[+-]?\d[\d' .,]*")


def _choose_header(
    where: str, first: Sequence[str], kinds: Sequence[str], options: TableOptions
) -> tuple[bool, str]:
    """Returns whether the first row is a header, and a word about it if it was guessed."""
    if options.header is not None:
        return options.header, ""
    lowered = {cell.lower() for cell in first}
    shown = ", ".join(first)[:60]
    if LABEL_NAME in lowered or lowered & LABEL_LIKE or _has_asked(first, options):
        return True, "the first row is the header"
    if first == [str(i) for i in range(len(first))] and len(first) > 1:
        raise InputError(
            f"{where}: the first row, {shown!r}, may name the columns or be a sample. Say --header "
            "or --no-header."
        )
    if "text" in kinds and all(_MARKED_NUMBER.fullmatch(cell) for cell in first):
        raise InputError(
            f"{where}: the first row, {shown!r}, may name the columns or hold numbers with marks. "
            "Say --header, or --thousands or --decimal."
        )
    if "text" not in kinds:
        return False, "no header, so columns go by their position"
    if set(kinds) == {"text"} or (kinds[0] == "empty" and set(kinds[1:]) == {"text"}):
        return True, "the first row is the header"
    at = kinds.index("text")
    if _is_labeled_by_position(options):
        return False, "no header, so columns go by their position"
    raise InputError(
        f"{where}, column '{at + 1}': a first row of numbers and texts may name the columns "
        f"or be a sample. Features must be numbers, received {first[at]!r}. Say --header if it "
        "names the columns, --no-header if it is a sample."
    )


def _kind(cell: str, number_format: NumberFormat, marks: Sequence[str] = ()) -> str:
    if not cell:
        return "empty"
    if is_missing(cell, _split_marks(marks)[0]):
        return "missing"
    return "number" if _is_number(cell, number_format) else "text"


def _is_number(cell: str, number_format: NumberFormat) -> bool:
    try:
        number_format.parse(cell)
    except ValueError:
        return False
    return True


def _asked_names(options: TableOptions) -> set[str]:
    roles = (options.label_column, options.id_column, options.group_column)
    names = (*roles, *options.drop, *options.keep, *options.categorical)
    return {name for name in names if name is not None}


def _has_asked(first: Sequence[str], options: TableOptions) -> bool:
    """Returns whether the first row holds a name, and no number, that an option gives."""
    asked = {name for name in _asked_names(options) if not name.isdigit()}
    return bool(asked & set(first))


def _is_labeled_by_position(options: TableOptions) -> bool:
    return any(name.isdigit() for name in _asked_names(options))


def _require(package: str, extra: str, path: Path) -> None:
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"{path} needs the package {package}, which is not installed. Install it: "
            f'pip install "tfcluster[{extra}]", or save the table as .csv.'
        )


def _load(path: Path, load: Callable[[Path], Any], rule: str) -> Any:
    try:
        return load(path)
    except InputError:
        raise
    # a damaged file fails anywhere in its reader
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path} cannot be read: {rule} ({reason}).") from error


def _read_parquet(path: Path, options: TableOptions) -> Table:
    del options  # only text can be read in several ways
    _require("pyarrow", "parquet", path)
    return _load(path, _load_parquet, "it must be a whole Parquet file")


def _load_parquet(path: Path) -> Table:
    import pandas as pd
    import pyarrow.parquet

    found = pyarrow.parquet.read_metadata(path)
    check_dense_size(path, found.num_rows, found.num_columns)
    frame = pd.read_parquet(path)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    _check_shape(path, frame.shape)
    names = tuple(map(str, frame.columns))
    return _number_rows(path, names, _split_frame(frame))


def _read_h5ad(path: Path, options: TableOptions) -> Table:
    """Reads the matrix of an .h5ad file; the annotations of its samples are no features."""
    del options
    _require("anndata", "h5ad", path)
    return _load(path, _load_h5ad, "it must be a whole .h5ad file with a matrix X")


def _load_h5ad(path: Path) -> Table:
    import anndata

    found = anndata.read_h5ad(path, backed="r")
    try:
        _check_shape(path, found.shape)
        check_dense_size(path, *found.shape)
        X = found.X.to_memory() if hasattr(found.X, "to_memory") else found.X[:]
        obs = found.obs.reset_index(names="obs_names")
        genes = tuple(map(str, found.var_names))
    finally:
        found.file.close()
    if hasattr(X, "toarray"):
        X = X.toarray(order="F")
    notes = tuple(map(str, obs.columns))
    table = _number_rows(path, (*genes, *notes), [*X.T, *_split_frame(obs)])
    return dataclasses.replace(table, usual_drop=frozenset(notes))


def _check_shape(path: Path, shape: tuple[int, ...]) -> None:
    if 0 in shape:
        raise InputError(f"{path} is empty: it has the shape {shape}.")


def _number_rows(path: Path, names: tuple[str, ...], columns: Sequence[NDArray[Any]]) -> Table:
    return Table(str(path), names, columns, np.arange(len(columns[0])), row_word="row")


def _split_frame(frame: Any) -> list[NDArray[Any]]:
    """Returns the columns of a pandas frame, as numbers or as texts, empty where one is missing."""
    return [_read_series(frame.iloc[:, i]) for i in range(frame.shape[1])]


def _read_series(series: Any) -> NDArray[Any]:
    from pandas.api import types

    missing = series.isna().to_numpy()
    if types.is_integer_dtype(series.dtype) and not missing.any():
        integers: NDArray[Any] = series.to_numpy(np.uint64 if series.min() >= 0 else np.int64)
        return integers
    if types.is_float_dtype(series.dtype) or types.is_bool_dtype(series.dtype):
        floats: NDArray[Any] = series.to_numpy(np.float64, na_value=np.nan)
        return floats
    cells = zip(series.astype(object), missing, strict=True)
    texts = ["" if is_missing else str(cell).strip() for cell, is_missing in cells]
    return np.array(texts, object)
