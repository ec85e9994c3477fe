"""The statistics by hand values, and the protocol on a replayed trace whose energy is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import InputError, MeasureError
from joulecast.measure import protocol, statistics
from joulecast.measure.meter import Telemetry
from joulecast.measure.protocol import Repeat, Settings
from joulecast.measure.replay import ReplayMeter, Trace, VirtualClock

EXACT = 1e-9  # sums of a few floats


def trace(idle_w: float = 80.0, work_w: float = 400.0) -> Trace:
    states = tuple(Telemetry(power_w=power, temperature_c=50.0) for power in (idle_w, work_w, idle_w))
    return Trace((0.0, 1.0, 2.0), ("idle", "work", "idle"), states)


def virtual(work_w: float = 400.0) -> tuple[ReplayMeter, VirtualClock]:
    clock = VirtualClock()
    return ReplayMeter(trace(work_w=work_w), clock), clock


def repeat(energy: float, calls: int = 1, **telemetry: float) -> Repeat:
    return Repeat(calls, energy, 2.0, 0.0, telemetry)


def test_statistics_by_hand() -> None:
    values = [9.0, 10.0, 11.0]  # mean 10, s = 1, t(2) = 4.303
    assert statistics.standard_deviation(values) == 1
    assert statistics.half_width_95(values) == pytest.approx(4.303 / math.sqrt(3), rel=EXACT)
    assert statistics.drift(values) == pytest.approx(0.2, rel=EXACT)  # a line from 9 to 11 over 10
    assert statistics.half_width_95([5.0]) == math.inf
    assert statistics.drift([5.0]) == 0


def test_t_quantiles_are_scipys() -> None:
    from scipy import stats

    for degrees, value in statistics.T_95.items():
        assert value == pytest.approx(stats.t.ppf(0.975, degrees), abs=6e-4)
    assert statistics.t_95(22) == statistics.T_95[20]
    assert statistics.t_95(0) == math.inf


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=20), st.floats(0.1, 10))
def test_statistics_scale(values: list[float], factor: float) -> None:
    scaled = [factor * value for value in values]
    assert statistics.half_width_95(scaled) == pytest.approx(
        factor * statistics.half_width_95(values), rel=1e-6, abs=1e-6
    )
    assert statistics.drift(scaled) == pytest.approx(statistics.drift(values), rel=1e-6, abs=1e-6)


def test_enough() -> None:
    settings = Settings(repeats=3, most_repeats=5, target=0.01, most_s=60)
    assert not protocol.is_enough([1.0, 1.0], settings)
    assert protocol.is_enough([1.0, 1.0, 1.0], settings)
    assert not protocol.is_enough([1.0, 2.0, 1.0], settings)
    assert protocol.is_enough([1.0, 2.0, 1.0, 2.0, 1.0], settings)
    assert protocol.is_enough([1.0, 2.0, 1.0], settings, elapsed_s=61)
    assert not protocol.is_enough([1.0, 2.0], settings, elapsed_s=61)


def test_a_known_trace_gives_its_energy() -> None:
    meter, clock = virtual()
    found = protocol.measure(lambda: clock.work(0.3), meter, Settings(window_s=1.0, repeats=5))
    assert found.energy_j == pytest.approx(0.3 * 400, rel=EXACT)
    assert found.duration_s == pytest.approx(0.3, rel=EXACT)
    assert found.idle_power_w == pytest.approx(80, rel=EXACT)
    assert found.dynamic_j == pytest.approx(0.3 * (400 - 80), rel=EXACT)
    assert [repeat.calls for repeat in found.repeats] == [4] * 5
    assert all(repeat.duration_s >= 1.0 for repeat in found.repeats)
    assert found.warnings == ()


def test_windows_follow_each_other_and_repeats_are_told_at_once() -> None:
    meter, clock = virtual()
    seen: list[Repeat] = []
    found = protocol.measure(lambda: clock.work(2.0), meter, on_repeat=seen.append)
    assert tuple(seen) == found.repeats
    assert [r.offset_s for r in seen] == pytest.approx([0, 2, 4, 6, 8])
    assert {r.calls for r in seen} == {1}


def test_a_stale_counter_cancels_in_the_mean() -> None:
    clock = VirtualClock()
    meter = ReplayMeter(trace(), clock, tick_s=0.3)
    found = protocol.measure(lambda: clock.work(0.1), meter, Settings(repeats=10, most_repeats=10))
    assert found.energy_j == pytest.approx(40, rel=0.05)


def test_never_zero_joules() -> None:
    clock = VirtualClock()
    meter = ReplayMeter(trace(), clock, tick_s=100.0)
    with pytest.raises(MeasureError, match="shows 0 J"):
        protocol.measure(lambda: clock.work(1.0), meter)
    still = ReplayMeter(trace(), clock, tick_s=100.0)
    still.energy_j()
    with pytest.raises(MeasureError, match="0 J"):
        protocol.measure(lambda: clock.work(1.0), still, Settings(), idle=False)


@pytest.mark.parametrize("back_s", [0.01, 5.0, math.nan])
@pytest.mark.parametrize("idle", [True, False])
def test_a_clock_that_steps_back_ends_the_measurement(back_s: float, idle: bool) -> None:
    meter, clock = virtual()
    readings = iter(range(10**6))

    class Stepping:
        def now(self) -> float:
            return clock.now() - back_s * next(readings)

        def sleep(self, seconds: float) -> None:
            clock.sleep(seconds / 1000)

    meter.clock = Stepping()
    with pytest.raises(MeasureError, match="the clock stepped back"):
        protocol.measure(lambda: None, meter, Settings(warmup=0), idle=idle)


def test_a_clock_that_steps_back_within_a_window_ends_it() -> None:
    class Stepped(VirtualClock):
        stepped_s = 0.0

        def now(self) -> float:
            return super().now() - self.stepped_s

    clock, calls = Stepped(), iter(range(10**6))

    def work() -> None:
        clock.work(0.2)
        if next(calls) == 25:  # in the third window
            clock.stepped_s = 3600.0

    with pytest.raises(MeasureError, match=r"stepped back, from .* s: its times mean nothing"):
        protocol.measure(work, ReplayMeter(trace(), clock), Settings(window_s=2.0, repeats=9), idle=False)


def test_a_clock_that_stands_still_ends_the_measurement() -> None:
    meter, _ = virtual()
    with pytest.raises(MeasureError, match="the clock does not move"):
        protocol.measure(lambda: None, meter, idle=False)


def told_of(*repeats: Repeat) -> str:
    return " | ".join(protocol.summarise(repeats, None, None, Settings(repeats=1, target=1.0)).warnings)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ([(700, 700), (700, 700)], ""),
        ([(695, 700)], ""),
        ([(700, 700), (200, 200)], "between 200 and 700 W"),
        ([(200, 700)], "between 200 and 700 W"),
        ([(300, 300), (400, 400)], "between 300 and 400 W"),
    ],
)
def test_a_power_limit_that_changes_is_told(limits: list[tuple[float, float]], words: str) -> None:
    energy = 2.0 * 150  # 150 W
    told = told_of(*(repeat(energy, power_limit_w=low, power_limit_max_w=high) for low, high in limits))
    assert ("the power limit changed" in told) == bool(words)
    assert words in told


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, ""), (0x1, ""), (0x4, ""),  # idle; at its power limit, as busy GPUs are
        (0x20, "heat (software)"), (0x40, "heat (hardware)"), (0x8, "hardware slowdown"),
        (0x80, "power brake"), (0x10, "another GPU"),
        (0x4 | 0x40 | 0x8, "hardware slowdown, heat (hardware)"),
    ],
)  # fmt: skip
def test_clocks_that_were_slowed_are_told(bits: int, words: str) -> None:
    told = told_of(repeat(300.0, throttle_reasons=0.0), repeat(300.0, throttle_reasons=float(bits)))
    assert ("slowed the GPU's clocks" in told) == bool(words)
    assert words in told


@pytest.mark.parametrize(
    ("energy_w", "sampled_w", "words"),
    [
        (690, 690, None),
        (760, 690, None),  # sensors are good to some per cent
        (7000, None, "energy reading tells of 7000 W, above the power limit of 700 W"),
        (800, 690, "energy reading tells of 800 W"),
        (690, 900, "sampled power tells of 900 W"),
    ],
)
def test_more_than_the_power_limit_is_told(
    energy_w: float, sampled_w: float | None, words: str | None
) -> None:
    sampled: dict[str, Any] = {} if sampled_w is None else {"power_mean_w": sampled_w}
    told = told_of(repeat(2.0 * energy_w, power_limit_w=700, power_limit_max_w=700, **sampled))
    assert ("above the power limit" in told) == (words is not None)
    assert (words or "") in told


def test_doubts_are_told() -> None:
    settings = Settings(repeats=5, target=0.01)
    energies = [100.0, 104.0, 108.0]
    hot = [
        repeat(e, temperature_start_c=t, temperature_end_c=t + 1, other_processes=2)
        for e, t in zip(energies, (40, 50, 60), strict=True)
    ]
    found = protocol.summarise(hot, protocol.Idle(80, 3), protocol.Idle(95, 3), settings)
    told = " | ".join(found.warnings)
    for words in ("3 repeats instead of 5", "not within 1 %", "idle power went", "temperature", "2 other"):
        assert words in told
    assert found.dynamic_j is None  # 87.5 W for 2 s is more than the mean of 104 J
    assert "no dynamic energy" in told


def test_a_drift_is_told() -> None:
    rising = [repeat(100.0 + 2 * i) for i in range(10)]
    assert "drifted by +16.5 %" in " ".join(protocol.summarise(rising, None, None, Settings()).warnings)


def test_counter_and_integrated_power_are_compared() -> None:
    apart = [repeat(100.0, power_integral_j=45.0, power_integral_s=1.0)] * 5  # 45 W against 50 W
    assert "-10.0 % off" in " ".join(protocol.summarise(apart, None, None, Settings()).warnings)


def test_short_time_ends_with_three_repeats() -> None:
    meter, clock = virtual()
    found = protocol.measure(lambda: clock.work(30.0), meter, Settings(most_s=50))
    assert len(found.repeats) == 3
    assert "3 repeats instead of 5" in found.warnings[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 1}, "did you mean window_s"),
        ({"window_s": 0}, "window_s must be"),
        ({"repeats": 2.5}, "whole number"),
        ({"repeats": 9, "most_repeats": 5}, "less than"),
        ({"target": "small"}, "target must be"),
    ],
)
def test_settings_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings.of(values)
