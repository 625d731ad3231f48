"""Configurations as plain values, for files and messages.

A class is found by its name, which `register` keeps unique.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from tfcluster.errors import InputError

_KINDS: dict[str, type] = {}

Kind = TypeVar("Kind", bound=type)


def register(kind: Kind) -> Kind:
    """Lets `from_dict` find a dataclass of plain values by its name; a class decorator.

    Raises:
      TypeError: If another class of this name is registered: files could not tell them apart.
    """
    other = _KINDS.setdefault(kind.__name__, kind)
    if (other.__module__, other.__qualname__) != (kind.__module__, kind.__qualname__):
        raise TypeError(
            f"{kind.__module__}.{kind.__qualname__} cannot be registered: its name belongs to "
            f"{other.__module__}.{other.__qualname__}."
        )
    _KINDS[kind.__name__] = kind
    return kind


def to_dict(config: Any) -> dict[str, Any]:
    """Returns a configuration as nested plain values, each dataclass with its `kind`."""
    values: dict[str, Any] = {"kind": type(config).__name__}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        values[field.name] = to_dict(value) if dataclasses.is_dataclass(value) else value
    return values


def from_dict(values: Mapping[str, Any]) -> Any:
    """Returns the configuration that `to_dict` wrote.

    Raises:
      InputError: If a class is unknown.
    """
    fields = {name: value for name, value in values.items() if name != "kind"}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            fields[name] = from_dict(value)
        elif isinstance(value, list):
            fields[name] = tuple(value)
    if values["kind"] not in _KINDS:
        raise InputError(
            f"Unknown configuration {values['kind']!r}: this version of tfcluster has none of "
            "this name."
        )
    return _KINDS[values["kind"]](**fields)
