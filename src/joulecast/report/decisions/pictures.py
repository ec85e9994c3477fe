"""Pictures of decisions: an estimate's parts, settings and their front, a plan's hours, its fleet, grids.

Specifications as those of `joulecast.report.charts`, in the same style; rows from `decision_data`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from joulecast.footprint.grid.reading import HourlySeries
from joulecast.forecast.estimate import Estimate
from joulecast.plan.measures import MEASURES
from joulecast.plan.problem import Problem
from joulecast.plan.solve import Plan
from joulecast.plan.tradeoff import Outcome
from joulecast.report.charts import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    altair,
    chart,
    finished,
)
from joulecast.report.decisions.rows import (
    OTHERS,
    SettingPoint,
    bar_hours,
    clock,
    estimate_steps,
    fleet_rows,
    intensity_hours,
    pareto_keys,
    pareto_points,
    plan_hours,
    plan_regions,
)
from joulecast.report.estimate_text import title
from joulecast.report.waterfall import waterfall

if TYPE_CHECKING:
    import altair as alt

COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down")
WIDTH, HEIGHT = 620, 380
LABEL_WIDTH, LABEL_HEIGHT = 130, 13  # of the words at a point [pixels]
LOG_FROM = 4.0  # a measure that spans more than this factor is drawn on a logarithmic scale


def estimate_chart(guess: Estimate) -> alt.TopLevelMixin:
    """Where the joules of an image go."""
    return waterfall(estimate_steps(guess), title(guess.question), guess.boundary)


def pareto_chart(
    found: Sequence[Outcome], front: Sequence[Outcome], by: Sequence[str], currency: str = ""
) -> alt.TopLevelMixin:
    """Settings by two measures, those of the front large and named; a line joins a front of two measures."""
    alt = altair()
    rows = pareto_points(found, front, by)
    kept, beaten = [r for r in rows if r["on_front"]], [r for r in rows if not r["on_front"]]
    colour, shape = pareto_keys(found)
    x = _axis(alt, "x", [row["x"] for row in rows], by[0], currency)
    y = _axis(alt, "y", [row["y"] for row in rows], by[1], currency)
    look = {"x": x, "y": y, "color": _category(alt, "colour", [row["colour"] for row in rows], colour)}
    if shape:
        shapes = list(dict.fromkeys(row["shape"] for row in rows))
        scale = alt.Scale(domain=shapes, range=[SHAPES[i % len(SHAPES)] for i in range(len(shapes))])
        look["shape"] = alt.Shape("shape:N", title=shape, scale=scale, legend=alt.Legend(symbolOpacity=1))
    layers = []
    if len(by) == 2:
        line = sorted(kept, key=lambda row: row["x"])
        layers.append(
            chart(alt, line)
            .mark_line(color=GREY, strokeDash=[4, 3], interpolate="step-after")
            .encode(x=x, y=y)
        )
    if beaten:
        layers.append(chart(alt, beaten).mark_point(filled=True, size=30, opacity=0.35).encode(**look))
    layers.append(
        chart(alt, kept)
        .mark_point(filled=True, size=110, opacity=1, stroke=BLACK, strokeWidth=1)
        .encode(**look)
    )
    named = _legible([row for row in kept if row["words"]], rows)
    if named:
        words = chart(alt, named).mark_text(align="left", dx=9, dy=-7, fontSize=10)
        layers.append(words.encode(x=x, y=y, text="words:N"))
    verb = "is" if len(kept) == 1 else "are"
    told = f"{len(kept)} of {len(rows)} settings {verb} on the front: the large marks"
    return finished(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT), told)


def plan_chart(plan: Plan, problem: Problem, start: datetime | None = None) -> alt.TopLevelMixin:
    """Images by hour and region against what was asked for, over the grids' intensity by hour."""
    alt = altair()
    bars, demand, lines = plan_hours(plan, problem)
    regions = plan_regions(plan, problem)
    names = [*regions, *([OTHERS] if any(bar["region"] == OTHERS for bar in bars) else [])]
    scale = alt.Scale(domain=names, range=[*COLOURS[: len(regions)], GREY])
    span = "hour" if bar_hours(plan.hours) == 1 else "day"
    colour = alt.Color("region:N", title="region", scale=scale, sort=names)
    x = _hours(alt, plan.hours, start)
    stacked = (
        chart(alt, bars)
        .mark_rect(stroke="white", strokeWidth=0.5 if plan.hours <= 48 else 0)
        .encode(
            x=x,
            x2="end:Q",
            y=alt.Y("from:Q", title=f"images made in the {span}", axis=alt.Axis(format="~s")),
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
            y=alt.Y("intensity:Q", title="grid intensity [g CO2e/kWh]", scale=alt.Scale(zero=True)),
            color=colour,
        )
    )
    whole = alt.vconcat(
        (stacked + asked).properties(width=WIDTH, height=230), grids.properties(width=WIDTH, height=170)
    )
    return finished(whole, "Where and when the images are made; dashed: when they were asked for")


def fleet_chart(plan: Plan) -> alt.TopLevelMixin:
    """GPUs by region and type, and how busy they are."""
    alt = altair()
    rows = fleet_rows(plan)
    regions = list(dict.fromkeys(row["region"] for row in rows))
    most = max((row["count"] for row in rows), default=1)
    kinds = list(dict.fromkeys(row["gpu"] for row in rows))
    y = alt.Y("region:N", sort=regions, title=None, axis=alt.Axis(labelLimit=250))
    offset = alt.YOffset("gpu:N", sort=kinds)
    count = alt.X("count:Q", title="GPUs", scale=alt.Scale(domain=[0, 1.3 * most], nice=False),
                  axis=alt.Axis(tickMinStep=1, format="~s"))  # fmt: skip
    base = chart(alt, rows)
    bars = base.mark_bar().encode(x=count, y=y, yOffset=offset, color=_category(alt, "gpu", kinds, "GPU"))
    words = base.mark_text(align="left", dx=5).encode(x=count, y=y, yOffset=offset, text="words:N")
    height = max(60, 26 * len(regions) * max(1, len(kinds)))
    return finished((bars + words).properties(width=WIDTH - 120, height=height), "The fleet of the plan")


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
        y = alt.Y("low:Q", title="grid intensity [g CO2e/kWh]" if place % 3 == 0 else None,
                  scale=alt.Scale(domain=[0, top], nice=True))  # fmt: skip
        band = base.mark_area(color=SKY, opacity=0.35).encode(x=x, y=y, y2="high:Q")
        mean = base.mark_line(color=BLUE, strokeWidth=2).encode(x=x, y="mean:Q")
        panels.append((band + mean).properties(width=200, height=150, title=region))
    whole = alt.concat(*panels, columns=3)
    return finished(
        whole, "Grid intensity by hour of the day: the mean of all days, and where nine days in ten lie"
    )


def _axis(alt: Any, name: str, numbers: Sequence[float], measure: str, currency: str) -> Any:
    values = [number for number in numbers if number > 0]
    unit = MEASURES[measure].unit_in(currency)
    words = MEASURES[measure].label + (f" [{unit}]" if unit else "")
    low, high = min(values, default=1.0), max(values, default=1.0)
    make = {"x": alt.X, "y": alt.Y}[name]
    if high / low > LOG_FROM:
        scale = alt.Scale(type="log", domain=[low / 1.15, high * 1.3], nice=False)
        return make(
            f"{name}:Q", title=words, scale=scale, axis=alt.Axis(values=_ticks(low, high), format="~g")
        )
    margin = 0.08 * (high - low) or 0.1 * high
    scale = alt.Scale(domain=[max(0.0, low - margin), high + 2 * margin], nice=False)
    return make(f"{name}:Q", title=words, scale=scale, axis=alt.Axis(tickCount=7))


def _legible(named: Sequence[SettingPoint], rows: Sequence[SettingPoint]) -> list[SettingPoint]:
    """Of points with words, those whose words do not lie on another's."""
    kept: list[tuple[float, float, SettingPoint]] = []
    across, up = _pixels([row["x"] for row in rows]), _pixels([row["y"] for row in rows])
    for row in named:
        x, y = across(row["x"]) * WIDTH, up(row["y"]) * HEIGHT
        if all(abs(x - a) > LABEL_WIDTH or abs(y - b) > LABEL_HEIGHT for a, b, _ in kept):
            kept.append((x, y, row))
    return [row for _, _, row in kept]


def _pixels(values: Sequence[float]) -> Callable[[float], float]:
    """Where on its axis a value lies, from 0 to 1, about as `_axis` draws it."""
    low, high = min(values), max(values)
    if low > 0 and high / low > LOG_FROM:
        return lambda value: math.log(value / low) / math.log(high / low)
    return lambda value: (value - low) / (high - low or 1.0)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 in every decade, or 1 alone where there are many decades."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    steps = (1,) if len(decades) > 5 else (1, 2, 5)
    return [step * 10.0**decade for decade in decades for step in steps]


def _hours(alt: Any, hours: int, start: datetime | None) -> Any:
    every = max(1, hours // 12) if hours <= 48 else 24 * math.ceil(hours / 240)
    values = list(range(0, hours + 1, every))
    labels = {hour: clock(start, hour, hours) for hour in values}
    shown = "({" + ", ".join(f"{hour}: '{words}'" for hour, words in labels.items()) + "})[datum.value]"
    words = "hour of the plan" if start is None else f"time [UTC], from {start:%Y-%m-%d %H:%M}"
    axis = alt.Axis(values=values, labelExpr=shown, grid=False)
    return alt.X("hour:Q", title=words, scale=alt.Scale(domain=[0, hours], nice=False), axis=axis)


def _category(alt: Any, column: str, cells: Sequence[str], words: str) -> Any:
    names = list(dict.fromkeys(cells))
    colours = [COLOURS[i] if i < len(COLOURS) else GREY for i in range(len(names))]
    scale = alt.Scale(domain=names, range=colours)
    return alt.Color(
        f"{column}:N", title=words, scale=scale, legend=alt.Legend(labelLimit=220, symbolOpacity=1)
    )
