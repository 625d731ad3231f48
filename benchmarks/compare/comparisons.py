"""Compares procedures with their reference, paired by seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

from benchmarks.compare.estimates import (
    LEVEL,
    Estimate,
    adjust_holm,
    compute_p_value,
    estimate_mean,
)
from benchmarks.compare.result_lines import Line, drop_tuning, select_finished
from benchmarks.compare.suites import DEFAULTS

_Key = tuple[str, str, int]  # procedure, partition, seed


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A procedure compared with its reference on one partition.

    Attributes:
      procedure: Procedure that is tried.
      partition: Partition of the samples.
      reference: Procedure it is compared with.
      difference: Mean of the paired differences, procedure - reference.
      p: P-value of the paired t-test.
      adjusted: P-value after Holm's correction over all comparisons of the suite.
      is_same: Whether no pair differs, e.g. because tuning chose the default. Such a pair is the
        reference itself and no comparison, so its p-values are NaN.
    """

    procedure: str
    partition: str
    reference: str
    difference: Estimate
    p: float
    adjusted: float = math.nan
    is_same: bool = False

    @property
    def is_significant(self) -> bool:
        """Returns whether the difference is significant at 5 % after Holm's correction."""
        return self.adjusted < LEVEL


def compare_procedures(lines: Iterable[Line], score: str = "nmi") -> list[Comparison]:
    """Compares every procedure of the aggregation suite with its reference.

    Aggregation rules were all tuned with the same budget, so their reference is the tuned `fedavg`.
    Initial centroids and targets have no parameter to tune; their reference is the defaults.

    Args:
      lines: Lines of the suite; tuning runs are ignored.
      score: Name of the score to compare.
    """
    by_key = {
        (line["case"]["procedure"], line["case"]["partition"], line["case"]["seed"]): line
        for line in drop_tuning(select_finished(lines))
    }
    tuned = {key[0] for key, line in by_key.items() if line["case"]["settings"].get("aggregation")}
    made = []
    for procedure, partition in dict.fromkeys(key[:2] for key in by_key):
        reference = "fedavg" if procedure in tuned - {"fedavg"} else DEFAULTS
        values = _list_differences(by_key, procedure, reference, partition, score)
        if values and procedure != reference:
            made.append(_compare(procedure, partition, reference, values))
    adjusted = adjust_holm([c.p for c in made])
    return [dataclasses.replace(c, adjusted=p) for c, p in zip(made, adjusted, strict=True)]


def _list_differences(
    by_key: Mapping[_Key, Line], procedure: str, reference: str, partition: str, score: str
) -> list[float]:
    return [
        line["scores"][score] - by_key[reference, partition, seed]["scores"][score]
        for (name, where, seed), line in by_key.items()
        if (name, where) == (procedure, partition) and (reference, partition, seed) in by_key
    ]


def _compare(procedure: str, partition: str, reference: str, values: list[float]) -> Comparison:
    is_same = not any(values)
    p = math.nan if is_same else compute_p_value(values)
    return Comparison(procedure, partition, reference, estimate_mean(values), p, is_same=is_same)
