"""Options that stand in files: those of a run that is resumed, and those of `--config`.

What can be known without TensorFlow is checked here, before a command is imported.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from typer.models import ParameterInfo

from tfcluster.cli.folder_lock import FolderLock
from tfcluster.cli.options import ExecutionOptions, RunOptions
from tfcluster.cli.run_folder import RunFolder, check_new_folder, check_recorded
from tfcluster.data.loading import check_exists
from tfcluster.errors import InputError, unknown_name
from tfcluster.runtime import PACKAGES, collect_provenance

Values = dict[str, Any]


def complete_options(groups: Sequence[Any], given: Sequence[Values]) -> list[Values]:
    """Adds the options in files to those given on the command line; the latter go first.

    Args:
      groups: The classes of `RunOptions` and `ExecutionOptions`.
      given: The values given for the fields of each.

    Returns:
      The values for the fields of each.

    Raises:
      InputError: If a file cannot be used, a given option differs from that of the run to resume,
        or folder and data do not fit.
    """
    options_type, execution_type = groups
    chosen, execution = map(dict, given)
    if "config_file" in execution:
        path = execution["config_file"]
        chosen, execution = _add_file(path, groups, [chosen, execution])
    if execution.get("resume"):
        return _add_run(groups, [chosen, execution])
    options: RunOptions = options_type(**chosen)
    how: ExecutionOptions = execution_type(**execution)
    check_new_folder(how.choose_folder(options))
    check_exists(options.dataset)
    return [chosen, execution]


def _add_file(path: Path, groups: Sequence[Any], given: Sequence[Values]) -> list[Values]:
    """Adds the options of a file of `--config`."""
    values = _read(path)
    algorithm = values.pop("algorithm", groups[0].algorithm)
    if algorithm != groups[0].algorithm:
        raise InputError(
            f"{path} must hold options of {groups[0].algorithm}. Received: those of {algorithm}."
        )
    values |= values.pop("execution", None) or {}
    known = [field.name for group in groups for field in dataclasses.fields(group)]
    others = {
        "config",
        "id",
        "tables",
        *PACKAGES,
        *collect_provenance(),
    }  # what config.json holds beside
    for name in set(values) - set(known) - others:
        raise unknown_name(f"option in {path}:", name, known)
    if "overrides" in values:
        values["overrides"] = _flatten(values["overrides"]) | given[0].get("overrides", {})
        given = [{**given[0], "overrides": values["overrides"]}, given[1]]
    return [
        {**check_values(group, values, path), **own}
        for group, own in zip(groups, given, strict=True)
    ]


def _read(path: Path) -> Values:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"--config takes a .toml file of options, or a run's config.json. {path} cannot be "
            f"read: {error}."
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold options by name. Received: {values!r}.")
    return values


def _flatten(values: Any) -> Values:
    """Returns nested tables of overrides with the fields' dotted names."""
    if not isinstance(values, dict):
        raise InputError(f"`overrides` must hold fields by name. Received: {values!r}.")
    flat: Values = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": item for inner, item in _flatten(value).items()}
        else:
            flat[name] = value
    return flat


def _add_run(groups: Sequence[Any], given: Sequence[Values]) -> list[Values]:
    """Adds the options of the run to resume."""
    options_type, execution_type = groups
    chosen, execution = given
    out = execution_type(**execution).choose_folder(options_type(**chosen))
    recorded = RunFolder.open(out).config
    FolderLock(out).release()  # refuses to join a living run before TensorFlow is imported
    where = out / "config.json"
    before = {**check_values(options_type, recorded, where), **chosen}
    options: RunOptions = options_type(**before)
    check_recorded(out, recorded, options)
    check_exists(options.dataset)
    how = recorded.get("execution")
    how = check_values(execution_type, how, where) if isinstance(how, dict) else {}
    return [before, {**how, **execution, "out": out}]


def check_values(group: type, values: Mapping[str, Any], where: Path) -> Values:
    """Returns the values that a file holds for the fields of a dataclass of options.

    Args:
      group: The class.
      values: By name; those of other names are left out.
      where: The file, for the error.

    Raises:
      InputError: If a value is of another type than its field, or out of its bounds.
    """
    hints = get_type_hints(group, include_extras=True)
    return {
        field.name: _check_value(field.name, values[field.name], hints[field.name], where)
        for field in dataclasses.fields(group)
        if field.name in values
    }


def _check_value(name: str, value: Any, hint: Any, where: Path) -> Any:
    kind, *extras = get_args(hint)
    kinds = get_args(kind) if get_origin(kind) in (types.UnionType, typing.Union) else (kind,)
    choices = [c for k in kinds if get_origin(k) is Literal for c in get_args(k)]
    if str in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # e.g. n_clusters = 10
    fits = value in choices if choices and isinstance(value, str) else _is_of(value, kinds)
    if fits and value is not None and not isinstance(value, (str, bool, dict)):
        info = next((extra for extra in extras if isinstance(extra, ParameterInfo)), None)
        least, most = (getattr(info, bound, None) for bound in ("min", "max"))
        fits = (least is None or value >= least) and (most is None or value <= most)
    if not fits:
        raise InputError(
            f"{where}: `{name}` has a value that no run has. Received: {name}={value!r}. Correct "
            "it, or use a copy of the file."
        )
    return Path(value) if Path in kinds and isinstance(value, str) else value


def _is_of(value: Any, kinds: Sequence[Any]) -> bool:
    """Returns whether a value of JSON or TOML may stand in a field of one of some types."""
    if isinstance(value, bool):
        return bool in kinds
    accepted: list[type] = []
    for kind in kinds:
        kind = get_origin(kind) or kind
        if kind is float:
            accepted += [int, float]
        elif kind is Path:
            accepted += [str]
        elif isinstance(kind, type) and issubclass(kind, Mapping):
            accepted += [dict]
        elif isinstance(kind, type):
            accepted += [kind]
    return isinstance(value, tuple(accepted))
