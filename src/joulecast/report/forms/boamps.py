"""BoAmps reports: Boavizta's open data model for the energy of AI tasks, version 1.1.0.

A report is of one task: one row of a table, for one call of the pipeline, which makes a batch of images.
Field names and required keys are those of the published schemas (https://github.com/Boavizta/BoAmps,
folder ``model``); energies are in kWh and times in s there. What a row does not say is left out.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from joulecast.compute.output import CLIP, TASKS, said_of
from joulecast.errors import InputError, JoulecastError, UnknownNameError
from joulecast.files.columns import is_missing
from joulecast.files.plain import Json
from joulecast.footprint.account import Site
from joulecast.footprint.grid.places import find_region
from joulecast.footprint.tables.row import (
    Row,
    frames_of,
    output_of,
    positive,
    size_of,
    words,
)
from joulecast.forecast.predictor import CLIP_S
from joulecast.question.models import load_profile
from joulecast.report.amounts import number
from joulecast.report.forms.subject import Subject, subject_of
from joulecast.report.origin import is_compiled
from joulecast.units import BYTES_PER_GIGABYTE, counted, joules_to_kilowatt_hours

NOUN = "a BoAmps report"
FORMAT_VERSION = "1.1.0"
SPECIFICATION = "https://github.com/Boavizta/BoAmps/tree/main/model"
INFRASTRUCTURES = ("publicCloud", "privateCloud", "onPremise", "other")
# largest relative error -> what the format calls it
QUALITY = ((0.10, "high"), (0.25, "medium"), (0.50, "low"))
# Columns of run tables that say in words how the model was executed, and words for nothing of note.
EXECUTION = ("runtime", "engine", "quantization", "cache", "offload", "parallel", "attention")
USUAL = (None, "none")
_DIFFUSERS = re.compile(r"\bdiffusers (\d[\w.+]*)")


def boamps_report(
    row: Row,
    infrastructure: str | None,
    at: Site | None = None,
    *,
    now: datetime | None = None,
    report_id: str | None = None,
) -> dict[str, Json]:
    """The BoAmps report of one row, measured or predicted as the row says.

    Parameters
    ----------
    infrastructure : where it ran or will run, one of INFRASTRUCTURES: the format requires it.
    at : the site, for the country and its grid; None leaves them out.
    now, report_id : of the report; the present, and a random one, by default.

    Raises UnknownNameError for another infrastructure, InputError where a required cell is missing.
    """
    if infrastructure not in INFRASTRUCTURES:
        known = f"BoAmps requires one of: {', '.join(INFRASTRUCTURES)}"
        if infrastructure is None:
            raise InputError(f"a BoAmps report says on what infrastructure it ran; {known}")
        raise UnknownNameError("infrastructure", infrastructure, INFRASTRUCTURES, known)
    subject = subject_of(row, NOUN)
    report: dict[str, Json] = {
        "header": {
            "formatVersion": FORMAT_VERSION,
            "formatVersionSpecificationUri": SPECIFICATION,
            "reportId": report_id or str(uuid.uuid4()),
            "reportDatetime": f"{now or datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            "reportStatus": "draft",
        },
        "task": _task(subject),
        "measures": [_measure(subject)],
        "software": {"language": "python"} if _diffusers(row) else None,
        "infrastructure": {"infraType": infrastructure, "components": [_gpu(subject)]},
        "environment": None if at is None else _environment(at),
        "quality": _quality(row),
    }
    return {name: part for name, part in report.items() if part is not None}


def _task(subject: Subject) -> dict[str, Json]:
    row = subject.row
    return {
        "taskStage": "inference",
        "taskFamily": f"{TASKS[subject.output]}Generation",
        "nbRequest": subject.batch,
        "algorithms": [_algorithm(subject)],
        "dataset": [
            {"dataUsage": "input", "dataType": "text"},
            _present(
                dataUsage="output",
                dataType=TASKS[subject.output],
                dataQuantity=subject.batch,
                shape=_shape(row),
            ),
        ],
        "taskDescription": _description(subject),
    }


def _algorithm(subject: Subject) -> dict[str, Json]:
    version = _diffusers(subject.row)
    return _present(
        algorithmType="diffusionModel",
        foundationModelName=subject.model,
        foundationModelUri=subject.weights,
        parametersNumber=_parameters(subject.model),
        framework="diffusers" if version else None,
        frameworkVersion=version,
        quantization=_quantization(subject.row),
    )


def _quantization(row: Row) -> str | None:
    """What the weights are in: the quantisation, or the precision where there is none."""
    found = words(row, "quantization")
    return words(row, "precision") if found in USUAL else found


def _measure(subject: Subject) -> dict[str, Json]:
    row, origin = subject.row, subject.origin
    return _present(
        measurementMethod=f"joulecast estimate: {origin.words}" if origin.is_predicted else origin.words,
        gpuTrackingMode="nvml" if origin.is_own else None,
        powerConsumption=joules_to_kilowatt_hours(positive(row, "energy_j") * subject.batch),
        measurementDuration=None if is_missing(row.get("duration_s")) else positive(row, "duration_s"),
    )


def _gpu(subject: Subject) -> dict[str, Json]:
    gpu = subject.gpu
    return _present(
        componentName=gpu.name,
        componentType="gpu",
        nbComponent=subject.gpus,
        memorySize=round(gpu.memory_bytes / BYTES_PER_GIGABYTE),
        manufacturer=gpu.vendor or None,
        family=gpu.generation or None,
    )


def _environment(at: Site) -> dict[str, Json] | None:
    """The country and its intensity; None where the grid is not that of one country."""
    try:
        row = find_region(at.grid.region)
    except UnknownNameError:
        return None
    if row.kind != "country":
        return None
    return {"country": row.name, "powerSourceCarbonIntensity": at.grid.intensity.amount.value}


def _quality(row: Row) -> str | None:
    """How large the stated error is, in the format's words; None where none is stated, or a larger one."""
    if is_missing(row.get("energy_low_j")) or is_missing(row.get("energy_high_j")):
        return None
    energy, low, high = (positive(row, name) for name in ("energy_j", "energy_low_j", "energy_high_j"))
    error = max(high - energy, energy - low) / energy
    return next((name for most, name in QUALITY if error <= most), None)


def _description(subject: Subject) -> str:
    row, batch = subject.row, subject.batch
    steps, passes, strength = (row.get(name) for name in ("steps", "passes", "strength"))
    parts = [
        None if is_missing(steps) else f"{steps} denoising steps",
        None if is_missing(strength) else f"of which a strength of {strength} makes a share",
        None if is_missing(passes) else f"{passes} denoiser passes a step",
        f"{subject.boundary} energy of the GPU board alone, whole pipeline",
        said_of(subject.output, f"one call of the pipeline makes {batch} images") if batch > 1 else None,
        _clip(row),
        *(f"beware, {told}" for told in subject.warnings),
        *(f"{name} {words(row, name)}" for name in EXECUTION if words(row, name) not in USUAL),
        None if is_missing(row.get("power_limit_w")) else f"each board limited to {row['power_limit_w']} W",
        "torch.compile" if is_compiled(row) else None,
    ]
    return "; ".join(part for part in parts if part)


def _parameters(model: str) -> float | None:
    """Billions of parameters of all components, where joulecast has the model's profile."""
    try:
        return load_profile(model).parameters / 1e9
    except JoulecastError:
        return None


def _diffusers(row: Row) -> str | None:
    """The version of diffusers that the row names."""
    found = _DIFFUSERS.search(words(row, "software") or "")
    return found[1] if found else None


def _shape(row: Row) -> str | None:
    """Width, height and, of a clip, frames, as far as all are known."""
    size, frames = size_of(row), frames_of(row)
    is_clip = output_of(row) == CLIP
    if size is None or (is_clip and frames is None):
        return None
    return f"({', '.join(map(str, (*size, frames) if is_clip else size))})"


def _clip(row: Row) -> str | None:
    """Of how many frames each clip is, and how long it is played, as far as the row says so."""
    frames = frames_of(row)
    if output_of(row) != CLIP or frames is None:
        return None
    played = "" if is_missing(row.get(CLIP_S)) else f", played for {number(positive(row, CLIP_S))} s"
    return f"each clip is of {counted(frames, 'frame')}{played}"


def _present(**fields: Json) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if value is not None}
