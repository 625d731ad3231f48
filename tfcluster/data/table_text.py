"""The text of a table: its lines, its separator, and how it writes numbers.

pandas splits the lines into cells. What it leaves open is decided here by rules: which separator a
file has, whether a comma is a decimal mark, and which lines are no samples. Where several readings
fit, the file is refused: a wrong guess would cluster wrong numbers.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcluster.errors import InputError

STDIN = "-"
COMMENT = "#"
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SPACES = " "
"""The separator of a table whose columns have any number of spaces between them."""

_SEPARATOR_WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "space": SPACES}
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_DETECTED_LINES = 2_000  # from which a separator is detected


class Line(NamedTuple):
    """A line of a file.

    Attributes:
      number: Its number in the file, from 1.
      text: Its text without the end of the line.
    """

    number: int
    text: str


class NumberFormat(NamedTuple):
    """How a table writes numbers.

    Attributes:
      decimal: The decimal mark, "." or ",".
      thousands: What stands between thousands; None for nothing.
    """

    decimal: str = "."
    thousands: str | None = None

    def parse(self, cell: str) -> float:
        """Returns the number in a cell.

        Raises:
          ValueError: If it is none.
        """
        if "_" in cell:  # Python reads it as a separator of thousands
            raise ValueError(cell)
        if self.decimal == "." and self.thousands is None:
            return float(cell)
        whole, mark, fraction = cell.partition(self.decimal)
        if self.thousands is not None and self.thousands in whole:
            groups = whole.lstrip("+-").split(self.thousands)
            if not 0 < len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:]):
                raise ValueError(cell)
            whole = whole.replace(self.thousands, "")
        if self.decimal != "." and "." in whole + fraction:
            raise ValueError(cell)
        return float(whole + ("." if mark else "") + fraction)

    def parse_all(self, cells: Sequence[str]) -> list[float] | None:
        """Returns the numbers in cells, quickly; None if `parse` must look at each."""
        text = "".join(cells)
        if self.thousands is not None or "_" in text or (self.decimal != "." and "." in text):
            return None
        try:
            return [float(cell.replace(self.decimal, ".")) for cell in cells]
        except ValueError:
            return None


def read_text(path: Path) -> str:
    """Returns the text of a file, of a .gz file, or of standard input.

    Args:
      path: The file; `-` for standard input.

    Raises:
      InputError: If it cannot be read, or is no text.
    """
    try:
        content = _read_standard_input() if str(path) == STDIN else path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__}: {error}).") from error
    encoding = _BYTE_ORDER_MARKS.get(content[:2], "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        line = content[: getattr(error, "start", 0)].count(b"\n") + 1
        raise InputError(
            f"{path} cannot be read: a table is UTF-8 text, and line {line} is not. Save it as "
            "UTF-8 (Excel: CSV UTF-8)."
        ) from error
    if "\0" in text:
        raise InputError(f"{path} cannot be read: a table is text, and it holds zero bytes.")
    return text


@cache
def _read_standard_input() -> bytes:
    """Returns all of standard input, which can be read only once."""
    return sys.stdin.buffer.read()


def list_lines(where: str, text: str) -> list[Line]:
    """Returns the lines of a table, without comments, blank lines and empty lines at its end.

    Args:
      where: The file, for messages.
      text: Its text.

    Raises:
      InputError: If nothing is left, or a cell goes over several lines.
    """
    lines = [
        line
        for line in _split_lines(text)
        if line.text.strip(SPACES) and not line.text.lstrip().startswith(COMMENT)
    ]
    filled = [line for line in lines if line.text.strip()]
    if not any("\t" in line.text for line in filled):  # where tabs separate, they make a row
        lines = filled
    while lines and not lines[-1].text.strip("".join(SEPARATORS) + ' "'):
        lines.pop()
    if not lines:
        raise InputError(f"{where} is empty: a table needs at least one row of numbers.")
    for line in lines:
        if line.text.count('"') % 2:
            raise InputError(
                f"{where}, line {line.number}: a cell must end on the line it begins, with as many "
                f'quotes (") as begin cells. Received: {line.text[:60]!r}.'
            )
    return lines


def list_row_like_comments(text: str, separator: str, n_columns: int) -> list[Line]:
    """Returns the comments that have as many cells as the rows of a table."""
    if COMMENT not in text:
        return []
    found = []
    for number, line in _split_lines(text):
        stripped = line.strip(SPACES)
        if stripped.startswith(COMMENT):
            least, full = _widths(stripped, separator)
            found += [Line(number, stripped)] if least <= n_columns <= full else []
    return found


def _split_lines(text: str) -> Iterator[Line]:
    return (Line(number, line) for number, line in enumerate(re.split("\r\n|\n|\r", text), 1))


def choose_separator(where: str, lines: Sequence[Line], asked: str | None, usual: str) -> str:
    """Returns the separator that was asked for, or the only one that fits.

    A separator fits if every line has as many cells, not counting empty ones at its end.

    Args:
      where: The file, for messages.
      lines: Lines of the table.
      asked: The separator, or a word for it; None to detect it.
      usual: The separator to prefer, by the file's name.

    Raises:
      InputError: If several fit.
    """
    if asked is not None:
        separator = _SEPARATOR_WORDS.get(asked, asked)
        if len(separator) != 1 or separator in '"\r\n':
            raise InputError(
                "A separator is one character, or comma, semicolon, tab or space. Received: "
                f"{asked!r}."
            )
        return separator
    sample = [line.text for line in lines[:_DETECTED_LINES]]
    fitting = [separator for separator in SEPARATORS if _fits(sample, separator)]
    if usual in fitting:
        return usual
    if len(fitting) > 1:
        # 1,5;2,5 fits two, but only ; leaves numbers
        fitting = [s for s in fitting if _are_numbers(sample[1:] or sample, s)] or fitting
    if len(fitting) > 1:
        words = " and ".join(f"{SEPARATORS[separator]} ({separator!r})" for separator in fitting)
        raise InputError(
            f"{where}: the separator is not certain; {words} fit, e.g. in {sample[-1][:60]!r}. "
            "Say which with --separator."
        )
    if fitting:
        return fitting[0]
    counts = {separator: sum(separator in line for line in sample) for separator in SEPARATORS}
    likely = max(counts, key=lambda separator: counts[separator])
    if counts[likely] > len(sample) / 2:
        return likely
    return SPACES if _fits(sample[1:] or sample, SPACES) else ","


def _fits(lines: Sequence[str], separator: str) -> bool:
    widths = [_widths(line, separator) for line in lines]
    n_columns = max(least for least, _ in widths)
    return n_columns > 1 and all(full >= n_columns for _, full in widths)


def _widths(line: str, separator: str) -> tuple[int, int]:
    """Returns the number of cells without and with empty ones at the end."""
    if separator == SPACES:
        width = len(split_cells(line, separator))
        return width, width
    if '"' not in line:
        ending = line.rstrip(separator + " ")
        return ending.count(separator) + 1, line.count(separator) + 1
    cells = split_cells(line, separator)
    filled = [i for i, cell in enumerate(cells, 1) if cell]
    return max(filled, default=1), len(cells)


def split_cells(line: str, separator: str) -> list[str]:
    """Returns the cells of a line."""
    if separator == SPACES and '"' not in line:
        return line.split()
    cells = next(csv.reader([line.strip(SPACES)], delimiter=separator, skipinitialspace=True))
    return [cell.strip() for cell in cells]


def _are_numbers(lines: Iterable[str], separator: str) -> bool:
    """Returns whether all cells are numbers, in whatever format, or empty."""
    cells = (cell for line in lines for cell in split_cells(line, separator))
    return all(_classify(cell) is not None or _is_plain(cell) or not cell for cell in cells)


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def check_comma(
    where: str, lines: Sequence[Line], separator: str, marks: Collection[str | None]
) -> None:
    """Raises `InputError` for a comma that is taken for the separator, and may be in numbers.

    Args:
      where: The file, for messages.
      lines: Lines of the table.
      separator: The separator that was detected.
      marks: The decimal mark and the mark between thousands that were asked for.
    """
    if separator != "," or "," not in marks:
        return
    line = next((line.text for line in lines if "," in line.text), None)
    if line is not None and not any('"' in line.text for line in lines):
        raise InputError(
            f"{where}: the separator is not certain; in {line[:60]!r}, commas may separate columns "
            "or be marks in numbers. Say which with --separator."
        )


def check_widths(where: str, lines: Sequence[Line], separator: str) -> int:
    """Returns the number of columns.

    Cells at the end of lines that are empty in all of them, as after a trailing comma, are no
    column.

    Raises:
      InputError: If lines have different numbers of cells, or one has no value at all.
    """
    widths = [_widths(line.text, separator) for line in lines]
    n_columns = max(least for least, _ in widths)
    if any(full < n_columns for _, full in widths):
        first_least, first = widths[0]
        line, (least, full) = next(
            (line, width)
            for line, width in zip(lines, widths, strict=True)
            if width[0] > first or width[1] < first_least
        )
        received = least if least > first else full
        hint = ""
        if all(width[0] == first + 1 for width in widths[1:]):
            hint = " If the first column holds row names, give it a name in the header too."
        raise InputError(
            f"{where}, line {line.number}: every row needs {first} cells as the first one has, "
            f"received {received}.{hint}"
        )
    empty = {separator, " ", '"'}
    for line in lines:
        if separator != SPACES and set(line.text) <= empty:
            raise InputError(
                f"{where}, line {line.number}: every row needs a value, received an empty row. "
                "Remove it."
            )
    return n_columns


def split_columns(lines: Sequence[Line], separator: str, n_columns: int) -> list[NDArray[Any]]:
    """Returns the cells of each column, stripped, each `(n_lines,)` of texts."""
    import pandas as pd

    frame = pd.read_csv(
        io.StringIO("\n".join(line.text for line in lines)),
        sep=r"\s+" if separator == SPACES else separator,
        header=None,
        names=range(max(_widths(line.text, separator)[1] for line in lines)),
        dtype=object,
        na_filter=False,
        skipinitialspace=True,
        skip_blank_lines=False,
        quoting=csv.QUOTE_MINIMAL,
        index_col=False,
    )
    assert len(frame) == len(lines), "every line is one row"
    columns = (frame[i].to_numpy(object) for i in range(n_columns))
    return [np.array([str(cell).strip() for cell in column], object) for column in columns]


_MARKED = re.compile(
    r"""[+-]?(?:
    (?P<point_comma>\d{1,3}(\.\d{3})+,\d+)          # 1.234,5
    |(?P<comma_point>\d{1,3}(,\d{3})+\.\d+)         # 1,234.5
    |(?P<commas>\d{1,3}(,\d{3}){2,})                # 1,234,567
    |(?P<points>\d{1,3}(\.\d{3}){2,})               # 1.234.567
    |(?P<maybe_comma>[1-9]\d{0,2},\d{3})            # 1,234
    |(?P<maybe_point>[1-9]\d{0,2}\.\d{3})           # 1.234
    |(?P<comma>\d*,\d+([eE][+-]?\d+)?|\d+,)         # 1,5
    |(?P<point>\d*\.\d+([eE][+-]?\d+)?|\d+\.)       # 1.5
    )""",
    re.VERBOSE,
)
_SHAPE = re.compile("[1-9]")
_SAYS = {
    "point_comma": ("thousands .", "decimal ,"),
    "comma_point": ("thousands ,", "decimal ."),
    "commas": ("thousands ,",),
    "points": ("thousands .",),
    "maybe_comma": ("either ,",),
    "maybe_point": ("either .",),
    "comma": ("decimal ,",),
    "point": ("decimal .",),
}


def _classify(cell: str) -> tuple[str, ...] | None:
    """Returns what a number with marks says about the format; None without marks."""
    found = _MARKED.fullmatch(cell)
    if found is None:
        return None
    return next(_SAYS[name] for name, text in found.groupdict().items() if text is not None)


def choose_number_format(
    where: str,
    columns: Sequence[NDArray[Any]],
    separator: str,
    decimal: str | None,
    thousands: str | None,
) -> NumberFormat:
    """Returns how numbers are written: as asked for, or as the cells leave no doubt about.

    Raises:
      InputError: If cells contradict each other, or 1,234 may be one or a thousand.
    """
    if decimal is not None or thousands is not None:
        return _asked_format(decimal, thousands)
    # where no cell has a comma, points are decimal marks; ; is of countries where they may not be
    if separator != ";" and not any("," in "".join(column) for column in columns):
        return NumberFormat()
    examples: dict[str, str] = {}
    for column in columns:
        # digits are alike, so that few different cells are left
        for shape, cell in {_SHAPE.sub("2", cell): cell for cell in column}.items():
            if "," in shape or "." in shape:
                for says in _classify(cell) or ():
                    examples.setdefault(says, cell)
    return _judge(where, examples, separator)


def _asked_format(decimal: str | None, thousands: str | None) -> NumberFormat:
    decimal = decimal or ("," if thousands == "." else ".")
    if decimal not in (".", ",") or decimal == thousands or len(thousands or " ") != 1:
        raise InputError(
            "A decimal mark is . or , and what is between thousands is another character. Received:"
            f" --decimal {decimal} --thousands {thousands}."
        )
    return NumberFormat(decimal, thousands)


def _judge(where: str, examples: dict[str, str], separator: str) -> NumberFormat:
    found = {mark: f"decimal {mark}" in examples for mark in ".,"}
    if found["."] and found[","]:
        raise InputError(
            f"{where}: the decimal mark must be one, received {examples['decimal .']!r} and "
            f"{examples['decimal ,']!r}. Correct the cells, or say which with --decimal."
        )
    # without decimals, thousands say it: 1,234,567 has a comma between them
    if not (found["."] or found[","]):
        for mark, other in (".,", ",."):
            found[mark] = f"thousands {other}" in examples
    decimal = "," if found[","] else "."
    other = "." if decimal == "," else ","
    thousands = other if f"thousands {other}" in examples else None
    doubtful = [f"thousands {decimal}"] + ([] if thousands else [f"either {other}"])
    if not any(found.values()) and separator == ";":
        doubtful.append(f"either {decimal}")
    for says in doubtful:
        if says in examples:
            raise InputError(
                f"{where}: {examples[says]!r} is not certain: its {says[-1]!r} may be a decimal "
                "mark, or stand between thousands. Say which with --decimal or --thousands."
            )
    return NumberFormat(decimal, thousands)
