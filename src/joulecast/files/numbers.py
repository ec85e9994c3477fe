"""Numbers as people type them: in options, cells and settings, by one rule."""

from __future__ import annotations

import math

from joulecast.errors import InputError, shown

MOST_WHOLE = 10**15  # floats hold every whole number up to here


def whole(value: object, name: str, least: int = 1, most: int | None = None) -> int:
    """A whole number: ``10``, ``"10"``, ``"10.0"``, ``"1e1"``; digits may be grouped: ``1_000``, ``1,000``.

    `name` is what the number is of, in the InputError that anything else raises, and a number below
    `least` or above `most`.
    """
    number = value if type(value) is int else _whole(value, name)
    if least <= number <= (MOST_WHOLE if most is None else most):
        return number
    if most is not None:
        raise InputError(f"{name} must be between {least} and {most}, not {shown(value)}")
    if number < least:
        raise InputError(f"{name} must be a whole number of at least {least}, not {shown(value)}")
    raise InputError(f"{name} must be a whole number of at most {MOST_WHOLE:.0e}, not {shown(value)}")


def positive(value: object, name: str, most: float = math.inf) -> float:
    """A finite number above zero and at most `most`; anything else is an InputError that names it `name`."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if 0 < number <= most and math.isfinite(number) and not isinstance(value, bool):
        return number
    limit = "" if math.isinf(most) else f" of at most {most:g}"
    raise InputError(f"{name} must be a positive number{limit}, not {shown(value)}")


def within(value: object, name: str, least: float, most: float) -> float:
    """A number of a file, from `least` to `most`; InputError, which names it `name`, for anything else.

    Text is none, nor is a truth value, which Python takes for 0 or 1.
    """
    # every comparison with nan is false
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
        return float(value)
    raise InputError(f"{name} is {shown(value)}; expected a number from {least:g} to {most:g}")


def whole_within(value: object, name: str, least: int, most: int) -> int:
    """The same of a whole number."""
    return whole(within(value, name, least, most), name, least, most)


def _whole(value: object, name: str) -> int:
    """The whole number that a value of another type than int says."""
    try:
        number = float(_without_groups(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    # neither Python's truth values nor numpy's are counts
    if number.is_integer() and type(value).__name__ not in ("bool", "bool_"):
        return int(number)
    raise InputError(f"{name} must be a whole number, not {shown(value)}")


def _without_groups(value: object) -> object:
    """Text without the commas between groups of three digits; a comma elsewhere, as in ``1,5``, stays."""
    if not isinstance(value, str) or "," not in value:
        return value
    first, *groups = value.strip().lstrip("+").partition(".")[0].split(",")
    is_grouped = 1 <= len(first) <= 3 and first.isdigit()
    is_grouped = is_grouped and all(len(group) == 3 and group.isdigit() for group in groups)
    return value.replace(",", "") if is_grouped else value
