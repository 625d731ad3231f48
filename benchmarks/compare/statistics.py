"""Intervals, paired tests and fits, of plain numbers.

Differences are tested by the paired t-test: it belongs to the Student intervals that are printed
and drawn, so that test and interval agree. Wilcoxon's signed ranks assume less, but of ten pairs
their smallest p-value is 2 / 2**10 = 0.002, which no correction for some thirty comparisons can
leave below 0.05: it could find nothing.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np
from scipy import stats

LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean, or a slope, and half its 95 % interval.

    Attributes:
      value: The estimate.
      half: Half the width of its interval (Student); NaN where there are too few numbers.
      n: How many numbers it is of.
    """

    value: float
    half: float
    n: int

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self.half

    def excludes(self, number: float) -> bool:
        """Whether the interval does not contain a number; never without an interval."""
        return self.low > number or self.high < number


def mean(values: Sequence[float]) -> Estimate:
    """Mean with its 95 % interval."""
    n = len(values)
    if n < 2:
        return Estimate(statistics.fmean(values), math.nan, n)
    return Estimate(statistics.fmean(values), _t(n - 1) * statistics.stdev(values) / n**0.5, n)


def ratio(pairs: Sequence[tuple[float, float]]) -> Estimate:
    """Mean logarithm of `a / b` of each pair; `exp` of it is the geometric mean of the ratios."""
    return mean([math.log(a / b) for a, b in pairs])


def _t(freedom: int) -> float:
    return float(stats.t.ppf(1 - LEVEL / 2, freedom))


def p_value(differences: Sequence[float]) -> float:
    """Two-sided paired t-test; 1 if nothing differs, NaN if there are fewer than two pairs."""
    if len(differences) < 2:
        return math.nan
    if not any(differences):
        return 1.0
    deviation = statistics.stdev(differences)
    if deviation == 0:
        return 0.0
    t = abs(statistics.fmean(differences)) * len(differences) ** 0.5 / deviation
    return float(2 * stats.t.sf(t, len(differences) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for their number (Holm 1979), step down.

    Args:
      p_values: Of comparisons made together; NaN stays and does not count.

    Returns:
      Adjusted values, in the order given.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted, least = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        adjusted[i] = least
    return adjusted


def exponent(x: Sequence[float], y: Sequence[float]) -> Estimate:
    """Least-squares slope of log y by log x: `y` grows as `x ** slope`."""
    logs = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    if len(set(x)) < 2:
        return Estimate(math.nan, math.nan, len(x))
    fit = stats.linregress(*logs)
    half = _t(len(x) - 2) * float(fit.stderr) if len(x) > 2 else math.nan
    return Estimate(float(fit.slope), half, len(x))


@dataclasses.dataclass(frozen=True)
class Straight:
    """`y = fixed + per * x`.

    Attributes:
      fixed: At x = 0.
      per: For each of x.
    """

    fixed: float
    per: float


def straight(x: Sequence[float], y: Sequence[float]) -> Straight | None:
    """The line of least relative errors through positive `y`; None of fewer than three points.

    Errors count relative to `y`, as those of times are: else the longest would settle all.
    """
    if len(set(x)) < 3:
        return None
    a, b = np.asarray(x, float), np.asarray(y, float)
    design = np.stack([1 / b, a / b], axis=1)
    fixed, per = np.linalg.lstsq(design, np.ones_like(b), rcond=None)[0]
    return Straight(float(fixed), float(per))
