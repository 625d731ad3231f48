"""What a user is told when the input, not the program, is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A user's mistake: states the rule, what was received and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class TrainingError(RuntimeError):
    """Training cannot go on, as when the loss is not finite; says what happened."""


def unknown_name(kind: str, received: str, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not in a list, with the nearest one that is.

    Args:
      kind: What the name stands for, as the user calls it ("data set", "preset").
      received: The name that was given.
      known: The names there are.
    """
    names = sorted(known)
    close = difflib.get_close_matches(received.lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return InputError(f"Unknown {kind} {received!r}.{hint} Known: {', '.join(names)}.")
