"""A footprint as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.compute.output import said_of
from joulecast.footprint.grid.kinds import AS_GIVEN
from joulecast.units import counted

if TYPE_CHECKING:
    from joulecast.footprint.account import Footprint
    from joulecast.footprint.grid.yearly import GridIntensity
    from joulecast.footprint.quantity import Quantity

EXPLAIN = "--explain prints the sum and every source"


def footprint_text(answer: Footprint, sources: bool = False) -> str:
    """A footprint: each quantity with its range, and its factors where `sources` are asked for."""
    from joulecast.report import amounts as quantity
    from joulecast.report.lines import aligned, heading, paragraph, warned

    rows = [
        ("energy, with host and cooling", answer.facility_energy),
        ("carbon of the electricity", answer.operational_carbon),
        ("carbon of the hardware", answer.embodied_carbon),
        ("carbon together", answer.carbon),
        ("water on site", answer.water),
        *([("money", answer.money)] if answer.money else []),
        (said_of(answer.output, "carbon of one image (SCI)"), answer.sci),
    ]
    cells = [[name, *_value_and_range(asked, answer)] for name, asked in rows]
    count = said_of(answer.output, counted(f"{answer.images:,}", "image"))
    year = "" if answer.grid.year is None else f", {answer.grid.year}"
    return "\n".join(
        [
            *heading(f"{count} {_where(answer.grid)}, {answer.accounting}{year}"),
            "",
            *warned(f"{warning}." for warning in answer.warnings),
            *aligned(cells, right={1}),
            "",
            *paragraph(
                "Grid",
                f"{quantity.ranged(answer.grid.intensity.amount, 'g CO2e/kWh')}, {answer.grid.source}, "
                f"{_counted(answer.grid)}.",
            ),
            *paragraph("Ranges", f"the widest that the factors allow; {EXPLAIN}."),
            *(paragraph("Factors", f"{_factors_text(answer)}.") if sources else []),
        ]
    )


def _where(grid: GridIntensity) -> str:
    return "at the given intensity" if grid.region == AS_GIVEN else f"in {grid.region}"


def _counted(grid: GridIntensity) -> str:
    """What an intensity counts; of what does not say, that it does not."""
    return (
        "whether life-cycle or combustion alone is not said" if grid.boundary == AS_GIVEN else grid.boundary
    )


def _value_and_range(asked: Quantity, answer: Footprint) -> tuple[str, str]:
    """A quantity, and its range in the same unit; the parts of the carbon in that of their sum."""
    from joulecast.report.amounts import number, suited

    name, slash, per = asked.unit.partition("/")
    suits = answer.carbon if asked.unit == answer.carbon.unit else asked
    size, unit = (1.0, name) if per else suited(suits.amount.value, name)
    of = " CO2e" if name == "g" else ""
    told, low, high = (
        f"{number(amount / size)} {unit}{of}{slash}{said_of(answer.output, per)}"
        for amount in (asked.amount.value, asked.amount.low, asked.amount.high)
    )
    return told, f"{low} to {high}"


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
