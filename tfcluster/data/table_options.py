"""What users say about a table, and what its columns were taken as."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

NO_LABELS = "none"
"""The name of a label column that says there is none."""


@dataclasses.dataclass(frozen=True)
class TableOptions:
    """How a table is written, and what its columns are.

    Columns of a table without a header are called "1", "2", ... here.

    Attributes:
      label_column: Column of the labels; "none" for no labels; None for `label`, if there is one.
      id_column: Column that names the samples; it is no feature.
      group_column: Column with the group of each sample, e.g. the hospital; it is no feature.
      drop: Columns to leave out.
      keep: Columns that are features although they look like ids.
      categorical: Columns of categories, in text or numbers. Each becomes one feature per category,
        in sorted order, named e.g. `sex=female`: 1 where the category holds, else 0.
      categories: The categories that those columns may have, e.g. those of a trained model; None
        for all that they have.
      missing: Marks of missing values beside empty cells, `?`, `NA`, `N/A`, `NaN` and `null`.
      header: Whether the first row names the columns; None to decide by its cells.
      separator: What separates columns: a character, or "comma", "semicolon", "tab" or "space";
        None to detect it.
      decimal: The decimal mark, "." or ","; None to detect it.
      thousands: What stands between thousands; None to detect it.
      features: Names of the features, in the order that is needed; None for all other columns.
        Labels and groups are then not read, and other options may name columns that the table does
        not have.
      partial: Whether the id and the columns to drop may be absent, as in one file of several.
    """

    label_column: str | None = None
    id_column: str | None = None
    group_column: str | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] | None = None
    missing: tuple[str, ...] = ()
    header: bool | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    features: tuple[str, ...] | None = None
    partial: bool = False

    def list_asked(self) -> list[str]:
        """Returns the options of the command line that say something, e.g. `--id-column`."""
        internal = ("categories", "features", "partial")
        names = [f.name for f in dataclasses.fields(self) if f.name not in internal]
        usual = TableOptions()
        asked = [name for name in names if getattr(self, name) != getattr(usual, name)]
        return [f"--{name.replace('_', '-')}" for name in asked]


@dataclasses.dataclass(frozen=True, eq=False)
class TableReport:
    """What a table was taken as.

    Attributes:
      file: The file.
      n_samples: Number of rows.
      features: Names of the features.
      has_header: Whether the names are the table's own.
      label_column: Column of the labels, or None.
      id_column: Column of the ids, or None.
      group_column: Column of the groups, or None.
      dropped: Columns that were left out.
      categories: The categories of each column that was encoded.
      ids: Name of each sample, `(n_samples,)`, or None.
      groups: Group of each sample, `(n_samples,)`, or None.
      guesses: What was decided without being asked for, in words.
    """

    file: str
    n_samples: int
    features: tuple[str, ...]
    has_header: bool
    label_column: str | None = None
    id_column: str | None = None
    group_column: str | None = None
    dropped: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    ids: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    guesses: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the plain values for `config.json`; ids and groups of samples are left out."""
        names = (
            "features", "has_header", "label_column", "id_column", "group_column", "dropped",
            "categories",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def describe(self) -> str:
        """Returns one line about the table, for the terminal."""
        n_features = len(self.features)
        parts = [f"{self.n_samples} samples, {n_features} feature{'s' * (n_features != 1)}"]
        roles = (
            ("labels", self.label_column),
            ("ids", self.id_column),
            ("groups", self.group_column),
        )
        parts += [f"{role} in {name!r}" for role, name in roles if name is not None]
        parts += [
            f"{name!r} has {len(known)} categories, a feature each"
            for name, known in self.categories.items()
        ]
        if self.dropped:
            parts.append(f"left out {', '.join(map(repr, self.dropped))}")
        return f"{self.file}: {'; '.join([*parts, *self.guesses])}"
