"""What tests of pictures share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread


@dataclass(frozen=True)
class Drawn:
    kind: str
    shape: tuple[int, ...]


def samples_in_blobs(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % k
    return np.random.default_rng(0).normal(size=(n, d)) + 3 * labels[:, None], labels


def certain(labels: np.ndarray, k: int) -> np.ndarray:
    """Soft assignments that favor the given labels, each sample a little differently."""
    q = np.full((len(labels), k), 0.1)
    q[np.arange(len(labels)), labels] = np.linspace(0.5, 0.9, len(labels))
    return q / q.sum(axis=1, keepdims=True)


def colors(path: Path) -> int:
    """Distinct colors, after the checks every picture has to pass."""
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 300_000
    pixels = np.rint(255 * imread(path)[..., :3]).astype(np.uint32)
    assert min(pixels.shape[:2]) > 100
    return len(np.unique(pixels @ np.array([1, 256, 65536], np.uint32)))


DIGIT = Drawn("image", (8, 8))


def samples_by_class(data: Any, n: int) -> np.ndarray:
    """`(classes, n, features)` real samples."""
    return np.stack([data.data[data.target == c][:n] for c in np.unique(data.target)])


def labels_at_left(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def tile(figure: Figure, line: int, column: int) -> np.ndarray:
    """What is drawn in a cell of a grid of digits, in the digits' own units."""
    sheet = figure.axes[0].images[line].get_array()
    return 16 * np.asarray(sheet)[:8, 9 * column : 9 * column + 8]
