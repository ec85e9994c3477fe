"""What the API answers, as records: they are encoded, and the OpenAPI description is made from them."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from joulecast.footprint.account import FootprintData
from joulecast.forecast.estimate import ComponentEstimate
from joulecast.forecast.estimate_data import ClipData, GpuData, LawData, WorkloadData
from joulecast.forecast.estimate_record import NUMBERS, clip_data, gpu_data, law_data, workload_data
from joulecast.forecast.memory import MemoryEstimate
from joulecast.law.load import load_law

if TYPE_CHECKING:
    from joulecast.footprint.account import Footprint
    from joulecast.forecast.estimate import Estimate
    from joulecast.law.scores import ScoresData
    from joulecast.runtime import Runtime


class Problem(msgspec.Struct, omit_defaults=True):
    """What was wrong (RFC 9457): `detail` in one line, and names that are `near` one that is not known."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    near: list[str] = []


def _part(name: str, record: type) -> type[msgspec.Struct]:
    """The record of a part of an answer, with the fields of one of the library's."""
    kinds = inspect.get_annotations(record, eval_str=True)
    fields = [(field, kinds[field]) for field in record.__match_args__]  # type: ignore[attr-defined]
    told = (inspect.getdoc(record) or "").partition("\n\nAttributes")[0]
    return msgspec.defstruct(name, fields, namespace={"__doc__": told})


MemoryPart: Final = _part("MemoryPart", MemoryEstimate)
ComponentPart: Final = _part("ComponentPart", ComponentEstimate)


class RuntimePart(msgspec.Struct):
    """How it is executed; `label` says it in words."""

    engine: str
    compile: bool
    quantization: str
    cache: str
    offload: str
    gpus: int
    parallel: str
    power_limit_w: float | None
    label: str


class VideoData(ClipData):
    """What is said of a clip alone: energy of a second of video [J], length [s], frames a second."""

    rendered_frames: int


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
    memory: MemoryPart  # type: ignore[valid-type]
    video: VideoData | None
    components: list[ComponentPart]  # type: ignore[valid-type]
    workload: WorkloadData
    runtime: RuntimePart
    gpu: GpuData
    law: LawData
    footprint: FootprintData | None
    warnings: list[str]
    notes: list[str]


def estimate_answer(guess: Estimate, footprint: Footprint | None = None) -> EstimateAnswer:
    """An estimate, with its footprint where there is one, as the API answers it."""
    memory, batch, clip = guess.memory._asdict(), guess.workload.batch_size, clip_data(guess)
    of_batch = {name: getattr(guess, name) * batch for name in ("energy_j", "energy_low_j", "energy_high_j")}
    return EstimateAnswer(
        output=guess.output,
        outputs=batch,
        **{name: getattr(guess, name) for name in NUMBERS},
        **{f"batch_{name}": energy for name, energy in of_batch.items()},
        memory_bytes=guess.memory.peak_bytes,
        memory=MemoryPart(**memory),
        video=None if clip is None else {**clip, "rendered_frames": guess.rendered_frames},
        components=[ComponentPart(**vars(part)) for part in guess.components],
        workload=workload_data(guess),
        runtime=RuntimePart(**guess.runtime.to_dict()),  # type: ignore[arg-type]
        gpu=gpu_data(guess),
        law=law_data(
            guess, _error(guess.law.name, guess.familiarity, guess.timed_familiarity, guess.runtime)
        ),
        footprint=None if footprint is None else footprint.to_dict(),
        warnings=list(guess.warnings),
        notes=list(guess.notes),
    )


@lru_cache(maxsize=4096)
def _error(law: str, known: str, timed: str, runtime: Runtime) -> ScoresData:
    """The published error of a packaged law."""
    return load_law(law).describe().error(known, timed, runtime).to_dict()
