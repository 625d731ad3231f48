"""Confidence intervals, paired tests and fits, worked by hand."""

import math

import pytest

from benchmarks.compare import estimates


def test_mean_and_interval():
    # of 1, 2, 3: deviation 1, t(2) = 4.3027, half 4.3027 / sqrt(3)
    found = estimates.estimate_mean([1.0, 2.0, 3.0])
    assert (found.value, found.n) == (2.0, 3)
    assert found.half == pytest.approx(2.4841, abs=1e-4)
    assert not found.excludes(0) and found.excludes(5)


def test_one_number_has_no_interval():
    found = estimates.estimate_mean([2.0])
    assert math.isnan(found.half)
    assert not found.excludes(0)


def test_paired_t():
    # t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom
    assert estimates.compute_p_value([1.0, 2.0, 3.0]) == pytest.approx(0.0742, abs=1e-4)
    assert estimates.compute_p_value([0.0, 0.0, 0.0]) == 1
    assert estimates.compute_p_value([0.1, 0.1, 0.1]) == pytest.approx(0, abs=1e-9)
    assert math.isnan(estimates.compute_p_value([1.0]))


def test_holm():
    # smallest first: .005 * 4, .01 * 3, .03 * 2, then .04 is not less than .06
    found = estimates.adjust_holm([0.01, 0.04, 0.03, 0.005])
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_ignores_nan_and_stays_below_one():
    found = estimates.adjust_holm([0.9, math.nan, 0.02])
    assert found[::2] == pytest.approx([0.9, 0.04])
    assert math.isnan(found[1])
    assert estimates.adjust_holm([0.6, 0.7]) == [1.0, 1.0]


def test_exponent():
    assert estimates.fit_exponent([1, 10, 100], [3, 300, 30_000]).value == pytest.approx(2)
    # logs 0, 1, 2 to 0, 1.30103, 2: slope 1, residuals' sum of squares .060411,
    # error sqrt(.060411 / 1 / 2) = .17380, t(1) = 12.7062
    found = estimates.fit_exponent([1, 10, 100], [1, 20, 100])
    assert found.value == pytest.approx(1)
    assert found.half == pytest.approx(2.2083, abs=1e-3)


def test_a_straight_line_needs_three_points():
    assert estimates.fit_line([1, 2], [1, 2]) is None
    found = estimates.fit_line([1, 2, 300], [7, 9, 605])
    assert (found.intercept, found.slope) == pytest.approx((5, 2))
