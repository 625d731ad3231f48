"""The pictures of run folders: `tfcluster.plots`, or nothing where matplotlib is not installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

ARE_DRAWN = all(importlib.util.find_spec(name) for name in ("matplotlib", "PIL"))
"""Whether the packages are installed that pictures need."""

if TYPE_CHECKING or ARE_DRAWN:
    from tfcluster.plots import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """Returns a function that draws nothing, in place of one of `tfcluster.plots`."""
        if not name.startswith("draw_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return lambda *_, **__: None
