"""Pipelines that are given an image: what they need is found, its encoder counted, its strength followed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from test_exactness import Point, counted_calls, profile_costs, request_and_workload, traced_costs
from tiny import PIPELINES, write_folder
from tiny_families import WAN

from joulecast.architecture.pipeline_config import read_pipeline_folder
from joulecast.compute import profiler
from joulecast.compute.arguments import Request
from joulecast.compute.capture import PipelineCapture
from joulecast.compute.operators import IMAGE_ENCODER
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_rules import LEFT_DOWN, MADE_DOWN, STRENGTHS, ImageRule
from joulecast.compute.profiler import make_profile
from joulecast.errors import TraceError

POINTS = [
    Point(batch=1, height=37, width=23, text=111),
    Point(batch=3, height=20, width=34, text=71, guided=True, steps=3),
]


def parts(name: str, **changes: Any) -> dict[str, Any]:
    """The components of a tiny pipeline, some with other values in their configs."""
    found = dict(PIPELINES[name][1])
    for component, values in changes.items():
        kind, config = found[component]
        found[component] = (kind, config | values)
    return found


def kontext(folder: Path) -> Path:
    return write_folder(folder, "FluxKontextPipeline", parts("flux"), {})


# What each needs, and what a strength does.
NEEDS: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str]] = {
    "img2img": ("StableDiffusionImg2ImgPipeline", parts("sd"), ("image",), MADE_DOWN),
    "inpaint": ("StableDiffusionInpaintPipeline", parts("sd"), ("image", "mask_image"), MADE_DOWN),
    "flux-img2img": ("FluxImg2ImgPipeline", parts("flux"), ("image",), LEFT_DOWN),
    "wan-i2v": (
        "WanImageToVideoPipeline",
        WAN | {"transformer": (WAN["transformer"][0], WAN["transformer"][1] | {"in_channels": 36})},
        ("image",),
        "",
    ),
}


WORDS = {"image": "an image", "mask_image": "a mask image"}


def profiled(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ComputeProfile:
    monkeypatch.setattr(profiler, "PRECISIONS", ("bf16",))
    pipeline, components, _, _ = NEEDS[name]
    settings = PIPELINES["sd" if "sd" in pipeline.casefold() else "flux"][2]
    write_folder(folder, pipeline, components, settings if not name.startswith("wan") else {})
    return make_profile(read_pipeline_folder(folder))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",  # a clip takes more than a minute, and one of two denoisers is traced in `test_profiler`
    [pytest.param(one, marks=[pytest.mark.every_model] if one == "wan-i2v" else []) for one in NEEDS],
)
def test_a_pipeline_is_given_the_images_that_it_needs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = profiled(name, tmp_path / name, monkeypatch)
    _, _, needed, strength = NEEDS[name]
    assert profile.images == ImageRule(needed, strength)
    pipeline, each = NEEDS[name][0], " each" if len(needed) > 1 else ""
    images = " and ".join(WORDS[argument] for argument in needed)
    told = f"{pipeline} needs {images} besides a prompt: counted as one{each}, of the size of what is made"
    assert told in profile.notes
    (encoder,) = (part for part in profile.components if part.role == IMAGE_ENCODER)
    decoder = next(part for part in profile.components if part.name == encoder.module)
    assert encoder.name == f"{decoder.name}.encode"
    assert encoder.parameters == decoder.parameters
    assert profile.parameters == sum(p.parameters for p in profile.components) - encoder.parameters

    capture = PipelineCapture(read_pipeline_folder(tmp_path / name), "bf16", replay=False)
    capture.arguments.inputs = profile.images.arguments
    capture.arguments.unguided_scale = profile.guidance.threshold
    for point in POINTS:
        request, workload = request_and_workload(profile, point, "bf16")
        calls = capture.run(request)
        counts = {part: int(count[0]) for part, count in profile.calls(workload.columns()).items()}
        assert counted_calls(calls) == counts
        assert profile_costs(profile, workload) == traced_costs(calls)
    if strength:
        check_strength(profile, capture)


def check_strength(profile: ComputeProfile, capture: PipelineCapture) -> None:
    """The calls of a pipeline at strengths below 1 are those of the steps that are made."""
    for steps, strength in ((7, 0.6), (11, 0.95), (6, 0.34)):
        request, workload = request_and_workload(profile, POINTS[0], "bf16")
        asked = dataclasses.replace(request, steps=steps, strength=strength)
        made = int(profile.images.steps_made(np.array([steps]), strength)[0])
        assert 0 < made <= steps
        workload = dataclasses.replace(workload, steps=made)
        counts = {part: int(count[0]) for part, count in profile.calls(workload.columns()).items()}
        assert counted_calls(capture.run(asked)) == counts


@pytest.mark.parametrize(
    ("family", "pipeline", "inputs"),
    [
        ("sd", "StableDiffusionInpaintPipeline", ("image", "mask_image")),
        ("sd", "StableDiffusionImg2ImgPipeline", ("image",)),
        ("flux", "FluxImg2ImgPipeline", ("image",)),
        ("qwen", "QwenImageImg2ImgPipeline", ("image",)),
        ("sd", "StableDiffusionPipeline", ()),
    ],
)
def test_a_pipeline_is_given_no_more_images_than_it_needs(
    family: str, pipeline: str, inputs: tuple[str, ...], tmp_path: Path
) -> None:
    _, components, settings = PIPELINES[family]
    write_folder(tmp_path / "it", pipeline, components, settings)
    capture = PipelineCapture(read_pipeline_folder(tmp_path / "it"), "bf16")
    request = Request(width=128, height=128)
    if inputs:
        with pytest.raises(TraceError):
            capture.run(request)
    called = [call.component for call in capture.try_inputs(request)]
    assert capture.arguments.inputs == inputs
    assert ("vae.encode" in called) is bool(inputs)


def test_what_no_image_helps_is_said_as_it_is(tmp_path: Path) -> None:
    pipeline, components, settings = PIPELINES["sd"]
    write_folder(tmp_path / "sd", pipeline, components, settings)
    capture = PipelineCapture(read_pipeline_folder(tmp_path / "sd"), "bf16")
    with pytest.raises(TraceError, match="StableDiffusionPipeline refuses 100x100, 2 steps"):
        capture.try_inputs(Request(width=100, height=100))
    assert capture.arguments.inputs == ()


@pytest.mark.parametrize(
    ("way", "steps", "strength", "made"),
    [
        (MADE_DOWN, 50, 0.6, 30),
        (MADE_DOWN, 5, 0.5, 2),
        (LEFT_DOWN, 5, 0.5, 3),
        (MADE_DOWN, 50, 0.58, 28),  # 50 * 0.58 is 28.999999999999996, and the pipeline takes int() of it
        (LEFT_DOWN, 50, 1.0, 50),
        (MADE_DOWN, 50, 1.0, 50),
        ("", 50, 1.0, 50),
    ],
)
def test_the_steps_made_of_a_strength(way: str, steps: int, strength: float, made: int) -> None:
    assert ImageRule(("image",), way).steps_made(np.array([steps]), strength).tolist() == [made]
    assert way in STRENGTHS


@pytest.mark.slow
def test_an_image_that_could_be_left_out_is_given_where_the_facts_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiler, "PRECISIONS", ("bf16",))
    folder = kontext(tmp_path / "kontext")
    alone, edited = (
        make_profile(read_pipeline_folder(folder), facts) for facts in ({}, {"input_images": ["image"]})
    )
    assert (alone.images.arguments, edited.images.arguments) == ((), ("image",))
    _, workload = request_and_workload(alone, POINTS[0], "bf16")
    flop = [profile.flop(workload.columns(), "bf16")["transformer"][0] for profile in (alone, edited)]
    assert flop[1] > 1.5 * flop[0]  # the image's tokens stand beside those of what is made
