"""Common units for features: mean 0 and standard deviation 1, missing values filled."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfcluster.errors import InputError
from tfcluster.files import load_arrays, save_arrays


class Standardizer(NamedTuple):
    """What is done to rows before a model that was trained on standardised ones.

    Attributes:
      mean: `(features,)` float64, which a missing value becomes; 0 for a column without values.
      sd: `(features,)` float64, over all rows, those filled included; 1 for constant columns.
    """

    mean: np.ndarray
    sd: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """`(x - mean) / sd` in float32, 0 where `x`, `(rows, features)`, is missing.

        Raises:
          InputError: If `x` has another number of features.
        """
        if x.shape[1:] != self.mean.shape:
            raise InputError(f"Rows need {len(self.mean)} features. Received: {x.shape[1]}.")
        return np.where(np.isnan(x), 0.0, (x - self.mean) / self.sd).astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes a file for `load`."""
        save_arrays(path, self._asdict(), {})

    @classmethod
    def load(cls, path: Path) -> Standardizer:
        """Reads what `save` wrote.

        Raises:
          InputError: If the file is missing or damaged.
        """
        return cls(**load_arrays(path)[0])
