"""A command measured by replayed meters: what is drawn, what idles, what is too short, what was tracked."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from joulecast.errors import MeasureError
from joulecast.measure.blocks import FOLDER, MOST_BLOCKS, Block, read_blocks, tell
from joulecast.measure.command import CommandRun, Runner, measure_command
from joulecast.measure.meter import Telemetry
from joulecast.measure.protocol import Settings
from joulecast.measure.replay import ReplayMeter, VirtualClock, parse_trace
from joulecast.report.command_text import columns_of

TRACE = parse_trace("time_s,phase,power_w\n0,idle,100\n1,work,400\n2,idle,100\n", "trace")
BLOCK = Block("a GPU", 4, 600.0, 2.0, 500.0, 400.0, 700.0)


def measured(
    work_s: float = 10.0,
    *,
    gpus: int = 1,
    tick_s: float = 0.1,
    settings: Settings | None = None,
    inside: Callable[[], object] = lambda: None,
    status: int = 0,
) -> CommandRun:
    clock = VirtualClock()
    meters = [ReplayMeter(TRACE, clock, tick_s) for _ in range(gpus)]

    def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            inside()
        clock.work(work_s)
        return status

    return measure_command(["python", "generate.py"], meters, settings, run=run)


def test_energy_power_and_idle_by_hand() -> None:
    """10 s at 400 W; 100 W of it would have been drawn anyway."""
    found = measured(status=3)
    assert (found.status, found.duration_s, found.boundary) == (3, 10.0, "gross")
    assert found.energy_j == pytest.approx(4000)
    assert found.power_w == pytest.approx(400)
    assert found.idle_power_w == pytest.approx(100)
    assert found.idle_share == pytest.approx(0.25)
    assert found.dynamic_j == pytest.approx(3000)
    assert found.energy_error_j == pytest.approx(0.1 * 400)
    assert found.dynamic_error_j == pytest.approx(40 + 10 * 100 * 0.1 / 3)  # a tick of 3 s
    assert found.gpus[0].warnings == ()
    for words in (
        "python generate.py on replayed GPU: exit status 3",
        "4,000 J",
        "1.11 Wh",
        "25.0 %",
        "gross",
    ):
        assert words in str(found)


def test_dynamic_energy_is_as_sure_as_both_readings() -> None:
    """20 J above idle power; steps of 10 J hide one of the command's, and one in each second of idling."""
    clock = VirtualClock()
    trace = parse_trace("time_s,phase,power_w\n0,idle,100\n1,work,102\n2,idle,100\n", "trace")
    meter = ReplayMeter(trace, clock, 0.1)
    found = measure_command(["x"], [meter], Settings(idle_s=1.0), run=works(clock, seconds=10.0))
    assert found.dynamic_j == pytest.approx(20)
    assert found.dynamic_error_j == pytest.approx(10.2 + 10 * 10)
    assert found.to_dict()["dynamic_error_j"] == found.dynamic_error_j
    assert "gross minus idle, +-110 J by both readings" in " ".join(str(found).split())


def test_without_idle_nothing_is_said_of_it() -> None:
    found = measured(settings=Settings(idle_s=0))
    assert (found.idle_power_w, found.idle_share, found.dynamic_j) == (None, None, None)
    assert found.energy_j == pytest.approx(4000)
    assert "idle share" not in str(found)
    assert "dynamic" not in str(found)


def test_several_gpus_add_up() -> None:
    found = measured(gpus=3)
    assert found.energy_j == pytest.approx(3 * 4000)
    assert found.idle_power_w == pytest.approx(300)
    assert found.energy_error_j == pytest.approx(3 * 40)
    assert found.idle_share == pytest.approx(0.25)
    assert "on 3 GPUs" in str(found)
    columns = columns_of(found)
    assert columns["energy_j"].tolist() == pytest.approx([4000] * 3)
    assert len({len(column) for column in columns.values()}) == 1


@pytest.mark.parametrize(("work_s", "is_known"), [(0.99, False), (1.01, True)])
def test_ten_steps_of_the_reading_are_the_least(work_s: float, is_known: bool) -> None:
    found = measured(work_s)
    assert (found.energy_j is not None) == is_known
    if not is_known:
        assert (found.power_w, found.idle_share, found.dynamic_j) == (None, None, None)
        told = " ".join(str(found).split())
        assert "too short to measure: the energy reading moves every 0.1 s, so 1 s at least" in told
        assert " J" not in told
        assert math.isnan(columns_of(found)["energy_j"][0])
        assert found.to_dict()["energy_j"] is None


def works(clock: VirtualClock, status: int = 0, seconds: float = 5.0) -> Runner:
    """In place of a command: so much work [s]."""

    def run(*_: object) -> int:
        clock.work(seconds)
        return status

    return run


class Failing(ReplayMeter):
    """Shows what `shows` says of the energy after so many readings."""

    shows: float | None = None
    left = 3  # two of idle power before, one at the start

    def energy_j(self) -> float:
        self.left -= 1
        if self.left >= 0:
            return super().energy_j()
        if self.shows is None:
            raise MeasureError("the energy counter cannot be read (GPU is lost)")
        return self.shows


@pytest.mark.parametrize(
    ("shows", "words"),
    [(None, "GPU is lost"), (0.0, "does not follow the GPU"), (math.nan, "does not follow")],
)
def test_a_meter_that_fails_meanwhile_gives_no_number(shows: float | None, words: str) -> None:
    """But the command has run, and its status is told."""
    clock = VirtualClock()
    meter = Failing(TRACE, clock)
    meter.shows = shows
    found = measure_command(["x"], [meter], run=works(clock, status=4))
    assert (found.status, found.energy_j) == (4, None)
    assert words in found.gpus[0].problem
    assert "idle power after the command was not measured" in found.warnings[0]


def test_an_idle_gpu_that_draws_nothing_starts_no_command() -> None:
    meter = Failing(TRACE, VirtualClock())
    meter.shows, meter.left = 0.0, 0
    with pytest.raises(MeasureError, match="the idle GPU"):
        measure_command(["x"], [meter], run=lambda *_: pytest.fail("it was started"))


def test_ctrl_c_while_it_idles_afterwards_keeps_what_was_measured() -> None:
    clock = VirtualClock()

    def run(*_: object) -> int:
        clock.work(5.0)
        clock.sleep = interrupted  # type: ignore[method-assign]
        return 0

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    found = measure_command(["x"], [ReplayMeter(TRACE, clock)], run=run)
    assert found.energy_j == pytest.approx(2000)
    assert found.idle_power_w == pytest.approx(100)
    assert found.warnings == ("idle power after the command was not measured: interrupted",)
    assert "before alone" in str(found)
    assert "before and after" not in str(found)


class Shared(ReplayMeter):
    def sample(self) -> Telemetry:
        return dataclasses.replace(super().sample(), other_processes=2)


def test_other_processes_are_told() -> None:
    clock = VirtualClock()
    found = measure_command(["x"], [Shared(TRACE, clock)], run=works(clock))
    assert found.gpus[0].warnings == ("2 other processes computed on the card: their energy is counted in",)
    assert "Warning: 2 other processes" in str(found)


# --- what was tracked inside ----------------------------------------------------------------------


def tell_all(*blocks: Block) -> None:
    for block in blocks:
        tell(block)


def test_tracked_blocks_are_compared() -> None:
    """1,200 J measured, 1,000 J predicted."""
    found = measured(inside=lambda: tell_all(BLOCK, BLOCK))
    assert found.blocks == (BLOCK, BLOCK)
    told = " ".join(str(found).split())
    assert "Tracked: 2 blocks, 8 made: 1,200 J measured, 30.0 % of the command's" in told
    assert "1,000 J predicted (90 %: 800 to 1,400 J); measured is 20.0 % above it" in told
    assert json.loads(json.dumps(found.to_dict()))["tracked"][0]["predicted_j"] == 500


@pytest.mark.parametrize(("count", "is_told"), [(7, False), (8, True)])
def test_blocks_beside_each_other_count_a_gpu_twice_and_it_is_told(count: int, is_told: bool) -> None:
    """600 J each, of a command's 4,000 J; each of them and the command are off by 40 J at most."""
    told = " ".join(str(measured(inside=lambda: tell_all(*[BLOCK] * count))).split())
    assert ("more than the command drew" in told) == is_told


def test_blocks_without_a_prediction_say_why() -> None:
    other = Block("a GPU", 2, 300.0, 1.0, problem="the catalogue does not know it")
    told = " ".join(str(measured(inside=lambda: tell_all(BLOCK, other))).split())
    assert "500 J predicted for 1 of them (90 %: 400 to 700 J); measured is 20.0 % above it" in told
    assert "not predicted: the catalogue does not know it" in told


def test_nothing_is_told_outside_a_measured_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    tell(BLOCK)
    monkeypatch.setenv(FOLDER, str(tmp_path / "gone"))
    tell(BLOCK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"gpu": "x"}',
        '{"gpu": 3, "images": 1, "energy_j": 1, "duration_s": 1}',
        '{"gpu": "x", "images": 1, "energy_j": -1, "duration_s": 1}',
        '{"gpu": "x", "images": 1, "energy_j": NaN, "duration_s": 1}',
        '{"gpu": "x", "images": 1, "energy_j": 1, "duration_s": 1, "more": 1}',
        '{"gpu": "x", "images": -1, "energy_j": 1, "duration_s": 1}',
        '{"gpu": "x", "images": 1, "energy_j": 1, "duration_s": 1, "predicted_j": 0}',
        '{"gpu": "x", "images": 1, "energy_j": 1, "duration_s": 1, "predicted_j": 5}',
        "[" * 100_000,
    ],
)
def test_damaged_blocks_are_left_out_and_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "block-1.json").write_text(text)
    (tmp_path / "other.txt").write_text("")
    found, problems = read_blocks(tmp_path)
    assert found == []
    assert len(problems) == 1
    assert "block-1.json" in problems[0]


def test_links_and_pipes_among_blocks_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "block-1.json")
    assert "is not a plain file" in read_blocks(tmp_path)[1][0]


def test_too_many_blocks_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulecast.measure.blocks.MOST_BLOCKS", 2)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    for _ in range(3):
        tell(BLOCK)
    found, problems = read_blocks(tmp_path)
    assert (len(found), problems) == (2, ["the first 2 of 3 tracked blocks are compared"])
    assert MOST_BLOCKS > 1000
