"""`tfcluster bench`: both sides of every case in turn, and the table."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from tfcluster.errors import InputError, unknown_name

_NAMES = (
    "autoencoder", "autoencoder:bfloat16", "dec", "dec:bfloat16", "target", "pendigits", "10x_73k",
    "mnist", "mnist:bfloat16",
)  # fmt: skip


def bench(
    cases: Annotated[
        Optional[list[str]], typer.Argument(help=f"Of {', '.join(_NAMES)}. [default: all]")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each side.")] = 5,
    record: Annotated[bool, typer.Option(help="Add a line to benchmarks/results.")] = False,
) -> None:
    """Time our training loops against the originals' ways and the machine's limit."""
    from tfcluster.runtime import provenance

    console = Console()
    for name in cases or ():
        if name not in _NAMES:
            raise unknown_name("case", name, _NAMES)
    lines = {}
    for name in cases or _NAMES:
        console.print(f"{name} ...")
        lines[name] = measure(name, rounds)
    start = startup(rounds)
    result = {"algorithm": "speed", "rounds": rounds, "cases": lines, "startup_s": start}
    result |= provenance()
    console.print(table(lines))
    console.print(
        "Ratio: the originals' time over ours, median of rounds taken in turn. Limit: the least "
        "arithmetic over the rate of large float32 products, two side by side, in the same run. "
        "Ratio at limit: what a loop would reach that did nothing else."
    )
    console.print(", ".join(f"{words}: {seconds:.2f} s" for words, seconds in start.items()))
    if record:
        from benchmarks.record import append

        console.print(f"Added to {append(result)}")


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Both sides of a case in turn, A B A B, and large products between them.

    Args:
      name: Of the case.
      rounds: Measurements of each side.

    Returns:
      Milliseconds a unit of both sides, ratio, goal, the share of the limit reached, memory.
    """
    from benchmarks.speed.cases import CASES

    case = CASES[name]
    with contextlib.ExitStack() as stack:
        workers = {side: stack.enter_context(_worker(name, side)) for side in _SIDES}
        facts = {side: _read(worker) for side, worker in workers.items()}
        seconds: dict[str, list[float]] = {side: [] for side in _SIDES}
        peaks: dict[str, int] = {}
        for _ in range(rounds):
            for side, worker in workers.items():
                answer = _ask(worker)
                seconds[side].append(answer["seconds"])
                peaks[side] = answer["peak"]
    rate = facts["floor"]["flops"] / statistics.median(seconds["floor"])
    ours, theirs = (statistics.median(seconds[side]) / case.n_units for side in ("ours", "theirs"))
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)]
    data = facts["ours"]["data"]
    return {
        "unit": case.unit,
        "ours_ms": 1e3 * ours,
        "theirs_ms": 1e3 * theirs,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "goal": case.goal,
        "gflop": case.flops() / 1e9,
        "gflops_of_products": rate / 1e9,
        "limit_ms": 1e3 * case.flops() / rate,
        "share_of_limit": case.flops() / rate / ours,
        "data_mb": data / 1e6,
        "memory_above_data_mb": {
            side: (peaks[side] - facts[side]["before"]) / 1e6 for side in ("ours", "theirs")
        },
    }


def startup(rounds: int) -> dict[str, float]:
    """Seconds from nothing to an imported package and to the help, median."""
    commands = {
        "import tfcluster": ["-c", "import tfcluster"],
        "tfcluster --help": ["-m", "tfcluster", "--help"],
    }
    return {
        name: statistics.median(_seconds([sys.executable, *words]) for _ in range(rounds))
        for name, words in commands.items()
    }


def _seconds(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


_SIDES = ("ours", "theirs", "floor")


@contextlib.contextmanager
def _worker(name: str, side: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "benchmarks.speed.worker", name, side]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _ask(worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdin is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return _read(worker)


def _read(worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise InputError(f"A measuring process ended: {worker.args!r}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def table(lines: dict[str, dict[str, Any]]) -> Table:
    """The cases side by side."""
    columns = ("case", "unit", "originals", "ours", "ratio", "goal", "ratio at limit", "of limit")
    made = Table(*columns, show_edge=False)
    for name, line in lines.items():
        made.add_row(name, *cells(line))
    return made


def cells(line: dict[str, Any]) -> Sequence[str]:
    """A case's line, without its name."""
    return (
        line["unit"],
        f"{line['theirs_ms']:,.1f} ms",
        f"{line['ours_ms']:,.1f} ms",
        f"{line['ratio']:.2f}",
        f"{line['goal']:.1f}",
        f"{line['theirs_ms'] / line['limit_ms']:.2f}",
        f"{100 * line['share_of_limit']:.0f} %",
    )
