"""Pictures of decisions: what they show is what was decided; drawn the same every time."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from joulecast import Setting
from joulecast.footprint.grid.reading import hourly_series
from joulecast.forecast.estimate import estimate
from joulecast.plan.case import Case
from joulecast.plan.problem import GpuType, Option, Place, Problem, Service
from joulecast.plan.quality import Figure, with_quality
from joulecast.plan.solve import Plan, solve
from joulecast.plan.tradeoff import Outcome, fronts, on_front, outcomes
from joulecast.report import charts
from joulecast.report.decisions.front_picture import HALO, pareto_chart
from joulecast.report.decisions.pictures import (
    estimate_chart,
    fleet_chart,
    intensity_chart,
    plan_chart,
)
from joulecast.report.decisions.rows import (
    MOST_REGIONS,
    OTHERS,
    estimate_steps,
    fleet_rows,
    intensity_hours,
    pareto_points,
    plan_hours,
    plan_regions,
)
from joulecast.report.letters import words
from joulecast.uncertainty import Interval

pytestmark = pytest.mark.xdist_group("pictures")

BY = ("energy_j", "latency_s")
ADDS_UP = 1e-6
SETTINGS = [
    {"model": model, "gpu": gpu, "batch_size": batch, "precision": "fp16"}
    for model, gpu, batch in itertools.product(("sdxl", "sd1.5"), ("L4", "H100-SXM5-80GB"), (1, 4, 16))
]
HOSTILE = "<script>alert('x')</script>&\"'"


@pytest.fixture(scope="module")
def found() -> tuple[Outcome, ...]:
    return outcomes(SETTINGS)


def problem(places: int = 3) -> Problem:
    """A service with a deadline, over regions that are clean at different hours."""
    return Problem(
        services=(Service(HOSTILE, np.array([900.0, 900, 900, 900, 900, 0]), deadline_hours=2),),
        options=(Option(0, 0, HOSTILE, 1, Interval(900, 1000, 1300), 4, 4),),
        gpus=(GpuType(HOSTILE, 50, 400, max_count=1),),
        places=tuple(
            Place(
                f"{HOSTILE}{i}" if not i else f"r{i}",
                np.roll(np.arange(100.0, 400.0, 50.0), i),
                Interval(1, 1, 1.5),
            )
            for i in range(places)
        ),
    )


@pytest.fixture(scope="module")
def plan() -> Plan:
    return solve(problem())


DRAWINGS: dict[str, Callable[[tuple[Outcome, ...], Plan], Any]] = {
    "estimate": lambda found, plan: estimate_chart(estimate("flux.1-dev", "H100")),
    "dynamic": lambda found, plan: estimate_chart(estimate("flux.1-dev", "H100", boundary="dynamic")),
    "by component": lambda found, plan: estimate_chart(estimate("sdxl", "A100", law="paper")),
    "pareto": lambda found, plan: pareto_chart(found, on_front(found, BY), BY),
    "plan": lambda found, plan: plan_chart(plan, problem(), datetime(2022, 6, 1, tzinfo=UTC)),
    "plan without a beginning": lambda found, plan: plan_chart(plan, problem()),
    "fleet": lambda found, plan: fleet_chart(plan, problem()),
    "intensity": lambda found, plan: intensity_chart({"here": hourly_series("US-CAL-CISO")}),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_pictures_are_drawn_and_always_the_same(name: str, found: tuple[Outcome, ...], plan: Plan) -> None:
    first, again = (charts.to_svg(DRAWINGS[name](found, plan)) for _ in range(2))
    assert first == again
    assert first.startswith("<svg")
    assert "NaN" not in first
    assert re.search(r"\[(J|s|g CO2e/kWh)\]|GPUs", first), "an axis names its unit"
    assert "<script" not in first


@pytest.mark.parametrize(
    ("law", "boundary", "how"),
    [
        (None, "gross", {}), ("paper", "gross", {}), (None, "dynamic", {}), (None, "gross", {"gpus": 2}),
        (None, "gross", {"engine": "sglang"}), (None, "dynamic", {"quantization": "int8"}),
    ],
)  # fmt: skip
def test_an_estimates_parts_are_whole(law: str | None, boundary: str, how: dict[str, Any]) -> None:
    guess = estimate("sdxl", "A100", law=law, boundary=boundary, **how)
    *parts, total = estimate_steps(guess)
    assert total["energy"] == pytest.approx(guess.energy_j, rel=ADDS_UP)
    assert sum(part["energy"] for part in parts) == pytest.approx(guess.energy_j, rel=ADDS_UP)
    for before, after in itertools.pairwise(parts):
        assert after["start"] == pytest.approx(before["end"], rel=ADDS_UP)


def test_points_are_the_outcomes(found: tuple[Outcome, ...]) -> None:
    front = on_front(found, BY)
    rows = pareto_points(found, front, BY)
    assert [(row["x"], row["y"]) for row in rows] == [(o.measures[BY[0]], o.measures[BY[1]]) for o in found]
    assert sum(row["on_front"] for row in rows) == len(front)
    assert {row["colour"] for row in rows} == {"L4", "H100-SXM5-80GB"}
    assert {row["shape"] for row in rows} == {"sdxl", "sd1.5"}
    assert {row["words"] for row in rows} == {
        f"{gpu}, batch {batch}" for gpu in ("L4", "H100-SXM5-80GB") for batch in (1, 4, 16)
    }
    for row, one in zip(rows, found, strict=True):
        assert (row["x_low"], row["x_high"]) == (one.ranges[BY[0]].low, one.ranges[BY[0]].high)


def test_bars_hold_every_image(plan: Plan) -> None:
    bars, asked, lines = plan_hours(plan, problem())
    assert sum(bar["to"] - bar["from"] for bar in bars) == pytest.approx(4500, rel=1e-4)
    by_hour = {h: [b for b in bars if b["hour"] == h] for h in range(6)}
    for stacked in by_hour.values():
        assert [b["from"] for b in stacked][:1] in ([0.0], [])
        for below, above in itertools.pairwise(stacked):
            assert above["from"] == pytest.approx(below["to"])
    assert [row["images"] for row in asked] == [900, 900, 900, 900, 900, 0, 0]
    assert {line["region"] for line in lines} == {place.name for place in problem().places}
    assert sum(row["count"] for row in fleet_rows(plan)) == sum(f.count for f in plan.fleet)


def test_more_regions_than_colours() -> None:
    many = problem(MOST_REGIONS + 3)
    many_plan = solve(many)
    assert len(plan_regions(many_plan, many)) == MOST_REGIONS <= len(charts.REGION_COLOURS)
    bars, _, _ = plan_hours(many_plan, many)
    assert {bar["region"] for bar in bars} <= {*plan_regions(many_plan, many), OTHERS}
    assert "NaN" not in charts.to_svg(plan_chart(many_plan, many))


@pytest.mark.parametrize("hours", [1, 49, 130, 336, 337, 400])
def test_plans_of_any_length(hours: int) -> None:
    """By the hour up to two weeks, by the day beyond; nothing is lost, and the picture stays small."""
    base = problem()
    long = replace(
        base,
        services=(Service("s", np.full(hours, 900.0)),),
        places=(Place("here", np.arange(100.0, 100 + hours), Interval(1, 1, 1)),),
    )
    made = solve(long)
    bars, asked, lines = plan_hours(made, long)
    assert len(bars) == (hours if hours <= 336 else -(-hours // 24))
    assert sum(bar["to"] - bar["from"] for bar in bars) == pytest.approx(900 * hours)
    assert bars[-1]["end"] == asked[-1]["hour"] == lines[-1]["hour"] == hours
    if hours == 400:
        assert lines[0]["intensity"] == np.arange(100, 124).mean()
        assert lines[-1]["intensity"] == np.arange(484, 500).mean()
    svg = charts.to_svg(plan_chart(made, long, datetime(2022, 6, 1, 5, tzinfo=UTC)))
    assert len(svg) < 150_000
    assert ("images made in the day" in svg) == (hours > 336)


def test_an_hour_of_the_day_is_the_mean_of_its_days() -> None:
    series = hourly_series("US-CAL-CISO")
    row = intensity_hours({"here": series})[5]
    values = series.values[5::24]
    assert row["hour"] == 5
    assert row["mean"] == pytest.approx(np.nanmean(values))
    assert row["low"] == pytest.approx(np.nanquantile(values, 0.05))


@pytest.mark.parametrize(("most", "scale"), [(3.9, None), (4.1, "log")])
def test_measures_of_a_wide_range_are_drawn_on_a_logarithmic_scale(most: float, scale: str | None) -> None:
    case = Case.of({"model": "sdxl", "gpu": "L4"})
    made = tuple(Outcome(case, {"energy_j": size, "latency_s": 5 / size}) for size in (1.0, most))
    spec = pareto_chart(made, made, BY).to_dict()
    axes = [layer["encoding"][axis] for layer in spec["layer"] for axis in "xy"]
    assert {axis["scale"].get("type") for axis in axes} == {scale}


def layers(chart: Any, mark: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The layers of a kind of mark, each with its rows."""
    spec = chart.to_dict()
    found = [layer for layer in spec["layer"] if layer["mark"]["type"] == mark]
    return [
        (layer, layer["data"].get("values") or spec["datasets"][layer["data"]["name"]]) for layer in found
    ]


def test_a_front_names_its_gpus_and_draws_its_ranges(found: tuple[Outcome, ...]) -> None:
    front = fronts(found, BY)
    chart = pareto_chart(found, front, BY)
    named = [rows[0]["words"] for layer, rows in layers(chart, "text") if "stroke" not in layer["mark"]]
    assert len(named) >= 0.8 * len(front)
    assert all(name.startswith(("L4, batch", "H100-SXM5-80GB, batch")) for name in named)
    assert len(layers(chart, "rule")) == 2
    ((line, rows),) = layers(chart, "line")
    assert line["encoding"]["detail"]["field"] == "model"
    assert {row["model"] for row in rows} == {"sdxl", "sd1.5"}


def test_labels_hide_no_mark(found: tuple[Outcome, ...]) -> None:
    """Each lies on a white halo of the same words, lines below it, and marks above it."""
    spec = pareto_chart(found, fronts(found, BY), BY).to_dict()
    marks = [layer["mark"] for layer in spec["layer"]]
    kinds = [mark["type"] for mark in marks]
    texts = [i for i, kind in enumerate(kinds) if kind == "text"]
    assert max(i for i, kind in enumerate(kinds) if kind == "line") < texts[0]
    assert texts[-1] < min(i for i, kind in enumerate(kinds) if kind in ("point", "rule"))
    for halo, text in zip(texts[::2], texts[1::2], strict=True):
        assert marks[halo] == marks[text] | HALO | {"aria": False}
        assert spec["layer"][halo]["data"] == spec["layer"][text]["data"]


@pytest.mark.parametrize("count", [1, 5, 40])
def test_no_label_lies_on_another(count: int) -> None:
    """Points as near as they like: what has no room has no label, and nothing is drawn twice."""
    case = Case.of({"model": "sdxl", "gpu": "RTX 6000 Ada"})
    made = tuple(Outcome(case, {"energy_j": 100.0 + i, "latency_s": 100.0 - i}) for i in range(count))
    root = ElementTree.fromstring(charts.to_svg(pareto_chart(made, made, BY)))
    named = [word for word in words(root) if word.text.startswith("RTX")]
    drawn = [word.box(wide=True) for word in named if not word.is_halo]
    assert drawn
    for a, b in itertools.combinations(drawn, 2):
        assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) - max(a[1], b[1]) < 4


def test_a_quality_is_drawn_without_a_unit(found: tuple[Outcome, ...]) -> None:
    figures = [Figure(Setting("sdxl"), 2.0), Figure(Setting("sd1.5"), 1.0)]
    rated = with_quality(found, figures)
    by = ("energy_j", "quality")
    svg = charts.to_svg(pareto_chart(rated, fronts(rated, by), by, "EUR"))
    assert "quality of an image" in svg
    assert "EUR" not in svg


def region_scales(part: Any) -> Iterator[dict[str, str]]:
    """The colour of each region, by every scale of regions in a part of a specification."""
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from region_scales(value)
    if isinstance(part, dict) and part.get("field") == "region" and "range" in part.get("scale", {}):
        yield dict(zip(part["scale"]["domain"], part["scale"]["range"], strict=True))


def test_a_region_has_one_colour_on_a_page(plan: Plan) -> None:
    charts_of_it = (plan_chart(plan, problem()), fleet_chart(plan, problem()))
    hours, fleet = (list(region_scales(chart.to_dict())) for chart in charts_of_it)
    assert hours
    assert fleet
    assert all(scale == hours[0] for scale in (*hours, *fleet))
    assert hours[0].keys() == {place.name for place in problem().places}
    assert len(set(hours[0].values())) == len(hours[0])
    assert charts.GREY not in hours[0].values()


def test_one_specification_serves_all(found: tuple[Outcome, ...]) -> None:
    spec = pareto_chart(found, on_front(found, BY), BY).to_dict()
    assert json.loads(json.dumps(spec)) == spec
    assert "vega-lite" in spec["$schema"]
