"""What the user asks, made whole: names looked up, defaults filled in, values checked, notes taken."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from joulecast.architecture.workload import Workload, check_precision, parse_size
from joulecast.boundary import check_boundary
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError, fold, shown
from joulecast.hardware import Gpu, gpus
from joulecast.hardware import gpu as find_gpu
from joulecast.question.models import load_profile

INSTEAD = ("fp16", "bf16", "fp32")  # of a model's default precision that a GPU lacks


@dataclass(frozen=True)
class Question:
    """A workload the pipeline accepts, on a GPU. `guidance` is None where `passes` was given instead."""

    profile: ComputeProfile
    gpu: Gpu
    workload: Workload
    boundary: str
    guidance: float | None
    negative_prompt: bool
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def ask(
    model: str | os.PathLike[str],
    gpu: str | os.PathLike[str],
    *,
    width: int | None = None,
    height: int | None = None,
    size: str | tuple[int, int] | None = None,
    steps: int | None = None,
    passes: int | None = None,
    guidance: float | None = None,
    negative_prompt: bool = False,
    batch_size: int = 1,
    precision: str | None = None,
    text_tokens: int | None = None,
    boundary: str = "gross",
) -> Question:
    """A whole question from what the user gave; parameters and errors as of `estimate`."""
    profile, device = load_profile(model), find_gpu(gpu)
    scale = _guidance(guidance, profile)
    chosen_precision = _precision(precision, profile, device)
    width, height = _size(width, height, size, profile)
    workload = Workload(
        width=width,
        height=height,
        steps=profile.defaults.steps if steps is None else steps,
        passes=profile.guidance.passes(scale, negative_prompt) if passes is None else passes,
        batch_size=batch_size,
        precision=chosen_precision,
        text_tokens=text_tokens,
    )
    profile.check(workload)
    ambiguity = ambiguous_gpu(gpu, device) if isinstance(gpu, str) else ""
    notes = _name_notes(model, profile, "" if ambiguity else gpu, device)
    if precision is None and chosen_precision != profile.defaults.precision:
        default = profile.defaults.precision
        notes.append(
            f"{device.name} has no {default}, the precision of {profile.name}: {chosen_precision} was taken"
        )
    if passes is None:
        notes += _guidance_notes(profile, workload.passes, scale, guidance is not None, negative_prompt)
    elif guidance is not None:
        notes.append("passes was given: guidance did not change it")
    return Question(
        profile=profile,
        gpu=device,
        workload=workload,
        boundary=check_boundary(boundary),
        guidance=scale if passes is None else None,
        negative_prompt=bool(negative_prompt),
        notes=tuple(notes),
        warnings=(ambiguity,) if ambiguity else (),
    )


def ambiguous_gpu(asked: str, gpu: Gpu) -> str:
    """A warning when what the user wrote could mean another GPU too, else an empty string."""
    if fold(asked) == fold(gpu.name):
        return ""
    others = [g.name for g in gpus() if g is not gpu and fold(asked) in fold(g.name)]
    if not others:
        return ""
    return f"GPU {shown(asked)} was taken as {gpu.name}, but could also mean {' or '.join(others)}"


def _size(
    width: int | None, height: int | None, size: str | tuple[int, int] | None, profile: ComputeProfile
) -> tuple[int, int]:
    if size is not None:
        if width is not None or height is not None:
            raise InputError("give either size or width and height, not both")
        if isinstance(size, str):
            return parse_size(size)
        if not isinstance(size, tuple | list) or len(size) != 2:
            raise InputError(f"size {shown(size)} is not a pair of pixels or WIDTHxHEIGHT, e.g. '1024x768'")
        return size[0], size[1]
    if width is None and height is None:
        return profile.defaults.width, profile.defaults.height
    if width is None or height is None:
        raise InputError(
            f"{'width' if width is None else 'height'} is missing; give both, or size, or neither"
        )
    return width, height


def _guidance(guidance: float | None, profile: ComputeProfile) -> float | None:
    """The guidance scale that applies: the one given, checked, or the model's default."""
    if guidance is None:
        return profile.defaults.guidance
    try:
        value = float(guidance)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if isinstance(guidance, bool) or not 0 <= value <= 1000:
        raise InputError(
            f"guidance must be a number from 0 to 1000, not {shown(guidance)}; above 1 it guides"
        )
    return value


def _precision(precision: str | None, profile: ComputeProfile, gpu: Gpu) -> str:
    """The precision that applies; one the user asks for must exist on the GPU, a default gives way."""
    if precision is not None:
        chosen = check_precision(precision.strip().casefold() if isinstance(precision, str) else precision)
        gpu.peak_flop_per_s(chosen)
        return chosen
    return next(p for p in (profile.defaults.precision, *INSTEAD) if p in gpu.precisions)


def _name_notes(model: object, profile: ComputeProfile, gpu: object, device: Gpu) -> list[str]:
    notes = []
    if isinstance(model, str) and profile.origin == "catalogue" and fold(model) != fold(profile.name):
        notes.append(f"model {shown(model)} is {profile.name}")
    if isinstance(gpu, str) and gpu and device.origin == "catalogue" and not device.is_named(gpu):
        notes.append(f"GPU {shown(gpu)} is {device.name}")
    return notes


def _guidance_notes(
    profile: ComputeProfile, passes: int, scale: float | None, is_given: bool, negative_prompt: bool
) -> list[str]:
    """Where guidance does not do what one might expect of it; `is_given` tells a scale from a default."""
    rule, asked_for = profile.guidance, is_given and scale is not None and scale > 1
    if rule.parameter is None:
        told = asked_for or negative_prompt
        return [f"{profile.name} never makes a second denoiser pass: guidance costs nothing"] if told else []
    if passes == 2 and rule.needs_negative_prompt:
        return [f"{rule.parameter} {scale:g} with a negative prompt: two denoiser passes a step"]
    if passes == 1 and asked_for:
        return [
            f"{profile.name} makes a second denoiser pass only with a negative prompt and "
            f"{rule.parameter} above 1: without one, guidance costs nothing"
        ]
    if passes == 1 and negative_prompt:
        return [
            f"{profile.name} makes a second denoiser pass only at {rule.parameter} above 1: one pass a step"
        ]
    return []
