"""The pictures of run folders: `tfcluster.plots`, or nothing where none are wanted or possible."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

ARE_POSSIBLE = all(importlib.util.find_spec(name) for name in ("matplotlib", "PIL"))
"""Whether the packages are installed that pictures need."""


class NoPictures:
    """Has the functions of `tfcluster.plots` that draw; they draw nothing."""

    def __getattr__(self, name: str) -> Any:
        """Returns a function that draws nothing."""
        if not name.startswith("draw_"):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        return lambda *_, **__: None


def get_pictures(are_wanted: bool) -> Any:
    """Returns what draws: `tfcluster.plots` or an instance of `NoPictures`.

    Args:
      are_wanted: Whether to draw if possible.
    """
    if not (are_wanted and ARE_POSSIBLE):
        return NoPictures()
    return importlib.import_module("tfcluster.plots")  # matplotlib takes seconds
