"""Trainers that are compiled once and lent to one fit at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class TrainerPool(Generic[P, T]):
    """Lends trainers; makes a new one only if none with the same arguments is free.

    TensorFlow compiles a function anew for every new set of variables, which takes longer than a
    small fit. A trainer is lent to one borrower at a time, who gives it fresh weights.

    Args:
      make: Makes a trainer; its arguments must be hashable.
      size: Number of trainers kept; the least recently used is dropped first.
    """

    def __init__(self, make: Callable[P, T], size: int = 4) -> None:
        self._make = make
        self._size = size
        self._kept: list[tuple[Hashable, T]] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def borrow(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        """Lends a trainer for these arguments that nobody else is using."""
        key = (args, tuple(sorted(kwargs.items())))
        trainer = self._take(key)
        if trainer is None:
            trainer = self._make(*args, **kwargs)
        try:
            yield trainer
        finally:
            with self._lock:
                self._kept.append((key, trainer))
                del self._kept[: -self._size]

    def _take(self, key: Hashable) -> T | None:
        with self._lock:
            for i, (other, _) in enumerate(self._kept):
                if other == key:
                    return self._kept.pop(i)[1]
        return None
