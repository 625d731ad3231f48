"""Confidence intervals, paired tests and fits of plain numbers.

Differences are tested by the paired t-test, which matches the Student intervals that are printed
and drawn: test and interval agree. Wilcoxon's signed-rank test assumes less, but with ten pairs
its smallest p-value is 2 / 2**10 = 0.002. No correction for about thirty comparisons leaves that
below 0.05, so the test could find nothing.
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
    """A mean or a slope with half the width of its 95 % interval.

    Attributes:
      value: The estimate.
      half: Half the width of the interval (Student); NaN if there are too few numbers.
      n: Number of values.
    """

    value: float
    half: float
    n: int

    @property
    def low(self) -> float:
        """Returns the lower end of the interval."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """Returns the upper end of the interval."""
        return self.value + self.half

    def excludes(self, number: float) -> bool:
        """Returns whether `number` lies outside the interval; False without an interval."""
        return self.low > number or self.high < number


def estimate_mean(values: Sequence[float]) -> Estimate:
    """Returns the mean with its 95 % interval."""
    n = len(values)
    if n < 2:
        return Estimate(statistics.fmean(values), math.nan, n)
    half = _student_quantile(n - 1) * statistics.stdev(values) / n**0.5
    return Estimate(statistics.fmean(values), half, n)


def estimate_log_ratio(pairs: Sequence[tuple[float, float]]) -> Estimate:
    """Returns the mean of `log(a / b)` over pairs; its `exp` is the geometric mean ratio."""
    return estimate_mean([math.log(a / b) for a, b in pairs])


def _student_quantile(freedom: int) -> float:
    return float(stats.t.ppf(1 - LEVEL / 2, freedom))


def compute_p_value(differences: Sequence[float]) -> float:
    """Returns the p-value of the two-sided paired t-test.

    Args:
      differences: One difference per pair.

    Returns:
      1 if nothing differs, NaN for fewer than two pairs.
    """
    if len(differences) < 2:
        return math.nan
    if not any(differences):
        return 1.0
    deviation = statistics.stdev(differences)
    if deviation == 0:
        return 0.0
    t = abs(statistics.fmean(differences)) * len(differences) ** 0.5 / deviation
    return float(2 * stats.t.sf(t, len(differences) - 1))


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for multiple comparisons by Holm's step-down method (Holm 1979).

    Args:
      p_values: P-values of comparisons made together; NaN stays NaN and is not counted.

    Returns:
      Adjusted p-values in the order given.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted, least = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        adjusted[i] = least
    return adjusted


def fit_exponent(x: Sequence[float], y: Sequence[float]) -> Estimate:
    """Returns the least-squares slope of log y over log x: `y` grows as `x ** slope`."""
    logs = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    if len(set(x)) < 2:
        return Estimate(math.nan, math.nan, len(x))
    fit = stats.linregress(*logs)
    half = _student_quantile(len(x) - 2) * float(fit.stderr) if len(x) > 2 else math.nan
    return Estimate(float(fit.slope), half, len(x))


@dataclasses.dataclass(frozen=True)
class StraightLine:
    """The line `y = intercept + slope * x`.

    Attributes:
      intercept: Value at x = 0.
      slope: Increase per unit of x.
    """

    intercept: float
    slope: float


def fit_line(x: Sequence[float], y: Sequence[float]) -> StraightLine | None:
    """Fits a line to positive `y` by least squares of relative errors.

    Errors are relative because errors of times grow with the time; otherwise the longest time
    would determine the fit.

    Returns:
      The line, or None for fewer than three different `x`.
    """
    if len(set(x)) < 3:
        return None
    a, b = np.asarray(x, float), np.asarray(y, float)
    design = np.stack([1 / b, a / b], axis=1)
    intercept, slope = np.linalg.lstsq(design, np.ones_like(b), rcond=None)[0]
    return StraightLine(float(intercept), float(slope))
