"""An estimate as JSON has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from joulecast.compute.output import IMAGE
from joulecast.files.streams import as_given

if TYPE_CHECKING:
    from joulecast.forecast.estimate import Estimate
    from joulecast.hardware import Gpu
    from joulecast.law.law import FittedOn


def record(guess: Estimate) -> dict[str, object]:
    """An estimate with all that it rests on; units are in the names of the keys."""
    names = (
        "energy_j", "energy_low_j", "energy_high_j", "duration_s", "duration_low_s", "duration_high_s",
        "power_w", "flop", "boundary",
    )  # fmt: skip
    return {
        "output": guess.output,
        **{name: getattr(guess, name) for name in names},
        "memory": guess.memory._asdict(),
        **_clip_record(guess),
        "components": [dataclasses.asdict(part) for part in guess.components],
        "workload": _workload_record(guess),
        "runtime": guess.runtime.to_dict(),
        "gpu": _gpu_record(guess.gpu, guess.idle_power_w / guess.question.runtime.gpus),
        "law": _law_record(guess),
        "warnings": guess.warnings,
        "notes": guess.notes,
    }


def _clip_record(guess: Estimate) -> dict[str, object]:
    """What is said of clips alone; nothing of an image."""
    if guess.output == IMAGE:
        return {}
    per_s, work = guess.energy_per_second_of_video, guess.question.work
    return {
        "energy_per_second_of_video_j": per_s and per_s.value,
        "energy_per_second_of_video_low_j": per_s and per_s.low,
        "energy_per_second_of_video_high_j": per_s and per_s.high,
        "clip_s": guess.clip_s,
        "frame_rate": work.frame_rate,
        "frame_rate_source": work.rate_source,
    }


def _workload_record(guess: Estimate) -> dict[str, object]:
    profile, work = guess.question.profile, guess.question.work
    return {
        "model": profile.name,
        "hub_id": profile.hub_id,
        "pipeline": profile.pipeline,
        "origin": as_given(profile.origin),
        "parameters": profile.parameters,
        **dataclasses.asdict(guess.workload),
        "text_tokens": guess.text_tokens,
        "rendered_width": guess.rendered_width,
        "rendered_height": guess.rendered_height,
        **({} if guess.output == IMAGE else {"rendered_frames": guess.rendered_frames}),
        "guidance": work.guidance,
        "true_cfg_scale": work.true_cfg_scale,
        "negative_prompt": work.negative_prompt,
        **({} if work.strength is None else {"strength": work.strength, "steps_asked": work.steps_asked}),
        **work.additions.to_dict(),
    }


def _gpu_record(gpu: Gpu, idle_w: float) -> dict[str, object]:
    """One GPU, of several that share the work too."""
    return {
        "name": gpu.name,
        "tdp_w": gpu.tdp_w,
        "idle_power_w": idle_w,
        "memory_bytes": gpu.memory_bytes,
        "origin": gpu.origin,
        "sources": dict(gpu.sources),
    }


def _law_record(guess: Estimate) -> dict[str, object]:
    """What the law says of itself, and its published error for what it knew of this model and GPU."""
    facts = guess.law.describe()
    error = facts.error(guess.familiarity, guess.timed_familiarity, guess.question.runtime)
    return {
        "name": facts.name,
        "form": facts.form,
        "fitted_on": _fitted_on(facts.fitted_on),
        "familiarity": guess.familiarity,
        "timed_familiarity": guess.timed_familiarity,
        "held_out_error": error.to_dict(),
    }


def _fitted_on(runs: FittedOn) -> Mapping[str, object]:
    """The runs of a law, but for the long lists of which runtime was measured on what: its file has them."""
    return {name: value for name, value in dataclasses.asdict(runs).items() if name != "kinds"}
