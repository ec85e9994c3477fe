"""One task's denoising steps: hand values."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast.errors import InputError
from joulecast.measure.campaign import run_campaign
from joulecast.measure.campaign_plan import make_spec
from joulecast.measure.once import check_task
from joulecast.measure.protocol import Settings
from joulecast.measure.records import ComponentEnergy, ComponentResult
from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace
from joulecast.measure.store import NewTask, Store
from joulecast.measure.task import DenoisingStep, departure, steps_of
from joulecast.measure.virtual import VirtualSubject

TWO = DenoisingStep(("transformer", "transformer#2"), 0.3, 0.25)
ONE = DenoisingStep(("transformer",), 0.2, 0.15)


def part(kind: int, energy_j: float | None) -> ComponentResult:
    measured = None if energy_j is None else ComponentEnergy(energy_j, None, 1.0, energy_j, None, 1.0)
    return ComponentResult("transformer", "denoiser", kind, 1, "", measured)


def test_a_step_draws_what_its_calls_draw() -> None:
    found = list(steps_of([TWO, ONE], [part(0, 70.0), part(1, 50.0)]))
    assert [step.energy_j for step in found] == [120.0, 70.0]
    assert [step.step for step in found] == [1, 2]
    assert [step.duration_s for step in found] == [0.3, 0.2]


def test_a_step_with_an_unresolved_call_is_unresolved() -> None:
    found = list(steps_of([TWO, ONE], [part(0, 70.0), part(1, None)]))
    assert [(step.energy_j, step.is_resolved) for step in found] == [(None, False), (70.0, True)]
    assert [step.energy_j for step in steps_of([TWO], [])] == [None]


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([], None),
        ([2.0], 0.0),
        ([1.0, 1.0, 1.0, 1.0], 0.0),
        ([2.0, 1.0, 1.0], 2 / 4 - 1 / 3),  # half of the time is over after a third of the steps
        ([1.0, 1.0, 2.0], 2 / 3 - 2 / 4),
    ],
)
def test_departure_by_hand(durations: list[float], expected: float | None) -> None:
    assert departure(durations) == (None if expected is None else pytest.approx(expected))


def test_windows_too_short_for_the_sensor_leave_components_unresolved(tmp_path: Path) -> None:
    clock = VirtualClock()
    meter = ReplayMeter(packaged_trace(), clock, tick_s=0.1)
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(make_spec({"model": "sd2", "steps": 5, "components": True}))])
        run_campaign(store, VirtualSubject(clock), meter, Settings(window_s=0.5))
        result = store.results()[0].result
    assert any(words.startswith("windows of 0.5") for words in result.warnings)
    assert {part.is_resolved for part in result.components} == {False}
    assert "too short for the sensor" in result.components[0].problem
    assert {step.energy_j for step in result.steps} == {None}


@pytest.mark.parametrize(
    "keys", [{"engine": "diffusers"}, {"compile": False}, {"num_gpus": 1}, {"cache": "none"}]
)
def test_what_is_measured_is_diffusers_on_one_gpu(keys: dict[str, object]) -> None:
    assert check_task({"model": "sdxl", **keys}, None) == check_task({"model": "sdxl"}, None)


@pytest.mark.parametrize(
    "keys",
    [{"engine": "sglang"}, {"compile": True}, {"gpus": 2}, {"quantization": "fp8"}, {"power_limit": 300}],
)
def test_another_runtime_is_not_measured_here(keys: dict[str, object]) -> None:
    with pytest.raises(InputError, match="diffusers on one GPU; runtime is eager or compiled"):
        check_task({"model": "sdxl", **keys}, None)
