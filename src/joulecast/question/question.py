"""A setting made whole: names looked up, defaults filled in, values checked, notes taken.

This is the one place of defaults. `ask` fills them for one setting; whoever works in columns asks the
same functions once for each kind of row (`precision_of`, `ComputeProfile.passes`).
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TYPE_CHECKING

from joulecast.architecture.catalogue import fine_tune
from joulecast.architecture.workload import Workload
from joulecast.boundary import BOUNDARIES
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_rules import TRUE_CFG
from joulecast.errors import InputError, fold, shown
from joulecast.hardware import Gpu, gpus
from joulecast.question.additions import NO_ADDITIONS, Additions
from joulecast.question.gpus import count_and_name, gpu_and_count, model_number
from joulecast.question.inputs import Input, check_input, input_notes, pipeline_given, steps_made
from joulecast.question.lengths import frame_rate_of, frames_of, length_note
from joulecast.question.models import load_profile
from joulecast.question.runtimes import KEYS, NOTHING_ASKED, Asked, Told, runtime_of
from joulecast.question.setting import Setting
from joulecast.records import Record
from joulecast.runtime import REFERENCE, Runtime

if TYPE_CHECKING:
    from joulecast.question.setting import GpuChoice, ModelChoice

INSTEAD = ("fp16", "bf16", "fp32")  # of a model's default precision that a GPU lacks
BATCH_SIZE = 1
BOUNDARY = BOUNDARIES[0]


class Work(Record):
    """What a pipeline is asked to do, whatever it runs on.

    `guidance` and `true_cfg_scale` are the scales that apply, None where the pipeline has no such argument
    or `passes` was given. `frame_rate` is that of a clip in frames a second, None where it is not known, and
    of an image; `rate_is_given` tells one that was asked for from that of the model's authors. `strength` is
    that of an input image, None where the pipeline takes none or it was not given; of the `steps_asked` at it
    those of `workload` are made. `additions` are adapters and controls, which `profile` has.
    """

    profile: ComputeProfile
    workload: Workload
    guidance: float | None
    true_cfg_scale: float | None
    negative_prompt: bool
    notes: tuple[str, ...]
    frame_rate: float | None = None
    rate_is_given: bool = False
    strength: float | None = None
    steps_asked: int | None = None
    additions: Additions = NO_ADDITIONS

    @property
    def frames_made(self) -> int:
        """The frames that the pipeline makes of those asked for; 1 of an image."""
        return int(self.profile.rendered_frames(self.workload.columns())[0])

    @property
    def rate_source(self) -> str | None:
        """Who says the frame rate; None where nobody does."""
        if self.frame_rate is None:
            return None
        return "given" if self.rate_is_given else "the model's authors"


class Question(Record):
    """Work that the pipeline accepts, on a GPU under a runtime, and what of its energy is asked for.

    `notes` say how the setting was understood and `warnings` where that deserves doubt; two questions
    are equal where they ask for the same, however it was put.
    """

    work: Work
    gpu: Gpu
    boundary: str
    warnings: tuple[str, ...] = ()
    runtime: Runtime = REFERENCE

    @property
    def profile(self) -> ComputeProfile:
        """The model's compute."""
        return self.work.profile

    @property
    def workload(self) -> Workload:
        """What one call of the pipeline is asked to do."""
        return self.work.workload

    @property
    def notes(self) -> tuple[str, ...]:
        """How the setting was understood."""
        return self.work.notes


def ask(setting: Setting, notes: tuple[str, ...] = ()) -> Question:
    """A whole question from what was given; what was not takes its default. `notes` are said first.

    Raises
    ------
    UnknownNameError
        An unknown model or GPU; carries near matches.
    InputError
        There is no GPU, it lacks the precision asked for, or the pipeline would refuse the workload.
    FileFormatError
        A profile or GPU file is damaged.
    """
    if setting.gpu is None:
        raise InputError("a GPU is given by its name or file, e.g. 'H100' (see `joulecast gpus`)")
    gpu, count = gpu_and_count(setting.gpu)
    warning = ambiguous_gpu(setting.gpu, gpu)
    note = "" if warning else _gpu_note(setting.gpu, gpu)
    work = work_of(setting, gpu, (*notes, note) if note else notes)
    told = told_of_runtime(setting, work, gpu, count)
    return Question(
        work=dataclasses.replace(work, notes=(*work.notes, *told.notes)) if told.notes else work,
        gpu=gpu,
        boundary=setting.boundary or BOUNDARY,
        warnings=(warning,) if warning else (),
        runtime=told.runtime,
    )


def told_of_runtime(setting: Setting, work: Work, gpu: Gpu | None = None, count: int = 1) -> Told:
    """The runtime of a setting's work, on as many GPUs as the GPU's name says, or on any. Errors as of
    `runtime_of`."""
    asked, workload = asked_of(setting).on(count), work.workload
    return runtime_of(asked, work.profile, gpu, workload.precision, workload.passes)


def asked_of(setting: Setting) -> Asked:
    """What a setting asks of the runtime."""
    values = [getattr(setting, key) for key in KEYS]
    return NOTHING_ASKED if all(v is None for v in values) else Asked(**dict(zip(KEYS, values, strict=True)))


def work_of(setting: Setting, gpu: Gpu | None = None, gpu_notes: tuple[str, ...] = ()) -> Work:
    """The work a setting asks for; on a GPU that is not known yet, any precision will do.

    Errors as of `ask`.
    """
    named, asked, added = load_profile(setting.model), input_of(setting), additions_of(setting)
    profile = pipeline_given(named, asked, added)
    by_passes = setting.passes is not None
    workload = workload_of(setting, profile, gpu)
    profile.check(workload)
    steps_asked = profile.defaults.steps if setting.steps is None else setting.steps
    notes = [*_model_notes(setting.model, named), *gpu_notes]
    notes += input_notes(named, asked, added, steps_asked, workload.steps)
    if setting.precision is None:
        notes += precision_notes(profile, gpu, workload.precision)
    if not by_passes:
        notes += _guidance_notes(profile, setting, workload)
    elif setting.guidance is not None or setting.true_cfg_scale is not None:
        notes.append("passes was given: guidance did not change it")
    if setting.seconds is not None:
        notes.append(length_note(profile, setting.seconds, setting.fps, workload.frames))
    own = profile.defaults
    return Work(
        profile=profile,
        workload=workload,
        guidance=None if by_passes else _given_or(setting.guidance, own.guidance),
        true_cfg_scale=None if by_passes else _given_or(setting.true_cfg_scale, own.true_cfg_scale),
        negative_prompt=workload.negative_prompt,
        notes=tuple(notes),
        frame_rate=frame_rate_of(profile, setting.fps),
        rate_is_given=setting.fps is not None,
        strength=setting.strength if profile.images.strength else None,
        steps_asked=steps_asked,
        additions=added.plain,
    )


def additions_of(setting: Setting) -> Additions:
    """What was asked of adapters and controls, also where it is none."""
    asked = (setting.control, setting.lora, setting.lora_rank, setting.lora_fused)
    return NO_ADDITIONS if all(value is None for value in asked) else Additions(*asked)


def input_of(setting: Setting) -> Input:
    """What was asked of an input image."""
    return Input(setting.input_width, setting.input_height, setting.input_images, setting.strength)


def workload_of(setting: Setting, profile: ComputeProfile, gpu: Gpu | None = None) -> Workload:
    """What one call of the model's pipeline is asked to do; whether it would refuse is not checked.

    Steps are those that are made. Raises InputError where the GPU lacks the precision asked for, or the
    pipeline does not take the image or the strength.
    """
    own, passes, negative_prompt = profile.defaults, setting.passes, has_negative_prompt(setting, profile)
    frames = frames_of(profile, setting.frames, setting.fps, setting.seconds)
    if passes is None:
        passes = profile.passes(setting.guidance, setting.true_cfg_scale, negative_prompt=negative_prompt)
    width = own.width if setting.width is None else setting.width
    height = own.height if setting.height is None else setting.height
    asked = input_of(setting)
    check_input(profile, asked, width, height)
    return Workload(
        width=width,
        height=height,
        steps=steps_made(profile, asked, own.steps if setting.steps is None else setting.steps),
        passes=passes,
        batch_size=BATCH_SIZE if setting.batch_size is None else setting.batch_size,
        precision=precision_of(profile, gpu, setting.precision),
        text_tokens=setting.text_tokens,
        frames=frames,
        negative_prompt=negative_prompt,
    )


def has_negative_prompt(setting: Setting, profile: ComputeProfile) -> bool:
    """Whether there is a negative prompt: as given, as the authors do, or as the passes given need."""
    if setting.negative_prompt is None and setting.passes is None:
        return profile.defaults.negative_prompt
    return bool(setting.negative_prompt) or (setting.passes == 2 and profile.guidance.needs_negative_prompt)


def precision_of(profile: ComputeProfile, gpu: Gpu | None, given: str | None = None) -> str:
    """The precision that applies: the one given, which the GPU must have, or the model's own, which gives
    way where the GPU lacks it. Raises InputError where a GPU lacks the one given."""
    if given is not None:
        if gpu is not None:
            gpu.peak_flop_per_s(given)
        return given
    own = profile.defaults.precision
    if gpu is None:
        return own
    return next(name for name in (own, *INSTEAD) if name in gpu.precisions)


def _given_or(given: float | None, default: float | None) -> float | None:
    return default if given is None else given


def precision_notes(profile: ComputeProfile, gpu: Gpu | None, precision: str) -> list[str]:
    """A note where a GPU lacks the model's own precision."""
    own = profile.defaults.precision
    if gpu is None or precision == own:
        return []
    return [f"{gpu.name} has no {own}, the precision of {profile.name}: {precision} was taken"]


def ambiguous_gpu(asked: GpuChoice, gpu: Gpu) -> str:
    """A warning when what the user wrote could mean another GPU too, else an empty string."""
    if not isinstance(asked, str):
        return ""
    others = _also_meant(fold(count_and_name(asked)[1]), gpu.name)
    if not others:
        return ""
    return f"GPU {shown(asked)} was taken as {gpu.name}, but could also mean {' or '.join(others)}"


@lru_cache(maxsize=1024)
def _also_meant(asked: str, name: str) -> tuple[str, ...]:
    """Other GPUs of the catalogue that answer to what was asked, in folded form, or whose names hold it; none
    of a whole name."""
    if asked == fold(name):
        return ()
    number = model_number(asked)
    return tuple(
        g.name
        for g in gpus()
        if g.name != name
        and (asked in map(fold, g.aliases) or (asked in fold(g.name) and number == model_number(g.name)))
    )


def _model_notes(model: ModelChoice, profile: ComputeProfile) -> list[str]:
    if not isinstance(model, str) or profile.origin != "catalogue" or fold(model) == fold(profile.name):
        return []
    if fine_tune(model):
        return [
            f"model {shown(model)} has the layers of {profile.name}, so the same cost; "
            f"what was not given is as {profile.name}'s authors recommend"
        ]
    return [f"model {shown(model)} is {profile.name}"]


def _gpu_note(asked: GpuChoice, gpu: Gpu) -> str:
    is_alias = (
        isinstance(asked, str) and gpu.origin == "catalogue" and not gpu.is_named(count_and_name(asked)[1])
    )
    return f"GPU {shown(asked)} is {gpu.name}" if is_alias else ""


def _guidance_notes(profile: ComputeProfile, setting: Setting, workload: Workload) -> list[str]:
    """Where guidance does not do what one might expect of it."""
    told = _other_scale(profile, setting)
    return [*told, *_passes_notes(profile, setting, workload)]


def _other_scale(profile: ComputeProfile, setting: Setting) -> list[str]:
    """A note where a pipeline has no ``true_cfg_scale`` and one is given."""
    if setting.true_cfg_scale is None or profile.guidance.parameter in (None, TRUE_CFG):
        return []
    read = "it was read as guidance_scale" if setting.guidance is None else "guidance_scale was taken"
    return [f"the pipeline of {profile.name} has no true_cfg_scale: {read}"]


def _passes_notes(profile: ComputeProfile, setting: Setting, workload: Workload) -> list[str]:
    """Where guidance makes other passes than one might expect of it."""
    rule, passes, negative_prompt = profile.guidance, workload.passes, workload.negative_prompt
    scale = profile.guiding_scale(setting.guidance, setting.true_cfg_scale)
    named = {"guidance": setting.guidance, "true_cfg_scale": setting.true_cfg_scale}
    above = [f"{name} {given:g}" for name, given in named.items() if given is not None and given > 1]
    if rule.parameter is None:
        told = above or negative_prompt
        return [f"{profile.name} never makes a second denoiser pass: guidance costs nothing"] if told else []
    bound = f"{rule.parameter} above {rule.threshold:g}"
    if passes == 2 and rule.needs_negative_prompt:
        own = ", as its authors give one" if setting.negative_prompt is None else ""
        return [f"{rule.parameter} {scale:g} with a negative prompt{own}: two denoiser passes a step"]
    if passes == 2:
        return []
    if above and rule.needs_negative_prompt:
        return [
            f"{profile.name} makes a second denoiser pass only with a negative prompt and {bound}: "
            f"{above[-1]} costs nothing here"
        ]
    if negative_prompt:
        return [f"{profile.name} makes a second denoiser pass only at {bound}: one pass a step"]
    if setting.negative_prompt is None and rule.passes(scale, negative_prompt=True) == 2:
        return [
            f"without a negative prompt {profile.name} makes one denoiser pass a step; with one, at its "
            f"{rule.parameter} of {scale:g}, two"
        ]
    return []
