"""Intervals: hand values, and that a result encloses every result of numbers from within."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import InputError
from joulecast.uncertainty import Interval, interval, parse_interval

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
SHARES = st.floats(0, 1)


@st.composite
def intervals(draw: st.DrawFn, least: float = -1e9) -> Interval:
    low, value, high = sorted(draw(st.lists(st.floats(least, 1e9), min_size=3, max_size=3)))
    return Interval(low, value, high)


def within(known: Interval, share: float) -> float:
    return min(max(known.low + share * (known.high - known.low), known.low), known.high)


def test_one_over_two_to_four() -> None:
    assert 1 / Interval(2, 4, 4) == Interval(0.25, 0.25, 0.5)
    assert 1 / Interval(2, 2, 4) == Interval(0.25, 0.5, 0.5)
    assert Interval(2, 3, 4) / 1 == Interval(2, 3, 4)


def test_hand_values() -> None:
    a, b = Interval(1, 2, 3), Interval(-1, 0, 5)
    assert a + b == Interval(0, 2, 8)
    assert a - b == Interval(-4, 2, 4)
    assert a * b == Interval(-3, 0, 15)
    assert b / a == Interval(-1, 0, 5)
    assert 10 - a == Interval(7, 8, 9)
    assert 2 * a == a * 2 == a + a == Interval(2, 4, 6)
    assert -a == Interval(-3, -2, -1)
    assert a.map(math.sqrt).high == math.sqrt(3)


OPERATIONS = [operator.add, operator.sub, operator.mul]


@pytest.mark.parametrize("operation", OPERATIONS)
@given(a=intervals(), b=intervals(), s=SHARES, t=SHARES)
def test_results_are_enclosed(
    operation: Callable[[Any, Any], Any], a: Interval, b: Interval, s: float, t: float
) -> None:
    x, y, result = within(a, s), within(b, t), operation(a, b)
    assert result.holds(operation(x, y))
    assert result.value == operation(a.value, b.value)
    assert operation(x, b).holds(operation(x, y))
    assert operation(a, y).holds(operation(x, y))


@given(a=intervals(), b=intervals(1e-6), s=SHARES, t=SHARES)
def test_quotients_are_enclosed(a: Interval, b: Interval, s: float, t: float) -> None:
    x, y = within(a, s), within(b, t)
    assert (a / b).holds(x / y)
    assert (a / -b).holds(x / -y)
    assert (x / b).holds(x / y)
    assert (a / b).value == a.value / b.value


@given(x=NUMBERS, y=st.floats(1e-6, 1e9))
def test_exact_intervals_compute_as_numbers_do(x: float, y: float) -> None:
    assert interval(x) + y == interval(x + y)
    assert x - interval(y) == interval(x - y)
    assert x * interval(y) == interval(x * y)
    assert x / interval(y) == interval(x / y)


@pytest.mark.parametrize(
    "zero", [Interval(-1, 1, 2), Interval(0, 1, 2), Interval(-2, -1, 0), Interval(0, 0, 0)]
)
def test_dividing_across_zero_is_refused(zero: Interval) -> None:
    with pytest.raises(InputError, match="holds zero"):
        _ = 1 / zero


def test_an_unknown_upper_end_stays_unknown() -> None:
    unknown = Interval(1, 2, math.inf)
    assert (unknown * 3).high == math.inf
    assert (unknown * 0).high == 0
    assert (1 / unknown).low == 0
    assert str(unknown) == "2 [1, inf]"


@pytest.mark.parametrize(
    "ends", [(2, 1, 3), (1, 4, 3), (math.nan, 1, 2), (1, math.inf, math.inf), ("1", 2, 3), (True, 1, 1)]
)
def test_what_is_no_interval_is_refused(ends: tuple[Any, Any, Any]) -> None:
    with pytest.raises(InputError):
        Interval(*ends)


def test_parsing() -> None:
    assert parse_interval("1.2", "PUE") == interval(1.2)
    assert parse_interval("1:2", "PUE") == Interval(1, 1.5, 2)
    assert parse_interval("1:1.2:2", "PUE") == Interval(1, 1.2, 2)
    for bad in ("", "a", "2:1", "1:2:1.5", "1:2:3:4", "nan", "inf"):
        with pytest.raises(InputError, match="PUE"):
            parse_interval(bad, "PUE")


def test_ends_that_are_not_known_are_none() -> None:
    assert Interval(1, 2, 3).ends() == {"value": 2, "low": 1, "high": 3}
    assert Interval(-math.inf, 2, math.inf).ends() == {"value": 2, "low": None, "high": None}
