"""One workload on one GPU: energy, time and power with their intervals, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from joulecast.architecture.workload import Workload
from joulecast.boundary import BOUNDARIES
from joulecast.errors import InputError
from joulecast.files.plain import plain
from joulecast.forecast import caveats
from joulecast.forecast.answer import Answer, answer, gpu_seconds, no_answer
from joulecast.forecast.estimate_record import record
from joulecast.forecast.memory import (
    BOUND_IS_TOO_LARGE,
    MAY_BE_TOO_LARGE,
    NOT_KNOWN,
    TOO_LARGE,
    MemoryEstimate,
    does_not_fit,
    memory_by_component,
    memory_estimate,
)
from joulecast.hardware import Gpu
from joulecast.law.law import GpuColumns, Law, LawInput
from joulecast.law.load import load_law
from joulecast.presented import Presented
from joulecast.question.question import Question, ask
from joulecast.question.setting import Setting
from joulecast.records import Record
from joulecast.runtime import Runtime
from joulecast.uncertainty import Interval
from joulecast.units import counted

if TYPE_CHECKING:
    from joulecast.question.setting import GpuChoice, ModelChoice

LawChoice = str | os.PathLike[str] | Law | None


class ComponentEstimate(Record):
    """One component's part: calls for a batch, FLOP and energy [J] for one output over all its calls.

    `peak_memory_bytes` is the most GPU memory that is held while it runs, None where it is not known.
    """

    name: str
    role: str
    calls: int
    flop: float
    energy_j: float
    peak_memory_bytes: float | None


class Estimate(Presented, Record):
    """What one output costs, an image or a clip of video. Intervals hold the true value 9 times in 10, as far
    as held-out runs tell.

    Attributes
    ----------
    question : what was asked, defaults filled in: ``profile``, ``gpu``, ``workload``, ``boundary``.
    law : the law that answers.
    familiarity, timed_familiarity : what the law knew of energies and of times of this model and GPU, each
        one of `joulecast.law.law.FAMILIARITY`.
    energy_j, energy_low_j, energy_high_j : energy of all GPUs for one output [J], and its 90 % interval.
    duration_s, duration_low_s, duration_high_s : time of one batch, which the slowest GPU sets [s], and its
        90 % interval.
    flop : of one output [FLOP]; 1 multiply-accumulate is 2 FLOP.
    idle_power_w : of all GPUs that share the work, the law's assumption where nobody measured it [W].
    doubts : of whoever asked, beside those of the question and of the law.
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
    doubts: tuple[str, ...] = ()

    @cached_property
    def components(self) -> tuple[ComponentEstimate, ...]:
        """The parts of the pipeline; their energies sum to `energy_j`."""
        profile, workload, row = self.question.profile, self.workload, self._row
        calls = profile.calls(workload.columns())
        peaks = memory_by_component(profile, workload, self.runtime.offload)
        return tuple(
            ComponentEstimate(
                name=part.name,
                role=part.role,
                calls=round(float(calls[part.name][0])),
                flop=float(row.component_flop[part.name][0]),
                energy_j=float(row.component_energy_j[part.name][0]),
                peak_memory_bytes=peaks.get(part.name),
            )
            for part in profile.components
            if part.is_called
        )

    @property
    def rendered_width(self) -> int:
        """The width at which the pipeline really generates [pixels]."""
        return int(self.question.profile.rendered(self.workload.columns())[0][0])

    @property
    def rendered_height(self) -> int:
        """The height at which the pipeline really generates [pixels]."""
        return int(self.question.profile.rendered(self.workload.columns())[1][0])

    @property
    def rendered_frames(self) -> int:
        """The frames that it really makes; 1 of an image."""
        return self.question.work.frames_made

    @property
    def text_tokens(self) -> int:
        """Text tokens the denoiser attends to."""
        return int(self.question.profile.text_tokens(self.workload.columns())[0])

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Where the number deserves doubt."""
        of_workload = (words for words, holds in self._row.doubts.items() if holds[0])
        in_full = (_in_full(words, self) for words in of_workload)
        return (*self.question.warnings, *self._of_pair, *in_full, *self.doubts)

    @property
    def _of_pair(self) -> tuple[str, ...]:
        asked = self._row.asked
        (known,) = caveats.known_of(self.law, asked.profile, asked.gpus.gpus, asked.precision, asked.runtime)
        return caveats.pair_caveats(
            asked.profile, self.gpu, asked.precision, self.boundary, known, asked.runtime
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """How the request was understood."""
        return (*self.question.notes, *self.question.profile.notes)

    @cached_property
    def _row(self) -> Answer:
        """The answer in columns, of which this is the only row."""
        return _answered(self.question, self.law)

    @property
    def gpu(self) -> Gpu:
        """The GPU it is of."""
        return self.question.gpu

    @property
    def workload(self) -> Workload:
        """What was estimated, defaults filled in."""
        return self.question.workload

    @property
    def runtime(self) -> Runtime:
        """How it is executed."""
        return self.question.runtime

    @property
    def limit_of_boards_w(self) -> float:
        """What all GPUs that share the work may draw together [W]."""
        return self.runtime.power_limit_of(self.gpu.tdp_w)

    @property
    def gpu_seconds(self) -> Interval:
        """GPU time of one output, of all GPUs that share the work [s], with its 90 % interval."""
        return gpu_seconds(self.duration, self.runtime.gpus, self.workload.batch_size)

    @property
    def boundary(self) -> str:
        """``gross``: all that the GPU board draws, idle power included; ``dynamic``: without it."""
        return self.question.boundary

    @property
    def output(self) -> str:
        """What the energy is of: an ``image`` or a ``clip``."""
        return self.question.profile.output

    @property
    def clip_s(self) -> float | None:
        """Seconds for which a clip is played; None where its frame rate is not known, and of an image."""
        rate = self.question.work.frame_rate
        return None if rate is None else self.rendered_frames / rate

    @property
    def energy_per_second_of_video(self) -> Interval | None:
        """GPU energy of a second of video [J] with its 90 % interval; None where `clip_s` is."""
        return None if self.clip_s is None else self.energy / self.clip_s

    @cached_property
    def memory(self) -> MemoryEstimate:
        """Memory of the GPU that a batch needs, whether it fits, and the largest batch that does: the keys of
        ``memory`` in JSON, see the quickstart."""
        return memory_estimate(self.question.profile, self.workload, self.gpu, self.runtime)

    @property
    def power_w(self) -> float:
        """Average power of all GPUs over the batch [W]; above idle when the boundary is dynamic."""
        return self.energy_j * self.workload.batch_size / self.duration_s

    @property
    def energy(self) -> Interval:
        """GPU energy of one output [J] with its 90 % interval."""
        return Interval(self.energy_low_j, self.energy_j, self.energy_high_j)

    @property
    def duration(self) -> Interval:
        """Time of one batch [s] with its 90 % interval."""
        return Interval(self.duration_low_s, self.duration_s, self.duration_high_s)

    def to_dict(self) -> dict[str, Any]:
        """The same as one JSON object; units are in the names of the keys."""
        return cast(dict[str, Any], plain(record(self)))


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
    frames: int | None = None,
    fps: float | None = None,
    frame_rate: float | None = None,
    seconds: float | None = None,
    strength: float | None = None,
    input_image: str | tuple[int, int] | None = None,
    control: str | None = None,
    lora: int | None = None,
    lora_rank: int | None = None,
    lora_fused: bool | None = None,
    engine: str | None = None,
    compile: bool | None = None,
    quantization: str | None = None,
    cache: str | None = None,
    offload: str | bool | None = None,
    gpus: int | None = None,
    parallel: str | Mapping[str, int] | None = None,
    power_limit_w: float | None = None,
    boundary: str | None = None,
    law: LawChoice = None,
) -> Estimate:
    """Energy, time and power of generating an image or a clip. What is not given takes the model's default.

    Parameters
    ----------
    model : name, alias or hub id of a catalogue model, or the path of a profile file.
    gpu : name or alias of a catalogue GPU, or the path of a GPU file; ``8xH100`` is 8 GPUs.
    width, height, or size : pixels; `size` is ``"WIDTHxHEIGHT"`` or a pair.
    steps : denoising steps, as given to the pipeline.
    passes : denoiser passes a step, 1 or 2; by default what the pipeline does at its scales of guidance.
    guidance, true_cfg_scale : the pipeline's ``guidance_scale``, and its other scale where only that one
        makes a second pass.
    negative_prompt : whether one is given; some pipelines make a second pass only then.
    batch_size : images or clips generated together.
    precision : ``fp16``, ``bf16`` or ``fp32``.
    text_tokens : text tokens the denoiser attends to.
    frames : of a clip of video.
    fps, or frame_rate : frames a second of the clip; by default the rate of the model's authors, if any.
    seconds : length of the clip [s] in place of `frames`.
    strength : of an input image's noise, above 0 up to 1: the share of the steps that is made.
    input_image : size of the image that the pipeline is given, that of what is made, as `size` [pixels].
    control : the kind of a ControlNet beside the denoiser, e.g. ``canny``.
    lora : LoRA adapters that are loaded and, as diffusers has it, not fused into the weights.
    lora_rank : their rank; 16 by default.
    lora_fused : whether they were fused into the weights, which costs nothing.
    engine : what runs the pipeline, e.g. ``sglang`` (`joulecast runtimes`); ``diffusers`` by default.
    compile : whether torch.compile made the denoiser's kernels.
    quantization : of the denoiser, e.g. ``fp8``, or ``int8-weights`` of its weights alone.
    cache : of denoising steps, e.g. ``cache-dit``.
    offload : ``model`` where weights wait in the host's memory (``enable_model_cpu_offload``); else ``none``.
    gpus : GPUs that share the work, as the GPU's name may say (``8xH100``).
    parallel : how they share it, ``"ulysses=4,cfg=2"`` or the same as a mapping.
    power_limit_w : what each board may draw [W]; by default its own limit.
    boundary : ``gross`` (all the board draws) or ``dynamic`` (idle power subtracted).
    law : name of a packaged law, path of a law file, or a law; None for the default law.

    Raises
    ------
    UnknownNameError
        An unknown model, GPU, precision, engine, quantisation, cache, offloading, boundary or law; carries
        near matches.
    InputError
        A value is out of range, the pipeline would refuse the workload, or the model or the GPU cannot be run
        so.
    FileFormatError
        A profile, GPU or law file is damaged.
    """
    asked = dict(locals())  # all parameters, by the names of their keys
    del asked["law"]
    return estimate_of(ask(Setting.of(asked)), law)


def estimate_of(question: Question, law: LawChoice = None, doubts: tuple[str, ...] = ()) -> Estimate:
    """What a law says to a question, `doubts` of whoever asks beside it. Raises InputError where the law's
    equations have no finite answer."""
    known = resolve_law(law)
    row = _answered(question, known)
    if not row.is_usable[0]:
        raise InputError(no_answer(known))
    profile, _, precision, on_gpu, runtime = row.asked
    found = Estimate(
        question=question,
        law=known,
        familiarity=known.familiarity(profile, on_gpu.gpus, precision, runtime)[0],
        timed_familiarity=known.timed_familiarity(profile, on_gpu.gpus, precision, runtime)[0],
        energy_j=float(row.energy_j[0]),
        energy_low_j=float(row.energy_low_j[0]),
        energy_high_j=float(row.energy_high_j[0]),
        duration_s=float(row.duration_s[0]),
        duration_low_s=float(row.duration_low_s[0]),
        duration_high_s=float(row.duration_high_s[0]),
        flop=float(row.flop[0]),
        idle_power_w=float(row.idle_power_w[0]),
        doubts=doubts,
    )
    vars(found)["_row"] = row  # found already
    return found


def _answered(question: Question, law: Law) -> Answer:
    """A law's answer to one question, in columns of one row."""
    work, precision = question.work, question.workload.precision
    on_gpu, is_dynamic = GpuColumns.of(question.gpu, 1), np.array([question.boundary == BOUNDARIES[1]])
    asked = LawInput(work.profile, work.workload.columns(), precision, on_gpu, question.runtime)
    return answer(law, asked, is_dynamic)


def resolve_law(law: LawChoice) -> Law:
    """A law by name or path, or the one given. Raises UnknownNameError or FileFormatError."""
    return cast(Law, load_law(law)) if law is None or isinstance(law, str | os.PathLike) else law


def _in_full(words: str, guess: Estimate) -> str:
    """A caveat of many settings, said of one: its size, its frames, or what of its batch fits."""
    profile, workload = guess.question.profile, guess.workload
    if words in (TOO_LARGE, MAY_BE_TOO_LARGE, BOUND_IS_TOO_LARGE, NOT_KNOWN):
        return does_not_fit(profile, workload, guess.gpu, guess.runtime)
    if words == caveats.rounding(profile):
        made = f"{guess.rendered_width}x{guess.rendered_height}"
        return f"{workload.width}x{workload.height} is generated at {made}: {words}"
    if words == caveats.rounding_frames(profile):
        return f"{counted(workload.frames, 'frame')} are made as {guess.rendered_frames}: {words}"
    return words
