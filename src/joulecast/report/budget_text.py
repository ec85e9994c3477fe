"""Workloads held against a budget, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulecast.compute.output import IMAGE, said_of, together
from joulecast.files.plain import Json, plain
from joulecast.report import amounts as quantity
from joulecast.report.lines import sentence, table, warned
from joulecast.report.markdown import escaped, table_row
from joulecast.report.merged import merged

if TYPE_CHECKING:
    from joulecast.footprint.grid.yearly import GridIntensity

ENDS = {"value": "the central value", "high": "the range's high end"}


@dataclass(frozen=True)
class Budget:
    """The most that an image may cost: carbon [g CO2e], GPU energy [Wh], each None where it is free.

    `bound` is the end of a range that must be within it, one of ENDS.
    """

    grams: float | None
    watt_hours: float | None
    bound: str

    def holds(self, grams: float | None, watt_hours: float | None) -> bool:
        """Whether amounts for an image are within the budget."""
        pairs = ((grams, self.grams), (watt_hours, self.watt_hours))
        return all(most is None or (found is not None and found <= most) for found, most in pairs)


@dataclass(frozen=True)
class Held:
    """What an image of a workload costs in the measures that a budget has, and the grid of the carbon."""

    model: str
    gpu: str
    grams: float | None
    watt_hours: float | None
    is_within: bool
    grid: GridIntensity | None
    output: str = IMAGE
    runtime: str = ""


def budget_text(rows: Sequence[Held], budget: Budget, warnings: Sequence[str]) -> str:
    """Warnings, a line for each workload, then how many are over the budget."""
    header, cells = _table(rows, budget)
    last = len(header) - 1
    lines = table(header, cells, right={0, *range(last - len(_measures(budget)), last)})
    lines += ["", *sentence(_verdict(rows, budget))]
    return "\n".join([*warned(f"{words}." for words in warnings), *lines])


def budget_markdown(rows: Sequence[Held], budget: Budget, warnings: Sequence[str]) -> str:
    """The same as Markdown, for the summary of a job or a comment."""
    header, cells = _table(rows, budget)
    lines = [table_row(header), table_row(["---"] * len(header))]
    lines += [table_row([escaped(cell) for cell in row]) for row in cells]
    told = [f"- Beware: {escaped(words)}." for words in merged(warnings)]
    return "\n".join([f"**{escaped(_verdict(rows, budget))}.**", "", *lines, *(["", *told] if told else [])])


def _table(rows: Sequence[Held], budget: Budget) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the cells of each workload."""
    has_runtime = any(row.runtime for row in rows)
    header = ["row", "model", "GPU", *(["runtime"] if has_runtime else []), *_measures(budget), ""]
    return header, [[str(number), *_cells(row, has_runtime)] for number, row in enumerate(rows, 1)]


def _measures(budget: Budget) -> list[str]:
    """What the budget is of."""
    limits = {"energy": budget.watt_hours, "carbon": budget.grams}
    return [name for name, most in limits.items() if most is not None]


def _verdict(rows: Sequence[Held], budget: Budget) -> str:
    """How many are over the budget, and what it is."""
    limits = [(budget.grams, "g CO2e"), (budget.watt_hours, "Wh of the GPU")]
    told = " and ".join(f"{amount:g} {unit}" for amount, unit in limits if amount is not None)
    over = sum(not row.is_within for row in rows)
    held = f"{over} of {len(rows)} over the budget" if over else f"all {len(rows)} within the budget"
    of = said_of(together(row.output for row in rows), "an image")
    return f"{held}: {told} {of}, held against {ENDS[budget.bound]}"


def budget_data(rows: Sequence[Held], budget: Budget, warnings: Sequence[str]) -> dict[str, Json]:
    """The same as one JSON object."""
    limits = {"g_per_image": budget.grams, "wh_per_image": budget.watt_hours}
    return plain({
        "budget": {**limits, "bound": budget.bound},
        "rows": [
            {
                "row": number,
                "output": row.output,
                "model": row.model,
                "gpu": row.gpu,
                "runtime": row.runtime,
                "g_per_image": row.grams,
                "wh_per_image": row.watt_hours,
                "is_within": row.is_within,
            }
            for number, row in enumerate(rows, 1)
        ],
        "over": sum(not row.is_within for row in rows),
        "warnings": list(warnings),
    })  # fmt: skip


def _cells(row: Held, has_runtime: bool) -> Iterator[str]:
    yield from (row.model, row.gpu, *([row.runtime] if has_runtime else []))
    if row.watt_hours is not None:
        yield f"{quantity.number(row.watt_hours)} Wh"
    if row.grams is not None:
        yield f"{quantity.number(row.grams)} g CO2e"
    yield "ok" if row.is_within else "OVER"
