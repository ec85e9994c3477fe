"""Ends of quantities before and after a change that may occur together: the central pair, then the others."""

from __future__ import annotations

import itertools
import math

from joulecast.plan.ratio import RatioError
from joulecast.uncertainty import Interval

# Pairs of (before, after): the central one first, then the ends that may occur together.
Ends = list[tuple[float, float]]


def linked(before: Interval, after: Interval, error: RatioError | None) -> Ends:
    """Ends of two predictions whose ratio is known to `error`; independent where that is None.

    The ratio is never less sure than that of two independent predictions.
    """
    if error is None or not math.isfinite(before.high * after.high):
        return shared(before, after, same=False)
    central = after.value / before.value
    least = max(central / error.factor, after.low / before.high)
    most = min(central * error.factor, after.high / before.low)
    factors = (1.0,) if error.factor == 1 else (1.0, least / central, most / central)
    ends = dict.fromkeys((before.value, before.low, before.high))
    return [(x, x * central * factor) for x in ends for factor in factors]


def added(before: Interval, after: Interval) -> Ends:
    """Ends of two of which one is the other and a quantity with a range of its own, added end to end."""
    less, more = sorted((before, after), key=lambda one: one.value)
    further = [getattr(more, end) - getattr(less, end) for end in ("value", "low", "high")]
    pairs = [(x, x + added) for x in (less.value, less.low, less.high) for added in further]
    return pairs if less is before else [(y, x) for x, y in pairs]


def shared(before: Interval, after: Interval, same: bool) -> Ends:
    """Ends of a factor before and after: one number where it is the same, else two."""
    ends_before, ends_after = ((i.value, i.low, i.high) for i in (before, after))
    if same:
        return list(dict.fromkeys(zip(ends_before, ends_after, strict=True)))
    return list(dict.fromkeys(itertools.product(ends_before, ends_after)))


def product(a: Ends, b: Ends, divisor: float) -> Ends:
    """Every pair of one times every pair of the other, over the divisor."""
    return [(x[0] * y[0] / divisor, x[1] * y[1] / divisor) for x, y in itertools.product(a, b)]
