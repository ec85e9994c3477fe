"""Joules so far and left, told after denoising steps."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import joulecast
from joulecast.errors import InputError, MeasureError
from joulecast.forecast.steps import StepJoules, StepProgress
from joulecast.measure.replay import ReplayMeter, VirtualClock, parse_trace

TRACE = parse_trace("time_s,phase,power_w\n0,idle,100\n1,work,400\n2,idle,100\n", "trace")
EXPECTED = joulecast.estimate("sdxl", "H100", steps=10, batch_size=2)
STEPS = sum(part.energy_j for part in EXPECTED.components if part.role == "denoiser")
DECODING = sum(part.energy_j for part in EXPECTED.components if part.role == "decoder")
PIPE: Any = SimpleNamespace(num_timesteps=10)


def told(step_s: float, meter_s: float = 0.1, **changes: Any) -> tuple[list[StepProgress], StepJoules]:
    """What is told of a call of 10 steps."""
    clock = VirtualClock()
    found: list[StepProgress] = []
    meter = ReplayMeter(TRACE, clock, meter_s)
    callback = StepJoules(EXPECTED, meter=meter, tell=found.append, **changes)
    clock.work(step_s)  # text encoding
    for step in range(10):
        clock.work(step_s)
        assert callback(PIPE, step, 0, {"latents": 1}) == {"latents": 1}
    return found, callback


def test_every_second_and_at_the_end() -> None:
    """400 W: a step of half a second is 200 J."""
    found, callback = told(0.5)
    assert [one.step for one in found] == [1, 3, 5, 7, 9, 10]
    assert callback.progress is found[-1]
    first, second, *_, last = found
    assert first.measured_j == pytest.approx(400)  # a second since it was made
    assert (first.is_rate_measured, second.is_rate_measured) == (False, True)
    assert first.left_j == pytest.approx(2 * (0.9 * STEPS + DECODING))
    assert second.left_j == pytest.approx(7 * 200 + 2 * DECODING)
    assert last.left_j == pytest.approx(2 * DECODING)
    assert last.measured_j == pytest.approx(11 * 200)
    assert first.predicted_j == pytest.approx(2 * EXPECTED.energy_j)
    assert str(first).startswith("step 1 of 10: 400 J drawn, about ")
    assert "left as predicted; " in str(first)
    assert "left at the measured rate; " in str(second)


def test_done_and_left_are_the_whole() -> None:
    for one in told(0.5)[0]:
        if not one.is_rate_measured:
            assert one.done_j + one.left_j == pytest.approx(one.predicted_j)


def test_in_a_second_call_nothing_is_measured_and_it_says_so() -> None:
    """The meter was released when the first ended."""
    found, callback = told(0.5)
    assert found[-1].problem == ""
    callback(PIPE, 9, 0, {})
    assert found[-1].measured_j is None
    assert "both predicted, not measured (the call that it was made in has ended" in str(found[-1])


def test_what_is_too_short_has_no_number() -> None:
    (only,), _ = told(0.05)
    assert (only.step, only.measured_j) == (10, None)
    assert "too soon to be measured" in str(only)
    assert " 0 J" not in str(only)


def test_without_a_gpu_what_is_predicted_is_named_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    callback = StepJoules(EXPECTED)
    callback(PIPE, 9, 0, {})
    line = capsys.readouterr().err
    assert "both predicted, not measured" in line
    assert "[measure]" in line
    assert callback.progress is not None
    assert callback.progress.measured_j is None


class Lost(ReplayMeter):
    left = 2

    def energy_j(self) -> float:
        self.left -= 1
        if self.left < 0:
            raise MeasureError("GPU is lost")
        return super().energy_j()


def test_a_meter_that_fails_ends_no_call() -> None:
    clock = VirtualClock()
    found: list[StepProgress] = []
    callback = StepJoules(EXPECTED, meter=Lost(TRACE, clock), tell=found.append)
    for step in range(10):
        clock.work(1.0)
        callback(PIPE, step, 0, {})
    assert (found[0].problem, found[-1].problem) == ("", "GPU is lost")
    assert found[-1].measured_j is None


def test_dynamic_energy_is_not_what_a_meter_shows() -> None:
    with pytest.raises(InputError, match="gross"):
        StepJoules(joulecast.estimate("sdxl", "H100", boundary="dynamic"))


@pytest.mark.trace
def test_diffusers_calls_it() -> None:
    """A toy pipeline on the processor."""
    pytest.importorskip("torch")
    sys.path.insert(0, str(Path(__file__).parents[1] / "measure"))
    from test_pipelines import spec_of, subject

    from joulecast.measure.meter import SystemClock

    used = subject()
    found: list[StepProgress] = []
    used.load(spec_of("sd1.5"))
    pipe = used._pipeline
    expected = joulecast.predict_call(pipe, "a fox", gpu="H100", model="sd1.5", num_inference_steps=3)
    meter = ReplayMeter(TRACE, SystemClock())
    callback = StepJoules(expected, meter=meter, tell=found.append)
    pipe("a fox", num_inference_steps=3, height=64, width=64, callback_on_step_end=callback)
    assert (found[-1].step, found[-1].steps) == (3, 3)
    assert found[-1].measured_j is not None


def test_a_meter_of_its_own_is_released_once_also_of_a_call_that_is_broken_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[int] = []

    class Meter(ReplayMeter):
        def close(self) -> None:
            closed.append(1)

    monkeypatch.setattr(StepJoules, "_opened", lambda self: Meter(TRACE, VirtualClock()))
    callback = StepJoules(EXPECTED)
    callback.close()
    callback.close()
    assert closed == [1]
    callback = StepJoules(EXPECTED)
    callback(PIPE, 0, 0, {})  # and the pipeline fails
    del callback
    gc.collect()
    assert closed == [1, 1]
