"""BoAmps reports: Boavizta's open data model for the energy of AI tasks, version 1.1.0.

A report is of one task: one row of a table, for one call of the pipeline, which makes a batch of images.
Field names and required keys are those of the published schemas (https://github.com/Boavizta/BoAmps,
folder ``model``); energies are in kWh and times in s there. What a row does not say is left out.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from joulecast.architecture.catalogue import find_model, model_entry
from joulecast.errors import InputError, JoulecastError, UnknownNameError
from joulecast.files.columns import is_missing
from joulecast.files.plain import Json
from joulecast.footprint.account import Site
from joulecast.footprint.grid.places import find_region
from joulecast.footprint.tables.row import Row, check_whole, positive, words
from joulecast.question.gpus import counted
from joulecast.question.gpus import gpu as find_gpu
from joulecast.question.models import load_profile
from joulecast.report.origin import Origin, origin_of, row_warnings
from joulecast.units import BYTES_PER_GIGABYTE, joules_to_kilowatt_hours

FORMAT_VERSION = "1.1.0"
SPECIFICATION = "https://github.com/Boavizta/BoAmps/tree/main/model"
INFRASTRUCTURES = ("publicCloud", "privateCloud", "onPremise", "other")
# largest relative error -> what the format calls it
QUALITY = ((0.10, "high"), (0.25, "medium"), (0.50, "low"))
_HUB = "https://huggingface.co/"
_DIFFUSERS = re.compile(r"\bdiffusers (\d[\w.+]*)")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


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
    origin = origin_of(row)
    if not (origin.is_predicted or origin.is_measured):
        raise InputError(
            f"how the energy was obtained: {origin.words}; a BoAmps report is of a prediction (column law) "
            "or a measurement (column source)"
        )
    check_whole(row)
    report: dict[str, Json] = {
        "header": {
            "formatVersion": FORMAT_VERSION,
            "formatVersionSpecificationUri": SPECIFICATION,
            "reportId": report_id or str(uuid.uuid4()),
            "reportDatetime": f"{now or datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            "reportStatus": "draft",
        },
        "task": _task(row),
        "measures": [_measure(row, origin)],
        "software": {"language": "python"} if _diffusers(row) else None,
        "infrastructure": {"infraType": infrastructure, "components": [_gpu(row)]},
        "environment": None if at is None else _environment(at),
        "quality": _quality(row),
    }
    return {name: part for name, part in report.items() if part is not None}


def _task(row: Row) -> dict[str, Json]:
    return {
        "taskStage": "inference",
        "taskFamily": "imageGeneration",
        "nbRequest": _batch(row),
        "algorithms": [_algorithm(row)],
        "dataset": [
            {"dataUsage": "input", "dataType": "text"},
            _present(dataUsage="output", dataType="image", dataQuantity=_batch(row), shape=_shape(row)),
        ],
        "taskDescription": _description(row),
    }


def _algorithm(row: Row) -> dict[str, Json]:
    model = words(row, "model")
    if model is None:
        raise InputError("a BoAmps report names the model: the row has none")
    return _present(
        algorithmType="diffusionModel",
        foundationModelName=model,
        foundationModelUri=_uri(row, model),
        parametersNumber=_parameters(model),
        framework="diffusers" if _diffusers(row) else None,
        frameworkVersion=_diffusers(row),
        quantization=words(row, "precision"),
    )


def _measure(row: Row, origin: Origin) -> dict[str, Json]:
    energy = joules_to_kilowatt_hours(positive(row, "energy_j") * _batch(row))
    duration = None if is_missing(row.get("duration_s")) else positive(row, "duration_s")
    return _present(
        measurementMethod=f"joulecast estimate: {origin.words}" if origin.is_predicted else origin.words,
        gpuTrackingMode="nvml" if origin.is_own else None,
        powerConsumption=energy,
        measurementDuration=duration,
    )


def _gpu(row: Row) -> dict[str, Json]:
    name = words(row, "gpu")
    if name is None:
        raise InputError("a BoAmps report names the GPU: the row has none")
    count, single = counted(name)
    found = find_gpu(single)
    return _present(
        componentName=found.name,
        componentType="gpu",
        nbComponent=_whole(row, "gpu_count", count),
        memorySize=round(found.memory_bytes / BYTES_PER_GIGABYTE),
        manufacturer=found.vendor or None,
        family=found.generation or None,
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


def _description(row: Row) -> str:
    steps, passes = (row.get(name) for name in ("steps", "passes"))
    parts = [
        None if is_missing(steps) else f"{steps} denoising steps",
        None if is_missing(passes) else f"{passes} denoiser passes a step",
        f"{words(row, 'boundary') or 'gross'} energy of the GPU board alone, whole pipeline",
        f"one call of the pipeline makes {_batch(row)} images" if _batch(row) > 1 else None,
        *(f"beware, {told}" for told in row_warnings([row])),
        *(f"{name} {words(row, name)}" if words(row, name) else None for name in ("runtime", "attention")),
    ]
    return "; ".join(part for part in parts if part)


def _uri(row: Row, model: str) -> str | None:
    """Where the weights are: the row's checkpoint; for a prediction the catalogue's."""
    checkpoint = words(row, "checkpoint")
    if checkpoint is not None:
        return _HUB + checkpoint if _HUB_ID.fullmatch(checkpoint) else None
    if not origin_of(row).is_predicted:
        return None
    try:
        return _HUB + str(model_entry(find_model(model))["hub_id"])
    except UnknownNameError:
        return None


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
    sides = [row.get(name) for name in ("width", "height")]
    return None if any(map(is_missing, sides)) else f"({sides[0]}, {sides[1]})"


def _batch(row: Row) -> int:
    return _whole(row, "batch_size")


def _whole(row: Row, name: str, default: int = 1) -> int:
    count = positive(row, name, float(default))
    if count != int(count):
        raise InputError(f"{name} must be a whole number, not {count:g}")
    return int(count)


def _present(**fields: Json) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if value is not None}
