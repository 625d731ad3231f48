"""How clients scale their samples before anything is trained on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tfcluster.scaling import Standardizer


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
    """Standardization, if any, and then a common factor.

    Attributes:
      standardizer: Gives features mean 0 and standard deviation 1 over all clients; None for none.
      factor: What features are multiplied by, e.g. the protocol's `scaling`.
    """

    standardizer: Standardizer | None = None
    factor: float = 1.0

    @classmethod
    def from_artifacts(cls, artifacts: Mapping[str, np.ndarray]) -> Scaling:
        """Returns the scaling that finished phases found; the identity before any did."""
        standardizer = None
        if "standardizer/mean" in artifacts:
            standardizer = Standardizer(
                artifacts["standardizer/mean"], artifacts["standardizer/sd"]
            )
        return cls(standardizer, float(artifacts.get("scale", 1.0)))

    @property
    def is_identity(self) -> bool:
        """Whether samples stay as they are."""
        return self.standardizer is None and self.factor == 1.0

    def equals(self, other: Scaling) -> bool:
        """Returns whether both scale alike."""
        return self._key() == other._key()

    def _key(self) -> tuple[bytes, ...]:
        parts = () if self.standardizer is None else tuple(self.standardizer)
        return tuple(np.asarray(part, np.float64).tobytes() for part in (*parts, self.factor))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns `x`, `(n_samples, n_features)`, scaled, in float32.

        Only the standardizer sees more digits, as in `DEC.predict`.
        """
        x = x.astype(np.float32) if self.standardizer is None else self.standardizer(x)
        factor = np.float32(self.factor)
        return x if factor == 1 else x * factor
