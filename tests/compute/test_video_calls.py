"""What pipelines that make videos call, and how the calls are told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tiny import write_folder
from tiny_videos import VIDEOS

from joulecast.architecture.pipeline_config import read_pipeline_folder
from joulecast.compute.arguments import Request
from joulecast.compute.capture import Call, PipelineCapture
from joulecast.compute.joined_calls import in_several_calls
from joulecast.compute.operator_runs import with_runs
from joulecast.compute.texts import TextProbe

pytestmark = [pytest.mark.trace, pytest.mark.slow]
SMALL = Request(width=128, height=128, frames=9)
LARGER = Request(width=160, height=128, frames=9)


def captured(family: str, folder: Path) -> PipelineCapture:
    return PipelineCapture(read_pipeline_folder(write_folder(folder / family, *VIDEOS[family])), "bf16")


def of_denoiser(calls: list[Call]) -> list[tuple[str, int]]:
    """The denoiser's calls, and how many videos each works on."""
    return [(c.component, c.shapes[0][0]) for c in calls if c.component.startswith("transformer")]


def test_a_guider_makes_a_second_pass_and_a_mask_is_filled_row_by_row(tmp_path: Path) -> None:
    capture = captured("hunyuanvideo-1.5", tmp_path)
    assert of_denoiser(capture.run(SMALL)) == [("transformer", 1)] * 2
    assert of_denoiser(capture.run(Request(width=128, height=128, frames=9, guided=True))) == (
        [("transformer", 1)] * 4
    )
    assert with_runs(capture.run(SMALL), capture.run(LARGER)) == {"vae"}


def test_lengths_of_text_that_were_tried_in_vain_leave_the_prompt_as_it_was(tmp_path: Path) -> None:
    capture = captured("hunyuanvideo-1.5", tmp_path)
    before = [call.operators for call in capture.run(SMALL)]
    found = TextProbe(capture, lambda **more: capture.run(replace(SMALL, **more)), "transformer", [])
    assert (found.knob, found.multiple) == (None, 1)
    assert [call.operators for call in capture.run(SMALL)] == before


def test_ways_of_calling_a_denoiser_have_names_of_their_own(tmp_path: Path) -> None:
    capture = captured("ltx-2", tmp_path)
    a_step = [
        ("transformer", 1),
        ("transformer.spatio_temporal_guidance_blocks", 1),
        ("transformer.isolate_modalities", 1),
    ]
    calls = capture.run(SMALL)
    assert of_denoiser(calls) == 2 * a_step
    cost = {c.component: sum(o.flop for o in c.operators) for c in calls}
    assert cost["transformer.isolate_modalities"] < cost["transformer"]
    guided = of_denoiser(capture.run(Request(width=128, height=128, frames=9, guided=True)))
    assert guided == 2 * [("transformer", 2), *a_step[1:]]
    assert [c.component for c in calls[-3:]] == ["vae", "audio_vae", "vocoder"]


def test_a_template_that_is_dropped_is_longer_than_the_text(tmp_path: Path) -> None:
    capture = captured("kandinsky5", tmp_path)
    lengths = []
    for tokens in (64, 160):
        calls = capture.run(Request(width=128, height=128, frames=9, text=tokens, text_knob="prompt"))
        lengths.append(next(c.shapes[1][1] for c in calls if c.component == "transformer"))
    assert lengths[1] - lengths[0] == 160 - 64
    assert lengths[0] > 0


def test_a_decoder_of_sixteen_frames_at_a_time_is_one_call(tmp_path: Path) -> None:
    """As of AnimateDiff: two videos of 19 frames are decoded in three calls, the last of six."""
    capture = captured("animatediff", tmp_path)
    clip = Request(width=64, height=64, frames=19, batch=2)
    apart = [c.shapes[0][0] for c in capture.run(clip) if c.component == "vae"]
    assert apart == [16, 16, 6]
    asked = Request(width=64, height=64, frames=16)
    capture.in_several_calls = in_several_calls(lambda **more: capture.run(replace(asked, **more)), 16)
    assert capture.in_several_calls == {"vae"}
    (decoded,) = (c for c in capture.run(clip) if c.component == "vae")
    assert (decoded.shapes[0][0], decoded.output[0]) == (38, 38)
    assert {o.launches for o in decoded.operators} == {3}
