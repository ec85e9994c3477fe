"""Why two ledgers differ, in words."""

from __future__ import annotations

from collections.abc import Sequence

from joulecast.ledger.difference import Difference
from joulecast.report.amounts import number
from joulecast.report.lines import heading, table
from joulecast.units import GRAMS_PER_KILOGRAM, JOULES_PER_KILOWATT_HOUR

_SUITED = {"J": (JOULES_PER_KILOWATT_HOUR, "kWh"), "g CO2e": (GRAMS_PER_KILOGRAM, "kg CO2e")}


def difference_text(found: Sequence[Difference], before: str, after: str) -> str:
    """What each factor did, a table a quantity."""
    lines = []
    for one in found:
        size, unit = _SUITED[one.unit]
        change = one.after - one.before
        lines += heading(
            f"{one.quantity[:1].upper()}{one.quantity[1:]} of {after} against {before}: "
            f"{number(one.after / size)} {unit} against {number(one.before / size)}, "
            f"{_signed(change / size)} {unit} ({_signed(100 * change / one.before)} %)"
        )
        rows = [
            [name, f"{_signed(part / size)} {unit}", f"{_signed(100 * part / one.before)} %"]
            for name, part in sorted(one.parts.items(), key=lambda item: -abs(item[1]))
        ]
        lines += [*table(("because of", "change", "of before"), rows, {1, 2}), ""]
    return "\n".join(lines).rstrip()


def difference_record(one: Difference) -> dict[str, object]:
    """A difference in numbers."""
    return {
        "quantity": one.quantity,
        "unit": one.unit,
        "before": one.before,
        "after": one.after,
        "parts": dict(one.parts),
    }


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{number(abs(value))}"
