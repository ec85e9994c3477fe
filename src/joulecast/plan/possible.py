"""Whether a GPU can run a model at all: one rule for every command that chooses."""

from __future__ import annotations

from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu
from joulecast.question.question import precision_of
from joulecast.units import BYTES_PER_GIGABYTE


def cannot_run(profile: ComputeProfile, gpu: Gpu, precision: str | None) -> str:
    """Why a GPU cannot run a model in a precision (None: the model's own); empty where nothing says so."""
    if precision is not None and precision not in gpu.precisions:
        return f"{profile.name} in {precision} does not run on {gpu.name}, for want of {precision} arithmetic"
    taken = precision_of(profile, gpu, precision)
    weights = profile.weight_bytes(taken)
    if weights <= gpu.memory_bytes:
        return ""
    needed, there = (size / BYTES_PER_GIGABYTE for size in (weights, gpu.memory_bytes))
    return (
        f"{profile.name} in {taken} does not run on {gpu.name} ({there:g} GB): its weights alone are "
        f"{needed:.1f} GB"
    )
