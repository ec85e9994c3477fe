"""Quantities as people read them: three significant digits and the unit that suits the size."""

from __future__ import annotations

import math

from joulecast.uncertainty import Interval
from joulecast.units import (
    FLOP_PER_TERAFLOP,
    JOULES_PER_KILOWATT_HOUR,
    JOULES_PER_WATT_HOUR,
    SECONDS_PER_HOUR,
)

# Times below how many seconds are told in which unit, and its size [s].
_TIMES = ((1.0, "ms", 1e-3), (600.0, "s", 1.0), (36_000.0, "min", 60.0), (math.inf, "h", SECONDS_PER_HOUR))
# A thousand of a unit, and a thousandth.
_LARGER = {"g": "kg", "kWh": "MWh", "L": "m3"}
_SMALLER = {"g": "mg", "kWh": "Wh", "L": "mL"}
MOST_DIGITS = 15  # before the point; larger numbers have an exponent


def number(value: float, digits: int = 3) -> str:
    """A number to some significant digits, with thousands separated: ``0.0123``, ``1.20``, ``3,740``."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    exponent = math.floor(math.log10(abs(value)))
    rounded = round(value, digits - 1 - exponent)
    exponent = math.floor(math.log10(abs(rounded)))  # 9.996 became 10.0
    if not -4 <= exponent <= MOST_DIGITS:
        return f"{value:.{digits - 1}e}"
    return f"{rounded:,.{max(0, digits - 1 - exponent)}f}"


def suited(amount: float, unit: str) -> tuple[float, str]:
    """The unit that suits an amount, larger, smaller or the same, and its size."""
    if unit in _LARGER and amount >= 1e4:
        return 1e3, _LARGER[unit]
    if unit in _SMALLER and 0 < amount < 0.1:
        return 1e-3, _SMALLER[unit]
    return 1.0, unit


def ranged(amount: Interval, unit: str) -> str:
    """An amount with its unit (``1`` for none), and its range where it has one."""
    told = number(amount.value) + ("" if unit == "1" else f" {unit}")
    return told if amount.is_exact else f"{told} ({spread(amount)})"


def spread(amount: Interval) -> str:
    """The ends of a range, e.g. ``1,670 to 2,450``; empty for an exact number."""
    return "" if amount.is_exact else f"{number(amount.low)} to {number(amount.high)}"


def energy(energy_j: float) -> str:
    """Energy [J] in J."""
    return f"{number(energy_j)} J"


def energy_wh(energy_j: float) -> str:
    """Energy [J] in Wh, or kWh when large."""
    size, unit = energy_unit(energy_j)
    return f"{number(energy_j / size)} {unit}"


def energy_unit(energy_j: float) -> tuple[float, str]:
    """The unit that suits an energy [J], kWh when large, else Wh, and its size [J]."""
    if energy_j >= JOULES_PER_KILOWATT_HOUR:
        return JOULES_PER_KILOWATT_HOUR, "kWh"
    return JOULES_PER_WATT_HOUR, "Wh"


def duration(duration_s: float, like_s: float | None = None) -> str:
    """Time [s] in ms, s, min or h; in the unit that suits `like_s` [s] where given, as beside it."""
    suits_s = duration_s if like_s is None else like_s
    unit, size_s = next((unit, size_s) for below_s, unit, size_s in _TIMES if not suits_s >= below_s)
    return f"{number(duration_s / size_s)} {unit}"


def duration_range(low_s: float, value_s: float, high_s: float) -> str:
    """The ends of a time's range [s], in the unit of the time itself: ``8.08 min to 31.5 min``."""
    return f"{duration(low_s, value_s)} to {duration(high_s, value_s)}"


def power(power_w: float) -> str:
    """Power [W] in W."""
    return f"{number(power_w)} W"


def teraflop(flop: float) -> str:
    """Compute [FLOP] in TFLOP."""
    return f"{number(flop / FLOP_PER_TERAFLOP)} TFLOP"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent, one decimal."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def parameters(count: int) -> str:
    """Parameters in millions or billions."""
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.0f} M"
