"""Which columns of a table are features, labels, ids and groups.

Nothing is guessed that could spoil a result: a column called `label` holds the labels, and all that
may be labels, ids or row numbers is refused until the user says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.categories import (
    Categories,
    check_feature_names,
    encode,
    fold_names,
    shorten_numbers,
    unfold_names,
)
from tfcluster.data.dataset import RawData
from tfcluster.data.table_options import NO_LABELS, TableOptions, TableReport
from tfcluster.data.tables import LABEL_LIKE, LABEL_NAME, Table
from tfcluster.errors import InputError

_ID_WORDS = frozenset({"id", "ids", "uuid", "guid", "mrn"})  # as the last word, or the first
_ID_NAMES = frozenset({"index", "row", "rows", "rowname", "rownames", "row_number", "nr", "no"})
_FEWEST_NUMBERED = 5  # rows whose numbers cannot be a feature by chance
_FEWEST_LONG = 20
_LONG = 5  # digits
_MANY_CLASSES = 10


def take_columns(table: Table, options: TableOptions) -> RawData:
    """Returns a table's samples, with the labels, ids and groups that its columns hold.

    Raises:
      InputError: If an option names no column, a column may be something else than a feature, or
        a cell is wrong.
    """
    label = _choose_label(table, options)
    given = {"id": options.id_column, "group": options.group_column}
    roles = {role: name for role, name in given.items() if name in table.names}
    roles |= {} if label is None else {"label": label}
    _check_named(table, options)
    dropped = tuple(name for name in options.drop if name in table.names)
    _check_one_role(table, [*roles.values(), *dropped, *options.categorical])
    others = table.usual_drop - {*options.keep, *options.categorical, *(options.features or ())}
    taken = {*roles.values(), *dropped, *others}
    names = [name for name in table.names if name not in taken]
    if not names:
        raise InputError(
            f"{table.where}: at least one column must be a feature, received none beside "
            f"{', '.join(sorted(taken))}."
        )
    if options.features is None:
        _refuse_doubtful(table, names, label, options)
    elif table.has_header:
        needed = fold_names(options.features, options.categories or {})
        check_features(table.where, names, needed)
        names = needed
    categories, columns = _read_columns(table, names, options)
    features = tuple(unfold_names(names, categories))
    check_feature_names(table.where, features)
    is_new = options.features is not None  # of new samples, labels and groups may be missing
    group = None if is_new else roles.get("group")
    report = TableReport(
        table.where,
        len(table.rows),
        features,
        table.has_header,
        dropped=dropped,
        categories=categories,
        ids=table.texts(roles["id"]) if "id" in roles else None,
        groups=None if group is None else _complete(table, group, "group", options),
        guesses=table.guesses,
        **{f"{role}_column": name for role, name in roles.items()},
    )
    y = None if label is None or is_new else _labels(table, label, options)
    X = np.column_stack(columns)
    return RawData(X, y, feature_names=features if table.has_header else (), table=report)


def _read_columns(
    table: Table, names: Sequence[str], options: TableOptions
) -> tuple[dict[str, tuple[str, ...]], list[NDArray[np.float64]]]:
    """Returns the categories of columns, and the features that each column becomes."""
    texts = {
        name: shorten_numbers(_complete(table, name, "category", options), table.number_format)
        for name in names
        if name in options.categorical
    }
    categories = _find_categories(table, texts, options)
    numbers = {name: table.numbers(name, options.missing) for name in names if name not in texts}
    if options.features is None:
        _refuse_ids(table, numbers, options.keep)
    return categories, [
        encode(texts[name], categories[name]) if name in texts else numbers[name] for name in names
    ]


def _find_categories(
    table: Table, texts: Mapping[str, NDArray[np.str_]], options: TableOptions
) -> dict[str, tuple[str, ...]]:
    """Returns the categories of columns of texts: the known ones, or those that they have."""
    if options.categories is None:
        found = {name: tuple(np.unique(cells).tolist()) for name, cells in texts.items()}
        if not options.partial:
            check_few_categories(table.where, found, len(table.rows))
        return found
    for name, cells in texts.items():
        known = options.categories[name]
        unknown = ~np.isin(cells, list(known))
        if unknown.any():
            row = int(unknown.argmax())
            raise InputError(
                f"{table.place(row)}, column {name!r}: the category must be one of {_list(known)}. "
                f"Received {str(cells[row])!r}. Correct it, or leave the row out."
            )
    return {name: options.categories[name] for name in texts}


def check_few_categories(where: str, categories: Categories, n_samples: int) -> None:
    """Raises `InputError` for a column with nearly as many categories as samples.

    Args:
      where: The file or folder, for the message.
      categories: The categories of each column.
      n_samples: Number of samples.
    """
    for name, known in categories.items():
        if _are_too_many(len(known), n_samples):
            raise InputError(
                f"{where}: the values of --categorical must be categories. Received {len(known)} "
                f"different ones for {n_samples} samples in column {name!r}. Say --drop {name!r} "
                f"to leave it out, or --id-column {name!r} if it names the samples."
            )


def _are_too_many(n_values: int, n_samples: int) -> bool:
    return n_values > _MANY_CLASSES and n_values > n_samples / 2


def check_features(where: str, received: Collection[str], needed: Sequence[str]) -> None:
    """Raises `InputError` unless the names of features are the needed ones, in any order.

    Args:
      where: The file, for messages.
      received: Its names.
      needed: The names that are needed.
    """
    missing = [name for name in needed if name not in set(received)]
    extra = [name for name in received if name not in set(needed)]
    if not missing and not extra:
        return
    parts = [f"it lacks {_list(missing)}"] if missing else []
    parts += [f"it also has {_list(extra)}"] if extra else []
    advice = " Leave out what is no feature with --drop." if extra else ""
    raise InputError(
        f"{where}: the features must be {_list(needed)}, in any order; {' and '.join(parts)}."
        f"{advice}"
    )


def _list(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _choose_label(table: Table, options: TableOptions) -> str | None:
    """Returns the column of the labels, or None."""
    asked = options.label_column
    if asked is not None:
        if asked.lower() == NO_LABELS and asked not in table.names:
            return None
        return asked if asked in table.names else None
    known = {*(options.features or ()), *options.keep, *options.drop, *options.categorical}
    known |= {name for name in (options.id_column, options.group_column) if name is not None}
    found = [name for name in table.names if name.lower() == LABEL_NAME and name not in known]
    if len(found) > 1:
        raise InputError(
            f"{table.where}: only one column may hold the labels, received {_list(found)}. Say "
            "which with --label-column."
        )
    return found[0] if found else None


def _check_named(table: Table, options: TableOptions) -> None:
    """Raises `InputError` if an option names a column that is not there but must be."""
    asked = [] if options.label_column is None else [("--label-column", options.label_column)]
    if options.label_column is not None and options.label_column.lower() == NO_LABELS:
        asked = []
    if options.group_column is not None:
        asked.append(("--group-column", options.group_column))
    asked += [("--keep", name) for name in options.keep]
    asked += [("--categorical", name) for name in options.categorical]
    if not options.partial:
        asked += [("--drop", name) for name in options.drop]
        asked += [] if options.id_column is None else [("--id-column", options.id_column)]
    if options.features is not None:  # of new samples, a table may hold no more than these
        asked = []
        if options.categorical and not table.has_header:
            raise InputError(
                f"{table.where}: columns of categories are found by name, and this table names no "
                f"columns. Add a header; the model needs {_list(options.categorical)}."
            )
    for option, name in asked:
        if name not in table.names:
            raise InputError(
                f"{table.where}: {option} must name a column. Received {name!r}; the columns are "
                f"{_list(table.names)}."
            )


def _check_one_role(table: Table, names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"{table.where}: a column is one of label, id, group and categories, or left out. "
            f"Received {twice!r} for several of --label-column, --id-column, --group-column, "
            "--categorical and --drop."
        )


def _refuse_doubtful(
    table: Table, names: Sequence[str], label: str | None, options: TableOptions
) -> None:
    """Raises `InputError` for features that are called as labels often are."""
    if options.label_column is not None or not table.has_header:
        return
    for name in names:
        if name.lower() in LABEL_LIKE and name not in (*options.keep, *options.categorical):
            no_labels = f"--label-column {NO_LABELS if label is None else label}"
            raise InputError(
                f"{table.where}: column {name!r} may hold the labels or be a feature. Say "
                f"--label-column {name} if it holds the labels, {no_labels} if it is a feature, or "
                f"--drop {name}."
            )


def _refuse_ids(
    table: Table, numbers: Mapping[str, NDArray[np.float64]], keep: Collection[str]
) -> None:
    """Raises `InputError` for features that look like ids or row numbers."""
    for name, values in numbers.items():
        reason = None if name in keep else describe_id(name if table.has_header else "", values)
        if reason is not None:
            raise InputError(
                f"{table.where}: column {name!r} looks like an id or a row number: {reason}. Say "
                f"--id-column {name!r} if it names the samples, --drop {name!r} to leave it out, "
                f"or --keep {name!r} if it is a feature."
            )


def describe_id(name: str, values: NDArray[np.float64]) -> str | None:
    """Returns why a column looks like an id or a row number; None if it does not.

    Args:
      name: Its name; empty if it has none.
      values: Its values, `(n_samples,)`.
    """
    words = re.split(r"[\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if words[-1] in _ID_WORDS or words[0] in _ID_WORDS or words[0] == "unnamed":
        return "its name says so"
    if "_".join(words) in _ID_NAMES:
        return "its name says so"
    n = len(values)
    if n < _FEWEST_NUMBERED or not np.isfinite(values).all() or (values % 1).any():
        return None
    steps = np.diff(np.sort(values))
    if not (steps > 0).all():
        return None
    if (steps == 1).all():
        return f"it counts from {values.min():.0f} to {values.max():.0f}"
    is_long = values.min() >= 10 ** (_LONG - 1)
    same = is_long and len(f"{values.min():.0f}") == len(f"{values.max():.0f}")
    if same and n >= _FEWEST_LONG and len(set(steps)) > 1:  # time goes in equal steps
        return f"its {n} values are different whole numbers, as long as each other"
    return None


def _complete(table: Table, name: str, role: str, options: TableOptions) -> NDArray[np.str_]:
    """Returns the cells of a column in which none may be missing."""
    missing = table.find_missing(name, options.missing)
    texts = table.texts(name)
    if missing.any():
        row = int(missing.argmax())
        received = repr(str(texts[row])) if texts[row] else "an empty cell"
        raise InputError(
            f"{table.place(row)}, column {name!r}: every row needs a {role}, received {received}. "
            "Correct it, or remove the row."
        )
    return texts


def _labels(table: Table, name: str, options: TableOptions) -> NDArray[np.str_]:
    labels = _complete(table, name, "label", options)
    n_values = len(np.unique(labels))
    if _are_too_many(n_values, len(labels)):
        raise InputError(
            f"{table.where}: the labels must be classes. Received {n_values} different values for "
            f"{len(labels)} samples in column {name!r}. Say --label-column {NO_LABELS} if it is a "
            f"feature, --drop {name!r} to leave it out, or name the column of the labels."
        )
    return labels
