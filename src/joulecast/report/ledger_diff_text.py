"""Why two ledgers differ, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from joulecast.ledger.difference import CARBON_G, Difference
from joulecast.report.amounts import energy_unit, number, suited
from joulecast.report.lines import heading, paragraph, table

if TYPE_CHECKING:
    import polars as pl

CENTRAL = "central estimates, without the ranges that each ledger tells of its own sums"


def difference_text(found: Sequence[Difference], names: Sequence[str], notes: Sequence[str]) -> str:
    """What each factor did, a table a quantity; `names` are those of the two ledgers."""
    before, after = names
    lines = []
    for one in found:
        size, unit = _suited(one)
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
    for words in notes:
        lines += paragraph("Note", words)
    return "\n".join(lines).rstrip()


def difference_notes(
    found: Sequence[Difference],
    cells: Sequence[pl.DataFrame],
    manifests: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> list[str]:
    """What the figures are, what is not compared, and what makes two ledgers unlike; first and second."""
    told = [CENTRAL]
    if len(found) == 1:
        without = [name for name, one in zip(names, cells, strict=True) if not _has_carbon(one)]
        if any(CARBON_G in one.columns for one in cells):
            told.append(f"carbon is not compared: not every request of {' and of '.join(without)} has it")
    laws = [one.get("law") for one in manifests]
    if laws[0] != laws[1]:
        told.append("two laws predicted them: part of the difference is theirs, not the service's")
    return told


def _has_carbon(cells: pl.DataFrame) -> bool:
    """Whether the carbon of all of a ledger's requests is known."""
    return CARBON_G in cells.columns and not cells[CARBON_G].null_count()


def difference_record(one: Difference) -> dict[str, object]:
    """A difference in numbers."""
    return {
        "quantity": one.quantity,
        "unit": one.unit,
        "before": one.before,
        "after": one.after,
        "parts": dict(one.parts),
    }


def _suited(one: Difference) -> tuple[float, str]:
    """The unit that suits a difference's larger side, and its size."""
    largest = max(one.before, one.after)
    if one.unit == "J":
        return energy_unit(largest)
    size, unit = suited(largest, "g")
    return size, f"{unit} CO2e"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{number(abs(value))}"
