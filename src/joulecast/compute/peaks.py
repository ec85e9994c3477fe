"""The most memory that a call of a component has in use at once, for any workload. Needs numpy alone.

While a call runs, tensors come and go. What is alive at one operator is a polynomial in the workload's
symbols, as the operator's costs are; the peak is the largest of these. A `Peak` keeps those that may be the
largest at some workload.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from joulecast.compute.polynomial import Array, applies, evaluate_monomials, parse_monomial
from joulecast.records import Record, equal_with_arrays

FOREVER = -1  # until the call ends


class Span(NamedTuple):
    """Memory of one tensor: from operator `first` until before operator `end` of the call, its size [byte].

    `end` is FOREVER for what outlives the call, as its inputs and its results do; `optional` is memory that a
    library may or may not take.
    """

    first: int
    end: int
    size: int
    optional: bool = False


class Peak(Record):
    """The memory of one call of a component beside its weights.

    Attributes
    ----------
    condition : as of `OperatorTable`.
    monomials : column names of the coefficients.
    alive : coefficients of what is alive at an operator [byte], shape (terms, monomials): the peak is the
        largest term.
    least : the same without what is optional.
    held : of the inputs and results, which the pipeline keeps between calls, shape (monomials,).
    """

    condition: Mapping[str, int]
    monomials: tuple[str, ...]
    alive: Array
    least: Array
    held: Array

    def __eq__(self, other: object) -> bool:
        return equal_with_arrays(self, other)


class Memory(Record):
    """The memory of a component in one precision.

    Attributes
    ----------
    weights : parameters and buffers as they rest on the GPU, as torch's allocator counts them [byte].
    called : the same while the component runs, which some pipelines cast to fp32 [byte].
    peaks : of one call, by conditions as operator tables are; empty where they are not known.
    """

    weights: int
    called: int
    peaks: tuple[Peak, ...] = ()


def peak_of(spans: Sequence[Span]) -> int:
    """The most memory that is in use at once [byte]."""
    if not spans:
        return 0
    last = max(span.first for span in spans) + 1
    change = np.zeros(last + 1, dtype=np.int64)
    for first, end, size, _ in spans:
        change[first] += size
        if end != FOREVER:
            change[min(end, last)] -= size
    return int(np.cumsum(change)[:last].max())


def largest_terms(monomials: Sequence[str], terms: Array) -> Array:
    """The terms, each of coefficients by monomial, without those that another one exceeds wherever every
    symbol is 1 or more."""
    above = np.array([[_is_at_most(low, high) for high in monomials] for low in monomials], dtype=bool)
    kept: list[Array] = []
    for term in sorted(terms, key=lambda term: -float(term.sum())):
        if not any(_covers(other, term, above) for other in kept):
            kept = [other for other in kept if not _covers(term, other, above)] + [term]
    return np.array(kept)


def _covers(larger: Array, smaller: Array, above: Array) -> bool:
    """Whether what `larger` has more of makes up for what it has less of, monomial by monomial.

    `above` tells of two monomials whether the second is at least the first.
    """
    rest = larger - smaller
    for place in np.flatnonzero(rest < 0):
        for other in np.flatnonzero(above[place] & (rest > 0)):
            moved = min(-rest[place], rest[other])
            rest[place] += moved
            rest[other] -= moved
        if rest[place] < 0:
            return False
    return True


def _is_at_most(low: str, high: str) -> bool:
    """Whether a monomial is never above another where every symbol is 1 or more."""
    below, over = _divisors(low), _divisors(high)
    return all(
        len(below[symbol]) <= len(over[symbol])
        and all(b >= o for b, o in zip(below[symbol], over[symbol], strict=False))
        for symbol in {*below, *over}
    )


def _divisors(monomial: str) -> dict[str, list[int]]:
    """For each symbol, what it is divided by in each factor of it, rising."""
    out: dict[str, list[int]] = defaultdict(list)
    for symbol, divisor, power in parse_monomial(monomial):
        out[symbol] += [divisor] * power
    return defaultdict(list, {symbol: sorted(divisors) for symbol, divisors in out.items()})


def peak_at(peaks: Sequence[Peak], symbols: Mapping[str, int]) -> float:
    """The memory of a call beside its weights where a component's symbols have these values [byte]; nan where
    no peak is of them."""
    for peak in peaks:
        if applies(peak.condition, symbols):
            at = {symbol: np.array([float(value)]) for symbol, value in symbols.items()}
            return float((evaluate_monomials(peak.monomials, at) @ peak.alive.T).max())
    return math.nan
