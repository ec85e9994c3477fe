"""A plan as plain text."""

from __future__ import annotations

from joulecast.plan.solve import Plan
from joulecast.report.text import table
from joulecast.uncertainty import Interval

UNITS = {"carbon": "g", "energy": "kWh"}


def plan_text(plan: Plan) -> str:
    """Totals with their ranges, the fleet, who makes what where, what binds, and where doubt is due."""
    lines = [
        f"{plan.images:,.0f} images in {plan.hours} h with the least {plan.minimise} "
        f"(within {100 * plan.gap:.2g} % of the best, solved in {plan.seconds:.1f} s)",
        "",
        *table(("", "", "range"), _totals(plan), right={1}),
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
    unit = UNITS.get(plan.minimise, plan.currency)
    lines += [
        "",
        *(
            f"  Binds: {b.limit} at {b.amount:g}; one more would save {b.cost_per_unit:.4g} {unit}."
            for b in plan.binding
        ),
        *(f"  Warning: {warning}" for warning in plan.warnings),
    ]
    return "\n".join(lines).rstrip()


def _totals(plan: Plan) -> list[tuple[str, str, str]]:
    rows = [
        ("carbon", plan.carbon_g, 1e3, "kg CO2e"),
        ("  of the electricity", plan.operational_carbon_g, 1e3, "kg CO2e"),
        ("  of the hardware", plan.embodied_carbon_g, 1e3, "kg CO2e"),
        (
            "carbon of an image",
            plan.carbon_g / plan.images if plan.images else Interval.exact(0),
            1.0,
            "g CO2e",
        ),
        ("energy", plan.energy_kwh, 1.0, "kWh"),
        *([("cost", plan.cost, 1.0, plan.currency)] if plan.cost.high else []),
    ]
    return [
        (name, f"{a.value / size:,.4g} {unit}", f"{a.low / size:,.4g} to {a.high / size:,.4g}")
        for name, a, size, unit in rows
    ]
