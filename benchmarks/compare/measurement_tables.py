"""The README's tables of the single measurements, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.compare.estimates import estimate_mean
from benchmarks.compare.number_formats import format_difference
from benchmarks.markdown import format_table
from benchmarks.reproduce.published_tables import format_score

Result = Mapping[str, Any]


def tabulate_pairs(lines: Sequence[Result]) -> str:
    """Tabulates federated - centralized DEC from the same start: mean and 95 % interval."""
    header = ["encoder", "partition", "backend", "seeds", "ACC centralized", "ACC federated"]
    header += ["ACC difference", "NMI difference"]
    cases: dict[tuple[str, str, str], list[Result]] = {}
    for line in lines:
        size = "-".join(map(str, get_dims(line)))
        cases.setdefault((size, line["partition"], line["backend"]), []).append(line)
    rows = []
    for case, own in sorted(cases.items()):
        means = [
            statistics.mean(line[side]["accuracy"] for line in own)
            for side in ("centralized", "federated")
        ]
        gains = [estimate_mean(list_differences(own, score)) for score in ("accuracy", "nmi")]
        rows.append(
            [*case, str(len(own)), *map(format_score, means), *map(format_difference, gains)]
        )
    return format_table(header, rows)


def get_dims(line: Result) -> list[int]:
    """Returns the widths of the encoder's layers."""
    found: list[int] = line["config"]["model"]["dims"]
    return found


def list_differences(lines: Sequence[Result], score: str) -> list[float]:
    """Returns the federated - centralized score of each seed."""
    return [line["federated"][score] - line["centralized"][score] for line in lines]


def tabulate_overhead(lines: Sequence[Result]) -> str:
    """Tabulates rounds on every backend in turn: the last run with each version of Flower."""
    header = ["work", "backend", "first round, s", "warm round, s: median, minimum"]
    header += ["ratio to local: median, minimum", "added by a warm round, ms: median"]
    # the first lines were of one data set and one version, and named neither
    last = {(line.get("dataset", "mnist"), line.get("flwr", "1.23.0")): line for line in lines}
    rows = []
    for (dataset, flwr), line in last.items():
        versions = f"TensorFlow {line['tensorflow']}, flwr {flwr}"
        work = f"{dataset}, {line['n_clients']} clients; {versions}"
        local = line["warm_rounds_s"]["local"]
        for name, seconds in line["warm_rounds_s"].items():
            times = f"{statistics.median(seconds):.3f}, {min(seconds):.3f}"
            ratios = f"{line['ratio'][name]:.2f}, {min(seconds) / min(local):.2f}"
            added = statistics.median(a - b for a, b in zip(seconds, local, strict=True))
            first = f"{line['first_round_s'][name]:.1f}"
            rows.append([work, name, first, times, ratios, f"{1000 * added:.0f}"])
    return format_table(header, rows)


def tabulate_memory(lines: Sequence[Result]) -> str:
    """Tabulates rounds and memory of all processes of a run."""
    header = ["backend; TensorFlow", "clients, clients per round", "rounds"]
    header += ["first, warm round, s", "peak MB", "MB after half the rounds, at the end"]
    rows = []
    for line in lines:
        sizes = [size for _, size in line["readings"]]
        clients = f"{line['n_clients']:,} ({line['partition']}), {line['clients_per_round']}"
        seconds = f"{line['first_round_s']:.1f}, {line['warm_round_s']:.2f}"
        memory = [f"{line['peak_mb']:,.0f}", f"{sizes[len(sizes) // 2]:,}, {sizes[-1]:,}"]
        flwr = f", flwr {line['flwr']}" if line["backend"] == "flower" and "flwr" in line else ""
        backend = f"{line['backend']}; {line['tensorflow']}{flwr}"
        rows.append([backend, clients, str(line["rounds"]), seconds, *memory])
    return format_table(header, rows)


def tabulate_generators(lines: Sequence[Result]) -> str:
    """Tabulates federated ClusterGAN with the generator on clients or server, and centralized."""
    header = ["training", "partition", "generator steps: sequential, in all", "purity of argmax"]
    header += ["purity / NMI / ARI of centroids", "clusters used", "s"]
    rows = []
    for line in sorted(lines, key=lambda line: (_describe_training(line), line["steps"])):
        found = line["kmeans"]
        in_all = line["steps"] * (len(line["sizes"]) if line.get("generator") == "clients" else 1)
        rows.append(
            [
                _describe_training(line),
                line.get("partition", "-"),
                f"{line['steps']:,}, {in_all:,}",
                format_score(line["argmax"]["purity"]),
                " / ".join(format_score(found[name]) for name in ("purity", "nmi", "ari")),
                str(line["clusters_used"]),
                f"{line['seconds']:,.0f}",
            ]
        )
    return format_table(header, rows)


def _describe_training(line: Result) -> str:
    if line["backend"] == "centralized":
        return "centralized"
    carried = ", optimizer carried" if line["carry_optimizer"] else ""
    return f"generator on the {line['generator']}{carried}"
