"""What the pictures of decisions show, as rows: parts of an estimate, settings, hours and GPUs of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypedDict

import numpy as np

from joulecast.footprint.grid.hours import TAIL, by_hour_of_day
from joulecast.footprint.grid.reading import HourlySeries
from joulecast.forecast.estimate import Estimate
from joulecast.forecast.offloading import moving
from joulecast.law.law import Breakdown, GpuColumns, LawInput
from joulecast.plan.measures import QUALITY
from joulecast.plan.problem import Array, Problem
from joulecast.plan.solve import Plan
from joulecast.plan.tradeoff import Outcome
from joulecast.report.waterfall import Step, step, waterfall_steps
from joulecast.runtime import NONE
from joulecast.uncertainty import Interval
from joulecast.units import counted

MOVING_WEIGHTS = "moving_weights"  # the part of the energy that offloading takes

ROLES = {"text_encoder": "text encoding", "denoiser": "denoising", "decoder": "decoding"}
MOST_REGIONS = 7  # with a colour of their own; the rest are one
OTHERS = "other regions"
MOST_BARS = 336  # hours that a plan's picture shows one by one: two weeks


class SettingPoint(TypedDict):
    """A setting by two measures."""

    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float
    on_front: bool
    model: str
    colour: str
    shape: str
    words: str


# Images made in a region from an hour to an end, stacked from one number to another.
RegionBar = TypedDict("RegionBar", {"hour": int, "end": int, "region": str, "from": float, "to": float})


class AskedHour(TypedDict):
    """Images asked for in an hour."""

    hour: int
    images: float


class GridHour(TypedDict):
    """Grid intensity of a region in an hour [g/kWh]."""

    hour: int
    region: str
    intensity: float


class FleetRow(TypedDict):
    """GPUs of a type in a region."""

    region: str
    gpu: str
    count: int
    words: str


class HourOfDay(TypedDict):
    """Grid intensity of a region at an hour of the day [g/kWh]: the mean of all days, and nine in ten."""

    region: str
    hour: int
    mean: float
    low: float
    high: float


def estimate_steps(guess: Estimate) -> list[Step]:
    """The parts of an estimate's energy, stacked, and the total: as `report.waterfall.waterfall_steps`.

    By component and by what the joules are spent on where the law says so, else by component alone.
    """
    whole = _breakdown(guess) if guess.boundary == "gross" else None
    if whole is not None:
        return waterfall_steps(whole)
    steps: list[Step] = []
    start = 0.0
    for place, part in enumerate(sorted(guess.components, key=lambda part: -part.energy_j)):
        kind = ROLES.get(part.role, part.role.replace("_", " "))
        steps.append(step(place, part.name, kind, start, start + part.energy_j, guess.energy_j))
        start += part.energy_j
    return [*steps, step(len(steps), "total", "total", 0.0, guess.energy_j, guess.energy_j)]


def _breakdown(guess: Estimate) -> Breakdown | None:
    """Where the law says that the joules of an estimate go."""
    question, workload, on = guess.question, guess.workload, GpuColumns.of(guess.gpu, 1)
    asked = LawInput(question.profile, workload.columns(), workload.precision, on, question.runtime)
    whole = guess.law.breakdown(asked)
    if whole is None or question.runtime.offload == NONE:
        return whole
    moved = moving(asked, np.array([guess.idle_power_w]))
    return {
        name: {**parts, MOVING_WEIGHTS: moved.shares[name] * moved.gross_j.value}
        for name, parts in whole.items()
    }


def pareto_points(
    found: Sequence[Outcome], front: Sequence[Outcome], by: Sequence[str]
) -> list[SettingPoint]:
    """A row a setting: its first two measures, whether it is on the front, and its place among them.

    ``colour`` is the GPU, or the first of what differs; ``shape`` the next, and ``words`` the GPU and what
    else differs; ``model`` tells the fronts of models apart.
    """
    places = {id(one) for one in front}
    keys = varying(found)
    first = "gpu" if "gpu" in keys else keys[0]
    rest = [key for key in keys if key != first]
    second = next((key for key in ("model", "region", "precision") if key in rest), "")
    told = list(dict.fromkeys(["gpu", *(key for key in rest if key != second)]))
    ends = [[one.ranges.get(name) or Interval.exact(one.measures[name]) for name in by[:2]] for one in found]
    return [
        {
            "x": x.value,
            "x_low": x.low,
            "x_high": x.high,
            "y": y.value,
            "y_low": y.low,
            "y_high": y.high,
            "on_front": id(one) in places,
            "model": "" if QUALITY in by else str(one.setting.get("model", "")),
            "colour": str(one.setting.get(first, "")),
            "shape": str(one.setting.get(second, "")) if second else "",
            "words": ", ".join(_labelled(key, one.setting[key]) for key in told if key in one.setting),
        }
        for one, (x, y) in zip(found, ends, strict=True)
    ]


def pareto_keys(found: Sequence[Outcome]) -> tuple[str, str]:
    """What the colours and the shapes of `pareto_points` mean."""
    keys = varying(found)
    first = "gpu" if "gpu" in keys else keys[0]
    second = next((key for key in ("model", "region", "precision") if key in keys and key != first), "")
    return _title(first), _title(second)


def varying(found: Sequence[Outcome]) -> list[str]:
    """Keys in which settings differ; the model and the GPU where none does."""
    return differing(found) or ["model", "gpu"]


def differing(found: Sequence[Outcome]) -> list[str]:
    """Keys in which settings differ."""
    keys = dict.fromkeys(key for one in found for key in one.setting)
    return [k for k in keys if len({str(one.setting.get(k)) for one in found}) > 1]


def plan_hours(plan: Plan, problem: Problem) -> tuple[list[RegionBar], list[AskedHour], list[GridHour]]:
    """Images made, stacked by region; images asked for; grid intensity by region: all by hour.

    Of a plan of more than MOST_BARS hours by day, the intensity as the mean of the day.
    """
    names = plan_regions(plan, problem)
    wide = bar_hours(plan.hours)
    made = {name: np.zeros(plan.hours) for name in [*names, OTHERS]}
    for a in plan.assignments:
        made[a.region if a.region in names else OTHERS] += a.images
    binned = {name: _binned(images, wide) for name, images in made.items()}
    tops = np.cumsum([np.zeros_like(binned[OTHERS]), *binned.values()], axis=0)
    bars: list[RegionBar] = [
        {
            "hour": i * wide,
            "end": min((i + 1) * wide, plan.hours),
            "region": name,
            "from": float(tops[place, i]),
            "to": float(tops[place + 1, i]),
        }
        for place, name in enumerate(binned)
        for i in np.flatnonzero(binned[name] > 0).tolist()
    ]
    asked = _binned(sum((service.demand for service in problem.services), np.zeros(plan.hours)), wide)
    lengths = _binned(np.ones(plan.hours), wide)
    lines: list[GridHour] = [
        {"hour": hour, "region": place.name, "intensity": value}
        for place in problem.places
        if place.name in names
        for hour, value in _steps(_binned(place.intensity, wide) / lengths, wide, plan.hours)
    ]
    return bars, [{"hour": h, "images": value} for h, value in _steps(asked, wide, plan.hours)], lines


def bar_hours(hours: int) -> int:
    """Hours in a bar of a plan's picture: one, or a day of a long plan."""
    return 1 if hours <= MOST_BARS else 24


def plan_regions(plan: Plan, problem: Problem) -> list[str]:
    """The regions that have a colour of their own, most images first; the idle ones last."""
    images = {place.name: 0.0 for place in problem.places}
    for a in plan.assignments:
        images[a.region] += float(a.images.sum())
    return sorted(images, key=lambda name: -images[name])[:MOST_REGIONS]


def _binned(values: Array, wide: int) -> Array:
    """Sums of `wide` hours each; the last bin may have fewer."""
    sums: Array = np.add.reduceat(values, np.arange(0, len(values), wide))
    return sums


def _steps(values: Array, wide: int, hours: int) -> list[tuple[int, float]]:
    """Values by hour, the last once more, so that a line of steps ends with the plan."""
    starts = [*range(0, hours, wide), hours]
    return [(hour, float(value)) for hour, value in zip(starts, [*values, values[-1]], strict=True)]


def fleet_rows(plan: Plan) -> list[FleetRow]:
    """A row for each type of GPU in each region: how many, and how busy."""
    return [
        {
            "region": f.region,
            "gpu": f.gpu,
            "count": f.count,
            "words": f"{f.count:,} {f.gpu}\n{f.region}, {100 * f.utilisation:.0f} % busy",
        }
        for f in plan.fleet
    ]


def intensity_hours(known: Mapping[str, HourlySeries], timezone: str | None = None) -> list[HourOfDay]:
    """Mean grid intensity by hour of the day and region, and where nine days in ten lie."""
    rows: list[HourOfDay] = []
    for region, series in known.items():
        for hour, values in by_hour_of_day(series, timezone).items():
            if len(values):
                low, high = (float(np.quantile(values, q)) for q in (TAIL, 1 - TAIL))
                rows.append(
                    {"region": region, "hour": hour, "mean": float(values.mean()), "low": low, "high": high}
                )
    return rows


def clock(start: datetime | None, hour: int, hours: int) -> str:
    """An hour of a plan as a clock or a calendar shows it, or its number where the plan has no beginning."""
    if start is None:
        return str(hour)
    moment = start + timedelta(hours=hour)
    return (
        f"{moment:%H:%M}" if hours <= 48 else f"{moment:%m-%d %H:%M}" if hours <= 120 else f"{moment:%m-%d}"
    )


def _labelled(key: str, value: object) -> str:
    return {"batch_size": f"batch {value}", "steps": counted(str(value), "step")}.get(key, str(value))


def _title(key: str) -> str:
    return {"gpu": "GPU", "batch_size": "batch"}.get(key, key.replace("_", " "))
