"""A GPU's telemetry over a stretch of time: sampled beside the work, and in a few numbers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Final

from joulecast.measure.meter import Meter, Telemetry

SAMPLE_S: Final = 0.1  # between telemetry samples


class TelemetryRecorder:
    """Samples a meter's telemetry beside the work: by a thread, or, on a virtual clock, at both ends."""

    def __init__(self, meter: Meter, interval_s: float = SAMPLE_S) -> None:
        self._meter, self._interval_s = meter, interval_s
        self._samples: list[tuple[float, Telemetry]] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> TelemetryRecorder:
        self.take()
        if self._meter.is_real:
            self._thread = threading.Thread(target=self._run, name="joulecast-telemetry", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def take(self) -> None:
        """One sample now."""
        self._samples.append((self._meter.clock.now(), self._meter.sample()))

    def between(self, start_s: float, end_s: float) -> list[tuple[float, Telemetry]]:
        """The samples of a stretch of time."""
        return [item for item in list(self._samples) if start_s <= item[0] <= end_s]

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.take()
            except Exception:  # a sample that fails is a gap in the telemetry, not in the energy
                continue


def summary(samples: Sequence[tuple[float, Telemetry]]) -> dict[str, float]:
    """Samples in a few numbers; what was never read is left out.

    Mean and largest power, temperature at both ends, mean and smallest SM clock, smallest and largest
    power limit, other processes at most, and ``power_integral_j``: energy [J] by trapezoids, between the
    samples.
    """
    found: dict[str, float] = {"samples": float(len(samples))}

    def column(name: str) -> list[float]:
        values = [getattr(state, name) for _, state in samples]
        return [float(value) for value in values if value is not None]

    def put(name: str, values: list[float], how: Callable[[list[float]], float]) -> None:
        if values:
            found[name] = how(values)

    power, clock, temperature = column("power_w"), column("sm_clock_mhz"), column("temperature_c")
    put("power_mean_w", power, _mean)
    put("power_max_w", power, max)
    put("temperature_start_c", temperature, lambda values: values[0])
    put("temperature_end_c", temperature, lambda values: values[-1])
    put("sm_clock_mean_mhz", clock, _mean)
    put("sm_clock_min_mhz", clock, min)
    put("memory_clock_mean_mhz", column("memory_clock_mhz"), _mean)
    put("power_limit_w", column("power_limit_w"), min)
    put("power_limit_max_w", column("power_limit_w"), max)
    put("utilisation_mean", column("utilisation"), _mean)
    put("other_processes", column("other_processes"), max)
    reasons = [state.throttle_reasons for _, state in samples if state.throttle_reasons is not None]
    if reasons:
        found["throttle_reasons"] = float(_union(reasons))
    timed = [(at, state.power_w) for at, state in samples if state.power_w is not None]
    if len(timed) > 1:
        found["power_integral_j"] = sum(
            (b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(timed)
        )
        found["power_integral_s"] = timed[-1][0] - timed[0][0]
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _union(bits: Sequence[int]) -> int:
    joined = 0
    for value in bits:
        joined |= value
    return joined
