"""A recorded trace of a GPU in its place: tests, documentation and dry runs need no GPU."""

from __future__ import annotations

import bisect
import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from joulecast import data
from joulecast.errors import FileFormatError, InputError, shown
from joulecast.files.documents import parse_csv_records
from joulecast.files.paths import shown_path, user_text
from joulecast.measure.meter import Clock, Device, Telemetry

MOST_TRACE_BYTES: Final = 20_000_000
PHASES: Final = ("idle", "work")
_FIELDS: Final = ("power_w", "temperature_c", "sm_clock_mhz", "memory_clock_mhz", "power_limit_w")


@dataclass(frozen=True)
class Trace:
    """A recording of a GPU: rows in time order, at which the state was read.

    `phase` is ``"idle"`` or ``"work"``: what the GPU did from a row to the next. A row's power
    [W] holds until the next row; the last row only ends the recording.
    """

    time_s: tuple[float, ...]
    phase: tuple[str, ...]
    states: tuple[Telemetry, ...]
    gpu: str = "replayed GPU"

    def of(self, phase: str) -> Trace:
        """The stretches of one phase joined together; the whole recording when it has none."""
        steps = [
            (end - start, state)
            for start, end, name, state in zip(
                self.time_s, self.time_s[1:], self.phase, self.states, strict=False
            )
            if name == phase
        ]
        if not steps:
            return self
        times = [0.0]
        for length, _ in steps:
            times.append(times[-1] + length)
        states = (*(state for _, state in steps), steps[-1][1])
        return Trace(tuple(times), (phase,) * len(times), states, self.gpu)

    def cumulative_j(self) -> list[float]:
        """Energy [J] up to each row."""
        total = [0.0]
        for start, end, state in zip(self.time_s, self.time_s[1:], self.states, strict=False):
            total.append(total[-1] + (end - start) * float(state.power_w or 0.0))
        return total


def read_trace(path: str | os.PathLike[str]) -> Trace:
    """A recorded trace from a CSV file: ``time_s``, ``power_w`` or ``energy_j``, and optionally
    ``phase``, ``temperature_c``, ``sm_clock_mhz``, ``memory_clock_mhz``, ``power_limit_w``.

    Raises InputError when there is no such file, FileFormatError when it is no trace.
    """
    return parse_trace(user_text(path, "trace", MOST_TRACE_BYTES), f"trace {shown_path(path)}")


def packaged_trace() -> Trace:
    """The trace of dry runs: an invented GPU, 75 W idle and about 400 W at work."""
    return parse_trace(data.read_text("plans/dry-run-trace.csv"), "the packaged trace")


def parse_trace(text: str, where: str) -> Trace:
    """A trace from the text of its CSV file; errors as of `read_trace`."""
    rows = [row for _, row in parse_csv_records(text, where)]
    if len(rows) < 2 or "time_s" not in rows[0] or not {"power_w", "energy_j"} & set(rows[0]):
        raise FileFormatError(
            f"{where} is no trace; expected columns time_s and power_w or energy_j, 2 rows at least"
        )
    numbers = [_numbers(row, f"{where}, row {place}") for place, row in enumerate(rows, 2)]
    times = [row["time_s"] for row in numbers]
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise FileFormatError(f"{where}: time_s must rise from row to row")
    if "power_w" not in numbers[0]:
        _add_power(numbers, where)
    phases = [row.get("phase") or "work" for row in rows]
    if unknown := set(phases) - set(PHASES):
        raise FileFormatError(f"{where}: phase {shown(sorted(unknown)[0])}; expected idle or work")
    states = tuple(
        Telemetry(
            row.get("power_w"),
            row.get("temperature_c"),
            row.get("sm_clock_mhz"),
            row.get("memory_clock_mhz"),
            row.get("power_limit_w"),
        )
        for row in numbers
    )
    gpu = rows[0].get("gpu") or "replayed GPU"
    return Trace(tuple(times), tuple(phases), states, gpu)


def _numbers(row: dict[str, str], where: str) -> dict[str, float]:
    found = {}
    for name in ("time_s", "energy_j", *_FIELDS):
        if row.get(name):
            try:
                found[name] = float(row[name])
            except ValueError:
                raise FileFormatError(f"{where}: {name} is {shown(row[name])}, not a number") from None
            if not math.isfinite(found[name]) or (name != "time_s" and found[name] < 0):
                raise FileFormatError(f"{where}: {name} is {shown(row[name])}; expected 0 or more")
    if "time_s" not in found or not {"power_w", "energy_j"} & set(found):
        raise FileFormatError(f"{where} lacks time_s, or both power_w and energy_j")
    return found


def _add_power(rows: list[dict[str, float]], where: str) -> None:
    """Power from the energy between rows."""
    for row, following in itertools.pairwise(rows):
        power = (following["energy_j"] - row["energy_j"]) / (following["time_s"] - row["time_s"])
        if power < 0:
            raise FileFormatError(f"{where}: energy_j falls")
        row["power_w"] = power
    rows[-1]["power_w"] = rows[-2]["power_w"]


class VirtualClock:
    """A clock that moves only when told, and tells its listeners which phase passed."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._listeners: list[Callable[[float, str], None]] = []

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._now_s

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass, the GPU idle."""
        self.pass_time(seconds, "idle")

    def work(self, seconds: float) -> None:
        """Let `seconds` pass, the GPU at work."""
        self.pass_time(seconds, "work")

    def pass_time(self, seconds: float, phase: str) -> None:
        """Let `seconds` pass in a phase, ``"idle"`` or ``"work"``."""
        if seconds > 0:
            self._now_s += seconds
            for listener in self._listeners:
                listener(seconds, phase)

    def listen(self, listener: Callable[[float, str], None]) -> None:
        """Call `listener(seconds, phase)` whenever time passes."""
        self._listeners.append(listener)


@dataclass
class _Player:
    """Plays one recording over and over."""

    trace: Trace
    cumulative_j: list[float] = field(init=False)
    position_s: float = 0.0

    def __post_init__(self) -> None:
        self.cumulative_j = self.trace.cumulative_j()
        if not self.cumulative_j[-1] > 0:
            raise InputError("a trace whose energy is 0 J cannot be replayed")

    def energy_at(self, position_s: float) -> float:
        """Energy [J] from the beginning to a position that may lie many rounds later."""
        times = self.trace.time_s
        rounds, rest = divmod(position_s, times[-1] - times[0])
        place = self.place(rest)
        within = (times[0] + rest - times[place]) * float(self.trace.states[place].power_w or 0.0)
        return rounds * self.cumulative_j[-1] + self.cumulative_j[place] + within

    def place(self, rest_s: float) -> int:
        """The row that holds at a position within one round."""
        times = self.trace.time_s
        return min(max(bisect.bisect_right(times, times[0] + rest_s) - 1, 0), len(times) - 2)

    def state(self) -> Telemetry:
        times = self.trace.time_s
        return self.trace.states[self.place(self.position_s % (times[-1] - times[0]))]

    def play(self, seconds: float) -> float:
        """Energy [J] of the next `seconds`."""
        start = self.energy_at(self.position_s)
        self.position_s += seconds
        return self.energy_at(self.position_s) - start


class ReplayMeter:
    """Plays a recorded trace, over and over, against a clock.

    With a `VirtualClock` the recording's stretches of the phase that passes are played: idle while
    the clock sleeps, work while it works. With any other clock the recording runs on by itself.
    `tick_s` [s] lets the energy reading move in steps, as a GPU's counter does.
    """

    name = "replay"
    is_real = False

    def __init__(self, trace: Trace, clock: Clock | None = None, tick_s: float = 0.0) -> None:
        self.clock: Clock = VirtualClock() if clock is None else clock
        self._device = Device(trace.gpu, "replayed", "", "recorded trace", tick_s)
        self._drawn_j = self._shown_j = 0.0
        self._next_tick_s = -math.inf
        self._phase = "idle"
        if isinstance(self.clock, VirtualClock):
            self._players = {phase: _Player(trace.of(phase)) for phase in PHASES}
            self.clock.listen(self._passed)
        else:
            self._players = {phase: _Player(trace) for phase in PHASES[:1]}
        self._last_s = self.clock.now()

    @property
    def device(self) -> Device:
        """The GPU of the recording."""
        return self._device

    def energy_j(self) -> float:
        """Energy [J] played so far."""
        self._run_on()
        now = self.clock.now()
        if now >= self._next_tick_s:
            self._shown_j, self._next_tick_s = self._drawn_j, now + self._device.tick_s
        return self._shown_j

    def power_w(self) -> float:
        """Power [W] of the recording where it is being played."""
        return float(self.sample().power_w or 0.0)

    def sample(self) -> Telemetry:
        """The recording's state where it is being played."""
        self._run_on()
        return self._players[self._phase].state()

    def close(self) -> None:
        """Nothing is held."""

    def _passed(self, seconds: float, phase: str) -> None:
        self._phase = phase
        self._drawn_j += self._players[phase].play(seconds)

    def _run_on(self) -> None:
        if not isinstance(self.clock, VirtualClock):
            now = self.clock.now()
            self._drawn_j += self._players["idle"].play(now - self._last_s)
            self._last_s = now
