"""What the API answers, as records: they are encoded, and the OpenAPI description is made from them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from joulecast.footprint.account import FootprintData
from joulecast.law.load import load_law

if TYPE_CHECKING:
    from joulecast.footprint.account import Footprint
    from joulecast.forecast.estimate import Estimate
    from joulecast.runtime import Runtime


class Problem(msgspec.Struct, omit_defaults=True):
    """What was wrong (RFC 9457): `detail` in one line, and names that are `near` one that is not known."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    near: list[str] = []


class MemoryPart(msgspec.Struct):
    """GPU memory that a batch needs [byte]; null where it is not known."""

    weights_bytes: int
    peak_bytes: float | None
    least_peak_bytes: float | None
    offloaded_peak_bytes: float | None
    needed_bytes: float | None
    fits: str
    largest_batch: int | None
    largest_batch_perhaps: int | None
    is_upper_bound: bool


class ComponentPart(msgspec.Struct):
    """A component's part of one output: calls for a batch, FLOP, energy [J]; memory while it runs [byte]."""

    name: str
    role: str
    calls: int
    flop: float
    energy_j: float
    peak_memory_bytes: float | None


class VideoPart(msgspec.Struct):
    """What is said of a clip alone: energy of a second of video [J], length [s], frames a second."""

    rendered_frames: int
    clip_s: float | None
    frame_rate: float | None
    frame_rate_source: str | None
    energy_per_second_of_video_j: float | None
    energy_per_second_of_video_low_j: float | None
    energy_per_second_of_video_high_j: float | None


class WorkloadPart(msgspec.Struct):
    """What was estimated, defaults filled in; `rendered_width` and `rendered_height` are what is made."""

    model: str
    hub_id: str | None
    pipeline: str
    parameters: int
    width: int
    height: int
    steps: int
    passes: int
    batch_size: int
    precision: str
    text_tokens: int
    frames: int
    negative_prompt: bool
    guidance: float | None
    true_cfg_scale: float | None
    strength: float | None
    steps_asked: int | None
    rendered_width: int
    rendered_height: int


class RuntimePart(msgspec.Struct):
    """How it is executed; `label` says it in words."""

    engine: str
    compile: bool
    quantization: str
    cache: str
    gpus: int
    parallel: str
    power_limit_w: float | None
    label: str


class GpuPart(msgspec.Struct):
    """One GPU, of several that share the work too: power limit and idle power [W], memory [byte]."""

    name: str
    tdp_w: float
    idle_power_w: float
    memory_bytes: float


class LawPart(msgspec.Struct):
    """The law that answers, what it knew of this model and GPU, and its published error for that."""

    name: str
    form: str
    familiarity: str
    timed_familiarity: str
    held_out_error: dict[str, dict[str, float | int | None] | None]


class EstimateAnswer(msgspec.Struct):
    """What one output costs: predicted, never measured; intervals hold the true value 9 times in 10.

    Energy [J] of all GPUs for one `output`, and for the `outputs` of a batch; time [s] of one batch; FLOP of
    one output; `memory_bytes` is the most that a batch holds, null where it is not known; `footprint` where a
    place is given.
    """

    output: str
    outputs: int
    energy_j: float
    energy_low_j: float
    energy_high_j: float | None
    batch_energy_j: float
    batch_energy_low_j: float
    batch_energy_high_j: float | None
    duration_s: float
    duration_low_s: float
    duration_high_s: float | None
    power_w: float
    flop: float
    boundary: str
    memory_bytes: float | None
    memory: MemoryPart
    video: VideoPart | None
    components: list[ComponentPart]
    workload: WorkloadPart
    runtime: RuntimePart
    gpu: GpuPart
    law: LawPart
    footprint: FootprintData | None
    warnings: list[str]
    notes: list[str]


def estimate_answer(guess: Estimate, footprint: Footprint | None = None) -> EstimateAnswer:
    """An estimate, with its footprint where there is one, as the API answers it."""
    memory, batch = MemoryPart(**guess.memory._asdict()), guess.workload.batch_size
    return EstimateAnswer(
        output=guess.output,
        outputs=batch,
        batch_energy_j=guess.energy_j * batch,
        batch_energy_low_j=guess.energy_low_j * batch,
        batch_energy_high_j=guess.energy_high_j * batch,
        energy_j=guess.energy_j,
        energy_low_j=guess.energy_low_j,
        energy_high_j=guess.energy_high_j,
        duration_s=guess.duration_s,
        duration_low_s=guess.duration_low_s,
        duration_high_s=guess.duration_high_s,
        power_w=guess.power_w,
        flop=guess.flop,
        boundary=guess.boundary,
        memory_bytes=memory.peak_bytes,
        memory=memory,
        video=_video(guess),
        components=[ComponentPart(**vars(part)) for part in guess.components],
        workload=_workload(guess),
        runtime=RuntimePart(**guess.runtime.to_dict()),  # type: ignore[arg-type]
        gpu=GpuPart(
            guess.gpu.name,
            guess.gpu.tdp_w,
            guess.idle_power_w / guess.runtime.gpus,
            guess.gpu.memory_bytes,
        ),
        law=_law(guess),
        footprint=None if footprint is None else footprint.to_dict(),
        warnings=list(guess.warnings),
        notes=list(guess.notes),
    )


def _video(guess: Estimate) -> VideoPart | None:
    if guess.question.profile.frames is None:
        return None
    per_s, work = guess.energy_per_second_of_video, guess.question.work
    return VideoPart(
        rendered_frames=guess.rendered_frames,
        clip_s=guess.clip_s,
        frame_rate=work.frame_rate,
        frame_rate_source=work.rate_source,
        energy_per_second_of_video_j=None if per_s is None else per_s.value,
        energy_per_second_of_video_low_j=None if per_s is None else per_s.low,
        energy_per_second_of_video_high_j=None if per_s is None else per_s.high,
    )


def _workload(guess: Estimate) -> WorkloadPart:
    profile, work, asked = guess.question.profile, guess.question.work, guess.workload
    return WorkloadPart(
        model=profile.name,
        hub_id=profile.hub_id,
        pipeline=profile.pipeline,
        parameters=profile.parameters,
        width=asked.width,
        height=asked.height,
        steps=asked.steps,
        passes=asked.passes,
        batch_size=asked.batch_size,
        precision=asked.precision,
        text_tokens=guess.text_tokens,
        frames=asked.frames,
        negative_prompt=work.negative_prompt,
        guidance=work.guidance,
        true_cfg_scale=work.true_cfg_scale,
        strength=work.strength,
        steps_asked=None if work.strength is None else work.steps_asked,
        rendered_width=guess.rendered_width,
        rendered_height=guess.rendered_height,
    )


def _law(guess: Estimate) -> LawPart:
    law, known, timed = guess.law, guess.familiarity, guess.timed_familiarity
    return LawPart(law.name, law.form, known, timed, _error(law.name, known, timed, guess.runtime))


@lru_cache(maxsize=4096)
def _error(
    law: str, known: str, timed: str, runtime: Runtime
) -> dict[str, dict[str, float | int | None] | None]:
    """The published error of a packaged law, for JSON."""
    return load_law(law).describe().error(known, timed, runtime).to_dict()
