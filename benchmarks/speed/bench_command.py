"""`tfcluster bench`: times both sides of every case in turn."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.speed.processes import MODULE, read, request, start_process
from tfcluster.errors import unknown_name

_NAMES = (
    "autoencoder", "autoencoder:bfloat16", "dec", "dec:bfloat16", "target", "pendigits", "10x_73k",
    "mnist", "mnist:bfloat16",
)  # fmt: skip


def bench(
    cases: Annotated[
        Optional[list[str]],
        typer.Argument(help=f"Cases: {', '.join(_NAMES)}. [default: all]", show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each side.")] = 5,
    record: Annotated[bool, typer.Option(help="Add a line to benchmarks/results.")] = False,
) -> None:
    """Time our training loops, the originals' and the machine's limit."""
    from tfcluster.runtime import collect_provenance

    console = Console()
    for name in cases or ():
        if name not in _NAMES:
            raise unknown_name("case", name, _NAMES)
    lines = {}
    for name in cases or _NAMES:
        console.print(f"{name} ...")
        lines[name] = measure_case(name, rounds)
    start = measure_startup(rounds)
    result = {"algorithm": "speed", "rounds": rounds, "cases": lines, "startup_s": start}
    result |= collect_provenance()
    console.print(make_rich_table(lines))
    console.print(
        "Ratio: the originals' time over ours, median of rounds taken in turn. Limit: the least "
        "arithmetic over the rate of large float32 products, two in parallel, in the same run. "
        "Ratio at limit: the ratio of a loop that does only this arithmetic."
    )
    console.print(", ".join(f"{words}: {seconds:.2f} s" for words, seconds in start.items()))
    if record:
        from benchmarks.record import append

        console.print(f"Added to {append(result)}")


def measure_case(name: str, rounds: int) -> dict[str, Any]:
    """Times both sides of a case in turn (A B A B), and large products between them.

    Args:
      name: Name of the case.
      rounds: Number of measurements of each side.

    Returns:
      Milliseconds per unit of both sides, ratio, goal, share of the limit, and memory in MB.
    """
    from benchmarks.speed.timed_cases import CASES

    case = CASES[name]
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-m", MODULE, name]
        processes = {side: stack.enter_context(start_process([*command, side])) for side in _SIDES}
        facts = {side: read(process) for side, process in processes.items()}
        seconds: dict[str, list[float]] = {side: [] for side in _SIDES}
        peaks: dict[str, int] = {}
        for _ in range(rounds):
            for side, process in processes.items():
                answer = request(process)
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


def measure_startup(rounds: int) -> dict[str, float]:
    """Returns the median seconds of a process that imports the package or shows the help."""
    commands = {
        "import tfcluster": ["-c", "import tfcluster"],
        "tfcluster --help": ["-m", "tfcluster", "--help"],
    }
    return {
        name: statistics.median(_time_process([sys.executable, *words]) for _ in range(rounds))
        for name, words in commands.items()
    }


def _time_process(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


_SIDES = ("ours", "theirs", "floor")


def make_rich_table(lines: dict[str, dict[str, Any]]) -> Table:
    """Returns a table of the cases for a terminal."""
    columns = ("case", "unit", "originals", "ours", "ratio", "goal", "ratio at limit", "of limit")
    made = Table(*columns, show_edge=False)
    for name, line in lines.items():
        made.add_row(name, *format_cells(line))
    return made


def format_cells(line: dict[str, Any]) -> Sequence[str]:
    """Returns the cells of a case without its name."""
    return (
        line["unit"],
        f"{line['theirs_ms']:,.1f} ms",
        f"{line['ours_ms']:,.1f} ms",
        f"{line['ratio']:.2f}",
        f"{line['goal']:.1f}",
        f"{line['theirs_ms'] / line['limit_ms']:.2f}",
        f"{100 * line['share_of_limit']:.0f} %",
    )
