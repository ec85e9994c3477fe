"""A plan as plain text."""

from __future__ import annotations

from joulecast.plan.problem import Limit
from joulecast.plan.solve import LimitUse, Plan
from joulecast.report.amounts import number
from joulecast.report.lines import paragraph, table
from joulecast.units import GRAMS_PER_KILOGRAM

LIMIT_UNITS = {
    "carbon_kg": "kg", "energy_kwh": "kWh", "gpus": "GPUs", "max_count": "GPUs", "latency_s": "s",
    "max_g_per_image": "g", "max_power_kw": "kW", "min_quality": "",
}  # fmt: skip


def plan_text(plan: Plan) -> str:
    """Totals with their ranges, the fleet, who makes what where, what binds, and where doubt is due."""
    lines = [
        f"{plan.images:,.0f} images in {plan.hours} h with the least {plan.minimise} "
        f"(within {100 * plan.gap:.2g} % of the best)",
        "",
        *table(("", "", "range"), totals(plan), right={1}),
        "",
        *table(("GPU", "region", "GPUs", "busy"), [
            (f.gpu, f.region, f"{f.count:,}", f"{100 * f.utilisation:.0f} %") for f in plan.fleet
        ], right={2, 3}),
        "",
        *table(("service", "configuration", "batch", "GPU", "region", "images"), [
            (a.service, a.configuration, str(a.batch_size), a.gpu, a.region, f"{a.images.sum():,.0f}")
            for a in plan.assignments
        ], right={2, 5}),
    ]  # fmt: skip
    lines += [
        "",
        *(line for use in plan.binding for line in paragraph("Binds", binding_words(use, plan))),
        *(line for warning in plan.warnings for line in paragraph("Warning", warning)),
    ]
    return "\n".join(lines).rstrip()


def binding_words(use: LimitUse, plan: Plan) -> str:
    """A limit that binds, and what it costs."""
    told = f"{use.limit.name} at {use.amount:,.6g} {limit_unit(use.limit, plan.currency)}".rstrip()
    hundredth, whole = limit_costs(use, plan)
    if hundredth:
        told += f"; 1 % looser would save {hundredth}"
    return f"{told}; without it the plan would save {whole}." if whole else f"{told}."


def limit_costs(use: LimitUse, plan: Plan) -> tuple[str, str]:
    """What a limit costs, in words: a hundredth of it, and all of it; empty where it costs nothing."""
    scale, unit = {"carbon": (GRAMS_PER_KILOGRAM, "kg CO2e"), "energy": (1.0, "kWh")}.get(
        plan.minimise, (1.0, plan.currency)
    )
    share = None if use.cost_per_unit is None else 0.01 * abs(use.amount) * use.cost_per_unit / scale
    whole = None if use.cost is None else use.cost / scale
    return ("" if share is None else quantity(share, unit), "" if whole is None else quantity(whole, unit))


def limit_unit(limit: Limit, currency: str) -> str:
    """The unit of a limit; empty where it has none."""
    return currency if limit.kind == "cost" else LIMIT_UNITS[limit.kind]


def quantity(amount: float, unit: str) -> str:
    """An amount with its unit, to four digits."""
    return f"{number(amount, 4)} {unit}".rstrip()


def totals(plan: Plan) -> list[tuple[str, str, str]]:
    """Name, amount and range of every total of a plan."""
    rows = [
        ("carbon", plan.carbon_g, GRAMS_PER_KILOGRAM, "kg CO2e"),
        ("  of the electricity", plan.operational_carbon_g, GRAMS_PER_KILOGRAM, "kg CO2e"),
        ("  of the hardware", plan.embodied_carbon_g, GRAMS_PER_KILOGRAM, "kg CO2e"),
        (
            "carbon of an image",
            plan.carbon_g_per_image,
            1.0,
            "g CO2e",
        ),
        ("energy", plan.energy_kwh, 1.0, "kWh"),
        *([("cost", plan.cost, 1.0, plan.currency)] if plan.cost.high else []),
    ]
    return [
        (
            name,
            f"{number(a.value / size, 4)} {unit}",
            f"{number(a.low / size, 4)} to {number(a.high / size, 4)}",
        )
        for name, a, size, unit in rows
    ]
