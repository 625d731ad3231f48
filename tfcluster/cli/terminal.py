"""The terminal, which names of files and clients must not control."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.console import Console
from rich.text import Text

_TURNS_TEXT = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}


def clean(text: str, encoding: str = "utf-8") -> str:
    """Returns text with its control characters, and what cannot be encoded, written as escapes.

    Args:
      text: Any text; line ends and tabs stay.
      encoding: The terminal's.
    """
    visible = "".join(
        character.encode("unicode_escape").decode() if _is_control(character) else character
        for character in text
    )
    return visible.encode(encoding, "backslashreplace").decode(encoding)


def _is_control(character: str) -> bool:
    is_control = unicodedata.category(character) == "Cc" and character not in "\n\t"
    return is_control or character in _TURNS_TEXT


class CleanConsole(Console):
    """A console that cleans all text: messages, cells of tables, logs."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Returns text as it is shown; see `rich.console.Console.render_str`."""
        return super().render_str(clean(text, self.encoding), **options)
