"""The packaged profiles equal fresh traces, to the last digit, at workloads they were not made from.

The fresh trace runs every block of every component (no replay) and is compared operator kind by
operator kind: launches, FLOP, bytes read, bytes written. No tolerance but that of a float: sums of videos
beyond 2**53 are rounded. Two known differences of videos are counted as what they are: FIRST_TIME_APART and
FRAMES_IN_A_BATCH.

`scripts/test` asks every point of the models that runs were measured on, and one point of each other
architecture; `scripts/test -m every_model` asks all points of all models.
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
from joulecast.compute import loops, points
from joulecast.compute.arguments import Request
from joulecast.compute.capture import Call, PipelineCapture
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile
from joulecast.compute.profile_rules import ONLY

pytestmark = [pytest.mark.trace, pytest.mark.slow]

# Frames that profiles are made from, in steps: rounds of a loop that begins among those that are looked at.
MOST_FRAMES_TRACED = loops.SCANNED.stop - 1 + 3 * loops.LONGEST_PERIOD
LARGEST_EXACT = 2**53  # whole numbers up to here are exact in float64
NEARLY = 1e-14  # of a sum of up to some tens of larger ones, relative

Costs = dict[tuple[str, str, str, int], tuple[int, int, int, int]]  # launches, FLOP, read, written by kind


@dataclass(frozen=True)
class Point:
    """A workload: sides in the profile's size units (None: the model's own size), own text length, and of a
    video its frames in steps of the profile's rule (None: the model's own number)."""

    batch: int
    height: int | None
    width: int | None
    text: int | None
    guided: bool = False
    negative: bool = False
    steps: int = 2
    frames: int | None = None


# Odd sides, so that a U-Net's levels round up at every halving.
ODD = Point(batch=1, height=37, width=23, text=111, frames=35)
GUIDED = Point(batch=3, height=20, width=34, text=71, guided=True, steps=3, frames=37)
NATIVE = Point(batch=2, height=None, width=None, text=None)
NEGATIVE = (dataclasses.replace(ODD, negative=True), dataclasses.replace(GUIDED, negative=True))
POINTS = (ODD, GUIDED, NATIVE, *NEGATIVE)
# The models whose every point is asked in each run of the tests: the first of the catalogue.
THOROUGH = (
    "flux.1-dev", "flux.1-schnell", "pixart-sigma", "qwen-image", "sana1.5-1.6b", "sana1.5-4.8b", "sd1.5",
    "sd2", "sd2.1", "sd3-medium", "sd3.5-large", "sd3.5-medium", "sdxl", "sdxl-turbo", "ssd-1b",
)  # fmt: skip
# A decoder of whole clips, which works in parts on much at once: FLOP alone are then as told.
CLIPS_IN_PARTS = {"mochi-1-preview": "vae"}
SMALL_SIDES = ((37, 5), (23, 7), (20, 7), (34, 5))  # of a point, and those whose clips are no parts
FIRST_TIME_APART = ("hunyuanvideo",)
# Without guidance, the first step of several videos copies once less.
FRAMES_IN_A_BATCH = ("modelscope-t2v-1.7b",)
CONTIGUOUS_FROM = (
    64  # images at once: `diffusers.models.upsampling.Upsample2D` then copies what has other strides
)
FIRST_UPSAMPLED = (
    512  # channels of what the first upsampling of its decoder is given, the only one that is copied
)
VIDEO = "ltx-video-2b"  # the one of the models that make videos that is asked in each run, the quickest


def modules(name: str) -> dict[str, Any]:
    """What is traced of a model: its pipeline and modules, whatever its scheduler and tokenizers."""
    entry = model_entry(name)
    parts = {
        key: part
        for key, part in entry["components"].items()
        if not key.startswith("tokenizer") and key != "scheduler"
    }
    return {"pipeline": entry["pipeline"], "settings": entry["pipeline_config"], "parts": parts}


def same_modules_as(name: str) -> str | None:
    """A model before this one (the thorough ones come first) with the same modules; None without one."""
    before = [*THOROUGH, *(other for other in model_names() if other not in THOROUGH)]
    return next((other for other in before[: before.index(name)] if modules(other) == modules(name)), None)


OTHERS = [name for name in model_names() if name not in THOROUGH]
TWINS = [(name, twin) for name in OTHERS if (twin := same_modules_as(name))]
SINGULAR = [
    name
    for name in OTHERS
    if not same_modules_as(name) and ("default_frames" not in model_entry(name) or name == VIDEO)
]
CASES = [
    *((name, "bf16", POINTS) for name in THOROUGH),
    *((name, "bf16", (ODD,)) for name in SINGULAR),
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
    used = [*points.ALL, *points.CHECK]
    for point in (ODD, GUIDED):
        assert (point.height, point.width) not in {(height, width) for _, height, width, _ in used}
        assert point.text not in {text for *_, text in used} | {text + 40 for *_, text in used}
        assert point.frames is not None
        assert point.frames > MOST_FRAMES_TRACED


@pytest.mark.parametrize(
    ("name", "precision", "points"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_profile_equals_a_fresh_trace(name: str, precision: str, points: tuple[Point, ...]) -> None:
    check_exactness(name, precision, points)


@pytest.mark.every_model
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", OTHERS)
def test_every_profile_equals_a_fresh_trace(name: str, precision: str) -> None:
    check_exactness(name, precision, POINTS)


@pytest.mark.parametrize(("name", "twin"), TWINS)
def test_models_of_the_same_modules_have_the_same_costs(name: str, twin: str) -> None:
    """Whatever the scheduler: the tables of a model are those of another with the same modules."""
    costs = []
    for profile in (packaged_profile(name), packaged_profile(twin)):
        request = Workload(width=1024, height=768, steps=1, batch_size=2, precision="bf16")
        calls = profile.calls(request.columns())
        costs.append(
            {
                part: {
                    kind: tuple(value / int(calls[part][0]) for value in values)
                    for kind, values in kinds.items()
                }
                for part, kinds in profile_costs(profile, request).items()
            }
        )
    assert costs[0] == costs[1]


def check_exactness(name: str, precision: str, points: tuple[Point, ...]) -> None:
    """A profile against a fresh trace: parameters, calls, and the costs of every kind of operator."""
    profile = packaged_profile(name)
    config = pipeline_config_from_catalogue(model_entry(name))
    capture = PipelineCapture(config, precision, replay=False)
    capture.arguments.unguided_scale = profile.guidance.threshold
    capture.arguments.inputs = profile.images.arguments
    capture.arguments.image_side = profile.images.side
    capture.in_several_calls = in_pieces(profile)
    assert {c.module: c.parameters for c in profile.components} == {
        name: count
        for name, count in capture.parameter_counts.items()
        if count and name in profile_names(profile)
    }
    for point in points:
        if point.guided and profile.guidance.parameter is None:
            continue
        point = on_the_grid(point, profile)
        request, workload = request_and_workload(profile, point, precision)
        calls = capture.run(request)
        assert counted_calls(calls) == profile_calls(profile, workload)
        fresh, predicted = traced_costs(calls), profile_costs(profile, workload)
        assert set(fresh) == set(predicted)
        if name in FIRST_TIME_APART:
            predicted["transformer"] = with_later_casts(predicted["transformer"], point)
        if name in FRAMES_IN_A_BATCH and workload.batch_size * workload.frames >= CONTIGUOUS_FROM:
            predicted["vae"] = with_copy_before_upsampling(predicted["vae"], workload, profile.size.unit)
        for component in fresh:
            found = predicted[component]
            if component == CLIPS_IN_PARTS.get(name) and point.height is None:
                assert flop_of(found) == flop_of(fresh[component])
                continue
            if profile.frames is not None:
                found = rounded(found, fresh[component])
            assert found == fresh[component], (component, point)


def flop_of(costs: Costs) -> int:
    """FLOP of operators of all kinds."""
    return sum(flop for _, flop, _, _ in costs.values())


def with_copy_before_upsampling(predicted: Costs, workload: Workload, unit: int) -> Costs:
    """Costs with the one copy, in half precision, that a decoder makes of many frames at once."""
    latents = workload.batch_size * workload.frames * (workload.height // unit) * (workload.width // unit)
    size = 2 * FIRST_UPSAMPLED * latents
    return with_more(predicted, ("clone", "memory", "half", 0), (1, 0, size, size))


def with_later_casts(predicted: Costs, point: Point) -> Costs:
    """Costs with what the denoiser's steps after the first run besides, of pipelines that hold the first time
    in fp32 and the others in the model's precision: two casts of one number a video."""
    kind = ("_to_copy", "memory", "fp32", 0)
    casts = 2 * (point.steps - 1) * (2 if point.guided else 1)
    return with_more(predicted, kind, (casts, 0, 2 * point.batch * casts, 4 * point.batch * casts))


def with_more(predicted: Costs, kind: tuple[str, str, str, int], b: tuple[int, int, int, int]) -> Costs:
    """Costs with `b` more of a kind."""
    a = predicted[kind]
    return predicted | {kind: (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])}


def rounded(predicted: Costs, fresh: Costs) -> Costs:
    """Predicted costs, those beyond what a float holds exactly as they were found, if nearly equal."""
    out = dict(predicted)
    for kind in predicted.keys() & fresh.keys():
        pairs = zip(predicted[kind], fresh[kind], strict=True)
        out[kind] = tuple(b if b > LARGEST_EXACT and abs(a / b - 1) < NEARLY else a for a, b in pairs)  # type: ignore[assignment]
    return out


def on_the_grid(point: Point, profile: ComputeProfile) -> Point:
    """The point, or the next for which a profile is exact, of a pipeline that pads its tokens or makes the
    images of a batch one after the other: its notes say for which it is."""
    every = [table for part in profile.components for tables in part.tables.values() for table in tables]
    one_by_one = any(table.condition.get("batch", 1) > 1 for table in every)
    if one_by_one or profile.name in FRAMES_IN_A_BATCH:
        point = dataclasses.replace(point, batch=min(point.batch, 2))
    notes = " ".join(profile.notes)
    if profile.size.off_grid == ONLY:
        point = dataclasses.replace(point, height=None, width=None)
    largest = None if profile.frames is None else profile.frames.largest
    if largest is not None and point.frames is not None:
        point = dataclasses.replace(point, frames=min(point.frames, largest - point.batch))
    if profile.name in CLIPS_IN_PARTS and point.height is not None and point.width is not None:
        sides = dict(SMALL_SIDES)
        point = dataclasses.replace(point, height=sides[point.height], width=sides[point.width])
    layouts_differ = "with guidance" in notes or profile.name in FRAMES_IN_A_BATCH
    if "in parts" in notes:
        point = dataclasses.replace(point, batch=min(point.batch, 1 if point.height is None else 2))
    if "several videos at once of its own size" in notes and point.height is None:
        point = dataclasses.replace(point, batch=1)
    if layouts_differ and not point.guided:
        point = dataclasses.replace(point, batch=1)
    if profile.text.multiple < points.COARSE_TOKENS:
        return point

    def rounded(value: int | None, unit: int) -> int | None:
        return None if value is None else -(-value // unit) * unit

    return dataclasses.replace(
        point,
        height=rounded(point.height, points.COARSE_UNITS),
        width=rounded(point.width, points.COARSE_UNITS),
        text=rounded(point.text, profile.text.multiple),
    )


def in_pieces(profile: ComputeProfile) -> set[str]:
    """Components that work on so many frames of all videos at a time."""
    tables = [(part.name, table) for part in profile.components for table in part.tables["bf16"]]
    return {name for name, table in tables if any("pictures" in monomial for monomial in table.monomials)}


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
    frames = default.frames
    if profile.frames is not None and point.frames is not None:
        frames = profile.frames.of_steps(point.frames)
    request = Request(
        batch=point.batch,
        width=width,
        height=height,
        frames=None if profile.frames is None else frames,
        steps=point.steps,
        text=own if adjustable else None,
        text_knob=knob if adjustable else None,
        guided=point.guided,
        negative=point.negative or (point.guided and profile.guidance.needs_negative_prompt),
    )
    workload = Workload(
        width=width,
        height=height,
        frames=frames,
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


def profile_calls(profile: ComputeProfile, workload: Workload) -> dict[str, int]:
    """Calls of the components that are called."""
    counts = profile.calls(workload.columns())
    return {part.name: int(counts[part.name][0]) for part in profile.components if part.is_called}


def counted_calls(calls: list[Call]) -> dict[str, int]:
    return dict(Counter(call.component for call in calls))


def traced_costs(calls: list[Call]) -> dict[str, Costs]:
    out: dict[str, Any] = {}
    for call in calls:
        kinds = out.setdefault(call.component, {})
        for o in call.operators:
            old = kinds.get(o.kind, (0, 0, 0, 0))
            kinds[o.kind] = (
                old[0] + o.launches,
                old[1] + o.flop,
                old[2] + o.bytes_read,
                old[3] + o.bytes_written,
            )
    return out


def profile_costs(profile: ComputeProfile, workload: Workload) -> dict[str, Costs]:
    out: dict[str, Any] = {}
    columns = workload.columns()
    (part,) = unbinned(profile).evaluation(columns, workload.precision).parts
    assert (part.weights == part.counts).all()
    for place, call in enumerate(part.case.calls):
        table, calls = call.table, int(part.counts[place, 0])
        matrices = (table.launches, table.flop, table.bytes_read, table.bytes_written)
        costs = np.stack(
            [(part.case.coefficients(place, matrix) @ part.monomials)[:, 0] for matrix in matrices]
        )
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
