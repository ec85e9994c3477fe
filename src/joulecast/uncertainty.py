"""A value that is known within a range, and arithmetic that keeps the range right.

An interval is ``low <= value <= high``. The result of an operation encloses every result of the
operation on numbers from within its operands, and its `value` is the operation on their values.
Nothing is assumed of how the operands depend on each other: the range is the widest that is
possible, so ``x - x`` is not zero unless x is exact, and a sum of many ranges is wider than their
90 % interval would be if their errors were independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypedDict

from joulecast.errors import InputError, shown
from joulecast.files.plain import finite
from joulecast.records import Record

__all__ = ["Ends", "Interval", "Number", "interval", "parse_interval"]

Number = float | int


class Ends(TypedDict):
    """A value and its range as JSON has them; None for an end that is not known."""

    value: float | None
    low: float | None
    high: float | None


class Interval(Record):
    """A number between `low` and `high`, most likely `value`. `high` may be infinite: nothing is known."""

    low: float
    value: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "value", "high"):
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given):
                raise InputError(f"an interval's {name} must be a number, not {shown(given)}")
            object.__setattr__(self, name, float(given))
        if not self.low <= self.value <= self.high:
            raise InputError(
                f"an interval must hold its value: {self.low:g} <= {self.value:g} <= {self.high:g} is not so"
            )
        if not math.isfinite(self.value):
            raise InputError(f"an interval's value must be finite, not {self.value}")

    @classmethod
    def exact(cls, value: Number) -> Interval:
        """A number without doubt."""
        return cls(value, value, value)

    @property
    def is_exact(self) -> bool:
        """Whether both ends are the value."""
        return self.low == self.high

    def holds(self, number: Number) -> bool:
        """Whether a number lies within the range, ends included."""
        return self.low <= number <= self.high

    def __add__(self, other: Interval | Number) -> Interval:
        o = interval(other)
        return Interval(self.low + o.low, self.value + o.value, self.high + o.high)

    def __sub__(self, other: Interval | Number) -> Interval:
        o = interval(other)
        return Interval(self.low - o.high, self.value - o.value, self.high - o.low)

    def __mul__(self, other: Interval | Number) -> Interval:
        o = interval(other)
        corners = [_product(a, b) for a in (self.low, self.high) for b in (o.low, o.high)]
        return Interval(min(corners), self.value * o.value, max(corners))

    def __truediv__(self, other: Interval | Number) -> Interval:
        o = interval(other)
        if o.holds(0):
            raise InputError(f"cannot divide by an interval that holds zero ({o.low:g} to {o.high:g})")
        corners = [_quotient(a, b) for a in (self.low, self.high) for b in (o.low, o.high)]
        return Interval(min(corners), self.value / o.value, max(corners))

    def __radd__(self, other: Number) -> Interval:
        return interval(other) + self

    def __rsub__(self, other: Number) -> Interval:
        return interval(other) - self

    def __rmul__(self, other: Number) -> Interval:
        return interval(other) * self

    def __rtruediv__(self, other: Number) -> Interval:
        return interval(other) / self

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.value, -self.low)

    def ends(self) -> Ends:
        """The value and its range as JSON has them."""
        return {"value": finite(self.value), "low": finite(self.low), "high": finite(self.high)}

    def map(self, function: Callable[[float], float]) -> Interval:
        """A function that never falls, applied to the value and both ends."""
        return Interval(function(self.low), function(self.value), function(self.high))

    def __str__(self) -> str:
        return f"{self.value:g}" if self.is_exact else f"{self.value:g} [{self.low:g}, {self.high:g}]"


def interval(value: Interval | Number) -> Interval:
    """An interval as it is, a number as an exact one. Raises InputError for anything else."""
    if isinstance(value, Interval):
        return value
    return Interval.exact(value)


def parse_interval(text: str, what: str) -> Interval:
    """``"1.2"`` as an exact number, ``"1.1:1.4"`` as a range (its middle the value), ``"1.1:1.2:1.4"``.

    `what` names the value in the InputError that anything else raises.
    """
    try:
        numbers = [float(part) for part in str(text).split(":")]
        if not 1 <= len(numbers) <= 3 or not all(map(math.isfinite, numbers)):
            raise ValueError
    except ValueError:
        raise InputError(
            f"{what} {shown(text)} is not a number or a range LOW:HIGH or LOW:VALUE:HIGH, e.g. 1.1:1.4"
        ) from None
    if len(numbers) == 2:
        numbers.insert(1, (numbers[0] + numbers[1]) / 2)
    low, value, high = numbers[0], numbers[len(numbers) // 2], numbers[-1]
    if not low <= value <= high:
        raise InputError(f"{what} {shown(text)}: the numbers of a range must rise, e.g. 1.1:1.4")
    return Interval(low, value, high)


def _product(a: float, b: float) -> float:
    """A product whose factors may be infinite; zero of an unknown amount is zero."""
    return 0.0 if a == 0 or b == 0 else a * b


def _quotient(a: float, b: float) -> float:
    """A quotient of which both parts may be infinite; the smallest it may be is zero."""
    return 0.0 if math.isinf(b) else a / b
