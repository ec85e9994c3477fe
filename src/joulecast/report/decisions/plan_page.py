"""A plan as a folder: ``index.html`` with its pictures inside, and the data beside it.

- ``index.html``: totals with ranges, where and when images are made, the fleet, what limits cost, what
  was assumed, and how to redo it; it needs no other file and no network.
- ``plan.json``: everything in it, as data; ``assignments.csv`` and ``hours.csv``: two tables of it.
- ``demand.toml``: what was asked.
- ``*.svg`` and ``*.vl.json``: the pictures, and their Vega-Lite specifications.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from joulecast.compute.output import said_of
from joulecast.files.plain import json_text
from joulecast.plan.demand import Demand
from joulecast.plan.problem import Service
from joulecast.plan.solve import Plan
from joulecast.report import amounts as quantity
from joulecast.report import page
from joulecast.report.decisions.pictures import fleet_chart, plan_chart
from joulecast.report.decisions.plan_text import COUNTED, compared, headline, limit_costs, limit_unit, totals
from joulecast.report.merged import merged
from joulecast.report.page import Picture

ASSUMED = (
    "Images are a fluid: an hour's demand may be split over configurations, GPUs and regions.",
    "A batch is full; the wait to fill it is not in the time of a batch.",
    "A GPU of the plan is there in every hour: it draws idle power when it does not generate, and its "
    "embodied carbon and its rent run on.",
    "The number of GPUs is planned with the central times; ranges are those of the energies (90 % intervals, "
    "taken to be off together), the overheads and the embodied carbon.",
    "Energies and times are those of joulecast's default law.",
    "What a limit costs is from solving again with divisible GPUs.",
)


def write_plan(plan: Plan, demand: Demand, text: str, folder: Path, made_by: str = "joulecast") -> list[Path]:
    """Write the report of a plan; `text` is the demand file's, `made_by` the program. The files written.

    Raises
    ------
    InputError
        The folder cannot be made or written to.
    MissingExtraError
        The extra `plot` is not installed.
    """
    return page.write_files(folder, plan_files(plan, demand, text, made_by))


def plan_files(plan: Plan, demand: Demand, text: str, made_by: str = "joulecast") -> dict[str, str]:
    """The files of the report of a plan, by name. Raises MissingExtraError without the extra `plot`."""
    drawn = [(picture, picture.svg(), picture.narrow_svg()) for picture in pictures(plan, demand)]
    return {
        page.INDEX: _page(plan, demand, text, made_by, drawn),
        "plan.json": json_text(plan_data(plan, demand)) + "\n",
        "assignments.csv": page.csv_text(assignments(plan), ASSIGNMENTS),
        "hours.csv": page.csv_text(hours(plan), HOURS),
        "demand.toml": text,
        **{f"{picture.name}.svg": svg for picture, svg, _ in drawn},
        **{f"{picture.name}.vl.json": picture.spec() for picture, *_ in drawn},
    }


def pictures(plan: Plan, demand: Demand) -> list[Picture]:
    """The pictures of a plan."""
    return [
        Picture(
            "hours",
            said_of(
                plan.output, "Above: images made in each hour, by region; the dashed line is when they were "
            )
            + "asked for. Below: the carbon intensity of each region's grid in that hour.",
            plan_chart(plan, demand.problem, demand.start),
            plan_chart(plan, demand.problem, demand.start, is_narrow=True),
        ),
        Picture(
            "fleet",
            "GPUs in each region, and how much of their time they work.",
            fleet_chart(plan, demand.problem),
            fleet_chart(plan, demand.problem, is_narrow=True),
        ),
    ]


ASSIGNMENTS = (
    "service", "configuration", "batch_size", "gpu", "region", "latency_s", "images", "energy_low_j",
    "energy_j", "energy_high_j",
)  # fmt: skip
HOURS = ("hour", "service", "configuration", "batch_size", "gpu", "region", "images")


def plan_data(plan: Plan, demand: Demand) -> dict[str, object]:
    """A plan with what it assumes, as JSON has it."""
    start = None if demand.start is None else demand.start.isoformat()
    return {
        "headline": headline(plan, demand.today),
        **plan.to_dict(),
        "today": dict(demand.today),
        "today_counts": {key: COUNTED[key] for key in demand.today},
        "start": start,
        "assumptions": [vars(one) for one in demand.assumptions],
    }


def assignments(plan: Plan) -> list[dict[str, object]]:
    """A row for each configuration, batch size, GPU and region that makes images of a service."""
    return [
        {
            **{name: getattr(a, name) for name in ASSIGNMENTS[:6]},
            "images": float(a.images.sum()),
            "energy_low_j": a.energy_j.low,
            "energy_j": a.energy_j.value,
            "energy_high_j": a.energy_j.high,
        }
        for a in plan.assignments
    ]


def hours(plan: Plan) -> list[dict[str, object]]:
    """The same by hour, where images are made."""
    return [
        {"hour": hour, **{name: getattr(a, name) for name in HOURS[1:6]}, "images": float(images)}
        for a in plan.assignments
        for hour, images in enumerate(a.images)
        if images > 0
    ]


def _page(plan: Plan, demand: Demand, text: str, made_by: str, drawn: list[tuple[Picture, str, str]]) -> str:
    when = "" if demand.start is None else f" from {demand.start:%Y-%m-%d %H:%M} UTC"
    lead = (
        f"{plan.images:,.0f} {said_of(plan.output, 'images')} in {plan.hours} h{when}, made with the least "
        f"{plan.minimise}: within {100 * plan.gap:.2g} % of the best there is."
    )
    return page.page(
        "Deployment plan",
        [
            page.headline(f"{headline(plan, demand.today)}."),
            page.paragraph(lead),
            *map(page.paragraph, compared(demand.today)),
            page.warnings(merged(plan.warnings)),
            page.table(("total", "amount", "range"), totals(plan), {1}, "totals"),
            *(page.figure(svg, picture.caption, narrow) for picture, svg, narrow in drawn),
            *_tables(plan, demand),
            page.heading("What it assumes"),
            page.table(
                ("of", "what", "how much", "from"),
                [(a.of, a.what, a.amount, a.source) for a in demand.assumptions],
                name="what it assumes",
            ),
            page.bullets([said_of(plan.output, told) for told in ASSUMED]),
            page.heading("How to redo it"),
            page.paragraph(f"{made_by}, with the file demand.toml beside this page:"),
            page.preformatted("joulecast plan demand.toml --report out"),
            page.preformatted(text),
        ],
    )


def _tables(plan: Plan, demand: Demand) -> Iterator[str]:
    yield page.heading("What was asked for")
    header = (
        "service",
        said_of(plan.output, "images"),
        "deadline",
        "time of a batch",
        said_of(plan.output, "electricity's carbon of an image"),
        "mean quality",
    )
    yield page.table(
        header,
        [_asked(service) for service in demand.problem.services],
        {1, 2, 3, 4, 5},
        "what was asked for",
    )
    yield page.heading("Who makes what where")
    yield page.table(
        (
            "service", "configuration", "batch", "GPU", "region", said_of(plan.output, "images"),
            said_of(plan.output, "energy of an image"), "range", "batch takes",
        ),
        [
            (
                a.service, a.configuration, str(a.batch_size), a.gpu, a.region, f"{a.images.sum():,.0f}",
                quantity.energy(a.energy_j.value),
                f"{quantity.number(a.energy_j.low)} to {quantity.number(a.energy_j.high)}",
                quantity.duration(a.latency_s),
            )
            for a in plan.assignments
        ],
        {2, 5, 6, 7, 8},
        "who makes what where",
    )  # fmt: skip
    yield page.heading("GPUs")
    fleet = [(f.gpu, f.region, f"{f.count:,}", f"{100 * f.utilisation:.0f} %") for f in plan.fleet]
    yield page.table(("GPU", "region", "GPUs", "busy"), fleet, {2, 3}, "GPUs")
    yield page.heading("Limits, and what they cost")
    if not plan.limits:
        yield page.paragraph("There are none.")
        return
    header = ("limit", "at", "used", "binds", "1 % looser would save", "without it the plan would save")
    rows = []
    for use in plan.limits:
        unit = limit_unit(use.limit, plan.currency)
        at = [f"{x:,.6g} {unit}".rstrip() for x in (use.amount, use.used)]
        rows.append((use.limit.name, *at, "yes" if use.is_binding else "", *limit_costs(use, plan)))
    yield page.table(header, rows, {1, 2, 4, 5}, "limits, and what they cost")


def _asked(service: Service) -> tuple[str, ...]:
    return (
        service.name,
        f"{service.demand.sum():,.0f}",
        f"{service.deadline_hours} h" if service.deadline_hours else "none",
        "" if service.latency_s is None else f"at most {service.latency_s:g} s",
        "" if service.max_g_per_image is None else f"at most {service.max_g_per_image:g} g CO2e",
        "" if service.min_quality is None else f"at least {service.min_quality:g}",
    )
