"""Records of tasks with what a test is not about filled in."""

from __future__ import annotations

import dataclasses

from joulecast.measure.protocol import Repeat, Settings
from joulecast.measure.records import Environment, Software, TaskResult, TaskSpec

SPEC = TaskSpec("sd2", 512, 512, steps=1, passes=1, batch_size=1, precision="fp16")
ENVIRONMENT = Environment(
    gpu="virtual",
    gpu_uuid="",
    driver="",
    meter="replay",
    is_real=False,
    reading="",
    power_limit_w=None,
    memory_clock_mhz=None,
    joulecast="1",
    python="3",
    platform="Linux",
    protocol=Settings(),
    software=Software("random"),
)
RESULT = TaskResult(
    energy_j=5.0,
    energy_half_width_j=None,
    duration_s=1.0,
    duration_half_width_s=None,
    dynamic_j=None,
    idle_power_w=None,
    idle_before=None,
    idle_after=None,
    spread=None,
    drift=0.0,
)


def numbered_spec(number: int) -> TaskSpec:
    """One of many: they differ in the steps."""
    return dataclasses.replace(SPEC, steps=number)


def repeat_of(energy_j: float) -> Repeat:
    """One call in one second."""
    return Repeat(1, energy_j, 1.0, 0.0, {})
