"""Statistics of a few repeats: spread, the 95 % interval of their mean, and whether they drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, linear_regression, stdev
from typing import Final

# Two-sided 95 % quantiles of Student's t by degrees of freedom; beyond, the next lower entry.
T_95: Final = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228,
    11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120, 17: 2.110, 18: 2.101, 19: 2.093,
    20: 2.086, 25: 2.060, 30: 2.042, 40: 2.021, 60: 2.000, 120: 1.980,
}  # fmt: skip


def standard_deviation(values: Sequence[float]) -> float:
    """Of a sample, n - 1 in the denominator; nan for fewer than 2 values."""
    return stdev(values) if len(values) > 1 else math.nan


def t_95(degrees_of_freedom: int) -> float:
    """Student's two-sided 95 % quantile; infinite without a degree of freedom."""
    if degrees_of_freedom < 1:
        return math.inf
    return T_95[max(known for known in T_95 if known <= degrees_of_freedom)]


def half_width_95(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean, t * s / sqrt(n); infinite for one value."""
    if len(values) < 2:
        return math.inf
    return t_95(len(values) - 1) * stdev(values) / math.sqrt(len(values))


def drift(values: Sequence[float]) -> float:
    """The least-squares line's change from the first value to the last, over the mean."""
    if len(values) < 2:
        return 0.0
    slope = linear_regression(range(len(values)), values).slope
    return slope * (len(values) - 1) / fmean(values)
