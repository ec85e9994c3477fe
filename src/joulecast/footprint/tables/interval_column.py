"""Intervals in columns: the arithmetic of `Interval`, on arrays, with exactly its results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.uncertainty import Interval, Number, interval

Floats = NDArray[np.float64]


class IntervalColumn(Interval):
    """Intervals of many rows: `low`, `value` and `high` are arrays, shape (rows,), or numbers for all rows.

    The formulas take it as they take an `Interval`, and each row's result is, bit for bit, that of its
    own interval. What `Interval` refuses is not refused here: the caller looks for it.
    """

    low: Any
    value: Any
    high: Any

    def __init__(self, low: Floats | float, value: Floats | float, high: Floats | float) -> None:
        for name, given in (("low", low), ("value", value), ("high", high)):
            object.__setattr__(self, name, given)

    @classmethod
    def of(cls, given: Interval | Number) -> IntervalColumn:
        """A column as it is; an interval or a number as that of every row."""
        if isinstance(given, IntervalColumn):
            return given
        same = interval(given)
        return cls(same.low, same.value, same.high)

    @property
    def is_exact(self) -> bool:
        """Whether every row's interval is exact."""
        return bool(np.all(self.low == self.high))

    def __add__(self, other: Interval | Number) -> IntervalColumn:
        o = IntervalColumn.of(other)
        return IntervalColumn(self.low + o.low, self.value + o.value, self.high + o.high)

    def __mul__(self, other: Interval | Number) -> IntervalColumn:
        o = IntervalColumn.of(other)
        corners = [_product(a, b) for a in (self.low, self.high) for b in (o.low, o.high)]
        return IntervalColumn(_least(corners), self.value * o.value, _most(corners))

    def __truediv__(self, other: Interval | Number) -> IntervalColumn:
        o = IntervalColumn.of(other)
        corners = [_quotient(a, b) for a in (self.low, self.high) for b in (o.low, o.high)]
        return IntervalColumn(_least(corners), self.value / o.value, _most(corners))

    def __radd__(self, other: Interval | Number) -> IntervalColumn:
        return IntervalColumn.of(other) + self

    def __rmul__(self, other: Interval | Number) -> IntervalColumn:
        return IntervalColumn.of(other) * self

    def __rtruediv__(self, other: Interval | Number) -> IntervalColumn:
        return IntervalColumn.of(other) / self

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __str__(self) -> str:
        return f"{np.size(self.value)} intervals"


def _product(a: Any, b: Any) -> Any:
    """As `Interval` multiplies: zero of an unknown amount is zero."""
    return np.where((a == 0) | (b == 0), 0.0, a * b)


def _quotient(a: Any, b: Any) -> Any:
    """As `Interval` divides: the smallest share of an unknown amount is zero."""
    return np.where(np.isinf(b), 0.0, a / b)


def _least(corners: list[Any]) -> Any:
    return np.minimum(np.minimum(corners[0], corners[1]), np.minimum(corners[2], corners[3]))


def _most(corners: list[Any]) -> Any:
    return np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3]))
