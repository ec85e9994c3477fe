"""Profiles of pipelines the catalogue does not hold: equal to fresh traces, with the pipelines' own rules."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("torch")

from test_exactness import (
    Point,
    counted_calls,
    profile_calls,
    profile_costs,
    request_and_workload,
    traced_costs,
)
from tiny import write_folder
from tiny_families import FAMILIES

from joulecast.architecture.pipeline_config import read_pipeline_folder
from joulecast.compute import profiler
from joulecast.compute.arguments import Request
from joulecast.compute.capture import Call, PipelineCapture
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import write_profile
from joulecast.compute.profile_meaning import check_profile
from joulecast.compute.profile_rules import FrameRule
from joulecast.compute.profiler import make_profile
from joulecast.errors import TraceError

pytestmark = [pytest.mark.trace, pytest.mark.slow]

# Sides in units of 64 and 128 pixels.
COARSE = (
    Point(batch=1, height=9, width=7, text=None),
    Point(batch=3, height=5, width=10, text=None, guided=True, steps=3),
)
# Between the points that profiles are made from. Z-Image pads its tokens to multiples of 32; it and Lumina 2
# treat images one after the other in part, and are traced for some numbers of them.
ODD = Point(batch=1, height=37, width=23, text=111, frames=29)
GUIDED = Point(batch=3, height=20, width=34, text=71, guided=True, steps=3, frames=31)
OF_ONE_SIZE = tuple(dataclasses.replace(point, height=None, width=None) for point in (ODD, GUIDED))
POINTS = {
    "kandinsky2.2": COARSE,
    "kandinsky2.1": COARSE,
    "stable-cascade": COARSE,
    # From 64 frames at once on the decoder's upsampling copies once more.
    "modelscope": (ODD, dataclasses.replace(GUIDED, batch=2)),
    "cogvideox-of-an-image": OF_ONE_SIZE,
    "hidream": (OF_ONE_SIZE[0], dataclasses.replace(OF_ONE_SIZE[1], batch=2)),
    "kandinsky3": (ODD,),  # guided, its text mask has another type: 9 kB more to read
    "lumina2": (ODD, Point(batch=2, height=20, width=34, text=71, guided=True, steps=3)),
    "z-image": (
        Point(batch=1, height=40, width=24, text=160),
        Point(batch=2, height=24, width=32, text=96, guided=True, steps=3),
    ),
}


def profile_of(family: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ComputeProfile:
    """The profile, in bf16 alone: a third of the time."""
    monkeypatch.setattr(profiler, "PRECISIONS", ("bf16",))
    pipeline, components, settings = FAMILIES[family]
    write_folder(folder, pipeline, components, settings)
    profile = make_profile(read_pipeline_folder(folder))
    check_profile(profile)  # whoever reads its file does
    return profile


# Of which each takes up to a minute, and others' pipelines do all that they do.
LONG = ("kandinsky2.1", "lumina2", "modelscope", "skyreels-v2", "wan", "wan-image-two-experts")


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=[pytest.mark.every_model] if name in LONG else []) for name in FAMILIES],
)
def test_profile_equals_a_fresh_trace(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_of(family, tmp_path / family, monkeypatch)
    capture = PipelineCapture(read_pipeline_folder(tmp_path / family), "bf16", replay=False)
    capture.arguments.unguided_scale = profile.guidance.threshold
    capture.arguments.inputs = profile.images.arguments
    capture.arguments.image_side = profile.images.side
    for point in POINTS.get(family, (ODD, GUIDED)):
        if point.guided and profile.guidance.parameter is None:
            continue
        request, workload = request_and_workload(profile, point, "bf16")
        calls = capture.run(request)
        assert counted_calls(calls) == profile_calls(profile, workload)
        fresh, predicted = traced_costs(calls), profile_costs(profile, workload)
        for component in fresh:
            assert predicted[component] == fresh[component], (component, point)
    expected = RULES[family]
    found = {
        "parameter": profile.guidance.parameter,
        "threshold": profile.guidance.threshold,
        "unit": profile.size.unit,
        "off_grid": profile.size.off_grid,
        "bins": bool(profile.size.bins),
        "multiple": profile.text.multiple,
        "adjustable": profile.text.adjustable,
    }
    assert found == DEFAULT_RULES | expected
    assert profile.frames == FRAMES.get(family)
    notes = " ".join(profile.notes)
    assert all(words in notes for words in NOTED.get(family, ())), notes
    if profile.notes and "one after the other" in notes:
        check_between_batches(profile, capture)
    if profile.size.off_grid.startswith("round"):
        check_off_grid(profile, capture)


def check_between_batches(profile: ComputeProfile, capture: PipelineCapture) -> None:
    """Where a pipeline loops over images, costs rise in a line with their number."""
    for batch in (3, 12):
        point = Point(batch=batch, height=24, width=32, text=96)
        if profile.size.off_grid == "only":
            point = dataclasses.replace(point, height=None, width=None)
        request, workload = request_and_workload(profile, point, "bf16")
        fresh = sum(o.flop for call in capture.run(request) for o in call.operators)
        predicted = sum(float(flop[0]) for flop in profile.flop(workload.columns(), "bf16").values())
        assert predicted == pytest.approx(fresh, rel=1e-12)


def check_off_grid(profile: ComputeProfile, capture: PipelineCapture) -> None:
    """Sizes off the grid cost what those cost to which they are rounded."""
    request, workload = request_and_workload(profile, Point(batch=1, height=9, width=12, text=96), "bf16")
    assert workload.width % profile.size.unit == 0
    request = dataclasses.replace(request, width=workload.width + 8)
    workload = dataclasses.replace(workload, width=workload.width + 8)
    fresh = sum(o.flop for call in capture.run(request) for o in call.operators)
    assert sum(flop.item() for flop in profile.flop(workload.columns(), "bf16").values()) == fresh


DEFAULT_RULES = {
    "parameter": "guidance_scale",
    "threshold": 1.0,
    "unit": 16,
    "off_grid": "refuse",
    "bins": False,
    "multiple": 1,
    "adjustable": True,
}
# What the pipelines' documentation or code says, where it is not the usual.
RULES: dict[str, dict[str, object]] = {
    "lumina2": {},
    "hunyuan-dit": {"off_grid": "round_down", "adjustable": False},
    "chroma": {"off_grid": "round_down"},
    "cogview4": {"multiple": 16},
    "z-image": {"threshold": 0.0, "multiple": 32},
    "flux2-klein": {"off_grid": "round_down"},
    "kandinsky3": {"unit": 64, "off_grid": "round_up"},
    "bria": {"off_grid": "round_down"},
    "pixart-alpha": {"bins": True},
    "wan": {},
    "wan-image-two-experts": {"adjustable": False},
    "qwen-image-edit-plus": {"parameter": "true_cfg_scale", "off_grid": "round_down"},
    "skyreels-v2": {},
    "modelscope": {"unit": 8, "adjustable": False},
    "kandinsky2.2": {"unit": 64, "off_grid": "round_up", "adjustable": False},
    "kandinsky2.1": {"unit": 64, "off_grid": "round_up", "adjustable": False},
    "stable-cascade": {
        "parameter": "decoder_guidance_scale",
        "unit": 128,
        "off_grid": "irregular",
        "adjustable": False,
    },
    "cogvideox-of-an-image": {"off_grid": "only", "bins": True, "adjustable": False},
    "hidream": {"off_grid": "only", "bins": True, "unit": 128},
}
NOTED = {
    "cogvideox-of-an-image": ("takes no size near its own", "holds for 80x48 alone"),
    "hidream": ("makes all sizes of one area", "holds for 1024x1024 alone", "one after the other"),
    "qwen-image-edit-plus": ("needs an image", "a square one, which it scales", "196 tokens"),
    "wan-image-two-experts": (
        "needs an image",
        "fewer than its 512 tokens",
        "transformer_2 is built as transformer is and takes over",
    ),
    "z-image": ("pads its tokens", "128 pixels", "one after the other"),
    "lumina2": ("one after the other",),
    "hunyuan-dit": ("table",),
    "kandinsky2.2": ("prior_prior", "25 steps (prior_num_inference_steps", "of 2 passes each", "make them 4"),
    "kandinsky2.1": ("prior_prior", "25 steps (prior_num_inference_steps", "of 2 passes each"),
    "stable-cascade": (
        "128 pixels only",
        "prior_prior",
        "60 steps (prior_num_inference_steps",
        "of 2 passes each",
    ),
}


FRAMES = {  # what a frame of latents stands for, and what is done with a number between two
    "wan": FrameRule(step=4, first=1, off_grid="whole_steps"),
    "wan-image-two-experts": FrameRule(step=4, first=1, off_grid="whole_steps"),
    "skyreels-v2": FrameRule(step=4, first=1, off_grid="whole_steps"),
    "modelscope": FrameRule(step=1, first=1, off_grid="refuse"),
    "cogvideox-of-an-image": FrameRule(step=8, first=1, off_grid="irregular"),
}


@pytest.mark.every_model
def test_several_videos_of_the_own_size_may_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline whose decoder fails there, as CogVideoX1.5's does, is profiled with one at a time."""
    run = PipelineCapture.run

    def run_of_one(self: PipelineCapture, request: Request) -> list[Call]:
        if request.batch > 1 and (request.width, request.height) == (832, 480):
            raise TraceError("two are too many")
        return run(self, request)

    monkeypatch.setattr(PipelineCapture, "run", run_of_one)
    profile = profile_of("wan", tmp_path / "wan", monkeypatch)
    assert any("several videos at once of its own size, 832x480" in note for note in profile.notes)


def test_two_processes_make_the_same_profile(tmp_path: Path) -> None:
    """In every byte of its file: tables that precisions share are shared."""
    pipeline, components, settings = FAMILIES["cogview4"]
    write_folder(tmp_path / "model", pipeline, components, settings)
    for processes in (1, 2):
        made = make_profile(read_pipeline_folder(tmp_path / "model"), processes=processes)
        write_profile(made, tmp_path / f"{processes}.json")
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
