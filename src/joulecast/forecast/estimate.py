"""One workload on one GPU: energy, time and power with their intervals, and where they come from."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from joulecast.architecture.workload import Workload
from joulecast.boundary import BOUNDARIES
from joulecast.errors import InputError
from joulecast.files.plain import plain
from joulecast.files.streams import as_given
from joulecast.forecast import caveats
from joulecast.forecast.answer import Answer, answer, no_answer
from joulecast.hardware import Gpu
from joulecast.law.law import GpuColumns, Law
from joulecast.law.load import load_law
from joulecast.presented import Presented
from joulecast.question.question import Question, ask
from joulecast.question.setting import Setting
from joulecast.uncertainty import Interval

if TYPE_CHECKING:
    from joulecast.question.setting import GpuChoice, ModelChoice

LawChoice = str | os.PathLike[str] | Law | None


@dataclass(frozen=True)
class ComponentEstimate:
    """One component's part: calls for a batch, FLOP and energy [J] for one image over all its calls."""

    name: str
    role: str
    calls: int
    flop: float
    energy_j: float


@dataclass(frozen=True, repr=False)
class Estimate(Presented):
    """What one image costs. Intervals hold the true value 9 times in 10, as far as held-out runs tell.

    Attributes
    ----------
    question : what was asked, defaults filled in: ``profile``, ``gpu``, ``workload``, ``boundary``.
    law : the law that answers.
    familiarity, timed_familiarity : what the law knew of energies and of times of this model and GPU, each
        one of `joulecast.law.law.FAMILIARITY`.
    energy_j, energy_low_j, energy_high_j : GPU energy of one image [J], and its 90 % interval.
    duration_s, duration_low_s, duration_high_s : time of one batch [s], and its 90 % interval.
    flop : of one image [FLOP]; 1 multiply-accumulate is 2 FLOP.
    idle_power_w : of the GPU, the law's assumption where nobody measured it [W].
    components : the parts of the pipeline; their energies sum to `energy_j`.
    rendered_width, rendered_height : the size at which the pipeline really generates [pixels].
    text_tokens : text tokens the denoiser attends to.
    warnings : where the number deserves doubt.
    notes : how the request was understood.
    """

    text_by = "estimate_text:estimate_text"

    question: Question
    law: Law
    familiarity: str
    timed_familiarity: str
    energy_j: float
    energy_low_j: float
    energy_high_j: float
    duration_s: float
    duration_low_s: float
    duration_high_s: float
    flop: float
    idle_power_w: float
    components: tuple[ComponentEstimate, ...]
    rendered_width: int
    rendered_height: int
    text_tokens: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def gpu(self) -> Gpu:
        """The GPU it is of."""
        return self.question.gpu

    @property
    def workload(self) -> Workload:
        """What was estimated, defaults filled in."""
        return self.question.workload

    @property
    def boundary(self) -> str:
        """``gross``: all that the GPU board draws, idle power included; ``dynamic``: without it."""
        return self.question.boundary

    @property
    def power_w(self) -> float:
        """Average power over the batch [W]; above idle when the boundary is dynamic."""
        return self.energy_j * self.workload.batch_size / self.duration_s

    @property
    def energy(self) -> Interval:
        """GPU energy of one image [J] with its 90 % interval."""
        return Interval(self.energy_low_j, self.energy_j, self.energy_high_j)

    @property
    def duration(self) -> Interval:
        """Time of one batch [s] with its 90 % interval."""
        return Interval(self.duration_low_s, self.duration_s, self.duration_high_s)

    def to_dict(self) -> dict[str, Any]:
        """The same as one JSON object; units are in the names of the keys."""
        return cast(dict[str, Any], plain(_record(self)))


def estimate(
    model: ModelChoice,
    gpu: GpuChoice,
    *,
    width: int | None = None,
    height: int | None = None,
    size: str | tuple[int, int] | None = None,
    steps: int | None = None,
    passes: int | None = None,
    guidance: float | None = None,
    true_cfg_scale: float | None = None,
    negative_prompt: bool | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    text_tokens: int | None = None,
    boundary: str | None = None,
    law: LawChoice = None,
) -> Estimate:
    """Energy, time and power of generating an image. What is not given takes the model's default.

    Parameters
    ----------
    model : name, alias or hub id of a catalogue model, or the path of a profile file.
    gpu : name or alias of a catalogue GPU, or the path of a GPU file.
    width, height, or size : pixels; `size` is ``"WIDTHxHEIGHT"`` or a pair.
    steps : denoising steps, as given to the pipeline.
    passes : denoiser passes a step, 1 or 2; by default what the pipeline does at its scales of guidance.
    guidance, true_cfg_scale : the pipeline's ``guidance_scale``, and its other scale where only that one
        makes a second pass.
    negative_prompt : whether one is given; some pipelines make a second pass only then.
    batch_size : images generated together.
    precision : ``fp16``, ``bf16`` or ``fp32``.
    text_tokens : text tokens the denoiser attends to.
    boundary : ``gross`` (all the board draws) or ``dynamic`` (idle power subtracted).
    law : name of a packaged law, path of a law file, or a law; None for the default law.

    Raises
    ------
    UnknownNameError
        An unknown model, GPU, precision, boundary or law; carries near matches.
    InputError
        A value is out of range, or the pipeline would refuse the workload.
    FileFormatError
        A profile, GPU or law file is damaged.
    """
    setting = Setting.of(
        {
            "model": model,
            "gpu": gpu,
            "size": size,
            "width": width,
            "height": height,
            "steps": steps,
            "passes": passes,
            "guidance": guidance,
            "true_cfg_scale": true_cfg_scale,
            "negative_prompt": negative_prompt,
            "batch_size": batch_size,
            "precision": precision,
            "text_tokens": text_tokens,
            "boundary": boundary,
        }
    )
    return estimate_of(ask(setting), law)


def estimate_of(question: Question, law: LawChoice = None) -> Estimate:
    """What a law says to a question. Raises InputError where its equations have no finite answer."""
    known, work, gpu = resolve_law(law), question.work, question.gpu
    columns, on_gpu = work.workload.columns(), GpuColumns.of(gpu, 1)
    is_dynamic = np.array([question.boundary == BOUNDARIES[1]])
    row = answer(known, work.profile, columns, work.workload.precision, on_gpu, is_dynamic)
    if not row.is_usable[0]:
        raise InputError(no_answer(known))
    (of_pair,) = caveats.known_of(known, work.profile, on_gpu.gpus)
    width, height = work.profile.rendered(columns)
    rendered = int(width[0]), int(height[0])
    calls = work.profile.calls(columns)
    return Estimate(
        question=question,
        law=known,
        familiarity=of_pair.energy,
        timed_familiarity=of_pair.time,
        energy_j=float(row.energy_j[0]),
        energy_low_j=float(row.energy_low_j[0]),
        energy_high_j=float(row.energy_high_j[0]),
        duration_s=float(row.duration_s[0]),
        duration_low_s=float(row.duration_low_s[0]),
        duration_high_s=float(row.duration_high_s[0]),
        flop=float(row.flop[0]),
        idle_power_w=float(row.idle_power_w[0]),
        components=tuple(
            ComponentEstimate(
                name=part.name,
                role=part.role,
                calls=round(float(calls[part.name][0])),
                flop=float(row.component_flop[part.name][0]),
                energy_j=float(row.component_energy_j[part.name][0]),
            )
            for part in work.profile.components
        ),
        rendered_width=rendered[0],
        rendered_height=rendered[1],
        text_tokens=int(work.profile.text_tokens(columns)[0]),
        warnings=(*question.warnings, *_warnings(question, of_pair, row, rendered)),
        notes=(*question.notes, *work.profile.notes),
    )


def resolve_law(law: LawChoice) -> Law:
    """A law by name or path, or the one given. Raises UnknownNameError or FileFormatError."""
    return cast(Law, load_law(law)) if law is None or isinstance(law, str | os.PathLike) else law


def _warnings(question: Question, known: caveats.Known, row: Answer, rendered: tuple[int, int]) -> list[str]:
    profile, workload = question.profile, question.workload
    asked, rounding = (workload.width, workload.height), caveats.rounding(profile)
    of_pair = caveats.pair_caveats(profile, question.gpu, workload.precision, question.boundary, known)
    of_workload = [words for words, holds in row.doubts.items() if holds[0]]
    in_full = f"{asked[0]}x{asked[1]} is generated at {rendered[0]}x{rendered[1]}: {rounding}"
    return [*of_pair, *(in_full if words == rounding else words for words in of_workload)]


# --- as JSON -------------------------------------------------------------------------------------


def _record(guess: Estimate) -> dict[str, object]:
    names = (
        "energy_j", "energy_low_j", "energy_high_j", "duration_s", "duration_low_s", "duration_high_s",
        "power_w", "flop", "boundary",
    )  # fmt: skip
    return {
        **{name: getattr(guess, name) for name in names},
        "components": [dataclasses.asdict(part) for part in guess.components],
        "workload": _workload_record(guess),
        "gpu": _gpu_record(guess.gpu, guess.idle_power_w),
        "law": _law_record(guess),
        "warnings": guess.warnings,
        "notes": guess.notes,
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
        "guidance": work.guidance,
        "true_cfg_scale": work.true_cfg_scale,
        "negative_prompt": work.negative_prompt,
    }


def _gpu_record(gpu: Gpu, idle_w: float) -> dict[str, object]:
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
    error = facts.error(guess.familiarity, guess.timed_familiarity)
    return {
        "name": facts.name,
        "form": facts.form,
        "fitted_on": dataclasses.asdict(facts.fitted_on),
        "familiarity": guess.familiarity,
        "timed_familiarity": guess.timed_familiarity,
        "held_out_error": error.to_dict(),
    }
