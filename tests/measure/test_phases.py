"""A user's pipeline tracked: the replay meter's energy, the phases, and a prediction beside it."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from test_pipelines import few_threads, spec_of, subject

import joulecast
from joulecast.compute.profile_file import packaged_profile, write_profile
from joulecast.errors import JoulecastError, MeasureError
from joulecast.forecast.live import precision_of
from joulecast.forecast.track import track
from joulecast.measure.blocks import FOLDER, read_blocks
from joulecast.measure.meter import SystemClock
from joulecast.measure.phases import track_phases
from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace

pytestmark = pytest.mark.trace


def replayed() -> ReplayMeter:
    return ReplayMeter(packaged_trace(), SystemClock())


__all__ = ["few_threads"]  # a fixture that every test here uses


@pytest.mark.parametrize(("model", "passes"), [("sd1.5", 2), ("qwen-image", 2)])
def test_measured_and_predicted(model: str, passes: int) -> None:
    used = subject()
    used.load(spec_of(model, size="64x64", steps=3, batch_size=2, passes=passes))
    meter = ReplayMeter(packaged_trace(), SystemClock())
    with track(used._pipeline, model=model, gpu="H100", meter=meter) as found:
        used.call()
        used.call()
    assert found.problem == ""
    assert found.images == 4
    assert found.predicted is not None
    workload = found.predicted.workload
    assert (workload.steps, workload.passes, workload.batch_size) == (3, passes, 2)
    assert workload.precision == "fp32"
    measured = found.measured
    assert measured.energy_j == pytest.approx(measured.duration_s * measured.power_w)
    assert found.energy_per_image_j == measured.energy_j / 4
    names = [phase.name for phase in measured.phases]
    assert names[-1] == "vae"
    denoiser = next(phase for phase in measured.phases if phase.name in ("unet", "transformer"))
    assert denoiser.calls == 2 * 3 * (2 if model == "qwen-image" else 1)
    assert denoiser.entered == 2
    assert sum(phase.duration_s for phase in measured.phases) <= measured.duration_s * 1.01
    assert "forward" not in vars(used._pipeline.vae)


def test_what_is_predicted_is_compiled_and_has_its_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `predict_call` has it: compared with an eager pipeline without them, such a one is no outlier."""
    used = subject()
    used.load(spec_of("sd1.5", size="64x64", steps=2))
    unet = used._pipeline.unet
    adapted = SimpleNamespace(active_adapters=["one"], merged_adapters=[], disable_adapters=False)
    with track(used._pipeline, model="sd1.5", gpu="H100", meter=replayed()) as found:
        used.call()
        monkeypatch.setattr(unet, "peft_config", {"one": SimpleNamespace(r=8)}, raising=False)
        modules = [*unet.modules(), SimpleNamespace(_compiled_call_impl=print), adapted]
        monkeypatch.setattr(unet, "modules", lambda: iter(modules))
    assert found.problem == ""
    assert found.predicted is not None
    assert found.predicted.runtime.compile
    assert found.predicted.question.work.additions.adapters == 1


def test_a_profile_file_names_a_model_that_the_catalogue_does_not_know(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    write_profile(dataclasses.replace(packaged_profile("sd1.5"), name="mine"), file)
    used = subject()
    used.load(spec_of("sd1.5", size="64x64", steps=2))
    with track(used._pipeline, model=str(file), gpu="H100", meter=replayed()) as found:
        used.call()
    assert found.problem == ""
    assert found.predicted is not None
    assert found.predicted.question.profile.name == "mine"


def test_the_documentation_s_block_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That of `I have a script`, with a toy and a replayed meter in place of a GPU."""
    page = (Path(__file__).parents[2] / "docs" / "your-script.md").read_text(encoding="utf-8")
    (block,) = (text for text in re.findall(r"```py\n(.*?)```", page, re.DOTALL) if "track(pipe)" in text)
    used = subject()
    used.load(spec_of("sd1.5", size="64x64", steps=2))

    def replayed_track(_pipe: object) -> object:
        return track(used._pipeline, model="sd1.5", gpu="H100", meter=replayed())

    monkeypatch.setattr(joulecast, "track", replayed_track)
    exec(block, {"joulecast": joulecast, "pipe": lambda prompt, num_inference_steps: used.call()})
    shown = capsys.readouterr().out
    assert "J an image" in shown
    assert "J predicted" in shown
    assert re.search(r"^unet \d+ ", shown, re.MULTILINE)


def test_an_unknown_model_and_several_sizes_are_problems() -> None:
    used = subject()
    used.load(spec_of("sd1.5", size="64x64", steps=2))
    with track(used._pipeline, model="no such model", gpu="H100", meter=replayed()) as found:
        used.call()
    assert "no such model" in found.problem
    with track(used._pipeline, model="sd1.5", gpu="H100", meter=replayed()) as found:
        used.call()
        used._pipeline("a fox", height=64, width=128, num_inference_steps=2)
    assert found.problem.startswith("images of several sizes were generated (64x64, 128x64)")
    assert found.predicted is None


def test_short_phases_are_unresolved() -> None:
    used = subject()
    used.load(spec_of("sd1.5"))
    with track(used._pipeline, meter=ReplayMeter(packaged_trace(), SystemClock())) as found:
        used.call()
    assert "too short to resolve: " in " ".join(found.measured.warnings)
    assert found.predicted is None
    assert "name its `model`" in found.problem


def test_a_block_that_draws_nothing_is_an_error() -> None:
    used = subject()
    used.load(spec_of("sd1.5"))
    still = ReplayMeter(packaged_trace(), VirtualClock())
    with pytest.raises(MeasureError, match="too short"), track(used._pipeline, meter=still):
        used.call()


class Part:
    """Stands in for a component."""

    def __init__(self, out: Any) -> None:
        self.out = out
        self.config = SimpleNamespace()

    def parameters(self) -> list[Any]:
        return []

    def forward(self, *args: Any) -> Any:
        return self.out

    def decode(self, *args: Any) -> Any:
        return self.out


def track_parts(**parts: Part) -> Any:
    meter = ReplayMeter(packaged_trace(), SystemClock())
    return track_phases(SimpleNamespace(components=parts), meter)


def test_what_others_hooked_is_left_hooked() -> None:
    offloaded = Part(None)

    def hook(*args: Any) -> str:
        return "hooked"

    offloaded.forward = hook  # type: ignore[method-assign]
    with track_parts(transformer=offloaded, transformer_2=offloaded) as found:
        assert offloaded.forward(torch.zeros(2, 4)) == "hooked"
        time.sleep(0.01)
    assert offloaded.forward is hook
    assert "decode" not in vars(offloaded)
    assert sum(phase.calls for phase in found.phases) == 1


def test_images_in_a_list_and_results_of_other_shapes_break_nothing() -> None:
    parts = {"transformer": Part(None), "vae": Part(torch.zeros(2, 3, 64, 32)), "other": Part([1, 2])}
    with track_parts(**parts) as found:
        parts["transformer"].forward([torch.zeros(16, 1, 8, 4)] * 4)
        parts["transformer"].forward()
        parts["vae"].decode(None)
        parts["other"].decode(None)
        time.sleep(0.01)
    seen = found.observed
    assert (seen.given, seen.images) == ({"transformer": 4}, 2)
    assert seen.sizes == {(32, 64)}


@pytest.mark.parametrize("order", [(4, 16), (16, 4)])
@pytest.mark.parametrize("chunks", [(32,), (12, 12, 8)])
def test_frames_decoded_as_images_are_of_clips(order: tuple[int, int], chunks: tuple[int, ...]) -> None:
    """Two clips of 16 frames, twice; latents have channels before or after frames."""
    unet, vae = Part(None), Part(None)
    unet.config = SimpleNamespace(in_channels=4)
    with track_parts(unet=unet, vae=vae) as found:
        for _ in range(2):
            unet.forward(torch.zeros(2, *order, 8, 4))
            for frames in chunks:
                vae.out = torch.zeros(frames, 3, 64, 32)
                vae.decode(None)
        time.sleep(0.01)
    seen = found.observed
    assert (seen.images, seen.runs, seen.frames, seen.sizes) == (4, 2, {16}, {(32, 64)})


def test_a_precision_without_a_law_is_not_taken_for_another() -> None:
    with pytest.raises(JoulecastError, match="in float8_e4m3fn"):
        precision_of(SimpleNamespace(dtype=torch.float8_e4m3fn))


def test_a_measured_command_around_a_block_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    used = subject()
    used.load(spec_of("sd1.5", size="64x64", steps=2, batch_size=2))
    for model in ("sd1.5", "no such model"):
        with track(used._pipeline, model=model, gpu="H100", meter=replayed()) as found:
            used.call()
    (known, other), problems = read_blocks(tmp_path)
    assert problems == []
    assert (known.images, known.problem) == (2, "")
    assert known.predicted_j is not None
    assert known.predicted_low_j is not None
    assert known.predicted_low_j < known.predicted_j
    assert (other.predicted_j, other.problem) == (None, found.problem)
    assert other.energy_j == found.measured.energy_j
