"""A user's pipeline tracked: the replay meter's energy, the phases, and a prediction beside it."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from test_pipelines import few_threads, spec_of, subject

from joulecast.errors import MeasureError
from joulecast.forecast.track import track
from joulecast.measure.meter import SystemClock
from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace

pytestmark = pytest.mark.trace
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
    assert (workload["steps"], workload["passes"], workload["batch_size"]) == (3, passes, 2)
    assert workload["precision"] == "fp32"
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
