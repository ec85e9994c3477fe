"""Numbers that carry their unit, so that grams cannot be added to litres.

A unit is written ``"g/kWh"``: symbols, ``*`` between factors, ``/`` before each divisor. Symbols
are those of SYMBOLS, or a currency: three capital letters. Multiplication joins units and cancels
equal symbols; addition and comparison need equal units; `Quantity.to` converts within a dimension.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from joulecast.errors import InputError, shown
from joulecast.uncertainty import Interval, Number, interval
from joulecast.units import GRAMS_PER_KILOGRAM, HOURS_PER_YEAR, JOULES_PER_KILOWATT_HOUR, SECONDS_PER_HOUR

# symbol -> (dimension, size in the dimension's first unit)
SYMBOLS: dict[str, tuple[str, float]] = {
    "J": ("energy", 1.0),
    "kWh": ("energy", JOULES_PER_KILOWATT_HOUR),
    "g": ("carbon", 1.0),  # of CO2 equivalent
    "kg": ("carbon", GRAMS_PER_KILOGRAM),
    "L": ("water", 1.0),
    "s": ("time", 1.0),
    "h": ("time", SECONDS_PER_HOUR),
    "year": ("time", HOURS_PER_YEAR * SECONDS_PER_HOUR),
    "GPU-h": ("GPU time", 1.0),
    "image": ("images", 1.0),
}
_CURRENCY = re.compile(r"[A-Z]{3}")

Exponents = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Quantity:
    """An interval with its unit; ``"1"`` is the unit of plain numbers."""

    amount: Interval
    unit: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", _written(_parsed(self.unit)))

    def __mul__(self, other: Quantity | Number) -> Quantity:
        o = quantity(other)
        return Quantity(self.amount * o.amount, _joined(self.unit, o.unit, 1))

    def __truediv__(self, other: Quantity | Number) -> Quantity:
        o = quantity(other)
        return Quantity(self.amount / o.amount, _joined(self.unit, o.unit, -1))

    def __add__(self, other: Quantity | Number) -> Quantity:
        o = quantity(other)
        if o.unit != self.unit:
            raise InputError(f"cannot add {o.unit} to {self.unit}")
        return Quantity(self.amount + o.amount, self.unit)

    def __rmul__(self, other: Number) -> Quantity:
        return quantity(other) * self

    def __radd__(self, other: Number) -> Quantity:
        return quantity(other) + self

    def __rtruediv__(self, other: Number) -> Quantity:
        return quantity(other) / self

    def to(self, unit: str) -> Quantity:
        """The same in another unit. Raises InputError when that is of another kind."""
        if _dimensions(self.unit) != _dimensions(unit):
            raise InputError(f"{self.unit} cannot be turned into {unit}: it is another kind of quantity")
        own, wanted = _size(self.unit), _size(unit)
        if own == wanted:
            return Quantity(self.amount, unit)
        if own > wanted:
            return Quantity(self.amount * (own / wanted), unit)
        return Quantity(self.amount / (wanted / own), unit)

    def expect(self, unit: str, what: str) -> Quantity:
        """Itself if it has this unit, else InputError that names `what`."""
        if self.unit != _written(_parsed(unit)):
            raise InputError(f"{what} must be in {unit}, not in {self.unit}")
        return self

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


def is_currency(unit: str) -> bool:
    """Whether a unit is that of money alone."""
    return unit not in SYMBOLS and _CURRENCY.fullmatch(unit) is not None


def quantity(value: Quantity | Interval | Number, unit: str = "1") -> Quantity:
    """A quantity as it is, a number or an interval with `unit`."""
    return value if isinstance(value, Quantity) else Quantity(interval(value), unit)


@lru_cache(maxsize=1024)
def _parsed(unit: str) -> Exponents:
    powers: dict[str, int] = {}
    for sign, symbol in re.findall(r"(^|[*/])([^*/]*)", unit if isinstance(unit, str) else ""):
        name = symbol.strip()
        if name != "1" and name not in SYMBOLS and not _CURRENCY.fullmatch(name):
            known = ", ".join(SYMBOLS)
            raise InputError(f"unknown unit {shown(unit)}; units are made of {known} and currencies like EUR")
        if name != "1":
            powers[name] = powers.get(name, 0) + (-1 if sign == "/" else 1)
    return tuple(sorted((name, power) for name, power in powers.items() if power))


def _written(powers: Exponents) -> str:
    above = [name for name, power in powers for _ in range(power)]
    below = [name for name, power in powers for _ in range(-power)]
    return "/".join(["*".join(above) or "1", *below])


@lru_cache(maxsize=1024)
def _joined(left: str, right: str, sign: int) -> str:
    powers = dict(_parsed(left))
    for name, power in _parsed(right):
        powers[name] = powers.get(name, 0) + sign * power
    return _written(tuple(sorted((name, power) for name, power in powers.items() if power)))


def _dimensions(unit: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, power in _parsed(unit):
        dimension = SYMBOLS[name][0] if name in SYMBOLS else name
        found[dimension] = found.get(dimension, 0) + power
    return {dimension: power for dimension, power in found.items() if power}


def _size(unit: str) -> float:
    size = 1.0
    for name, power in _parsed(unit):
        if name in SYMBOLS:
            size *= SYMBOLS[name][1] ** power
    return size
