"""Meters: a stand-in NVML with all that may be wrong, and replayed recordings."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fake_nvml import OWN, FakeNvml
from joulecast.errors import FileFormatError, InputError, MeasureError, MissingExtraError
from joulecast.measure.meter import SystemClock, Telemetry
from joulecast.measure.nvml import NvmlMeter, visible_index
from joulecast.measure.protocol import Settings, measure
from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace, parse_trace, read_trace
from joulecast.measure.telemetry import TelemetryRecorder, summary

FOREIGN = 5_000_000  # above what Linux numbers processes by: nobody here, as processes outside a container
CSV = "time_s,phase,power_w,temperature_c\n0,idle,100,30\n1,work,300,50\n2,work,500,60\n3,idle,100,50\n"


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(**settings: Any) -> FakeNvml:
        fake = FakeNvml(**settings)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return fake

    return install


def test_the_counter_is_read_in_joules(use: Any) -> None:
    use()
    meter = NvmlMeter()
    start, before = time.monotonic(), meter.energy_j()
    time.sleep(0.05)
    drawn, took = meter.energy_j() - before, time.monotonic() - start
    assert drawn == pytest.approx(500 * took, rel=0.1)
    assert (meter.device.gpu, meter.device.uuid) == ("NVIDIA H200", "GPU-fake")
    assert meter.device.reading == "energy counter"
    state = meter.sample()
    assert (state.power_w, state.temperature_c, state.sm_clock_mhz) == (500, 55, 1980)
    assert (state.power_limit_w, state.utilisation, state.throttle_reasons) == (700, 0.9, 4)


def test_without_a_counter_power_is_integrated(use: Any) -> None:
    use(counter=False)
    meter = NvmlMeter(index=0)
    try:
        assert meter.device.reading == "sampled power"
        start, before = time.monotonic(), meter.energy_j()
        time.sleep(0.1)
        drawn = meter.energy_j() - before
        assert drawn == pytest.approx(500 * (time.monotonic() - start), rel=0.2)
    finally:
        meter.close()


def test_a_whole_measurement_with_telemetry(use: Any) -> None:
    use()
    quick = Settings(window_s=0.15, repeats=3, most_repeats=3, idle_s=0.05, settle_s=0)
    found = measure(lambda: time.sleep(0.01), NvmlMeter(), quick)
    assert found.energy_j == pytest.approx(500 * found.duration_s, rel=0.05)
    assert found.repeats[0].telemetry["power_mean_w"] == 500
    assert found.repeats[0].telemetry["throttle_reasons"] == 4


@pytest.mark.parametrize(
    ("settings", "choice", "message"),
    [
        ({"init": "Driver Not Loaded"}, {}, "driver are needed .*Driver Not Loaded"),
        ({"gpus": 0}, {}, "finds no GPU"),
        ({"mig": True}, {}, "split by MIG"),
        ({"counter": False, "power": False}, {}, "ask for access"),
        ({}, {"index": 1}, "there is no GPU 1; NVML finds 1"),
        ({}, {"uuid": "GPU-other"}, "no GPU 'GPU-other'"),
    ],
)
def test_refusals(use: Any, settings: Any, choice: Any, message: str) -> None:
    fake = use(**settings)
    with pytest.raises(MeasureError, match=message):
        NvmlMeter(**choice)
    assert fake.shut == (0 if "init" in settings else 1)


def test_a_slice_that_cuda_is_shown_is_refused(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    use()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-8f1c")
    with pytest.raises(MeasureError, match="split by MIG"):
        NvmlMeter()


def test_mig_off_is_fine(use: Any) -> None:
    use(mig=False)
    NvmlMeter(uuid="GPU-fake").close()


def test_without_nvidia_ml_py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[measure\]"):
        NvmlMeter()


def test_other_processes_are_seen(use: Any) -> None:
    fake = use(pids=(1, OWN))
    meter = NvmlMeter()
    assert meter.sample().other_processes == 1
    fake.pids = (OWN,)
    assert meter.sample().other_processes == 0


def test_this_process_under_another_number(use: Any) -> None:
    """In a container NVML shows pids of the host: the one that came after us is taken to be us."""
    fake = use(pids=(7,))
    meter = NvmlMeter()
    fake.pids = (7, FOREIGN)
    assert meter.sample().other_processes == 1
    fake.pids = (FOREIGN,)
    assert meter.sample().other_processes == 0


@pytest.mark.parametrize(("value", "expected"), [("2,3", 2), ("0", 0), ("GPU-abc,GPU-def", "GPU-abc")])
def test_cuda_visible_devices(monkeypatch: pytest.MonkeyPatch, value: str, expected: object) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_index() == expected


@pytest.mark.parametrize("value", ["", "-1", " ", "x", "-1,0", ",0", "none", "\N{SUPERSCRIPT TWO}"])
def test_a_gpu_that_cuda_is_not_shown_is_not_measured(
    use: Any, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """What CUDA does: the list ends at the first entry that names no GPU."""
    fake = use()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    with pytest.raises(MeasureError, match=r"CUDA_VISIBLE_DEVICES is .* hides every GPU; unset it"):
        NvmlMeter()
    assert fake.shut == 1
    NvmlMeter(uuid="GPU-fake").close()  # by name it may still be asked for


def test_a_replay_plays_the_phase_that_passes() -> None:
    clock = VirtualClock()
    meter = ReplayMeter(parse_trace(CSV, "trace"), clock)
    clock.sleep(1.0)
    assert meter.energy_j() == pytest.approx(100)
    clock.work(1.5)  # 1 s at 300 W, half a second at 500 W
    assert meter.energy_j() == pytest.approx(100 + 300 + 250)
    assert meter.sample().temperature_c == 60
    clock.work(2.0)  # half a second at 500 W, then the recording again: 1 s at 300, 0.5 s at 500
    assert meter.energy_j() == pytest.approx(650 + 250 + 300 + 250)


def test_energy_columns_become_power() -> None:
    trace = parse_trace("time_s,energy_j\n0,1000\n2,1200\n3,1500\n", "trace")
    assert [state.power_w for state in trace.states] == [100, 300, 300]
    assert trace.cumulative_j() == [0, 200, 500]


def test_a_replay_on_the_systems_clock_runs_by_itself() -> None:
    meter = ReplayMeter(packaged_trace(), SystemClock())
    start = meter.energy_j()
    time.sleep(0.05)
    assert 0.05 * 60 < meter.energy_j() - start < 500
    with TelemetryRecorder(meter) as recorder:
        recorder.take()
    assert summary(recorder.between(0, float("inf")))["samples"] == 2
    meter.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no trace"),
        ("time_s,volts\n0,1\n1,2\n", "is no trace"),
        ("time_s,power_w\n0,100\n0,100\n", "must rise"),
        ("time_s,power_w\n0,much\n1,100\n", "not a number"),
        ("time_s,power_w\n0,nan\n1,100\n", "expected 0 or more"),
        ("time_s,power_w\n0,\n1,100\n", "lacks"),
        ("time_s,energy_j\n0,5\n1,4\n", "falls"),
        ("time_s,power_w,phase\n0,5,asleep\n1,4,idle\n", "expected idle or work"),
    ],
)
def test_what_is_no_trace(text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        parse_trace(text, "trace")


def test_a_trace_of_nothing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("time_s,power_w\n0,0\n1,0\n")
    with pytest.raises(InputError, match="0 J"):
        ReplayMeter(read_trace(file))


def test_summary_by_hand() -> None:
    samples = [
        (float(at), Telemetry(power_w=power, temperature_c=40 + at, throttle_reasons=bits))
        for at, power, bits in ((0, 100.0, 1), (1, 300.0, 4), (2, 300.0, 0))
    ]
    samples.append((3.0, Telemetry(power_limit_w=700.0)))
    samples.append((4.0, Telemetry(power_limit_w=200.0)))
    found = summary(samples)
    assert found["power_integral_j"] == 200 + 300
    assert found["power_mean_w"] == pytest.approx(700 / 3)
    assert (found["temperature_start_c"], found["temperature_end_c"]) == (40, 42)
    assert found["throttle_reasons"] == 5
    assert (found["power_limit_w"], found["power_limit_max_w"]) == (200, 700)
    assert "sm_clock_mean_mhz" not in found
