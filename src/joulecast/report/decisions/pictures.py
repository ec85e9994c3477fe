"""Pictures of decisions: an estimate's parts, a plan's hours and its fleet, grids; the front is beside this.

Specifications as those of `joulecast.report.charts`, in the same style; rows from `decisions.rows`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from joulecast.compute.output import said_of
from joulecast.footprint.grid.reading import HourlySeries
from joulecast.forecast.estimate import Estimate
from joulecast.plan.problem import Problem
from joulecast.plan.solve import Plan
from joulecast.report.charts import (
    BLACK,
    GREY,
    INK,
    NARROW,
    PALE,
    REGION_COLOURS,
    WIDTH,
    altair,
    chart,
    finished,
)
from joulecast.report.decisions.rows import (
    OTHERS,
    bar_hours,
    clock,
    estimate_steps,
    fleet_rows,
    intensity_hours,
    plan_hours,
    plan_regions,
)
from joulecast.report.estimate_text import title
from joulecast.report.letters import text_width
from joulecast.report.waterfall import waterfall

if TYPE_CHECKING:
    import altair as alt


def estimate_chart(guess: Estimate) -> alt.TopLevelMixin:
    """Where the joules of an image or clip go."""
    return waterfall(estimate_steps(guess), title(guess.question), guess.boundary, guess.output)


def plan_chart(
    plan: Plan, problem: Problem, start: datetime | None = None, *, is_narrow: bool = False
) -> alt.TopLevelMixin:
    """Images by hour and region against what was asked for, over the grids' intensity by hour."""
    alt = altair()
    bars, demand, lines = plan_hours(plan, problem)
    regions = plan_regions(plan, problem)
    names = [*regions, *([OTHERS] if any(bar["region"] == OTHERS for bar in bars) else [])]
    span = "hour" if bar_hours(plan.hours) == 1 else "day"
    colour = _region_colour(alt, names)
    width = NARROW - 60 if is_narrow else WIDTH
    x = _hours(alt, plan.hours, start, 4 if is_narrow else 12)
    stacked = (
        chart(alt, bars)
        .mark_rect(stroke="white", strokeWidth=0.5 if plan.hours <= 48 else 0)
        .encode(
            x=x,
            x2="end:Q",
            y=alt.Y(
                "from:Q", title=said_of(plan.output, f"images made in the {span}"), axis=alt.Axis(format="~s")
            ),
            y2="to:Q",
            color=colour,
        )
    )
    asked = (
        chart(alt, demand)
        .mark_line(interpolate="step-after", color=BLACK, strokeWidth=1.5, strokeDash=[5, 3])
        .encode(x=x, y="images:Q")
    )
    grids = (
        chart(alt, lines)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=x,
            y=alt.Y("intensity:Q", title="grid [g CO2e/kWh]", scale=alt.Scale(zero=True)),
            color=colour,
        )
    )
    whole = alt.vconcat(
        (stacked + asked).properties(width=width, height=230), grids.properties(width=width, height=170)
    )
    words = said_of(plan.output, "Where and when the images are made; dashed: when they were asked for")
    return finished(whole, words, NARROW if is_narrow else WIDTH, legend_below=is_narrow)


def fleet_chart(plan: Plan, problem: Problem, *, is_narrow: bool = False) -> alt.TopLevelMixin:
    """GPUs by region and type, and how busy they are; regions in the colours of `plan_chart`."""
    alt = altair()
    rows = fleet_rows(plan)
    most = max((row["count"] for row in rows), default=1)
    regions = list(dict.fromkeys(row["region"] for row in rows))
    kinds = list(dict.fromkeys(row["gpu"] for row in rows))
    width = NARROW - 20 if is_narrow else WIDTH
    lines = [line for row in rows for line in row["words"].split("\n")]
    room = max((text_width(line, 11, wide=True) for line in lines), default=0.0) + 12
    end = most / max(0.2, 1 - room / width)  # of the axis, so that there is room for the words at the bars
    count = alt.X("count:Q", title="GPUs", scale=alt.Scale(domain=[0, end], nice=False),
                  axis=alt.Axis(tickMinStep=1, format="~s", tickCount=4))  # fmt: skip
    y = alt.Y("region:N", sort=regions, title=None, axis=None)
    offset = alt.YOffset("gpu:N", sort=kinds)
    base = chart(alt, rows)
    colour = _region_colour(alt, plan_regions(plan, problem), legend=False)
    bars = base.mark_bar().encode(x=count, y=y, yOffset=offset, color=colour)
    words = base.mark_text(align="left", dx=5, dy=-6, lineBreak="\n", baseline="middle").encode(
        x=count, y=y, yOffset=offset, text="words:N"
    )
    height = max(60, 38 * len(regions) * max(1, len(kinds)))
    drawn = (bars + words).properties(width=width, height=height)
    return finished(drawn, "The fleet of the plan", width)


def intensity_chart(known: Mapping[str, HourlySeries], timezone: str | None = None) -> alt.TopLevelMixin:
    """Grid intensity by hour of the day, a panel a region: the mean, and where nine days in ten lie."""
    alt = altair()
    rows = intensity_hours(known, timezone)
    top = max(row["high"] for row in rows)
    panels = []
    for place, region in enumerate(known):
        base = chart(alt, [row for row in rows if row["region"] == region])
        x = alt.X("hour:Q", title=f"hour of the day [{timezone or 'UTC'}]",
                  scale=alt.Scale(domain=[0, 23], nice=False),
                  axis=alt.Axis(values=list(range(0, 24, 6)), grid=False))  # fmt: skip
        y = alt.Y("low:Q", title="grid [g CO2e/kWh]" if place % 3 == 0 else None,
                  scale=alt.Scale(domain=[0, top], nice=True))  # fmt: skip
        band = base.mark_area(color=PALE, opacity=0.6).encode(x=x, y=y, y2="high:Q")
        mean = base.mark_line(color=INK, strokeWidth=2).encode(x=x, y="mean:Q")
        panels.append((band + mean).properties(width=200, height=150, title=region))
    whole = alt.concat(*panels, columns=3)
    words = "Grid intensity by hour of the day: the mean of all days, and where nine days in ten lie"
    return finished(whole, words, 250 * min(3, len(known)))


def _region_colour(alt: Any, names: Sequence[str], legend: bool = True) -> Any:
    """The colour of each region; the rest of them, and those without one, are grey."""
    colours = [*REGION_COLOURS, *[GREY] * len(names)][: len(names)]
    colours = [GREY if name == OTHERS else colour for name, colour in zip(names, colours, strict=True)]
    scale = alt.Scale(domain=list(names), range=colours)
    shown = {} if legend else {"legend": None}
    return alt.Color("region:N", title="region", scale=scale, sort=list(names), **shown)


def _hours(alt: Any, hours: int, start: datetime | None, most: int) -> Any:
    every = max(1, hours // most) if hours <= 48 else 24 * math.ceil(hours / (20 * most))
    values = list(range(0, hours + 1, every))
    labels = {hour: clock(start, hour, hours) for hour in values}
    shown = "({" + ", ".join(f"{hour}: '{words}'" for hour, words in labels.items()) + "})[datum.value]"
    words = "hour of the plan" if start is None else f"time [UTC], from {start:%Y-%m-%d %H:%M}"
    axis = alt.Axis(values=values, labelExpr=shown, grid=False)
    return alt.X("hour:Q", title=words, scale=alt.Scale(domain=[0, hours], nice=False), axis=axis)
