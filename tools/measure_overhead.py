"""What measuring costs the work that is measured: telemetry beside it, hooks around its components.

    python tools/measure_overhead.py

A toy on the CPU stands in for the pipeline, a replayed trace for the GPU. On a GPU the share of
telemetry is that of NVML's own calls: run it there with --gpu.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from joulecast.measure.meter import Meter, SystemClock
from joulecast.measure.nvml import NvmlMeter
from joulecast.measure.phases import track_phases
from joulecast.measure.replay import ReplayMeter, packaged_trace
from joulecast.measure.telemetry import SAMPLE_S, TelemetryRecorder

ROUNDS = 40
CALLS = 40  # component calls in one run, as 40 denoising steps
SIDE = 250


class Threaded(ReplayMeter):
    """A replay meter that is sampled by a thread, as a real one is."""

    is_real = True


class Toy:
    """A pipeline of one component that multiplies matrices."""

    def __init__(self) -> None:
        self.transformer = Component()
        self.components = {"transformer": self.transformer}

    def __call__(self) -> None:
        """One image."""
        for _ in range(CALLS):
            self.transformer.forward()


class Component:
    """One component; `parameters` marks it as a module."""

    parameters = ()

    def __init__(self) -> None:
        self._matrix = np.ones((SIDE, SIDE))

    def forward(self) -> Any:
        """One denoiser pass."""
        return self._matrix @ self._matrix


def main() -> None:
    """Print the overhead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", action="store_true", help="sample a real GPU by NVML")
    meter: Meter = NvmlMeter() if parser.parse_args().gpu else Threaded(packaged_trace(), SystemClock())
    toy = Toy()
    toy()

    def sampled() -> None:
        with TelemetryRecorder(meter):
            toy()

    def tracked() -> None:
        with track_phases(toy, meter):
            toy()

    plain, with_telemetry, with_all = _interleaved(toy, sampled, tracked)
    sample_s = min(_timed(meter.sample) for _ in range(50))
    print(f"one run of the toy               {1e3 * plain:8.2f} ms")
    print(f"with telemetry                   {100 * (with_telemetry / plain - 1):+8.2f} %")
    print(f"with telemetry and hooks         {100 * (with_all / plain - 1):+8.2f} %")
    share = sample_s / SAMPLE_S
    print(f"one telemetry sample             {1e6 * sample_s:8.1f} us, {share:.4%} of the time")
    print(f"hooks of one component call      {1e6 * _hook_s(meter):8.1f} us")
    meter.close()


def _hook_s(meter: Meter, calls: int = 20_000) -> float:
    """Seconds that the hooks add to one component call."""
    toy = Toy()
    toy.transformer._matrix = np.ones((1, 1))

    def many() -> None:
        for _ in range(calls):
            toy.transformer.forward()

    plain = min(_timed(many) for _ in range(3))
    with track_phases(toy, meter):
        hooked = min(_timed(many) for _ in range(3))
    return (hooked - plain) / calls


def _interleaved(*works: Callable[[], object]) -> list[float]:
    """Fewest seconds of each, taken in turn: what a busy machine adds is left out."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, found in zip(works, times, strict=True):
            found.append(_timed(work))
    return [min(found) for found in times]


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
