"""Every threshold of a warning or a limit: just below it nothing is said, just above it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from task_samples import ENVIRONMENT, RESULT, numbered_spec

from joulecast.errors import FileFormatError, InputError
from joulecast.measure import campaign, campaign_plan, protocol, replay
from joulecast.measure.campaign import run_campaign
from joulecast.measure.meter import Telemetry
from joulecast.measure.phases import Phase, Tracked
from joulecast.measure.phases import _doubts as doubts_of_block
from joulecast.measure.protocol import Idle, Repeat, Settings, summarise
from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace
from joulecast.measure.statistics import half_width_95
from joulecast.measure.store import NewTask, Store
from joulecast.measure.task import _doubtful_steps
from joulecast.measure.virtual import VirtualSubject
from joulecast.report.measured_text import within

STEADY = [99.0, 100.0, 101.0, 100.0, 100.0]


def repeats(*energies: float, **telemetry: float) -> list[Repeat]:
    """One call in two seconds each."""
    return [Repeat(1, energy, 2.0, 0.0, telemetry) for energy in energies]


def warnings_of(
    measured: list[Repeat], idle: tuple[float, float] | None = None, target: float = 1.0
) -> list[str]:
    before, after = (None, None) if idle is None else (Idle(idle[0], 3.0), Idle(idle[1], 3.0))
    return list(summarise(measured, before, after, Settings(repeats=3, target=target)).warnings)


@pytest.mark.parametrize(("idle", "told"), [((9.51, 10.49), 0), ((9.49, 10.51), 1), ((10.51, 9.49), 1)])
def test_idle_power_may_move_by_a_tenth(idle: tuple[float, float], told: int) -> None:
    assert len(warnings_of(repeats(*STEADY), idle)) == told


@pytest.mark.parametrize(("drift", "told"), [(0.0199, 0), (-0.0199, 0), (0.0201, 1), (-0.0201, 1)])
def test_a_drift_of_two_percent_is_steady(drift: float, told: int) -> None:
    rising = [100 * (1 + drift * (i / 39 - 0.5)) for i in range(40)]
    assert len(warnings_of(repeats(*rising))) == told


def test_a_drift_within_the_interval_is_none() -> None:
    assert warnings_of(repeats(90.0, 110.0, 100.0)) == []  # 10 % of drift in an interval of +-25 %


def test_an_interval_may_be_as_wide_as_the_target() -> None:
    width = half_width_95(STEADY) / 100
    assert warnings_of(repeats(*STEADY), target=1.001 * width) == []
    assert "the 95 % interval is" in warnings_of(repeats(*STEADY), target=0.999 * width)[0]


@pytest.mark.parametrize(("end_c", "told"), [(45.0, 0), (45.1, 1)])
def test_the_chip_may_warm_by_five_degrees(end_c: float, told: int) -> None:
    warm = repeats(*STEADY, temperature_start_c=40.0, temperature_end_c=end_c)
    assert len(warnings_of(warm)) == told


@pytest.mark.parametrize(("power_w", "told"), [(52.4, 0), (52.6, 1), (47.6, 0), (47.4, 1)])
def test_meters_may_be_a_twentieth_apart(power_w: float, told: int) -> None:
    """The energy reading is 50 W."""
    both = repeats(*STEADY, power_integral_j=power_w, power_integral_s=1.0)
    assert len(warnings_of(both)) == told


@pytest.mark.parametrize(("limit_w", "told"), [(99.1, 0), (98.9, 1)])
def test_a_power_limit_may_move_by_a_hundredth(limit_w: float, told: int) -> None:
    assert len(warnings_of(repeats(*STEADY, power_limit_w=limit_w, power_limit_max_w=100.0))) == told


@pytest.mark.parametrize(("limit_w", "told"), [(50 / 1.099, 0), (50 / 1.101, 1)])
def test_a_tenth_over_the_power_limit_is_the_sensors(limit_w: float, told: int) -> None:
    """The energy reading is 50 W."""
    assert len(warnings_of(repeats(*STEADY, power_limit_w=limit_w, power_limit_max_w=limit_w))) == told


def test_a_window_is_resolved_from_ten_ticks() -> None:
    meter = ReplayMeter(packaged_trace(), VirtualClock(), tick_s=0.5)
    assert protocol.is_resolved(meter, 5.0)
    assert not protocol.is_resolved(meter, 4.99)


def test_a_window_holds_a_million_calls_at_most() -> None:
    assert protocol._calls_for(1.0, 1e-9) == 1_000_000
    assert protocol._calls_for(1.0, 0.99) == 2  # a little more than fill it, so that one window is enough
    assert protocol._calls_for(1.0, 1.1) == 1
    assert protocol._calls_for(-1.0, 0.5) == 1


@pytest.mark.parametrize(("departure", "told"), [(None, 0), (0.0199, 0), (0.0201, 1)])
def test_steps_are_alike_to_two_percent(departure: float | None, told: int) -> None:
    assert len(list(_doubtful_steps(departure))) == told


def test_a_phase_is_resolved_from_a_second() -> None:
    assert Phase("vae", entered=2, duration_s=2.0).is_resolved
    assert not Phase("vae", entered=2, duration_s=1.99).is_resolved
    assert doubts_of_block(Tracked(duration_s=1.0)) == []
    assert "too short for the sensor" in doubts_of_block(Tracked(duration_s=0.99))[0]


def test_narrow_intervals_are_told_as_narrow() -> None:
    assert within(1.0, 1.01e-5) == "95 %: +-0.001 %"
    assert within(1.0, 0.99e-5) == "95 %: within 0.001 %"


# --- campaigns ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratios", "scale"),
    [
        ([2.0, 2.0], 1.0),  # too few
        ([2.0, 2.0, 2.0], 2.0),
        ([2.0, 3.0, 9.0], 3.0),  # the median
        ([0.11] * 3, 0.11),
        ([0.05] * 3, 0.1),
        ([9.9] * 3, 9.9),
        ([20.0] * 3, 10.0),
    ],
)
def test_expected_times_are_corrected_by_those_taken(
    ratios: list[float], scale: float, tmp_path: Path
) -> None:
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(numbered_spec(n), cost_s=10.0) for n in range(len(ratios) + 1)])
        environment = store.environment(ENVIRONMENT)
        for ratio in ratios:
            claim = store.claim()
            assert claim is not None
            store.finish(claim, RESULT, environment, took_s=10 * ratio)
        assert campaign.time_scale(store) == pytest.approx(scale)
        assert campaign.time_left_s(store) == pytest.approx(10 * scale)


@pytest.mark.parametrize(
    ("own_s", "left_s", "expected_s"),
    [
        (None, None, None),
        (60.0, None, 60.0),
        (None, 100.0, 80.0),
        (79.0, 100.0, 79.0),
        (81.0, 100.0, 80.0),
        (None, 1.25, 1.0),
        (None, 0.5, 1.0),
        (None, 2.0, 1.6),
    ],
)
def test_repeats_get_four_fifths_of_the_time_left(
    own_s: float | None, left_s: float | None, expected_s: float | None
) -> None:
    found = campaign.within(Settings(most_s=own_s), left_s)
    assert found.most_s == (None if expected_s is None else pytest.approx(expected_s))
    assert dataclasses.replace(found, most_s=own_s) == Settings(most_s=own_s)


class TenSeconds(VirtualSubject):
    """Every call takes ten seconds, whatever was expected."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._work: Callable[[float], None] = clock.work

    def call(self) -> None:
        self._work(10.0)


def test_a_task_of_many_repeats_does_not_overrun_the_budget(tmp_path: Path) -> None:
    clock = VirtualClock()
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(numbered_spec(5))])
        settings = Settings(repeats=100, most_repeats=100)
        meter = ReplayMeter(packaged_trace(), clock)
        assert run_campaign(store, TenSeconds(clock), meter, settings, budget_s=100.0) == 1
    assert 80 < clock.now() < 100


# --- plans and traces -----------------------------------------------------------------------------

GRID = '[[grid]]\nmodel = "sd2"\n'


def test_a_grid_joins_twenty_rounds_later_at_most() -> None:
    assert len(campaign_plan.parse_plan(GRID + "later = 20\n", "x").tasks) == 1
    with pytest.raises(InputError, match="0 to 20, not 21"):
        campaign_plan.parse_plan(GRID + "later = 21\n", "x")


def test_a_grid_has_so_many_combinations_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert campaign_plan.MOST_TASKS == 20_000
    monkeypatch.setattr(campaign_plan, "MOST_TASKS", 6)
    assert len(campaign_plan.parse_plan(GRID + "steps = [5, 6, 7]\npasses = [1, 2]\n", "x").tasks) == 6
    with pytest.raises(InputError, match="has more than 6 combinations"):
        campaign_plan.parse_plan(GRID + "steps = [5, 6, 7, 8]\npasses = [1, 2]\n", "x")


def test_weights_have_a_name_of_a_thousand_characters_at_most() -> None:
    assert campaign_plan.check_weights("w" * 1000)
    with pytest.raises(InputError, match="the name of a folder or hub id"):
        campaign_plan.check_weights("w" * 1001)


def test_a_plan_is_no_longer_than_a_plan_is(tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    file.write_text(GRID.ljust(200_000, "#"))
    assert len(campaign_plan.read_plan(file).tasks) == 1
    file.write_text(GRID.ljust(200_001, "#"))
    with pytest.raises(FileFormatError, match="is larger than"):
        campaign_plan.read_plan(file)


def test_a_trace_is_no_longer_than_a_trace_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, text = tmp_path / "t.csv", "time_s,power_w\n0,5\n1,5\n"
    file.write_text(text)
    monkeypatch.setattr(replay, "MOST_TRACE_BYTES", len(text))
    assert replay.read_trace(file).states == (Telemetry(power_w=5.0),) * 2
    monkeypatch.setattr(replay, "MOST_TRACE_BYTES", len(text) - 1)
    with pytest.raises(FileFormatError, match="is larger than"):
        replay.read_trace(file)
