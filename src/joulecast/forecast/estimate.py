"""One workload on one GPU: energy, time and power with their intervals, and where they come from."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from joulecast.errors import InputError
from joulecast.forecast import caveats
from joulecast.hardware import Gpu
from joulecast.law.law import GpuColumns, Law, Prediction
from joulecast.law.load import load_law
from joulecast.question.question import Question, ask

LawChoice = str | os.PathLike[str] | Law | None


@dataclass(frozen=True)
class ComponentEstimate:
    """One component's part: calls for a batch, FLOP and energy [J] for one image over all its calls."""

    name: str
    role: str
    calls: int
    flop: float
    energy_j: float


@dataclass(frozen=True)
class Estimate:
    """What one image costs. Intervals hold the true value 9 times in 10, as far as held-out runs tell.

    Attributes
    ----------
    energy_j, energy_low_j, energy_high_j : GPU energy of one image [J], and its 90 % interval.
    duration_s, duration_low_s, duration_high_s : time of one batch [s], and its 90 % interval.
    power_w : average power over the batch [W]; above idle when the boundary is dynamic.
    flop : of one image [FLOP]; 1 multiply-accumulate is 2 FLOP.
    boundary : ``gross``: all that the GPU board draws, idle power included; ``dynamic``: without it.
    components : the parts of the pipeline; their energies sum to `energy_j`.
    workload : what was estimated: the model, the settings with defaults filled in, and the size at
        which the pipeline really generates (``rendered_width``, ``rendered_height``).
    gpu : ``name``, ``tdp_w``, ``idle_power_w``, ``memory_bytes``, ``origin`` and ``sources`` by figure.
    law : ``name``, ``form``, ``fitted_on`` (runs, models, GPUs, sources), ``familiarity`` (what the
        law knew of this model and GPU) and ``held_out_error``: the published error for that case.
    warnings : where the number deserves doubt.
    notes : how the request was understood.
    """

    energy_j: float
    energy_low_j: float
    energy_high_j: float
    duration_s: float
    duration_low_s: float
    duration_high_s: float
    power_w: float
    flop: float
    boundary: str
    components: tuple[ComponentEstimate, ...]
    workload: Mapping[str, Any]
    gpu: Mapping[str, Any]
    law: Mapping[str, Any]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as one JSON object; keys are the attributes' names, units are in the names."""
        return _plain(dataclasses.asdict(self))  # type: ignore[no-any-return]


def estimate(
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
    law: LawChoice = None,
) -> Estimate:
    """Energy, time and power of generating an image. What is not given takes the model's default.

    Parameters
    ----------
    model : name, alias or hub id of a catalogue model, or the path of a profile file.
    gpu : name or alias of a catalogue GPU, or the path of a GPU file.
    width, height, or size : pixels; `size` is ``"WIDTHxHEIGHT"`` or a pair.
    steps : denoising steps, as given to the pipeline.
    passes : denoiser passes a step, 1 or 2; by default what the pipeline does at `guidance`.
    guidance : the pipeline's guidance scale (``guidance_scale``, or ``true_cfg_scale`` where it has one).
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
    question = ask(
        model,
        gpu,
        width=width,
        height=height,
        size=size,
        steps=steps,
        passes=passes,
        guidance=guidance,
        negative_prompt=negative_prompt,
        batch_size=batch_size,
        precision=precision,
        text_tokens=text_tokens,
        boundary=boundary,
    )
    return _Answer(question, resolve_law(law)).estimate()


def resolve_law(law: LawChoice) -> Law:
    """A law by name or path, or the one given. Raises UnknownNameError or FileFormatError."""
    return cast(Law, load_law(law)) if law is None or isinstance(law, str | os.PathLike) else law


def no_answer(law: Law) -> str:
    """The error of a workload for which a law's equations have no finite result."""
    return f"the law {law.name} gives no finite energy and time for this workload"


class _Answer:
    """What a law says to a question."""

    def __init__(self, question: Question, law: Law) -> None:
        self.profile, self.gpu, self.workload = question.profile, question.gpu, question.workload
        self.question, self.law = question, law
        self.columns, self.on_gpu = self.workload.columns(), GpuColumns.of(self.gpu, 1)
        self.gross = law.predict(self.profile, self.columns, self.workload.precision, self.on_gpu)
        self.familiarity = law.familiarity(self.profile, [self.gpu])[0]
        width, height = self.profile.size.rendered(self.columns.width, self.columns.height)
        self.rendered = int(width[0]), int(height[0])

    def estimate(self) -> Estimate:
        boundary, batch = self.question.boundary, self.columns.batch_size
        answer = self.gross.dynamic(batch) if boundary == "dynamic" else self.gross
        energy, seconds = float(answer.energy_j[0]), float(answer.duration_s[0])
        if not (0 < energy < math.inf and 0 < seconds < math.inf):
            raise InputError(no_answer(self.law))
        spread = _factor(float(answer.log_half_width[0]))
        time_spread = _factor(float(answer.duration_log_half_width[0]))
        components = self._components(answer)
        return Estimate(
            energy_j=energy,
            energy_low_j=energy / spread,
            energy_high_j=energy * spread,
            duration_s=seconds,
            duration_low_s=seconds / time_spread,
            duration_high_s=seconds * time_spread,
            power_w=energy * self.workload.batch_size / seconds,
            flop=sum(part.flop for part in components),
            boundary=boundary,
            components=components,
            workload=self._workload(),
            gpu=_gpu_facts(self.gpu, float(self.gross.idle_power_w[0])),
            law=_law_facts(self.law, self.familiarity),
            warnings=(*self.question.warnings, *self._warnings()),
            notes=(*self.question.notes, *self.profile.notes),
        )

    def _components(self, answer: Prediction) -> tuple[ComponentEstimate, ...]:
        flop = self.profile.flop(self.columns, self.workload.precision)
        calls = self.profile.calls(self.columns)
        return tuple(
            ComponentEstimate(
                name=part.name,
                role=part.role,
                calls=round(float(calls[part.name][0])),
                flop=float(flop[part.name][0]) / self.workload.batch_size,
                energy_j=float(answer.component_energy_j[part.name][0]),
            )
            for part in self.profile.components
        )

    def _warnings(self) -> list[str]:
        precision = self.workload.precision
        power = self.gross.energy_j * self.columns.batch_size / self.gross.duration_s
        of_workload = {
            **caveats.workload_caveats(self.profile, self.columns),
            **caveats.power_caveat(power, np.array([self.gpu.tdp_w])),
        }
        return [
            *caveats.pair_caveats(
                self.profile, self.gpu, precision, self.question.boundary, self.familiarity
            ),
            *(self._in_full(words) for words, holds in of_workload.items() if holds[0]),
            *self._outside(),
        ]

    def _outside(self) -> list[str]:
        """How the workload lies outside what the law was fitted on."""
        found = self.law.outside(self.profile, self.columns, self.workload.precision, self.on_gpu)
        return [words for words, holds in found.items() if holds[0]]

    def _in_full(self, words: str) -> str:
        """A table's warning with this workload's size, where that says more."""
        if words != caveats.rounding(self.profile):
            return words
        asked, rendered = (self.workload.width, self.workload.height), self.rendered
        return f"{asked[0]}x{asked[1]} is generated at {rendered[0]}x{rendered[1]}: {words}"

    def _workload(self) -> dict[str, Any]:
        return {
            "model": self.profile.name,
            "hub_id": self.profile.hub_id,
            "pipeline": self.profile.pipeline,
            "origin": self.profile.origin,
            "parameters": self.profile.parameters,
            **dataclasses.asdict(self.workload),
            "text_tokens": int(self.profile.text_tokens(self.columns)[0]),
            "rendered_width": self.rendered[0],
            "rendered_height": self.rendered[1],
            "guidance": self.question.guidance,
            "negative_prompt": self.question.negative_prompt,
        }


def _gpu_facts(gpu: Gpu, idle_power_w: float) -> dict[str, Any]:
    """The GPU's figures; its idle power is the law's assumption where nobody measured it."""
    return {
        "name": gpu.name,
        "tdp_w": gpu.tdp_w,
        "idle_power_w": idle_power_w,
        "memory_bytes": gpu.memory_bytes,
        "origin": gpu.origin,
        "sources": dict(gpu.sources),
    }


def _law_facts(law: Law, familiarity: str) -> dict[str, Any]:
    facts = law.describe()
    error = facts.errors.get(familiarity)
    return {
        "name": facts.name,
        "form": facts.form,
        "fitted_on": dataclasses.asdict(facts.fitted_on),
        "familiarity": familiarity,
        "held_out_error": error and error.to_dict(),
    }


def _factor(log_half_width: float) -> float:
    """Between an interval's middle and its end; infinite when nothing is known of the error."""
    return math.exp(log_half_width) if log_half_width < 700 else math.inf


def _plain(value: Any) -> Any:
    """As JSON has it: lists for tuples and sets, None for an end that is not known."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
