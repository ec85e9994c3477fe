"""Meters: what reads the energy of a GPU, by a clock.

`Meter` is the protocol; `joulecast.measure.nvml` reads an NVIDIA GPU, `joulecast.measure.replay`
plays a recording in its place, and `joulecast.measure.telemetry` samples either beside the work.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Telemetry:
    """The state of a GPU at one instant. None is unknown.

    Attributes
    ----------
    power_w : power of the board [W].
    temperature_c : of the chip [degrees Celsius].
    sm_clock_mhz, memory_clock_mhz : clocks [MHz].
    power_limit_w : the power limit that is enforced [W].
    utilisation : share of the last interval in which a kernel ran, 0 to 1.
    other_processes : processes that compute on the card, this one not counted.
    throttle_reasons : NVML's bits of why the clocks are not higher.
    """

    power_w: float | None = None
    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    power_limit_w: float | None = None
    utilisation: float | None = None
    other_processes: int | None = None
    throttle_reasons: int | None = None


@dataclass(frozen=True)
class Device:
    """What a meter measures: GPU name as the driver states it, and how its energy is read.

    `tick_s` [s] is how long the energy reading may stay unchanged while energy is drawn.
    """

    gpu: str
    uuid: str
    driver: str
    reading: str
    tick_s: float


class Clock(Protocol):
    """A monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed instant."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class Meter(Protocol):
    """Reads the energy of one GPU.

    `name` says which kind it is; `is_real` whether what it reads was drawn while it was read.
    """

    name: str
    is_real: bool
    clock: Clock

    @property
    def device(self) -> Device:
        """What is measured."""
        ...

    def energy_j(self) -> float:
        """Energy [J] drawn since some fixed instant; it never falls."""
        ...

    def power_w(self) -> float:
        """Power of the board [W] now."""
        ...

    def sample(self) -> Telemetry:
        """The state of the GPU now."""
        ...

    def close(self) -> None:
        """Release what the meter holds."""
        ...


class SystemClock:
    """The computer's monotonic clock."""

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(max(0.0, seconds))
