"""Checks of the fields of configurations."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from tfcluster.errors import InputError


def require(condition: bool, rule: str, **received: Any) -> None:
    """Raises `InputError` with the rule and the received values unless `condition` is true."""
    if not condition:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise InputError(f"{rule} Received: {values}.")


LARGEST = 2**53
"""The largest whole number of a configuration: up to it, they are exact as floats."""

_NUMBERS: Mapping[Any, tuple[tuple[type, ...], float, str]] = types.MappingProxyType(
    {
        int: ((int,), LARGEST, "a whole number of at most 2**53"),
        float: ((int, float), sys.float_info.max, "a finite number"),
        bool: ((bool,), 1, "True or False"),
    }
)


def check_types(config: Any) -> None:
    """Raises `InputError` unless every field has the type of its annotation."""
    for name, kind in typing.get_type_hints(type(config)).items():
        value, choices = getattr(config, name), typing.get_args(kind)
        if kind in _NUMBERS:
            kinds, largest, words = _NUMBERS[kind]
            holds = type(value) in kinds and abs(value) <= largest
        elif typing.get_origin(kind) is Literal:
            holds, words = value in choices, " or ".join(choices)
        elif all(dataclasses.is_dataclass(choice) for choice in choices or (kind,)):
            holds = isinstance(value, choices or kind)
            words = " or ".join(choice.__name__ for choice in choices or (kind,))
        else:
            continue
        require(holds, f"`{name}` must be {words}.", **{name: value})


def check_positive(config: Any, *names: str) -> None:
    """Raises `InputError` unless these fields are positive."""
    for name in names:
        value = getattr(config, name)
        require(value > 0, f"`{name}` must be positive.", **{name: value})


def check_not_negative(config: Any, *names: str) -> None:
    """Raises `InputError` if one of these fields is negative."""
    for name in names:
        value = getattr(config, name)
        require(value >= 0, f"`{name}` must not be negative.", **{name: value})


def check_below_one(config: Any, *names: str) -> None:
    """Raises `InputError` unless these fields are in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        require(0 <= value < 1, f"`{name}` must be in [0, 1).", **{name: value})
