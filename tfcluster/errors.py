"""Errors with messages for users."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A user's mistake; the message states the rule, what was received and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class TrainingError(RuntimeError):
    """Training cannot continue, e.g. because the loss is not finite."""


def unknown_name(kind: str, received: str, known: Iterable[str]) -> InputError:
    """Returns the error for an unknown name; its message has the most similar known one.

    Args:
      kind: What the name stands for, in the user's words ("data set", "preset").
      received: The name that was given.
      known: All names.
    """
    names = sorted(known)
    close = difflib.get_close_matches(received.lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return InputError(f"Unknown {kind} {received!r}.{hint} Known: {', '.join(names)}.")
