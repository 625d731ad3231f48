"""Configurations with some fields changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfcluster.config.dec import DECConfig, EndToEnd
from tfcluster.errors import InputError, unknown_name


def override(config: Any, assignments: Mapping[str, Any]) -> Any:
    """Returns a configuration with some fields changed.

    Args:
      config: Any configuration of this package.
      assignments: Field to value; a dot reaches into a part (`"pretraining.epochs"`). Values may
        be NumPy's, e.g. from a grid of parameters.

    Raises:
      InputError: If there is no such field, or a value breaks a rule.
    """
    for path, value in assignments.items():
        config = _override_one(config, path, to_python(value))
    return config


def apply_arguments(config: Any, arguments: Mapping[str, Any]) -> Any:
    """Returns a preset's configuration with the arguments an estimator was given.

    Args:
      config: The preset's configuration.
      arguments: The estimator's `get_params()`. None leaves a field to the preset; names that are
        not fields are ignored, except `pretrain_epochs`, which sets `pretraining.epochs`.

    Raises:
      InputError: If a value breaks a rule, or `pretrain_epochs` is given for layer-wise
        pretraining.
    """
    fields = [field.name for field in dataclasses.fields(config)]
    given = {name: arguments[name] for name in fields if arguments.get(name) is not None}
    config = override(config, given)
    epochs = arguments.get("pretrain_epochs")
    return config if epochs is None else _set_pretrain_epochs(config, epochs)


def _set_pretrain_epochs(config: DECConfig, epochs: Any) -> Any:
    if not isinstance(config.pretraining, EndToEnd):
        raise InputError(
            "`pretrain_epochs` needs end-to-end pretraining; this protocol pretrains layer by "
            f"layer. Received: pretrain_epochs={epochs!r}. Leave it out, or set "
            "`pretraining=LayerWise(...)` or `pretraining=EndToEnd(...)`."
        )
    return override(config, {"pretraining.epochs": epochs})


def to_python(value: Any) -> Any:
    """Returns a value as Python has it: NumPy's numbers as numbers, lists and arrays as tuples."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    return tuple(map(to_python, value)) if isinstance(value, (list, tuple)) else value


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
    return dataclasses.replace(config, **{name: value})
