"""Commands made from options.

Options that belong together are the fields of a frozen dataclass, and each field's annotation
carries its typer option: the dataclass is at once the command line, the argument of the function
that runs, and what `config.json` records. The function is imported when the command runs, so that
`--help` is quick.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import click
import typer
from click.core import ParameterSource
from typer.models import ParameterInfo

from tfcluster.cli.scratch import scratch_folder
from tfcluster.cli.terminal import CleanConsole
from tfcluster.errors import unknown_name


class Parsed(NamedTuple):
    """Marks a field that the command line gives in another type; stands in its annotation.

    Attributes:
      type: The type that typer reads.
      parse: Converts what typer read to the field's value; not called for an option not given,
        whose default stands in its help.
    """

    type: Any
    parse: Callable[[Any], Any]


def add_command(
    app: typer.Typer, name: str, run: str, *groups: type, help: str, complete: str | None = None
) -> None:
    """Adds a command whose options are the fields of dataclasses.

    An option that is not given has its field's default. A group's method `check`, if it has one, is
    called before the module that runs is imported, which may take seconds. `--verbose`, which shows
    TensorFlow's log, is added to the options.

    Args:
      app: The app that gets the command; it may be part of another app.
      name: Name of the command.
      run: "module:function", called with an instance of each group, in order, and `console`.
      *groups: Dataclasses. Fields whose annotation carries no typer option or argument are not on
        the command line.
      help: Description of the command.
      complete: "module:function", called with the groups and the values given for the fields of
        each, by name, before `run` is imported. It returns the values for the fields, e.g. with
        those of a file.

    Raises:
      TypeError: If two groups have an option of the same name.
    """
    options = [list(_options(group)) for group in groups]
    names = [option.name for group in options for option in group]
    if len(set(names)) < len(names):
        raise TypeError(f"Options of `{name}` must have different names. Received: {names}.")

    def command(verbose: bool = False, **values: Any) -> None:
        if verbose:
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
        given = [_given(own, values) for own in options]
        if complete is not None:
            given = _find(complete)(groups, given)
        instances = [group(**own) for group, own in zip(groups, given, strict=True)]
        with scratch_folder():
            for instance in instances:
                if hasattr(instance, "check"):
                    instance.check()
            _find(run)(*instances, console=CleanConsole())

    flag = typer.Option("--verbose", help="Show TensorFlow's log.")
    parameters = [option.parameter for group in options for option in group]
    _set_signature(command, [*parameters, _parameter("verbose", bool, flag, False)])
    app.command(name, help=help)(command)


def _find(function: str) -> Callable[..., Any]:
    """Returns "module:function", imported."""
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


class _Option(NamedTuple):
    name: str
    parameter: inspect.Parameter
    parse: Callable[[Any], Any]


def _options(group: type) -> Iterator[_Option]:
    """Yields the options among the fields of a dataclass."""
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        kind, *extras = get_args(hints[field.name]) or [hints[field.name]]
        info = next((extra for extra in extras if isinstance(extra, ParameterInfo)), None)
        if info is None:
            continue
        default = _default(field)
        parse: Callable[[Any], Any] = _unchanged
        if parsed := next((extra for extra in extras if isinstance(extra, Parsed)), None):
            kind, parse = parsed
            default = default if default is inspect.Parameter.empty else None
        elif get_origin(kind) is Literal:
            kind, info = str, copy.copy(info)
            info.click_type = _Choice(get_args(hints[field.name].__origin__))
        yield _Option(field.name, _parameter(field.name, kind, info, default), parse)


class _Choice(click.Choice):
    """Names of which one is taken; another one is a mistake as everywhere, in one line."""

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002 (click's)
    ) -> Any:
        """Returns the value.

        Raises:
          InputError: If it is not among the choices.
        """
        if value not in self.choices:
            kind = param.name.replace("_", " ") if param is not None and param.name else "choice"
            raise unknown_name(kind, str(value), self.choices)
        return value


def _default(field: dataclasses.Field[Any]) -> Any:
    """Returns what typer gives for an option that is not given; `empty` if it must be given."""
    if field.default is not dataclasses.MISSING:
        return field.default
    is_required = field.default_factory is dataclasses.MISSING
    return inspect.Parameter.empty if is_required else None


def _unchanged(value: Any) -> Any:
    return value


def _parameter(name: str, kind: Any, info: ParameterInfo, default: Any) -> inspect.Parameter:
    info = copy.copy(info)
    if default is None or default is inspect.Parameter.empty:
        info.show_default = False  # typer would show "None", even beside a default in the help
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _given(options: list[_Option], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a group that were given, parsed."""
    source = click.get_current_context().get_parameter_source
    return {
        option.name: option.parse(values[option.name])
        for option in options
        if source(option.name) is not ParameterSource.DEFAULT
    }


def _set_signature(function: Any, parameters: list[inspect.Parameter]) -> None:
    """Gives a function of `**values` the signature that typer reads."""
    function.__signature__ = inspect.Signature(parameters)
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
