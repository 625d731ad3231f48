"""Each picture is a valid, small PNG with something in it, on plain data and at the edges."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from tfcluster import plots
from tfcluster.errors import InputError
from tfcluster.plots import lines, rows, scatter


@dataclass(frozen=True)
class Drawn:
    kind: str
    shape: tuple[int, ...]


@pytest.fixture
def png(tmp_path: Path) -> Path:
    return tmp_path / "run" / "picture.png"


def rows_in_blobs(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % k
    return np.random.default_rng(0).normal(size=(n, d)) + 3 * labels[:, None], labels


def certain(labels: np.ndarray, k: int) -> np.ndarray:
    """Soft assignments that favour the given labels, each row a little differently."""
    q = np.full((len(labels), k), 0.1)
    q[np.arange(len(labels)), labels] = np.linspace(0.5, 0.9, len(labels))
    return q / q.sum(axis=1, keepdims=True)


def colours(path: Path) -> int:
    """Distinct colours, after the checks every picture has to pass."""
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 300_000
    pixels = np.rint(255 * imread(path)[..., :3]).astype(np.uint32)
    assert min(pixels.shape[:2]) > 100
    return len(np.unique(pixels @ np.array([1, 256, 65536], np.uint32)))


def history() -> list[dict[str, Any]]:
    pretraining: list[dict[str, Any]] = [
        {"phase": phase, "step": step, "loss": 1 / (1 + step)}
        for phase in ("layer 1", "layer 2", "finetune")
        for step in range(5)
    ]
    cluster: list[dict[str, Any]] = [
        {"phase": "cluster", "step": s, "loss": 0.5 - s / 100} for s in range(5)
    ]
    return [*pretraining, *cluster, {"phase": "cluster", "step": 4, "changed": 0.0}]


@pytest.mark.parametrize(
    ("n", "d", "k"),
    [(3, 5, 2), (2, 2, 2), (1, 4, 1), (30, 1, 3), (60, 2, 15), (60, 3, 50)],
)
def test_embedding_of_any_size(png: Path, n: int, d: int, k: int) -> None:
    Z, labels = rows_in_blobs(n, d, k)
    assert plots.embedding(png, Z, labels) == png
    assert colours(png) > 10


def test_embedding_with_classes_is_taller_and_samples(png: Path) -> None:
    Z, labels = rows_in_blobs(50, 4, 5)
    names = np.array(["cat", "dog", "owl"])[labels % 3]
    plots.embedding(png, Z, labels, max_rows=20)
    height = imread(png).shape[0]
    plots.embedding(png, Z, labels, centers=Z[:5], y=names, max_rows=20)
    assert imread(png).shape[0] > 1.8 * height
    assert colours(png) > 10


def test_embedding_is_repeatable_and_the_seed_counts(tmp_path: Path) -> None:
    Z, labels = rows_in_blobs(40, 4, 2)
    paths = [tmp_path / name for name in "abc"]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        plots.embedding(path, Z, labels, max_rows=20, seed=seed)
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again != other


def test_a_collapsed_embedding_is_drawn(png: Path) -> None:
    plots.embedding(png, np.ones((20, 3)), np.zeros(20, int), centers=np.ones((2, 3)))
    assert colours(png) > 3


def test_a_class_has_the_colour_of_its_cluster() -> None:
    # Cluster 0 holds the b's and 1 the a's, so b is number 0 and a 1; c is matched to none.
    y, labels = np.array(["a", "a", "b", "b", "c"]), np.array([1, 1, 0, 0, 0])
    names, codes = scatter._match_colours(np.unique(y, return_inverse=True), y, labels)
    assert names.tolist() == ["b", "a", "c"]
    assert codes.tolist() == [1, 1, 0, 0, 2]


@pytest.mark.parametrize(("classes", "clusters"), [(3, 3), (2, 15), (12, 1), (31, 31)])
def test_confusion_of_any_shape(png: Path, classes: int, clusters: int) -> None:
    rng = np.random.default_rng(0)
    true = [f"class {c}" for c in rng.integers(0, classes, 300)]
    plots.confusion(png, true, rng.integers(0, clusters, 300))
    assert colours(png) > 10


def test_large_counts_are_drawn_as_shares(png: Path) -> None:
    true = np.repeat([0, 1], 11_000)
    plots.confusion(png, true, 1 - true)
    assert colours(png) > 10


@pytest.mark.parametrize("tol", [None, 0.001])
def test_curves(png: Path, tol: float | None) -> None:
    plots.curves(png, history(), tol=tol)
    assert colours(png) > 10


@pytest.mark.parametrize(
    "records",
    [
        [],
        history()[:5],
        history()[15:20],
        [{"phase": "cluster", "step": 0, "changed": 0.2}],
        [{"phase": "pretrain", "step": 1, "loss": 0.0}],
        [{"phase": "pretrain", "step": 1, "loss": float("nan")}, {"phase": "gan", "critic": 1}],
    ],
)
def test_curves_leave_out_what_is_missing(png: Path, records: list[dict[str, Any]]) -> None:
    plots.curves(png, records)
    assert colours(png) > 3


def test_phases_follow_one_another() -> None:
    records = [{"phase": p, "step": s, "loss": 1.0} for p in "abc" for s in (5, 10)]
    steps = {name: s.tolist() for name, (s, _) in lines._phases(records).items()}
    assert steps == {"a": [5, 10], "b": [15, 20], "c": [25, 30]}


@pytest.mark.parametrize(
    "picture",
    [
        Drawn("image", (4, 4)),
        Drawn("image", (2, 8, 1)),
        Drawn("strokes", (8, 2)),
        None,
    ],
)
@pytest.mark.parametrize("k", [3, 15])
def test_top_confidence_of_every_kind(png: Path, picture: Drawn | None, k: int) -> None:
    X, labels = rows_in_blobs(90, 16, k)
    q = certain(labels, k + 1)  # the last cluster owns no rows
    assert plots.top_confidence(png, X, q, picture, per_cluster=4) == png
    assert colours(png) > 10


def test_colour_noise_still_fits(png: Path) -> None:
    labels = np.arange(120) % 12
    X = np.random.default_rng(0).random((120, 32, 32, 3))
    plots.top_confidence(png, X, certain(labels, 12), Drawn("image", (32, 32, 3)))
    assert colours(png) > 100


def test_most_confident_rows_are_owned_and_in_order() -> None:
    q = np.array([[0.6, 0.4], [0.9, 0.1], [0.45, 0.55], [0.7, 0.3]])
    first, second = rows._most_confident(q, 2)
    assert first.tolist() == [1, 3]
    assert second.tolist() == [2]


def test_constant_and_many_features_have_a_profile(png: Path) -> None:
    X, labels = rows_in_blobs(30, 200, 3)
    X[:, 7] = 1.0
    plots.top_confidence(png, X, certain(labels, 3), None)
    assert colours(png) > 10


def test_cluster_numbers(png: Path) -> None:
    table = [
        {"n_clusters": k, "silhouette": -abs(k - 4), "davies_bouldin": float("nan")}
        for k in (5, 2, 4)
    ]
    plots.cluster_numbers(png, table)
    assert colours(png) > 10


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda p: plots.embedding(p, np.zeros((3, 2)), [0, 1]), "2 labels for 3 rows"),
        (lambda p: plots.embedding(p, np.full((3, 2), np.nan), [0, 1, 1]), "finite matrix"),
        (lambda p: plots.confusion(p, [0, 1], [0]), "y_true has 2, y_pred has 1"),
        (lambda p: plots.cluster_numbers(p, []), "`table` needs a record"),
        (
            lambda p: plots.top_confidence(p, np.zeros((3, 4)), np.ones((2, 2)), None),
            "X has 3, q has 2",
        ),
        (
            lambda p: plots.top_confidence(
                p, np.zeros((2, 4)), np.ones((2, 2)), Drawn("image", (3, 3))
            ),
            r"Received \(3, 3\) for rows of 4 values",
        ),
        (
            lambda p: plots.top_confidence(p, np.zeros((2, 4)), np.ones((2, 2)), Drawn("map", ())),
            "Received: 'map'",
        ),
    ],
)
def test_mistakes_are_named(png: Path, draw: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(png)
    assert not png.exists()


def test_no_global_figure_and_no_tensorflow(png: Path) -> None:
    code = (
        "import sys; from tfcluster import plots;"
        f"plots.confusion({str(png)!r}, [0, 1, 1], [1, 0, 0]);"
        "sys.exit(bool({'matplotlib.pyplot', 'tensorflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
