"""An estimate as JSON has it: whole, and its parts, of which other answers are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from joulecast.compute.output import IMAGE
from joulecast.files.streams import as_given

if TYPE_CHECKING:
    from joulecast.forecast.estimate import Estimate
    from joulecast.forecast.estimate_data import ClipData, GpuData, LawData, WorkloadData
    from joulecast.law.law import FittedOn
    from joulecast.law.scores import ScoresData

# What an estimate says of one output and one batch, by its attributes.
NUMBERS: Final = (
    "energy_j", "energy_low_j", "energy_high_j", "duration_s", "duration_low_s", "duration_high_s",
    "power_w", "flop", "boundary",
)  # fmt: skip


def record(guess: Estimate) -> dict[str, object]:
    """An estimate with all that it rests on; units are in the names of the keys."""
    return {
        "output": guess.output,
        **{name: getattr(guess, name) for name in NUMBERS},
        "memory": guess.memory._asdict(),
        **(clip_data(guess) or {}),
        "components": [dataclasses.asdict(part) for part in guess.components],
        "workload": workload_data(guess),
        "runtime": guess.runtime.to_dict(),
        "gpu": {**gpu_data(guess), "origin": guess.gpu.origin, "sources": dict(guess.gpu.sources)},
        "law": _law_record(guess),
        "warnings": guess.warnings,
        "notes": guess.notes,
    }


def clip_data(guess: Estimate) -> ClipData | None:
    """What is said of clips alone; None of an image."""
    if guess.output == IMAGE:
        return None
    per_s, work = guess.energy_per_second_of_video, guess.question.work
    return {
        "energy_per_second_of_video_j": None if per_s is None else per_s.value,
        "energy_per_second_of_video_low_j": None if per_s is None else per_s.low,
        "energy_per_second_of_video_high_j": None if per_s is None else per_s.high,
        "clip_s": guess.clip_s,
        "frame_rate": work.frame_rate,
        "frame_rate_source": work.rate_source,
    }


def workload_data(guess: Estimate) -> WorkloadData:
    """What was estimated, defaults filled in."""
    profile, work = guess.question.profile, guess.question.work
    told: dict[str, object] = {
        "model": profile.name,
        "hub_id": profile.hub_id,
        "pipeline": profile.pipeline,
        "origin": as_given(profile.origin),
        "parameters": profile.parameters,
        **{name: getattr(guess.workload, name) for name in guess.workload.__match_args__},
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
    return cast("WorkloadData", told)


def gpu_data(guess: Estimate) -> GpuData:
    """One GPU, of several that share the work too."""
    gpu = guess.gpu
    return {
        "name": gpu.name,
        "tdp_w": gpu.tdp_w,
        "idle_power_w": guess.idle_power_w / guess.runtime.gpus,
        "memory_bytes": gpu.memory_bytes,
    }


def law_data(guess: Estimate, error: ScoresData) -> LawData:
    """The law, and its published error for what it knew of this model and GPU."""
    return {
        "name": guess.law.name,
        "form": guess.law.form,
        "familiarity": guess.familiarity,
        "timed_familiarity": guess.timed_familiarity,
        "held_out_error": error,
    }


def _law_record(guess: Estimate) -> dict[str, object]:
    """The same with the runs that it was fitted on."""
    facts = guess.law.describe()
    error = facts.error(guess.familiarity, guess.timed_familiarity, guess.runtime)
    told = law_data(guess, error.to_dict())
    first = {"name": told["name"], "form": told["form"]}
    return {**first, "fitted_on": _fitted_on(facts.fitted_on), **told}


def _fitted_on(runs: FittedOn) -> Mapping[str, object]:
    """The runs of a law, but for the long lists of which runtime was measured on what: its file has them."""
    names = (field.name for field in dataclasses.fields(runs))
    return {name: getattr(runs, name) for name in names if name != "kinds"}
