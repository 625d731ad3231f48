"""Fields of a configuration, set by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfcluster.errors import InputError, unknown_name


def override(config: Any, assignments: Mapping[str, Any]) -> Any:
    """A configuration with some fields changed.

    Args:
      config: Any configuration of this module.
      assignments: Field to value; a dot reaches into a part (`"pretraining.epochs"`).

    Raises:
      InputError: If there is no such field, or a value breaks a rule.
    """
    for path, value in assignments.items():
        config = _override_one(config, path, value)
    return config


def _override_one(config: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    known = [field.name for field in dataclasses.fields(config)]
    if name not in known:
        raise unknown_name(f"field of {type(config).__name__}", name, known)
    current = getattr(config, name)
    if rest:
        if not dataclasses.is_dataclass(current):
            raise InputError(
                f"`{name}` has no parts, so `{path}` means nothing. Set `{name}` itself."
            )
        value = _override_one(current, rest, value)
    elif isinstance(current, tuple) and isinstance(value, list):
        value = tuple(value)
    return dataclasses.replace(config, **{name: value})
