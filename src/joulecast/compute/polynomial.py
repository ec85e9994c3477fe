"""Exact polynomials in a workload's symbols, evaluated in numpy; `joulecast.compute.exact_fit` finds them.

Symbols: ``batch``, ``frames`` (in steps of the profile's frames rule), ``height`` and ``width`` (in its
size unit), ``text`` (tokens), and ``height/2``, ``width/4``, ...: the size after a number of halvings,
rounded up, as a convolution of stride 2 does; ``frames/3``: the rounds of a loop over three at a time;
``pictures/8``: the pieces into which the frames of all videos together are cut by eights, rounded up, and
``3pictures/8`` where three pictures stand for each.
A monomial is written ``batch*height*width`` or ``batch*text^2``; the constant is ``1``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import FileFormatError, shown

SYMBOLS = ("batch", "frames", "height", "width", "text")
ONE = "1"
PICTURES = "pictures"  # the frames, in steps, of all videos of a batch
DIVIDED = ("frames", "height", "width")  # symbols that may stand over a divisor
ROWS = (ONE, *SYMBOLS, PICTURES)  # of an array of symbols at workloads
MAX_POWER = 4
_CONDITION = re.compile(r"([a-z]+)(<|%([1-9]\d{0,2}))?\Z")
_FACTOR = re.compile(
    r"(batch|frames|text|height|width|(?:[1-9]\d{0,2})?pictures(?=/))(?:/(\d{1,3}))?(?:\^(\d))?\Z"
)

Array = NDArray[np.float64]


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
        may_divide = symbol in DIVIDED or symbol.endswith(PICTURES)
        if divisor < 1 or not 1 <= power <= MAX_POWER or (divisor > 1 and not may_divide):
            raise FileFormatError(f"{shown(text)} has an impossible divisor or power")
        factors.append((symbol, divisor, power))
    return tuple(factors)


class Condition(NamedTuple):
    """What a condition compares with its value: a symbol, what remains of it when it is divided by a number
    (``frames%3``), or whether it is below (``frames<``)."""

    symbol: str
    modulus: int = 0
    is_below: bool = False

    def holds(self, symbols: Mapping[str, Any], value: int) -> Any:
        """Whether it holds at one workload, or at each of many whose symbols are arrays."""
        found = symbols[self.symbol]
        if self.is_below:
            return found < value
        return (found % self.modulus if self.modulus else found) == value


@cache
def parse_condition(text: str) -> Condition:
    """The condition that ``height``, ``frames<`` or ``frames%3`` stands for.

    Raises
    ------
    ValueError
        It is none.
    """
    match = _CONDITION.match(text)
    if match is None or match.group(1) not in SYMBOLS:
        raise ValueError(f"{shown(text)} is not a condition such as frames<")
    return Condition(match.group(1), int(match.group(3) or 0), match.group(2) == "<")


def applies(condition: Mapping[str, int], symbols: Mapping[str, int]) -> bool:
    """Whether every condition of a mapping holds at one workload."""
    return all(parse_condition(text).holds(symbols, value) for text, value in condition.items())


@cache
def times_of(symbol: str) -> tuple[int, str]:
    """How often a symbol is counted, and the row it has: ``3pictures`` is (3, "pictures")."""
    row = symbol.lstrip("0123456789")
    times = symbol[: len(symbol) - len(row)]
    return (int(times or 1), row) if row else (1, symbol)


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
        times, rows = zip(*(times_of(variable.symbol) for variable in variables), strict=True)
        self._rows = np.array([ROWS.index(row) for row in rows])
        self._times = np.array([[float(count)] for count in times])
        self._divisors = np.array([[float(variable.divisor)] for variable in variables])
        self._offsets = np.array([[float(variable.offset)] for variable in variables])
        self._is_divided, self._is_offset = (self._divisors != 1).any(), self._offsets.any()
        self._is_multiple = max(times) > 1

    def at(self, symbols: Array) -> Array:
        """Shape (monomials, workloads), of ROWS of shape (rows, workloads); exact below 2**53."""
        variables: Array = symbols[self._rows]
        if self._is_offset:
            variables += self._offsets
        if self._is_multiple:
            variables *= self._times
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
    rows[ROWS.index(PICTURES)] = rows[ROWS.index("batch")] * rows[ROWS.index("frames")]
    products = [
        [Variable(symbol, divisor) for symbol, divisor, power in parse_monomial(text) for _ in range(power)]
        for text in monomials
    ]
    return np.ascontiguousarray(Monomials(products).at(rows).T)
