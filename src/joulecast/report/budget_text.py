"""Workloads held against a budget, as text."""

from __future__ import annotations

from collections.abc import Sequence

from joulecast.report.estimate_text import paragraph, table


def budget_text(
    rows: Sequence[Sequence[str]],
    over: int,
    grams: float | None,
    watt_hours: float | None,
    bound: str,
    warnings: Sequence[str],
) -> str:
    """A row for each workload, then how many are over the budget of an image [g CO2e, Wh], and warnings."""
    head = ["row", "model", "GPU", *(["energy"] if watt_hours is not None else [])]
    lines = table([*head, *(["carbon"] if grams is not None else []), ""], list(rows), right={0, 3, 4})
    limits = [(grams, "g CO2e"), (watt_hours, "Wh of the GPU")]
    told = " and ".join(f"{amount:g} {unit}" for amount, unit in limits if amount is not None)
    end = "the range's high end" if bound == "high" else "the central value"
    held = f"{over} of {len(rows)} over the budget" if over else f"all {len(rows)} within the budget"
    lines += ["", f"  {held}: {told} an image, held against {end}"]
    return "\n".join([*lines, *(line for words in warnings for line in paragraph("Warning", f"{words}."))])
