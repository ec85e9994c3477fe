"""Solve a component's operators: from costs at a few points to exact polynomials, equal ones grouped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from joulecast.compute.exact_fit import Coefficients, ExactFitter, candidate_bases
from joulecast.compute.loops import EVERY_LENGTH, Column, Lengths, Trace, by_lengths, columns_of
from joulecast.compute.operators import OperatorTable
from joulecast.compute.pieces import is_in_pieces
from joulecast.compute.polynomial import ONE, evaluate_monomials
from joulecast.errors import TraceError

# Images at once for which components are traced whose operators depend on their number.
BATCHES = (1, 2, 4, 8, 16)
MAX_LEVELS = 5
FEWEST_FOR_HINTS = 3  # points at which a hint must equal an operator's cost
LARGEST_EXACT = 2**53  # whole numbers up to here are exact in float64


class IrregularError(TraceError):
    """A component's costs at the sizes are no polynomial that the sizes are enough to find."""


class OperatorsChangeError(IrregularError):
    """A component runs other operators at some of the sizes: no further sizes help."""


def solve(
    name: str,
    traces: Sequence[Trace],
    native: Mapping[str, int],
    hints: Sequence[Coefficients] = (),
    lengths: Sequence[Lengths] = EVERY_LENGTH,
) -> tuple[OperatorTable, ...]:
    """Tables for a component: one, or several where its operators differ by the frames, at batch 1 or its
    own size, or this and its own number of frames, which are `native`.

    `hints` are polynomials that operators may well have: those of the component in another precision.

    Raises
    ------
    IrregularError
        At some sizes it runs other operators, or one costs no polynomial.
    """
    tables: list[OperatorTable] = []
    for some, here in by_lengths(traces, lengths):
        for condition, part in _parts(here, native):
            tables.append(_solve_one(name, {**some.condition, **condition}, part, hints, some))
    return tuple(tables)


def _parts(
    traces: Sequence[Trace], native: Mapping[str, int]
) -> list[tuple[dict[str, int], Sequence[Trace]]]:
    """Traces by the number of images and the size, where operators depend on these."""
    parts: list[tuple[dict[str, int], Sequence[Trace]]] = [({}, traces)]
    if depends_on_batch(traces) and not has_rounds_of_images(traces):
        batches = sorted({symbols["batch"] for symbols, _ in traces})
        parts = [({"batch": b}, [t for t in traces if t[0]["batch"] == b]) for b in batches]
    own = {symbol: native[symbol] for symbol in ("height", "width")}
    for condition in (native, own, {"batch": 1}):
        parts = [part for old in parts for part in _divide(*old, condition)]
    return parts


def _divide(
    condition: dict[str, int], traces: Sequence[Trace], further: Mapping[str, int]
) -> list[tuple[dict[str, int], Sequence[Trace]]]:
    """Split traces by a further condition, if their operator sequences differ by it."""
    inside = [t for t in traces if all(t[0][symbol] == value for symbol, value in further.items())]
    outside = [t for t in traces if not all(t[0][symbol] == value for symbol, value in further.items())]
    if not inside or not outside or sequences(inside) <= sequences(outside):
        return [(condition, traces)]
    return [(condition | dict(further), inside), (condition, outside)]


def depends_on_batch(traces: Sequence[Trace]) -> bool:
    """Whether operators change with the number of images, other than from one image to several."""
    by_size: dict[Any, set[Any]] = defaultdict(set)
    for symbols, operators in traces:
        if symbols["batch"] > 1:
            by_size[symbols["batch"]].add(tuple(o.kind for o in operators))
    return len({len(sequence) for found in by_size.values() for sequence in found}) > 1 and not any(
        len(found) > 1 for found in by_size.values()
    )


def has_rounds_of_images(traces: Sequence[Trace]) -> bool:
    """Whether operators of several images are those of two with a round more for each further one."""
    return columns_of([t for t in traces if t[0]["batch"] > 1], 1, "batch") is not None


def sequences(traces: Sequence[Trace]) -> set[Any]:
    """The sequences of operator kinds that traces have."""
    return {tuple(o.kind for o in operators) for _, operators in traces}


def _solve_one(
    name: str,
    condition: Mapping[str, int],
    traces: Sequence[Trace],
    hints: Sequence[Coefficients],
    lengths: Lengths,
) -> OperatorTable:
    columns = columns_of(traces, lengths.period) or columns_of(traces, 1, "batch")
    if columns is None:
        raise OperatorsChangeError(f"the operators of {name} change with its size")
    fitters = _Fitters([symbols for symbols, _ in traces], hints, lengths)
    groups: Counter[Column] = Counter(columns)
    rows = []
    for column, count in groups.items():
        try:
            fitter = fitters.of(column)
            rows.append((column.kind, count, [fitter.fit(values) for values in column.costs]))
        except TraceError as error:
            raise IrregularError(f"{name}, operator {column.kind[0]}: {error}") from error
    return _table(condition, rows)


class _Fitters:
    """What solves the costs of operators: those launched for each piece cost something by it."""

    def __init__(
        self, points: Sequence[Mapping[str, int]], hints: Sequence[Coefficients], lengths: Lengths
    ) -> None:
        self.points, self.lengths = points, lengths
        self._fitters = {
            piece: LazyFitter(points, hints, lengths.period, piece) for piece in ("", *lengths.pieces)
        }

    def of(self, column: Column) -> LazyFitter:
        """The one for an operator."""
        launches = column.costs[0]
        cut = (piece for piece in self.lengths.pieces if is_in_pieces(piece, self.points, launches))
        return self._fitters[next(cut, "")]


class LazyFitter:
    """Tries hints, then bases with more and more U-Net levels, and remembers what it solved.

    With a `piece` every basis has that monomial besides.
    """

    def __init__(
        self,
        points: Sequence[Mapping[str, int]],
        hints: Sequence[Coefficients],
        period: int = 1,
        piece: str = "",
    ) -> None:
        self.points, self.period, self.piece = points, period, piece
        self.known = _values_of_hints(points, hints) if len(points) >= FEWEST_FOR_HINTS else {}
        self.fitters: dict[int, ExactFitter] = {}

    def fit(self, values: tuple[int, ...]) -> Coefficients:
        """The polynomial that has these values at the points; TraceError where none has."""
        if values not in self.known:
            self.known[values] = self._fit(values)
        return self.known[values]

    def _fit(self, values: tuple[int, ...]) -> Coefficients:
        for levels in (0, 3, MAX_LEVELS):
            try:
                return self._fitter(levels).fit(values)
            except TraceError:
                if levels == MAX_LEVELS:
                    raise
        raise AssertionError

    def _fitter(self, levels: int) -> ExactFitter:
        if levels not in self.fitters:
            varies = {symbol: len({p[symbol] for p in self.points}) > 1 for symbol in self.points[0]}
            bases = candidate_bases(
                has_image=any(p["height"] for p in self.points),
                has_text=varies["text"],
                batch_varies=varies["batch"],
                levels=levels,
                frames=("frames" if self.period == 1 else f"frames/{self.period}") * varies["frames"],
            )
            if self.piece:
                bases = [[*basis, self.piece] for basis in bases]
            self.fitters[levels] = ExactFitter(self.points, bases)
        return self.fitters[levels]


def hints_of(tables: Iterable[OperatorTable]) -> list[Coefficients]:
    """The polynomials of single operators in solved tables, also for elements twice or half as large."""
    found: dict[tuple[Any, ...], Coefficients] = {}
    for table in tables:
        alike = _alike(table)
        for matrix in (table.launches, table.flop, table.bytes_read, table.bytes_written):
            for column in (matrix / alike).T:
                for scale in (1.0, 2.0, 0.5):
                    terms = {m: scale * float(c) for m, c in zip(table.monomials, column, strict=True) if c}
                    found[tuple(terms.items())] = terms
    return list(found.values())


def _alike(table: OperatorTable) -> Any:
    """The equal operators of each group that are launched once, or once in each round; shape (groups,)."""
    by_round = np.abs(table.launches).copy()
    by_round[[m == ONE for m in table.monomials]] = 0.0
    rounds = by_round.max(axis=0)
    return np.where(rounds > 0, rounds, table.launches.sum(axis=0))


def _values_of_hints(
    points: Sequence[Mapping[str, int]], hints: Sequence[Coefficients]
) -> dict[tuple[int, ...], Coefficients]:
    """Polynomials by their values at the points, where those are whole numbers.

    Hints that agree at all points differ in symbols that do not vary there, such as the batch.
    """
    monomials = tuple(dict.fromkeys(m for hint in hints for m in hint))
    symbols = {symbol: np.array([point[symbol] for point in points]) for symbol in points[0]}
    matrix = evaluate_monomials(monomials, symbols)
    place = {monomial: index for index, monomial in enumerate(monomials)}
    out: dict[tuple[int, ...], Coefficients] = {}
    for hint in hints:
        values = matrix[:, [place[m] for m in hint]] @ np.array(list(hint.values()))
        if (values != np.round(values)).any() or values.max(initial=0) > LARGEST_EXACT:
            continue
        out.setdefault(tuple(int(value) for value in values), hint)
    return out


def _table(
    condition: Mapping[str, int], rows: Sequence[tuple[Any, int, list[Coefficients]]]
) -> OperatorTable:
    """Gather solved groups; groups of one kind with equal polynomials in all costs are merged already."""
    found = dict.fromkeys(m for _, _, costs in rows for cost in costs[1:] for m in cost)
    monomials = tuple(found | dict.fromkeys((*(m for _, _, costs in rows for m in costs[0]), ONE)))
    place = {monomial: index for index, monomial in enumerate(monomials)}
    matrices = np.zeros((4, len(monomials), len(rows)))
    for column, (_, count, costs) in enumerate(rows):
        for kind, cost in enumerate(costs):
            for monomial, coefficient in cost.items():
                matrices[kind, place[monomial], column] = coefficient * count
    return OperatorTable(
        condition=dict(condition),
        monomials=monomials,
        names=tuple(kind[0] for kind, _, _ in rows),
        families=tuple(kind[1] for kind, _, _ in rows),
        dtypes=tuple(kind[2] for kind, _, _ in rows),
        head_dims=np.array([float(kind[3]) for kind, _, _ in rows]),
        launches=matrices[0],
        flop=matrices[1],
        bytes_read=matrices[2],
        bytes_written=matrices[3],
    )
