"""From what tensors took at a few sizes to the peak of a call at any size.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from joulecast.compute.exact_fit import Coefficients
from joulecast.compute.operators import Integers, OperatorTable
from joulecast.compute.peaks import FOREVER, Peak, Span, largest_terms, peak_of
from joulecast.compute.polynomial import Array
from joulecast.compute.solving import LazyFitter, hints_of

# A component's symbols at one point, and what its call took there.
SpansAt = tuple[Mapping[str, int], Sequence[Span]]


def solve_peaks(points: Sequence[SpansAt], tables: Sequence[OperatorTable]) -> tuple[Peak, ...]:
    """The peaks of a component's call under the conditions of its tables.

    Raises
    ------
    TraceError
        A tensor has a size that is no polynomial; or at some points a call takes other tensors, and what it
        takes at most is no polynomial either.
    """
    parts: list[list[SpansAt]] = [[] for _ in tables]
    for symbols, spans in points:
        place = next((i for i, table in enumerate(tables) if table.applies(symbols)), None)
        if place is not None:
            parts[place].append((symbols, spans))
    return tuple(_solve_one(part, table) for part, table in zip(parts, tables, strict=True))


def _solve_one(points: Sequence[SpansAt], table: OperatorTable) -> Peak:
    """Every tensor's size is a polynomial; what is alive at an operator is a sum of those.

    Tensors of equal size at every point are counted together.
    """
    recorded = [spans for _, spans in points]
    if len({tuple(span.first for span in spans) for spans in recorded}) > 1:
        return _solve_whole(points, table)
    firsts, ends, sizes, optional = _aligned(recorded)
    kinds, kind = np.unique(sizes, axis=1, return_inverse=True)
    kind = kind.reshape(-1).astype(np.int64)
    monomials, coefficients = _polynomials([dict(s) for s, _ in points], kinds, hints_of([table]))
    held = np.bincount(kind[ends == FOREVER], minlength=kinds.shape[1])
    alive, least = (
        _terms(firsts[chosen], ends[chosen], kind[chosen], monomials, coefficients)
        for chosen in (slice(None), optional == 0)
    )
    return Peak(dict(table.condition), monomials, alive, least, held @ coefficients)


def _solve_whole(points: Sequence[SpansAt], table: OperatorTable) -> Peak:
    """Where a call repeats some work, as in a loop over frames: what it takes at most, one polynomial."""
    found = [
        (
            peak_of(spans),
            peak_of([span for span in spans if not span.optional]),
            sum(span.size for span in spans if span.end == FOREVER),
        )
        for _, spans in points
    ]
    symbols = [dict(symbols) for symbols, _ in points]
    monomials, (alive, least, held) = _polynomials(symbols, np.array(found), hints_of([table]))
    return Peak(dict(table.condition), monomials, alive[None], least[None], held)


def _terms(
    firsts: Integers, ends: Integers, kind: Integers, monomials: tuple[str, ...], coefficients: Array
) -> Array:
    """What may be the most alive at an operator, shape (terms, monomials)."""
    counts = np.unique(_counts(firsts, ends, kind, len(coefficients)), axis=0)
    return largest_terms(monomials, np.unique(counts @ coefficients, axis=0))


def _aligned(recorded: Sequence[Sequence[Span]]) -> tuple[Integers, Integers, Integers, Integers]:
    """First and end of each span, its end as late as at any point, its sizes, (points, spans), and whether
    it is optional."""
    table = np.array([[tuple(span) for span in spans] for spans in recorded]).reshape(len(recorded), -1, 4)
    firsts, ends, sizes, optional = np.moveaxis(table, 2, 0)
    latest = np.where((ends == FOREVER).any(axis=0), FOREVER, ends.max(axis=0))
    return firsts[0], latest, sizes, optional[0]


def _polynomials(
    points: Sequence[dict[str, int]], sizes: Integers, hints: Sequence[Coefficients]
) -> tuple[tuple[str, ...], Array]:
    """The monomials of all sizes, and the coefficients of each, shape (sizes, monomials)."""
    fitter = LazyFitter(points, hints)
    solved = [fitter.fit(tuple(int(value) for value in column)) for column in sizes.T]
    monomials = tuple(dict.fromkeys(m for polynomial in solved for m in polynomial)) or ("1",)
    return monomials, np.array([[float(p.get(m, 0)) for m in monomials] for p in solved])


def _counts(firsts: Integers, ends: Integers, kind: Integers, kinds: int) -> Integers:
    """How many tensors of each kind are alive at each operator, shape (operators, kinds)."""
    last = int(firsts.max()) + 1
    change = np.zeros((last + 1, kinds), dtype=np.int64)
    np.add.at(change, (firsts, kind), 1)
    ending = ends != FOREVER
    np.add.at(change, (np.minimum(ends[ending], last), kind[ending]), -1)
    return np.cumsum(change, axis=0)[:last]
