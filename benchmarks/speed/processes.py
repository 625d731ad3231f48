"""Starts processes of `timing_process`, and asks them for rounds."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfcluster.errors import InputError

MODULE = "benchmarks.speed.timing_process"
"""What such a process runs."""


@contextlib.contextmanager
def start_process(
    words: Sequence[str], variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Yields a process that runs `MODULE`, and ends it.

    Args:
      words: The command: Python, the module, a case and a side.
      variables: Its environment; None for this process's.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=variables, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def request(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Asks for a round and returns its seconds and memory."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    return read(process)


def read(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Returns the next answer.

    Raises:
      InputError: If the process has ended.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise InputError(
            f"A measuring process must answer. Received: it ended ({process.args!r}). "
            "Its error is printed above."
        )
    answer: dict[str, Any] = json.loads(line)
    return answer
