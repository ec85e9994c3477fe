"""Exact polynomials in a workload's symbols: found from a few traced sizes, evaluated in numpy.

Symbols: ``batch``, ``frames``, ``height`` and ``width`` (in the profile's size unit), ``text``
(tokens), and ``height/2``, ``width/4``, ...: the size after a number of halvings, rounded up, as a
convolution of stride 2 does. A monomial is written ``batch*height*width`` or ``batch*text^2``;
the constant is ``1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import FileFormatError, TraceError, shown

SYMBOLS = ("batch", "frames", "height", "width", "text")
ONE = "1"
ROWS = (ONE, *SYMBOLS)  # of an array of symbols at workloads
MAX_POWER = 4
_FACTOR = re.compile(r"(batch|frames|text|height|width)(?:/(\d{1,3}))?(?:\^(\d))?\Z")

Array = NDArray[np.float64]
Point = Mapping[str, int]
Coefficients = dict[str, int | float]


@cache
def parse_monomial(text: str) -> tuple[tuple[str, int, int], ...]:
    """Factors (symbol, divisor, power) of a monomial such as ``batch*height/2^2``.

    Raises
    ------
    FileFormatError
        It is not a monomial.
    """
    if text == "1":
        return ()
    factors = []
    for part in text.split("*"):
        match = _FACTOR.match(part)
        if match is None:
            raise FileFormatError(f"{shown(text)} is not a monomial such as batch*height*width")
        symbol, divisor, power = match.group(1), int(match.group(2) or 1), int(match.group(3) or 1)
        if divisor < 1 or not 1 <= power <= MAX_POWER or (divisor > 1 and symbol not in ("height", "width")):
            raise FileFormatError(f"{shown(text)} has an impossible divisor or power")
        factors.append((symbol, divisor, power))
    return tuple(factors)


class Variable(NamedTuple):
    """What a monomial is a product of: ``ceil((symbol + offset) / divisor)``; ``Variable()`` is 1."""

    symbol: str = ONE
    divisor: int = 1
    offset: int = 0


class Monomials:
    """Products of variables, prepared to be evaluated at many workloads at once.

    Parameters
    ----------
    products : the variables of each monomial, a power as so many times the same; the constant has none.
    """

    def __init__(self, products: Sequence[Sequence[Variable]]) -> None:
        variables = list(dict.fromkeys([Variable(), *(v for product in products for v in product)]))
        places = {variable: place for place, variable in enumerate(variables)}
        longest = max((len(product) for product in products), default=1)
        factors = np.zeros((max(longest, 1), len(products)), dtype=np.intp)  # 0 is the variable 1
        for column, product in enumerate(products):
            factors[: len(product), column] = [places[variable] for variable in product]
        self._factors = factors
        self._rows = np.array([ROWS.index(variable.symbol) for variable in variables])
        self._divisors = np.array([[float(variable.divisor)] for variable in variables])
        self._offsets = np.array([[float(variable.offset)] for variable in variables])
        self._is_divided, self._is_offset = (self._divisors != 1).any(), self._offsets.any()

    def at(self, symbols: Array) -> Array:
        """Shape (monomials, workloads), of ROWS of shape (rows, workloads); exact below 2**53."""
        variables: Array = symbols[self._rows]
        if self._is_offset:
            variables += self._offsets
        if self._is_divided:
            variables /= self._divisors
            np.ceil(variables, out=variables)  # whole numbers over 1 are whole already
        out: Array = np.multiply.reduce(variables[self._factors], axis=0)
        return out


def evaluate_monomials(monomials: Sequence[str], symbols: Mapping[str, Any]) -> Array:
    """The monomials at many workloads: shape (workloads, monomials), float64.

    `symbols` maps each symbol to an array of shape (workloads,) of whole numbers. Whole results
    below 2**53 are exact.
    """
    rows = np.ones((len(ROWS), np.broadcast(*symbols.values()).size))
    for symbol, values in symbols.items():
        rows[ROWS.index(symbol)] = values
    products = [
        [Variable(symbol, divisor) for symbol, divisor, power in parse_monomial(text) for _ in range(power)]
        for text in monomials
    ]
    return np.ascontiguousarray(Monomials(products).at(rows).T)


class ExactFitter:
    """Finds, for integer values at fixed points, the sparsest polynomial that equals them all.

    Each candidate basis is solved in rational arithmetic on as many points as it has monomials;
    a solution counts only if it equals the values at every other point too.
    """

    def __init__(self, points: Sequence[Point], bases: Iterable[Sequence[str]]) -> None:
        self.points = points
        self._systems = [s for basis in bases if (s := _System.build(basis, points)) is not None]

    def fit(self, values: Sequence[int]) -> Coefficients:
        """Coefficients by monomial.

        Raises
        ------
        TraceError
            No candidate basis reproduces the values.
        """
        for system in self._systems:
            solution = system.solve(values)
            if solution is not None:
                return solution
        raise TraceError("an operator's cost is not a polynomial in the workload's symbols")


class _System:
    """One basis at fixed points: the exact inverse on a full-rank subset, and the rest to check."""

    def __init__(
        self, basis: Sequence[str], rows: list[int], inverse: list[list[Fraction]], table: Any
    ) -> None:
        self.basis, self.rows, self.inverse, self.table = basis, rows, inverse, table

    @classmethod
    def build(cls, basis: Sequence[str], points: Sequence[Point]) -> _System | None:
        """None when the points cannot tell the monomials apart, or leave none to check with.

        A single point stands for calls in which nothing varies: they cost a constant.
        """
        nothing_varies = len(points) == 1 and list(basis) == ["1"]
        if len(points) <= len(basis) and not nothing_varies:
            return None
        table = [[_at(monomial, point) for monomial in basis] for point in points]
        found = _invert(table)
        return None if found is None else cls(basis, *found, table)

    def solve(self, values: Sequence[int]) -> Coefficients | None:
        chosen = [values[row] for row in self.rows]
        solution = [
            sum((a * b for a, b in zip(line, chosen, strict=True)), Fraction()) for line in self.inverse
        ]
        for row, value in zip(self.table, values, strict=True):
            if sum((a * b for a, b in zip(row, solution, strict=True)), Fraction()) != value:
                return None
        return {m: _plain(c) for m, c in zip(self.basis, solution, strict=True) if c}


def _at(monomial: str, point: Point) -> int:
    value = 1
    for symbol, divisor, power in parse_monomial(monomial):
        value *= (-(-point[symbol] // divisor)) ** power
    return value


def _plain(value: Fraction) -> int | float:
    if value.denominator == 1:
        return value.numerator
    if value.denominator & (value.denominator - 1):
        raise TraceError(f"an operator's cost has the coefficient {value}, which no binary number equals")
    return float(value)


def _invert(table: list[list[int]]) -> tuple[list[int], list[list[Fraction]]] | None:
    """Rows that make the table invertible, and the inverse; None when its rank is too low."""
    size = len(table[0])
    rows: list[int] = []
    echelon: list[tuple[int, list[Fraction]]] = []  # (pivot column, reduced row)
    for index, row in enumerate(table):
        rest = [Fraction(x) for x in row]
        for pivot, line in echelon:
            if rest[pivot]:
                factor = rest[pivot] / line[pivot]
                rest = [a - factor * b for a, b in zip(rest, line, strict=True)]
        pivot = next((column for column, x in enumerate(rest) if x), -1)
        if pivot >= 0:
            rows.append(index)
            echelon.append((pivot, rest))
        if len(rows) == size:
            return rows, _inverse([[Fraction(x) for x in table[i]] for i in rows])
    return None


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    size = len(matrix)
    work = [row + [Fraction(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(row for row in range(column, size) if work[row][column])
        work[column], work[pivot] = work[pivot], work[column]
        scale = work[column][column]
        work[column] = [x / scale for x in work[column]]
        for row in range(size):
            if row != column and work[row][column]:
                factor = work[row][column]
                work[row] = [a - factor * b for a, b in zip(work[row], work[column], strict=True)]
    return [row[size:] for row in work]


def candidate_bases(has_image: bool, has_text: bool, batch_varies: bool, levels: int) -> list[list[str]]:
    """Bases to try, smallest first: what operators of diffusion pipelines cost.

    Constants and weights, elementwise and matrix products over image or text tokens, attention
    between them (squares and products), positional tables by row and column, and steps between
    two levels of a U-Net or decoder.
    """
    areas = [_area(level) for level in range(levels + 1)] if has_image else []
    bases: list[list[str]] = [["1"]]
    bases += [["1", area] for area in areas]
    if has_text:
        bases += [["1", "text"], ["1", "text", "text^2"]]
        bases += [["1", area, "text"] for area in areas]
        bases += [["1", area, "text", _times(area, "text")] for area in areas]
        bases += [["1", area, "text", _times(area, area), _times(area, "text"), "text^2"] for area in areas]
    bases += [["1", area, _times(area, area)] for area in areas]
    if has_image:
        bases.append(["1", "height", "width", "height*width"])
    bases += [["1", a, b] for a, b in pairwise(areas)]
    if not batch_varies:
        return sorted(bases, key=len)
    fitted: list[list[str]] = [["1"], ["batch"], ["1", "batch"]]
    for basis in bases:
        scaled = [_times("batch", monomial) for monomial in basis]
        mixed = [basis[1:], ["1"], ["1", *(m for m in basis[1:] if m.count("*") + m.count("^") <= 1)], basis]
        fitted += [scaled, *([*scaled, *extra] for extra in mixed if extra)]
    return sorted(fitted, key=len)


def _area(level: int) -> str:
    return "height*width" if level == 0 else f"height/{2**level}*width/{2**level}"


def _times(a: str, b: str) -> str:
    """The product of two monomials, in canonical order."""
    powers: dict[tuple[str, int], int] = {}
    for symbol, divisor, power in (*parse_monomial(a), *parse_monomial(b)):
        powers[symbol, divisor] = powers.get((symbol, divisor), 0) + power
    return write_monomial(powers)


def write_monomial(powers: Mapping[tuple[str, int], int]) -> str:
    """The text of a monomial from its factors' powers."""
    ordered = sorted(powers.items(), key=lambda item: (SYMBOLS.index(item[0][0]), item[0][1]))
    parts = [
        symbol + (f"/{divisor}" if divisor > 1 else "") + (f"^{power}" if power > 1 else "")
        for (symbol, divisor), power in ordered
    ]
    return "*".join(parts) or "1"
