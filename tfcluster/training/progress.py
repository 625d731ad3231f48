"""Progress of training on the terminal, and interrupts."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from tfcluster.training.phases import Record

_PLAIN_SECONDS = 15.0
_STDERR = 2


class TrainingProgress:
    """Shows a bar per phase on a terminal, elsewhere an occasional line; stops on Ctrl-C.

    A context manager and a `Callback`. The first interrupt (SIGINT or SIGTERM) is held back until
    the next record, where a checkpoint can be written; the second one ends the program at once.

    Args:
      console: Where to print.
      unit: Unit of the steps, e.g. "rounds".
    """

    def __init__(self, console: Console, unit: str = "steps") -> None:
        self._console, self._unit = console, unit
        self._bars = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not is_terminal(console),
        )
        self._tasks: dict[str, TaskID] = {}
        self._printed_at = 0.0
        self._interrupted = False
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> TrainingProgress:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._interrupt)
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __call__(self, record: Record) -> None:
        """Shows a record; raises `KeyboardInterrupt` if an interrupt is waiting."""
        self._show(record)
        if self._interrupted:
            raise KeyboardInterrupt

    def _show(self, record: Record) -> None:
        phase, numbers = record["phase"], _format_numbers(record)
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=record["of"], numbers="")
        total = record["step"] if record.get("converged") else record["of"]
        self._bars.update(
            self._tasks[phase], completed=record["step"], total=total, numbers=numbers
        )
        is_last = record["step"] >= record["of"] or record.get("converged")
        is_due = time.monotonic() - self._printed_at >= _PLAIN_SECONDS
        if not is_terminal(self._console) and (is_last or is_due):
            done = f"{record['step']}/{record['of']} {self._unit}"
            self._console.print(f"{phase:>10} {done}  {numbers}")
            self._printed_at = time.monotonic()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        os.write(_STDERR, self._compose_interrupt_note())

    def _compose_interrupt_note(self) -> bytes:
        """Returns what a signal handler may write: the console may be in the middle of a line."""
        note = "Stopping at the next checkpoint; again to stop at once."
        if not os.isatty(_STDERR):
            return f"{note}\n".encode()
        # takes the place of the last bar; the bars go on below
        return f"\r\x1b[K{note}{chr(10) * max(1, len(self._tasks))}".encode()


def is_terminal(console: Console) -> bool:
    """Returns whether bars can be drawn; with FORCE_COLOR rich takes files for terminals too."""
    return console.is_terminal and console.file.isatty()


def _format_numbers(record: Record) -> str:
    parts = []
    if "loss" in record:
        parts.append(f"loss {record['loss']:.5f}")
    if "critic_loss" in record:
        parts.append(f"critic {record['critic_loss']:.5f}")
    if "purity" in record:
        parts.append(f"purity {record['purity']:.3f}")
    if "changed" in record:
        parts.append(f"labels changed {100 * record['changed']:.2f} %")
    if "clusters_used" in record:
        parts.append(f"{record['clusters_used']} clusters in use")
    if "inertia" in record:
        parts.append(f"k-means inertia {record['inertia']:.4g}")
    return "  ".join(parts)
