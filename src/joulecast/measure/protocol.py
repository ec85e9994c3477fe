"""How a measurement is made: warm-up, idle before and after, repeated windows.

A window is opened and closed with the GPU synchronised, by a monotonic clock, and the work is
repeated inside it until it is long enough for the sensor. Windows follow each other without a
pause: what a stale counter credits to one window it takes from the next, so the mean over all of
them is better than each.

``gross`` is what the board drew; ``dynamic`` is gross minus idle power times time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from joulecast.boundary import measured_dynamic_j
from joulecast.errors import InputError, MeasureError, did_you_mean, shown
from joulecast.measure.doubts import doubts
from joulecast.measure.meter import Meter
from joulecast.measure.statistics import drift, half_width_95, standard_deviation
from joulecast.measure.telemetry import TelemetryRecorder, summary

RESOLVED_TICKS: Final = 10  # of the energy reading in a window, so that one more or less is no matter
FEWEST_REPEATS: Final = 3  # when time is short
MOST_STILL_CALLS: Final = 1_000_000  # of the work, in which a clock must move


@dataclass(frozen=True)
class Settings:
    """How thoroughly to measure.

    Attributes
    ----------
    window_s : shortest window [s]; the work is repeated inside until it is that long.
    repeats, most_repeats : windows at least, and at most.
    target : relative half width of the 95 % interval of the mean at which repeating ends.
    warmup : calls before the first window.
    idle_s : length of each of the two measurements of idle power [s].
    settle_s : pause before each of them [s].
    most_s : time [s] after which 3 repeats are enough and no more are begun; None for no limit.
    """

    window_s: float = 1.0
    repeats: int = 5
    most_repeats: int = 15
    target: float = 0.01
    warmup: int = 1
    idle_s: float = 3.0
    settle_s: float = 1.0
    most_s: float | None = None

    def __post_init__(self) -> None:
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if value is None and name == "most_s":
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise InputError(f"{name} must be between {low:g} and {high:g}, not {shown(value)}")
        for name in ("repeats", "most_repeats", "warmup"):
            if not isinstance(getattr(self, name), int):
                raise InputError(f"{name} must be a whole number, not {shown(getattr(self, name))}")
        if self.most_repeats < self.repeats:
            raise InputError(f"most_repeats ({self.most_repeats}) is less than repeats ({self.repeats})")

    @classmethod
    def of(cls, values: Mapping[str, object], where: str = "protocol") -> Settings:
        """From a table of a plan. Raises InputError, with near matches, for a key that is none."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                raise InputError(f"unknown key {shown(key)} in {where}; {did_you_mean(key, known)}")
        return cls(**values)  # type: ignore[arg-type]


_LIMITS: Final = (
    ("window_s", 1e-6, 3600),
    ("repeats", 1, 1000),
    ("most_repeats", 1, 1000),
    ("target", 0, 1),
    ("warmup", 0, 100),
    ("idle_s", 0, 600),
    ("settle_s", 0, 600),
    ("most_s", 0, 1e6),
)


@dataclass(frozen=True)
class Idle:
    """Idle power [W] over a stretch of time [s]."""

    power_w: float
    duration_s: float


@dataclass(frozen=True)
class Repeat:
    """One window: calls of the work in it, their energy [J] and time [s] together, and telemetry.

    `offset_s` is when the window began, from the first one's beginning [s].
    """

    calls: int
    energy_j: float
    duration_s: float
    offset_s: float
    telemetry: dict[str, float]

    @property
    def energy_per_call_j(self) -> float:
        """Gross energy of one call [J]."""
        return self.energy_j / self.calls

    @property
    def duration_per_call_s(self) -> float:
        """Time of one call [s]."""
        return self.duration_s / self.calls


@dataclass(frozen=True)
class Measurement:
    """What the protocol found. Energies and times are of one call of the work.

    Attributes
    ----------
    energy_j, energy_half_width_j : gross: mean over the repeats, half of its 95 % interval [J].
    duration_s, duration_half_width_s : likewise of the time [s].
    dynamic_j : gross minus idle power times time [J]; None without idle, or when it is not above 0.
    idle_power_w : mean of before and after [W]; None when it was not measured.
    spread : standard deviation over mean of the repeats' energies.
    drift : trend of the energy over all repeats, over its mean.
    """

    repeats: tuple[Repeat, ...]
    idle_before: Idle | None
    idle_after: Idle | None
    energy_j: float
    energy_half_width_j: float
    duration_s: float
    duration_half_width_s: float
    dynamic_j: float | None
    idle_power_w: float | None
    spread: float
    drift: float
    warnings: tuple[str, ...]


# --- measuring ------------------------------------------------------------------------------------


def is_enough(values: Sequence[float], settings: Settings, elapsed_s: float = 0.0) -> bool:
    """Whether the repeats suffice: the interval is narrow, or a cap is reached."""
    count = len(values)
    if settings.most_s is not None and elapsed_s >= settings.most_s and count >= FEWEST_REPEATS:
        return True
    if count < settings.repeats:
        return False
    return count >= settings.most_repeats or half_width_95(values) <= settings.target * fmean(values)


def measure_idle(meter: Meter, settings: Settings) -> Idle | None:
    """Idle power, after a pause. None when the settings ask for none.

    Raises MeasureError when no energy was drawn.
    """
    return measure_idles([meter], settings)[0]


def measure_idles(meters: Sequence[Meter], settings: Settings) -> list[Idle | None]:
    """The same of several GPUs at a time, by the first one's clock."""
    if settings.idle_s <= 0:
        return [None] * len(meters)
    clock = meters[0].clock
    clock.sleep(settings.settle_s)
    start, before = clock.now(), [meter.energy_j() for meter in meters]
    clock.sleep(settings.idle_s)
    end, after = clock.now(), [meter.energy_j() for meter in meters]
    seconds = _passed(start, end)
    if seconds == 0:
        raise MeasureError(_STILL)
    drawn = [late - early for early, late in zip(before, after, strict=True)]
    return [Idle(positive_j(energy, "the idle GPU", seconds) / seconds, seconds) for energy in drawn]


def measure(
    work: Callable[[], object],
    meter: Meter,
    settings: Settings | None = None,
    *,
    synchronize: Callable[[], None] = lambda: None,
    on_repeat: Callable[[Repeat], None] = lambda repeat: None,
    idle: bool = True,
) -> Measurement:
    """Measure the energy and time of one call of `work`.

    Parameters
    ----------
    synchronize : waits until the GPU has done all it was given, e.g. ``torch.cuda.synchronize``.
    on_repeat : called with each repeat as soon as it is there.
    idle : whether to measure idle power before and after.

    Raises
    ------
    MeasureError
        The meter shows no energy for a window.
    """
    chosen = settings or Settings()
    clock = meter.clock
    synchronize()
    before = measure_idle(meter, chosen) if idle else None
    repeats: list[Repeat] = []
    started = clock.now()
    estimate = _warm_up(work, meter, chosen, synchronize)
    with TelemetryRecorder(meter) as recorder:
        for repeat in _windows(work, meter, chosen, synchronize, estimate, recorder):
            repeats.append(repeat)
            on_repeat(repeat)
            if is_enough([r.energy_per_call_j for r in repeats], chosen, clock.now() - started):
                break
    after = measure_idle(meter, chosen) if idle else None
    found = summarise(repeats, before, after, chosen)
    shortest = min(repeat.duration_s for repeat in repeats)
    if is_resolved(meter, shortest):
        return found
    words = f"windows of {shortest:.2g} s are short: the reading moves every {meter.device.tick_s:g} s"
    return dataclasses.replace(found, warnings=(*found.warnings, words))


def is_resolved(meter: Meter, duration_s: float) -> bool:
    """Whether a window is long enough for the meter's reading, which moves in steps."""
    return duration_s >= RESOLVED_TICKS * meter.device.tick_s


def _warm_up(
    work: Callable[[], object], meter: Meter, settings: Settings, synchronize: Callable[[], None]
) -> float:
    """Seconds of the last warm-up call; 0 when there is none."""
    took = 0.0
    for _ in range(settings.warmup):
        start = meter.clock.now()
        work()
        synchronize()
        took = _passed(start, meter.clock.now())
    return took


def _windows(
    work: Callable[[], object],
    meter: Meter,
    settings: Settings,
    synchronize: Callable[[], None],
    call_s: float,
    recorder: TelemetryRecorder,
) -> Iterator[Repeat]:
    """Windows without end, each beginning with the reading at which the one before it ended."""
    clock = meter.clock
    first = start = end = clock.now()
    energy = meter.energy_j()
    while True:
        calls = 0
        while True:
            for _ in range(_calls_for(settings.window_s - _passed(start, clock.now()), call_s)):
                work()
                calls += 1
            synchronize()
            now = clock.now()
            _passed(end, now)
            end = now
            call_s = (end - start) / calls
            if end - start >= settings.window_s:
                break
            if end == start and calls >= MOST_STILL_CALLS:
                raise MeasureError(_STILL)
        reading = meter.energy_j()
        recorder.take()
        drawn = positive_j(reading - energy, "a window", end - start)
        yield Repeat(calls, drawn, end - start, start - first, summary(recorder.between(start, clock.now())))
        start, energy = end, reading


def _calls_for(seconds: float, call_s: float) -> int:
    """Calls that fill a time, one at least; one when it is not known how long a call takes."""
    if call_s <= 0:
        return 1
    return max(1, min(math.ceil(seconds / call_s * 1.02), 1_000_000))


def _passed(start_s: float, end_s: float) -> float:
    """Seconds between two readings of the clock. Raises MeasureError when it stepped back."""
    if not end_s >= start_s:
        raise MeasureError(
            f"the clock stepped back, from {start_s:.6g} to {end_s:.6g} s: its times mean nothing"
        )
    return end_s - start_s


_STILL: Final = "the clock does not move while the work runs: nothing can be measured with it"


def positive_j(energy_j: float, what: str, duration_s: float) -> float:
    """What a meter shows for so many seconds [J, s]. Raises MeasureError where that is no energy."""
    if not 0 < energy_j < math.inf:
        raise MeasureError(
            f"the meter shows {energy_j:g} J for {what} of {duration_s:.3g} s: it does not follow the "
            "GPU; a longer window may help (window_s)"
        )
    return energy_j


def summarise(
    repeats: Sequence[Repeat], before: Idle | None, after: Idle | None, settings: Settings
) -> Measurement:
    """Repeats and idle powers as one measurement, with what makes it doubtful."""
    energies = [repeat.energy_per_call_j for repeat in repeats]
    times = [repeat.duration_per_call_s for repeat in repeats]
    idles = [found.power_w for found in (before, after) if found is not None]
    idle_power = fmean(idles) if idles else None
    energy, duration = weighted(repeats)
    dynamic = None if idle_power is None else float(measured_dynamic_j(energy, idle_power * duration))
    return Measurement(
        repeats=tuple(repeats),
        idle_before=before,
        idle_after=after,
        energy_j=energy,
        energy_half_width_j=half_width_95(energies),
        duration_s=duration,
        duration_half_width_s=half_width_95(times),
        dynamic_j=None if dynamic is None or math.isnan(dynamic) else dynamic,
        idle_power_w=idle_power,
        spread=standard_deviation(energies) / energy,
        drift=drift(energies),
        warnings=tuple(doubts(repeats, idles, dynamic, settings)),
    )


def weighted(repeats: Sequence[Repeat]) -> tuple[float, float]:
    """Energy [J] and time [s] of one call, over all repeats together: what a stale counter shifts
    between neighbouring windows cancels."""
    calls = sum(repeat.calls for repeat in repeats)
    energy = math.fsum(repeat.energy_j for repeat in repeats) / calls
    return energy, math.fsum(repeat.duration_s for repeat in repeats) / calls
