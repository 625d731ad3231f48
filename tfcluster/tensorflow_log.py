"""Keeps what TensorFlow says of itself off the terminal while it is imported.

`TF_CPP_MIN_LOG_LEVEL` used to do so. TensorFlow 2.21 logs through Abseil, which writes four lines
to standard error while its libraries are loaded, whatever the variable says.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType

_VARIABLE = "TF_CPP_MIN_LOG_LEVEL"
_SAID_OF_ITSELF = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|I\d{4} \d\d:\d\d:\d+\.\d+ "
)
"""Abseil's opening words, and its lines of level INFO."""


def quieten_tensorflow() -> None:
    """Makes TensorFlow's first import quiet, unless its log was asked for by `_VARIABLE`."""
    os.environ.setdefault(_VARIABLE, "3")
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow, once, as Python would, and lets it be loaded quietly."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns the specification of `tensorflow`; None for every other module."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if os.environ.get(_VARIABLE) == "3" and spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module: ModuleType) -> None:
                with _without_own_words():
                    load(module)

            spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _without_own_words() -> Iterator[None]:
    """Holds back standard error, C libraries' too; passes on all but what `_SAID_OF_ITSELF` is."""
    with tempfile.TemporaryFile() as held_back:
        try:
            terminal = os.dup(2)
        except OSError:  # standard error is closed
            yield
            return
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            held_back.seek(0)
            for line in held_back:
                if not _SAID_OF_ITSELF.match(line):
                    os.write(2, line)
