"""A data set in memory: its samples, labels, names and units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.table_options import TableReport
from tfcluster.scaling import Standardizer


@dataclass(frozen=True)
class Picture:
    """How a sample is drawn.

    Attributes:
      kind: "image": gray values, the smallest black; "strokes": points (x, y) of a pen's path, y
        upwards.
      shape: Shape of a sample: (height, width) or (points, 2).
    """

    kind: Literal["image", "strokes"]
    shape: tuple[int, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features by their place: `pixel_ROW_COLUMN`, or `x_POINT` and `y_POINT`."""
        places = np.ndindex(*self.shape)
        if self.kind == "strokes":
            return tuple(f"{'xy'[axis]}_{point}" for point, axis in places)
        return tuple("_".join(map(str, ("pixel", *place))) for place in places)


def number_features(n_features: int) -> tuple[str, ...]:
    """Returns names for features that have none: `x0`, `x1`, ..."""
    return tuple(f"x{i}" for i in range(n_features))


@dataclass(frozen=True, eq=False)
class Dataset:
    """The samples of one split; unpacks as `X, y, picture`.

    Attributes:
      X: (n_samples, n_features), C-contiguous features: float32, or float64 for a file's values
        that float32 would round.
      y: int64 (n_samples,) labels, or None if there are none.
      picture: How a sample is drawn, or None for tables.
      feature_names: Name of each feature.
      units: What undoes the scaling: features times `sd` plus `mean` are in their original units.
        None if the features are in original units, or each sample is scaled by itself.
      has_columns: Whether the names are those of a table's columns, which new samples must match.
      table: What the columns of a table were taken as.
      is_table: Whether it is a file's table, whose columns have units of their own.
    """

    X: NDArray[np.float32] | NDArray[np.float64]
    y: NDArray[np.int64] | None
    picture: Picture | None
    feature_names: tuple[str, ...]
    units: Standardizer | None
    has_columns: bool = False
    table: TableReport | None = None
    is_table: bool = False

    @property
    def has_units(self) -> bool:
        """Whether features have units or missing values, so that they should be standardized."""
        return self.is_table or bool(np.isnan(self.X).any())

    def __iter__(self) -> Iterator[Any]:
        """Yields `X`, `y` and `picture`."""
        return iter((self.X, self.y, self.picture))


class RawData(NamedTuple):
    """Samples as they were read, before scaling.

    Attributes:
      X: Train samples, then test samples.
      y: Labels, or None if there are none.
      n_train: Number of train samples; None if there is no split.
      feature_names: Name of each feature; empty if none were read.
      table: What the columns of a table were taken as.
    """

    X: NDArray[Any]
    y: NDArray[Any] | None
    n_train: int | None = None
    feature_names: tuple[str, ...] = ()
    table: TableReport | None = None
