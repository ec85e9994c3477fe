"""Find exact polynomials from values at a few traced sizes, in rational arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import lcm
from operator import mul
from typing import Any

from joulecast.compute.polynomial import PICTURES, ROWS, parse_monomial, times_of
from joulecast.errors import TraceError

Point = Mapping[str, int]
Coefficients = dict[str, int | float]


class ExactFitter:
    """Finds, for integer values at fixed points, the sparsest polynomial that equals them all.

    Each candidate basis is solved in rational arithmetic on as many points as it has monomials;
    a solution counts only if it equals the values at every other point too.
    """

    def __init__(self, points: Sequence[Point], bases: Iterable[Sequence[str]]) -> None:
        self.points = points
        self._bases = iter(bases)  # built as they are needed
        self._systems: list[_System] = []

    def fit(self, values: Sequence[int]) -> Coefficients:
        """Coefficients by monomial.

        Raises
        ------
        TraceError
            No candidate basis reproduces the values.
        """
        for system in self._all():
            solution = system.solve(values)
            if solution is not None:
                return solution
        raise TraceError("an operator's cost is not a polynomial in the workload's symbols")

    def _all(self) -> Iterator[_System]:
        yield from self._systems
        for basis in self._bases:
            system = _System.build(basis, self.points)
            if system is not None:
                self._systems.append(system)
                yield system


class _System:
    """One basis at fixed points: the exact inverse on a full-rank subset, and the rest to check."""

    def __init__(
        self, basis: Sequence[str], rows: list[int], inverse: list[list[Fraction]], table: Any
    ) -> None:
        self.basis, self.rows, self.inverse = basis, rows, inverse
        self.checks = [
            (index, _in_whole_numbers([sum(map(mul, row, column)) for column in zip(*inverse, strict=True)]))
            for index, row in enumerate(table)
            if index not in rows
        ]

    @classmethod
    def build(cls, basis: Sequence[str], points: Sequence[Point]) -> _System | None:
        """None when the points cannot tell the monomials apart, or leave none to check with.

        A single point stands for calls in which nothing varies: they cost a constant.
        """
        nothing_varies = len(points) == 1 and list(basis) == ["1"]
        if len(points) <= len(basis) and not nothing_varies:
            return None
        table = [[value_at(monomial, point) for monomial in basis] for point in points]
        found = _invert(table)
        return None if found is None else cls(basis, *found, table)

    def solve(self, values: Sequence[int]) -> Coefficients | None:
        chosen = [values[row] for row in self.rows]
        for index, (weights, whole) in self.checks:
            if sum(map(mul, weights, chosen)) != whole * values[index]:
                return None
        solution = [
            sum((a * b for a, b in zip(line, chosen, strict=True)), Fraction()) for line in self.inverse
        ]
        return {m: _plain(c) for m, c in zip(self.basis, solution, strict=True) if c}


def _in_whole_numbers(weights: Sequence[Fraction | int]) -> tuple[list[int], int]:
    """The same weights times a whole number that makes them whole, and that number."""
    whole = lcm(*(Fraction(weight).denominator for weight in weights))
    return [int(weight * whole) for weight in weights], whole


def value_at(monomial: str, point: Point) -> int:
    """A monomial at a point, exactly."""
    value = 1
    for symbol, divisor, power in parse_monomial(monomial):
        times, row = times_of(symbol)
        base = point["batch"] * point["frames"] if row == PICTURES else point[row]
        value *= (-(-times * base // divisor)) ** power
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


def candidate_bases(
    has_image: bool, has_text: bool, batch_varies: bool, levels: int, frames: str = ""
) -> list[list[str]]:
    """Bases to try, smallest first: what operators of diffusion pipelines cost.

    Constants and weights, elementwise and matrix products over image or text tokens, attention
    between them (squares and products), positional tables by row and column, and steps between
    two levels of a U-Net or decoder. `frames` is how monomials name them where they vary, else empty: then
    costs are of all frames together, of each, or of rounds over them.
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
    if frames:
        bases = _with_frames(bases, frames)
    if not batch_varies:
        return sorted(bases, key=len)
    fitted: list[list[str]] = [["1"], ["batch"], ["1", "batch"]]
    for basis in bases:
        scaled = [_times("batch", monomial) for monomial in basis]
        mixed = [basis[1:], ["1"], ["1", *(m for m in basis[1:] if m.count("*") + m.count("^") <= 1)], basis]
        fitted += [scaled, *([*scaled, *extra] for extra in mixed if extra)]
    return sorted(fitted, key=len)


def _with_frames(bases: Sequence[list[str]], frames: str) -> list[list[str]]:
    """Bases of a video: areas become volumes, and costs may rise with the frames or with their square."""
    found: dict[tuple[str, ...], None] = {}
    for basis in bases:
        by_frame = [_times(frames, monomial) for monomial in basis]
        again = [_times(frames, monomial) for monomial in by_frame]
        volumes = [_volume(monomial, frames) for monomial in basis]
        for candidate in (
            basis, volumes, ["1", *by_frame], [*basis, *by_frame], [*basis, *by_frame, *again],
        ):  # fmt: skip
            found[tuple(dict.fromkeys(candidate))] = None
    return sorted(map(list, found), key=len)


def _volume(monomial: str, frames: str) -> str:
    """The monomial with as many times the frames as it has heights."""
    for symbol, _, power in parse_monomial(monomial):
        for _ in range(power if symbol == "height" else 0):
            monomial = _times(monomial, frames)
    return monomial


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
    ordered = sorted(powers.items(), key=lambda item: (ROWS.index(times_of(item[0][0])[1]), item[0]))
    parts = [
        symbol + (f"/{divisor}" if divisor > 1 else "") + (f"^{power}" if power > 1 else "")
        for (symbol, divisor), power in ordered
    ]
    return "*".join(parts) or "1"
