"""Intervals: the tabulated values of Wilson and Garwood."""

import pytest

from convert.metrics.intervals import poisson_upper
from edge_detector.teaching.intervals import wilson_interval


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(8, 320, 0.01272, 0.04854), (0, 80, 0.0, 0.04582), (80, 80, 0.95418, 1.0), (1, 10, 0.01788, 0.40415), (0, 0, 0.0, 1.0)],
)
def test_wilson_intervals_are_those_of_the_table(count: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(count, total) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize(("count", "bound"), [(0, 2.996), (1, 4.744), (5, 10.513), (1_000, 1053.603), (10_000, 10166.060)])
def test_poisson_bounds_are_those_of_the_table(count: int, bound: float) -> None:
    assert poisson_upper(count) == pytest.approx(bound, abs=1e-3)
