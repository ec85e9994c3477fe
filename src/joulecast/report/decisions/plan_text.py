"""A plan as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from joulecast.compute.output import said_of
from joulecast.plan.problem import Limit
from joulecast.plan.solve import LimitUse, Plan
from joulecast.report.amounts import number, suited
from joulecast.report.lines import heading, paragraph, sentence, table, warned
from joulecast.units import GRAMS_PER_KILOGRAM

LIMIT_UNITS = {
    "carbon_kg": "kg", "energy_kwh": "kWh", "gpus": "GPUs", "max_count": "GPUs", "latency_s": "s",
    "max_g_per_image": "g", "max_power_kw": "kW", "min_quality": "",
}  # fmt: skip

SAME = "about as much"
# What the totals of a plan count, by the key of what they are compared with.
COUNTED = {
    "carbon_kg": "the carbon of GPUs at work and idle, of hosts and facility (PUE), and of the hardware",
    "energy_kwh": "the energy of GPUs at work and idle, of hosts and facility (PUE)",
    "cost": "the cost of the electricity, or of renting the GPUs",
}


def plan_text(plan: Plan, today: Mapping[str, float] | None = None) -> str:
    """What it comes to, totals with their ranges, the fleet, who makes what where, what binds, what to doubt.

    `today` is as of `headline`.
    """
    lines = [
        *heading(f"{headline(plan, today)}."),
        "",
        *(line for words in compared(today or {}) for line in sentence(words)),
        *warned(plan.warnings),
        *heading(
            f"{plan.images:,.0f} {said_of(plan.output, 'images')} in {plan.hours} h with the least "
            f"{plan.minimise} (within {100 * plan.gap:.2g} % of the best)"
        ),
        "",
        *table(("total", "amount", "range"), totals(plan), right={1}),
        "",
        *table(("GPU", "region", "GPUs", "busy"), [
            (f.gpu, f.region, f"{f.count:,}", f"{100 * f.utilisation:.0f} %") for f in plan.fleet
        ], right={2, 3}),
        "",
        *table(("service", "configuration", "batch", "GPU", "region", said_of(plan.output, "images")), [
            (a.service, a.configuration, str(a.batch_size), a.gpu, a.region, f"{a.images.sum():,.0f}")
            for a in plan.assignments
        ], right={2, 5}),
    ]  # fmt: skip
    lines += [
        "",
        *(line for use in plan.binding for line in paragraph("Binds", binding_words(use, plan))),
    ]
    return "\n".join(lines).rstrip()


def headline(plan: Plan, today: Mapping[str, float] | None = None) -> str:
    """A plan in one line: ``84 H100-SXM5-80GB in two regions, 25 mg CO2e an image, 31 % less (49 % less to
    10 % more) than today``.

    `today` is what runs now: totals over the same hours, by ``carbon_kg``, ``energy_kwh`` or ``cost``, which
    count what COUNTED says.
    """
    kinds: dict[str, int] = {}
    for fleet in plan.fleet:
        kinds[fleet.gpu] = kinds.get(fleet.gpu, 0) + fleet.count
    if not kinds:
        return said_of(plan.output, "No GPU, for no image is asked for")
    gpus = " and ".join(f"{count:,} {gpu}" for gpu, count in kinds.items())
    regions = list(dict.fromkeys(fleet.region for fleet in plan.fleet))
    where = regions[0] if len(regions) == 1 else f"{_count(len(regions))} regions"
    each = said_of(plan.output, "an image")
    told = [f"{gpus} in {where}", f"{_grams(plan.carbon_g_per_image.value)} {each}"]
    if plan.cost.high:
        told.append(f"{number(plan.cost.value / plan.images, 2)} {plan.currency} {each}")
    return ", ".join([*told, *_against(plan, today or {})])


def _against(plan: Plan, today: Mapping[str, float]) -> Iterator[str]:
    """How the plan's totals differ from today's, in words."""
    known = [
        ("carbon_kg", "carbon", plan.carbon_g / GRAMS_PER_KILOGRAM),
        ("energy_kwh", "energy", plan.energy_kwh),
        ("cost", "cost", plan.cost),
    ]
    stated = [(word, amount / today[key] - 1) for key, word, amount in known if key in today]
    for word, change in stated:
        of = "" if word == "carbon" and len(stated) == 1 else f" {word}"
        told = _change(change.value)
        ends = "" if change.is_exact else f" ({_change(change.low)} to {_change(change.high)})"
        yield f"{told}{of}{ends} {'as' if told == SAME else 'than'} today"


def _change(share: float) -> str:
    """How much less or more, in words."""
    size = f"{100 * abs(share):.0f} %"
    return SAME if size == "0 %" else f"{size} {'less' if share < 0 else 'more'}"


def compared(today: Mapping[str, float]) -> tuple[str, ...]:
    """What today's figures must count for the headline to be true of them; nothing where there are none."""
    counts = "; ".join(COUNTED[key] for key in COUNTED if key in today)
    return (f"Today's figures are taken to count what the plan's do: {counts}.",) if counts else ()


def _grams(amount_g: float) -> str:
    size, unit = suited(amount_g, "g")
    return f"{number(amount_g / size, 2)} {unit} CO2e"


def _count(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else f"{count:,}"


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
    """Name, amount and range of every total of a plan; no range of what is exact."""
    rows = [
        ("carbon", plan.carbon_g, GRAMS_PER_KILOGRAM, "kg CO2e"),
        ("  of the electricity", plan.operational_carbon_g, GRAMS_PER_KILOGRAM, "kg CO2e"),
        ("  of the hardware", plan.embodied_carbon_g, GRAMS_PER_KILOGRAM, "kg CO2e"),
        (
            said_of(plan.output, "carbon of an image"),
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
            "" if a.is_exact else f"{number(a.low / size, 4)} to {number(a.high / size, 4)}",
        )
        for name, a, size, unit in rows
    ]
