"""What was measured of the engines, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from scipy import stats

from benchmarks.reproduce.table import figure

Result = Mapping[str, Any]


def paired_table(lines: Sequence[Result]) -> str:
    """Federated less centralised DEC from the same start: mean and 95 % interval (Student)."""
    rows = [
        "| encoder | partition | engine | seeds | ACC centralised | ACC federated | difference "
        "| NMI difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    cases: dict[tuple[str, str, str], list[Result]] = {}
    for line in lines:
        size = "-".join(map(str, dims(line)))
        cases.setdefault((size, line["partition"], line["backend"]), []).append(line)
    for case, own in sorted(cases.items()):
        means = [statistics.mean(line[side]["accuracy"] for line in own) for side in _SIDES]
        cells = list(map(figure, means))
        cells += [_interval(differences(own, score)) for score in ("accuracy", "nmi")]
        rows.append(f"| {' | '.join(case)} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def dims(line: Result) -> list[int]:
    """Widths of the encoder's layers."""
    found: list[int] = line["config"]["model"]["dims"]
    return found


_SIDES = ("central", "federated")


def differences(lines: Sequence[Result], score: str) -> list[float]:
    """Federated less centralised, of each seed."""
    return [line["federated"][score] - line["central"][score] for line in lines]


def _interval(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):+.3f}"
    if len(values) < 2:
        return mean
    t = float(stats.t.ppf(0.975, len(values) - 1))
    return f"{mean} ± {t * statistics.stdev(values) / len(values) ** 0.5:.3f}"


def overhead_table(lines: Sequence[Result]) -> str:
    """The last run: rounds on every engine in turn."""
    rows = [
        "| engine | first round, s | warm round, s: median, least | over local: median, least |",
        "|---|---|---|---|",
    ]
    for line in lines[-1:]:
        local = line["warm_rounds_s"]["local"]
        for name, seconds in line["warm_rounds_s"].items():
            ratio = min(seconds) / min(local)
            rows.append(
                f"| {name} | {line['first_round_s'][name]:.1f} | {statistics.median(seconds):.2f}, "
                f"{min(seconds):.2f} | {line['ratio'][name]:.2f}, {ratio:.2f} |"
            )
    return "\n".join(rows) + "\n"


def memory_table(lines: Sequence[Result]) -> str:
    """Rounds and memory of all processes of a run."""
    rows = [
        "| engine | clients, a round | rounds | first, warm round, s | peak, MB | after half the "
        "rounds, at the end, MB |",
        "|---|---|---|---|---|---|",
    ]
    for line in lines:
        sizes = [size for _, size in line["samples"]]
        rows.append(
            f"| {line['backend']} | {line['clients']:,} ({line['partition']}), {line['per_round']} "
            f"| {line['rounds']} | {line['first_round_s']:.1f}, {line['warm_round_s']:.2f} "
            f"| {line['peak_mb']:,.0f} | {sizes[len(sizes) // 2]:,}, {sizes[-1]:,} |"
        )
    return "\n".join(rows) + "\n"


def placement_table(lines: Sequence[Result]) -> str:
    """Federated ClusterGAN in both placements beside centralised."""
    rows = [
        "| trained | partition | generator's steps: one after another, of all | purity of argmax "
        "| purity / NMI / ARI of centres | clusters used | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in sorted(lines, key=lambda line: (_placed(line), line["steps"])):
        found = line["lloyd"]
        scores = " / ".join(figure(found[name]) for name in ("purity", "nmi", "ari"))
        in_all = line["steps"] * (len(line["sizes"]) if line["placement"] == "average" else 1)
        rows.append(
            f"| {_placed(line)} | {line.get('partition', '-')} | {line['steps']:,}, {in_all:,} "
            f"| {figure(line['argmax']['purity'])} | {scores} | {line['clusters_used']} "
            f"| {line['seconds']:,.0f} |"
        )
    return "\n".join(rows) + "\n"


def _placed(line: Result) -> str:
    carried = ", moments carried" if line.get("carry_optimizer") else ""
    return f"{line['placement']}{carried}"
