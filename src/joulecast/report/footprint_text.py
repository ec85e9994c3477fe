"""A footprint as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulecast.footprint.account import Footprint
    from joulecast.footprint.quantity import Quantity

EXPLAIN = "--explain prints the sum and every source"


def footprint_text(answer: Footprint, sources: bool = False) -> str:
    """A footprint: each quantity with its range, and its factors where `sources` are asked for."""
    from joulecast.report import amounts as quantity
    from joulecast.report.lines import heading, paragraph, table, warned

    def words(amount: float, unit: str) -> str:
        unit, slash, per = unit.partition("/")
        of = (" CO2e" if unit == "g" else "") + slash + per
        if per:
            return f"{quantity.number(amount)} {unit}{of}"
        large = {"g": ("kg", 1e3), "kWh": ("MWh", 1e3), "L": ("m3", 1e3)}.get(unit)
        small = {"kWh": ("Wh", 1e-3), "L": ("mL", 1e-3), "g": ("mg", 1e-3)}.get(unit)
        if large and amount >= 1e4:
            return f"{quantity.number(amount / large[1])} {large[0]}{of}"
        if small and 0 < amount < 0.1:
            return f"{quantity.number(amount / small[1])} {small[0]}{of}"
        return f"{quantity.number(amount)} {unit}{of}"

    rows = [
        ("energy, with host and cooling", answer.facility_energy),
        ("carbon of the electricity", answer.operational_carbon),
        ("carbon of the hardware", answer.embodied_carbon),
        ("carbon together", answer.carbon),
        ("water on site", answer.water),
        *([("money", answer.money)] if answer.money else []),
        ("carbon of one image (SCI)", answer.sci),
    ]
    cells = [
        [
            name,
            words(a.amount.value, a.unit),
            f"{words(a.amount.low, a.unit)} to {words(a.amount.high, a.unit)}",
        ]
        for name, a in rows
    ]
    count = f"{answer.images:,} image" + ("s" if answer.images > 1 else "")
    year = "" if answer.grid.year is None else f", {answer.grid.year}"
    return "\n".join(
        [
            *heading(f"{count} in {answer.grid.region}, {answer.accounting}{year}"),
            "",
            *warned(f"{warning}." for warning in answer.warnings),
            *table(cells[0], cells[1:], right={1}),
            "",
            *paragraph(
                "Grid",
                f"{quantity.ranged(answer.grid.intensity.amount, 'g CO2e/kWh')}, {answer.grid.source}, "
                f"{answer.grid.boundary}.",
            ),
            *paragraph("Ranges", f"the widest that the factors allow; {EXPLAIN}."),
            *(paragraph("Factors", f"{_factors_text(answer)}.") if sources else []),
        ]
    )


def _factors_text(answer: Footprint) -> str:
    """The factors other than the grid, each with its range, and which of them the user gave."""
    from joulecast.footprint.factors import GIVEN
    from joulecast.report import amounts as quantity

    def words(name: str, value: Quantity, source: str) -> str:
        told = f"{name.replace('_', ' ')} {quantity.ranged(value.amount, value.unit)}"
        return f"{told}, given" if source == GIVEN else told

    found = answer.factors().items()
    kept = [item for item in found if item[0] not in ("energy_j", "duration_s", "intensity")]
    return "; ".join(words(name, value, source) for name, (value, source) in kept)
