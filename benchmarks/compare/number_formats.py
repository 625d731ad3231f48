"""Formats numbers for tables, figures and sentences."""

from __future__ import annotations

import math

from benchmarks.compare.estimates import Estimate

NOTHING = "-"


def format_number(value: float | None, digits: int) -> str:
    """Returns a number with thousands separators, or "-" for None."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def format_estimate(value: Estimate | None, digits: int = 3) -> str:
    """Returns a mean ± half its interval, or "-" if there is none."""
    if value is None or math.isnan(value.value):
        return NOTHING
    return f"{value.value:.{digits}f}{_format_half(value, digits)}"


def format_difference(value: Estimate, digits: int = 3) -> str:
    """Returns a difference with its sign ± half its interval; what rounds to zero is +0."""
    rounded = round(value.value, digits) + 0.0
    return f"{rounded:+.{digits}f}{_format_half(value, digits)}"


def _format_half(value: Estimate, digits: int) -> str:
    return "" if math.isnan(value.half) else f" ± {value.half:.{digits}f}"


def format_ratio(log_ratio: Estimate | None) -> str:
    """Returns a geometric mean of ratios with its interval, e.g. "1.81 (1.59 to 2.06)"."""
    if log_ratio is None:
        return NOTHING
    text = f"{math.exp(log_ratio.value):.2f}"
    if math.isnan(log_ratio.half):
        return text
    return f"{text} ({math.exp(log_ratio.low):.2f} to {math.exp(log_ratio.high):.2f})"


def format_p(p: float) -> str:
    """Returns a p-value with two significant digits."""
    if math.isnan(p):
        return NOTHING
    return f"{p:.2g}" if p >= 1e-4 else "< 0.0001"
