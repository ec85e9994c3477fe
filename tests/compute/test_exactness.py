"""The packaged profiles equal fresh traces, to the last digit, at workloads they were not made from.

The fresh trace runs every block of every component (no replay) and is compared operator kind by
operator kind: launches, FLOP, bytes read, bytes written. No tolerance anywhere.
"""

from __future__ import annotations

import dataclasses
import gc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from joulecast.architecture.catalogue import model_entry, model_names
from joulecast.architecture.pipeline_config import pipeline_config_from_catalogue
from joulecast.architecture.workload import Workload
from joulecast.compute import profiler
from joulecast.compute.capture import Call, PipelineCapture, Request
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile

pytestmark = [pytest.mark.trace, pytest.mark.slow]

LARGEST_EXACT = 2**53  # whole numbers up to here are exact in float64

Costs = dict[tuple[str, str, str, int], tuple[int, int, int, int]]  # launches, FLOP, read, written by kind


@dataclass(frozen=True)
class Point:
    """A workload: sides in the profile's size units (None: the model's own size), own text length."""

    batch: int
    height: int | None
    width: int | None
    text: int | None
    guided: bool = False
    negative: bool = False
    steps: int = 2


# Odd sides, so that a U-Net's levels round up at every halving.
ODD = Point(batch=1, height=37, width=23, text=111)
GUIDED = Point(batch=3, height=20, width=34, text=71, guided=True, steps=3)
NATIVE = Point(batch=2, height=None, width=None, text=None)
NEGATIVE = (dataclasses.replace(ODD, negative=True), dataclasses.replace(GUIDED, negative=True))
CASES = [(name, "bf16", (ODD, GUIDED, NATIVE, *NEGATIVE)) for name in model_names()] + [
    ("sdxl", "fp16", (ODD,)),  # decodes in fp32 although loaded in half precision
    ("sd3-medium", "fp16", (GUIDED,)),  # T5 keeps some layers in fp32
    ("sd1.5", "fp32", (GUIDED,)),
    ("pixart-sigma", "fp32", (ODD,)),
]


@pytest.fixture(autouse=True)
def _without_cycle_collector() -> Iterator[None]:
    """It spends a fifth of the time on millions of live modules, which are collected here instead."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def test_the_points_were_not_used_to_make_profiles() -> None:
    used = [*profiler.ALL, *profiler.CHECK]
    for point in (ODD, GUIDED):
        assert (point.height, point.width) not in {(height, width) for _, height, width, _ in used}
        assert point.text not in {text for *_, text in used} | {text + 40 for *_, text in used}


@pytest.mark.parametrize(
    ("name", "precision", "points"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_profile_equals_a_fresh_trace(name: str, precision: str, points: tuple[Point, ...]) -> None:
    profile = packaged_profile(name)
    config = pipeline_config_from_catalogue(model_entry(name))
    capture = PipelineCapture(config, precision, replay=False)
    assert {c.name: c.parameters for c in profile.components} == {
        name: count
        for name, count in capture.parameter_counts.items()
        if count and name in profile_names(profile)
    }
    for point in points:
        if point.guided and profile.guidance.parameter is None:
            continue
        request, workload = request_and_workload(profile, point, precision)
        calls = capture.run(request)
        assert counted_calls(calls) == {
            component: int(count[0]) for component, count in profile.calls(workload.columns()).items()
        }
        fresh, predicted = traced_costs(calls), profile_costs(profile, workload)
        assert set(fresh) == set(predicted)
        for component in fresh:
            assert predicted[component] == fresh[component], (component, point)


def profile_names(profile: ComputeProfile) -> set[str]:
    return {component.name for component in profile.components}


def request_and_workload(profile: ComputeProfile, point: Point, precision: str) -> tuple[Request, Workload]:
    """The same question to the pipeline and to the profile."""
    unit, default = profile.size.unit, profile.defaults
    height = default.height if point.height is None else point.height * unit
    width = default.width if point.width is None else point.width * unit
    adjustable = profile.text.adjustable and point.text is not None
    knob = "max_sequence_length" if profile.text.padded else "prompt"
    own = point.text
    if own is None and not profile.text.padded:
        own, adjustable = profile.text.default - profile.text.denoiser_offset, True
    request = Request(
        batch=point.batch,
        width=width,
        height=height,
        steps=point.steps,
        text=own if adjustable else None,
        text_knob=knob if adjustable else None,
        guided=point.guided,
        negative=point.negative or (point.guided and profile.guidance.needs_negative_prompt),
    )
    workload = Workload(
        width=width,
        height=height,
        steps=point.steps,
        passes=2 if point.guided else 1,
        negative_prompt=point.negative,
        batch_size=point.batch,
        precision=precision,
        text_tokens=own + profile.text.denoiser_offset if adjustable and own is not None else None,
    )
    if not profile.size.bins:  # a binning pipeline is asked for its exact size here, see `rendered`
        profile.check(workload)
    return request, workload


def counted_calls(calls: list[Call]) -> dict[str, int]:
    return dict(Counter(call.component for call in calls))


def traced_costs(calls: list[Call]) -> dict[str, Costs]:
    out: dict[str, Any] = {}
    for call in calls:
        kinds = out.setdefault(call.component, {})
        for o in call.operators:
            old = kinds.get(o.kind, (0, 0, 0, 0))
            kinds[o.kind] = (old[0] + 1, old[1] + o.flop, old[2] + o.bytes_read, old[3] + o.bytes_written)
    return out


def profile_costs(profile: ComputeProfile, workload: Workload) -> dict[str, Costs]:
    out: dict[str, Any] = {}
    columns = workload.columns()
    (part,) = unbinned(profile).evaluation(columns, workload.precision).parts
    assert (part.weights == part.counts).all()
    for place, call in enumerate(part.case.calls):
        table, calls = call.table, int(part.counts[place, 0])
        matrices = (table.flop, table.bytes_read, table.bytes_written)
        costs = np.stack(
            [
                table.launches,
                *((part.case.coefficients(place, matrix) @ part.monomials)[:, 0] for matrix in matrices),
            ]
        )
        assert costs.max() * calls < LARGEST_EXACT
        kinds = out.setdefault(call.component.name, {})
        for column, kind in enumerate(
            zip(table.names, table.families, table.dtypes, map(int, table.head_dims), strict=True)
        ):
            old = kinds.get(kind, (0, 0, 0, 0))
            kinds[kind] = tuple(a + float(b) * calls for a, b in zip(old, costs[:, column], strict=True))
    return out


def unbinned(profile: ComputeProfile) -> ComputeProfile:
    """The profile without its aspect-ratio table, to ask for any size of a pipeline that bins."""
    import dataclasses

    return dataclasses.replace(profile, size=dataclasses.replace(profile.size, bins=()))
