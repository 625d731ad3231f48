"""The picture and the table of a partition, from one client to hundreds."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from tests.tfcluster.plot_helpers import colors, labels_at_left
from tfcluster import plots
from tfcluster.cli.cluster_tables import print_partition
from tfcluster.errors import InputError

BY_HAND = np.array([[3, 0, 1], [0, 2, 0]])


def skewed(clients: int, classes: int) -> np.ndarray:
    return np.random.default_rng(0).gamma(0.3, 100, (clients, classes)).astype(int) + 1


def names(n: int) -> list[str]:
    return [f"client {i}" for i in range(n)]


@pytest.mark.parametrize(
    ("clients", "classes"),
    [
        (1, 1),
        (1, 10),
        (5, 10),
        (30, 3),
        (31, 3),
        (4, 72),
        (100, 10),
        (539, 10),
        (539, 1),
        (200, 80),
    ],
)
def test_partitions_of_any_size(tmp_path: Path, clients: int, classes: int) -> None:
    png = tmp_path / "run" / "clients.png"
    counts = skewed(clients, classes)
    assert plots.draw_partition(png, counts, names(clients), range(classes)) == png
    assert colors(png) > 5


def test_bars_are_stacked_by_class(tmp_path: Path, figures: list[Figure]) -> None:
    plots.draw_partition(tmp_path / "a.png", BY_HAND, ["north", "south"], ["cat", "dog", "owl"])
    ax = figures[0].axes[0]
    assert labels_at_left(figures[0]) == ["north", "south"]
    bars = {b.get_label(): [(bar.get_x(), bar.get_width()) for bar in b] for b in ax.containers}
    assert bars == {"cat": [(0, 3), (0, 0)], "dog": [(3, 0), (0, 2)], "owl": [(3, 1), (2, 0)]}
    assert [text.get_text() for text in ax.texts] == ["4", "2"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cat", "dog", "owl"]
    assert ax.get_title(loc="left") == "2 clients with 2 to 4 samples, median 3"
    assert ax.yaxis_inverted()


def test_many_clients_are_sorted_by_their_largest_class(
    tmp_path: Path, figures: list[Figure]
) -> None:
    counts = skewed(101, 4)
    plots.draw_partition(tmp_path / "a.png", counts, names(101), "abcd")
    shares = np.asarray(figures[0].axes[0].images[0].get_array())
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    largest = shares.argmax(axis=1)
    assert (np.diff(largest) >= 0).all()
    for k in range(4):
        assert (np.diff(shares[largest == k, k]) <= 0).all()
    assert labels_at_left(figures[0]) == []
    lengths = [bar.get_width() for bar in figures[0].axes[1].containers[0]]
    assert sorted(lengths) == sorted(counts.sum(axis=1))


def test_the_heat_map_of_a_hundred_keeps_order_and_names(
    tmp_path: Path, figures: list[Figure]
) -> None:
    counts = skewed(100, 4)
    plots.draw_partition(tmp_path / "a.png", counts, names(100), "abcd")
    ax, bars = figures[0].axes[:2]
    assert labels_at_left(figures[0]) == names(100)
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), shares)
    assert [bar.get_width() for bar in bars.containers[0]] == counts.sum(axis=1).tolist()


@pytest.mark.parametrize("counts", [BY_HAND.T, BY_HAND[0], -BY_HAND])
def test_counts_must_fit_their_names(tmp_path: Path, counts: np.ndarray) -> None:
    with pytest.raises(InputError, match="`counts` must"):
        plots.draw_partition(tmp_path / "a.png", counts, ["north", "south"], "abc")


def printed(counts: np.ndarray, names: list[str], classes: list[Any]) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    print_partition(console, counts, names, classes)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_the_table_by_hand() -> None:
    lines = printed(BY_HAND, ["north [a]", "south"], ["cat", "dog", "owl"])
    assert cells(lines[1]) == ["north [a]", "4", "2", "class cat", "75 %"]
    assert cells(lines[2]) == ["south", "2", "1", "class dog", "100 %"]
    assert lines[-1] == "Clients: 2. Samples of a client: smallest 2, median 3, largest 4."


def test_of_many_clients_the_table_has_the_largest_and_the_smallest() -> None:
    counts = np.arange(1, 101)[:, np.newaxis]
    lines = printed(counts, names(100), ["samples"])
    sizes = [cells(line)[-1] for line in lines[1:-1]]
    assert sizes == [*map(str, range(100, 91, -1)), "...", *map(str, range(9, 0, -1))]
    assert lines[-1] == "Clients: 100. Samples of a client: smallest 1, median 50, largest 100."
