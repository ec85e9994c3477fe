"""How long tasks may take, roughly: to order them and to fill a budget, and for dry runs; never a result."""

from __future__ import annotations

import math
from typing import Final

from joulecast.compute.profile_file import packaged_profile
from joulecast.measure.protocol import Settings
from joulecast.measure.records import TaskSpec

# Until the campaign has measured itself: what a current data-centre GPU does.
FLOP_PER_S: Final = {"fp16": 300e12, "bf16": 300e12, "fp32": 40e12}
LAUNCH_S: Final = 6e-6


def call_s(spec: TaskSpec) -> float:
    """Roughly, seconds of one batch: for planning and dry runs, never a result."""
    return sum(seconds for _, seconds in component_s(spec).values())


def component_s(spec: TaskSpec) -> dict[str, tuple[int, float]]:
    """Roughly, calls of each component for one batch and the seconds of all of them."""
    profile, workload = packaged_profile(spec.model), spec.workload
    found = {component.name: (0.0, 0.0) for component in profile.components}
    rate = FLOP_PER_S["fp16" if spec.tf32 == "on" else workload.precision]
    for cost in profile.costs(workload.columns(), workload.precision):
        calls, total = found[cost.component.name]
        number = float(cost.calls[0])
        one = max(float(cost.flop[0].sum()) / rate, float(cost.launches[0]) * LAUNCH_S)
        found[cost.component.name] = calls + number, total + number * one
    return {name: (round(calls), seconds) for name, (calls, seconds) in found.items()}


def task_s(spec: TaskSpec, settings: Settings) -> float:
    """Roughly, seconds of a whole task: warm-up, windows, idle, and components alone."""
    one = call_s(spec)
    repeats = settings.repeats
    if settings.most_s is not None and repeats * one > settings.most_s:
        repeats = max(3, math.ceil(settings.most_s / one))
    total = (settings.warmup + 1) * one + repeats * max(settings.window_s, one)
    total += 2 * (settings.idle_s + settings.settle_s)
    if spec.components:
        total += one + sum(
            3 * max(settings.window_s, seconds / max(calls, 1))
            for calls, seconds in component_s(spec).values()
        )
    return total
