"""What makes a measurement doubtful, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Final

from joulecast.measure.statistics import drift, half_width_95

if TYPE_CHECKING:
    from joulecast.measure.protocol import Repeat, Settings

IDLE_CHANGE: Final = 0.1  # of the idle power, above which the baseline is in doubt
DRIFT: Final = 0.02  # of the energy over all repeats, above which the GPU was not in a steady state
TEMPERATURE_CHANGE_C: Final = 5.0  # over all repeats, likewise
METERS_APART: Final = 0.05  # between the counter and integrated power
LIMIT_CHANGE: Final = 0.01  # of the power limit over all repeats
ABOVE_LIMIT: Final = 1.1  # of the power limit; sensors are good to 5 %, and limits hold over about a second
# NVML's reasons for lower clocks that make runs hard to compare, by bit (nvml.h, nvmlClocksEventReasons).
SLOWED: Final = {
    0x08: "hardware slowdown",
    0x10: "held to the clock of another GPU (sync boost)",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake of the supply",
}


def doubts(
    repeats: Sequence[Repeat], idles: Sequence[float], dynamic: float | None, settings: Settings
) -> Iterator[str]:
    """What makes the mean of some repeats doubtful; `idles` are idle powers before and after [W]."""
    energies = [repeat.energy_per_call_j for repeat in repeats]
    if len(repeats) < settings.repeats:
        yield f"{len(repeats)} repeats instead of {settings.repeats}: the time was up"
    width = half_width_95(energies) / fmean(energies)
    if width > settings.target:
        yield f"the 95 % interval is +-{100 * width:.1f} %, not within {100 * settings.target:g} %"
    if abs(drift(energies)) > max(DRIFT, width):
        yield f"the energy drifted by {100 * drift(energies):+.1f} % over the repeats"
    warm = [
        repeat.telemetry[name]
        for repeat in repeats
        for name in ("temperature_start_c", "temperature_end_c")
        if name in repeat.telemetry
    ]
    if warm and max(warm) - min(warm) > TEMPERATURE_CHANGE_C:
        yield f"the chip's temperature moved from {warm[0]:g} to {warm[-1]:g} degrees over the repeats"
    yield from doubts_of_conditions(repeats, idles, dynamic)


def doubts_of_conditions(
    repeats: Sequence[Repeat], idles: Sequence[float], dynamic: float | None
) -> Iterator[str]:
    """What makes windows doubtful however many they are: the GPU, its supply and who else used it."""
    if len(idles) == 2 and abs(idles[1] - idles[0]) > IDLE_CHANGE * fmean(idles):
        yield f"idle power went from {idles[0]:.1f} to {idles[1]:.1f} W"
    if dynamic is not None and math.isnan(dynamic):
        yield "the GPU drew no more than its idle power: no dynamic energy"
    others = max((repeat.telemetry.get("other_processes", 0) for repeat in repeats), default=0)
    if others:
        yield f"{others:g} other processes computed on the card: their energy is counted in"
    yield from _slowed(repeats)
    yield from _power_limits(repeats)
    yield from _meters_apart(repeats)


def _meters_apart(repeats: Sequence[Repeat]) -> Iterator[str]:
    """Whether the counter and the integrated power disagree; per second, as samples end early."""
    integral = math.fsum(repeat.telemetry.get("power_integral_j", 0.0) for repeat in repeats)
    seconds = math.fsum(repeat.telemetry.get("power_integral_s", 0.0) for repeat in repeats)
    if seconds <= 0 or integral <= 0:
        return
    apart = integral / seconds / _mean_power_w(repeats) - 1
    if abs(apart) > METERS_APART:
        yield f"integrated power is {100 * apart:+.1f} % off the energy reading"


def _slowed(repeats: Sequence[Repeat]) -> Iterator[str]:
    """Whether the driver slowed the clocks; a power limit that binds is how a busy GPU runs, and no doubt."""
    bits = 0
    for repeat in repeats:
        bits |= int(repeat.telemetry.get("throttle_reasons", 0))
    if reasons := [words for bit, words in SLOWED.items() if bits & bit]:
        yield f"the driver slowed the GPU's clocks: {', '.join(reasons)}"


def _power_limits(repeats: Sequence[Repeat]) -> Iterator[str]:
    """Whether the power limit changed, and whether more is said to be drawn than it allows."""
    limits = [
        repeat.telemetry[name]
        for repeat in repeats
        for name in ("power_limit_max_w", "power_limit_w")
        if name in repeat.telemetry
    ]
    if not limits:
        return
    low, high = min(limits), max(limits)
    if high - low > LIMIT_CHANGE * high:
        yield f"the power limit changed while it was measured: it lay between {low:g} and {high:g} W"
    sampled = [repeat.telemetry["power_mean_w"] for repeat in repeats if "power_mean_w" in repeat.telemetry]
    told = {"energy reading": _mean_power_w(repeats), "sampled power": max(sampled, default=0.0)}
    for what, power_w in told.items():
        if power_w > ABOVE_LIMIT * high:
            yield f"the {what} tells of {power_w:.4g} W, above the power limit of {high:g} W: one is wrong"


def _mean_power_w(repeats: Sequence[Repeat]) -> float:
    return math.fsum(r.energy_j for r in repeats) / math.fsum(r.duration_s for r in repeats)
