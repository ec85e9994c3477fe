"""Exact polynomials in a workload's symbols, evaluated in numpy; `joulecast.compute.exact_fit` finds them.

Symbols: ``batch``, ``frames``, ``height`` and ``width`` (in the profile's size unit), ``text``
(tokens), and ``height/2``, ``width/4``, ...: the size after a number of halvings, rounded up, as a
convolution of stride 2 does. A monomial is written ``batch*height*width`` or ``batch*text^2``;
the constant is ``1``.
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
ROWS = (ONE, *SYMBOLS)  # of an array of symbols at workloads
MAX_POWER = 4
_FACTOR = re.compile(r"(batch|frames|text|height|width)(?:/(\d{1,3}))?(?:\^(\d))?\Z")

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
