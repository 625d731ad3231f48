"""Messages as Flower's records: arrays in one record, plain values in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from federated.backends.messages import Arrays

ARRAYS, FACTS = "arrays", "facts"
"""Names of the records."""


def to_records(arrays: Sequence[np.ndarray], facts: Mapping[str, Any]) -> RecordDict:
    """Returns arrays, and plain values beside them, as the content of a message."""
    return RecordDict({ARRAYS: ArrayRecord(list(arrays)), FACTS: ConfigRecord(dict(facts))})


def from_records(content: RecordDict) -> tuple[Arrays, dict[str, Any]]:
    """Returns the arrays and values of `to_records`."""
    arrays = content.array_records[ARRAYS].to_numpy_ndarrays()
    return arrays, dict(content.config_records[FACTS])
