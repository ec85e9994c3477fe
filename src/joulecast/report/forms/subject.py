"""What a form is of: one row of a table, in names, in numbers and in sentences of task, hardware, method."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from joulecast.architecture.catalogue import find_model, model_entry
from joulecast.boundary import check_boundary
from joulecast.compute.output import CLIP, TASKS
from joulecast.errors import InputError, UnknownNameError
from joulecast.files.columns import is_missing
from joulecast.footprint.tables.row import (
    GPU_COUNT,
    RANGES,
    Row,
    check_whole,
    frames_of,
    gpus_of,
    output_of,
    positive,
    range_of,
    size_of,
    words,
)
from joulecast.forecast.predictor import CLIP_S
from joulecast.hardware import Gpu
from joulecast.question.gpus import count_and_name
from joulecast.question.gpus import gpu as find_gpu
from joulecast.report.amounts import number
from joulecast.report.origin import Origin, additions_of_row, origin_of, row_warnings, runtime_of_row
from joulecast.uncertainty import Interval
from joulecast.units import counted, joules_to_kilowatt_hours

ENERGY, _ = RANGES
_HUB = "https://huggingface.co/"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Subject:
    """A row whose whole call of the pipeline was predicted or measured, model and GPU known by name."""

    row: Row
    model: str
    gpu: Gpu
    gpus: int
    batch: int
    origin: Origin
    boundary: str  # of the energy: gross or dynamic

    @cached_property
    def output(self) -> str:
        """What the energy is of: an ``image`` or a ``clip``."""
        return output_of(self.row)

    @property
    def energy_kwh(self) -> Interval:
        """GPU energy of one image or clip [kWh]; exact where the row states no range."""
        return range_of(self.row, ENERGY).map(joules_to_kilowatt_hours)

    @property
    def clip_s(self) -> float | None:
        """How long a clip is played [s], as far as the row says so; None of an image."""
        frames = frames_of(self.row)
        if self.output != CLIP:
            return None
        if not is_missing(self.row.get(CLIP_S)):
            return positive(self.row, CLIP_S)
        return (
            None if frames is None or is_missing(self.row.get("fps")) else frames / positive(self.row, "fps")
        )

    @property
    def weights(self) -> str | None:
        """Where the weights are: the row's checkpoint; for a prediction the catalogue's."""
        checkpoint = words(self.row, "checkpoint")
        if checkpoint is not None:
            return _HUB + checkpoint if _HUB_ID.fullmatch(checkpoint) else None
        if not self.origin.is_predicted:
            return None
        try:
            return _HUB + str(model_entry(find_model(self.model))["hub_id"])
        except UnknownNameError:
            return None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where the row's figures deserve doubt."""
        return tuple(row_warnings([self.row]))

    def task(self) -> str:
        """What one output is and how it is made: ``generating one image of 1024x1024 pixels with ...``."""
        size, frames = size_of(self.row), frames_of(self.row)
        made = f"one {self.output}" + (f" of {'x'.join(map(str, size))} pixels" if size else "")
        if self.output == CLIP and frames is not None:
            made += f" and {counted(frames, 'frame')}"
        if self.clip_s is not None:
            made += f", played for {number(self.clip_s)} s"
        parts = [f"generating {made} with {self.model}", *additions_of_row(self.row), *self._settings()]
        return ", ".join(parts)

    def _settings(self) -> list[str]:
        cells = {name: str(cell) for name, cell in self.row.items() if not is_missing(cell)}
        assumed, precision = cells.get("assumed"), cells.get("precision")
        told = [
            f"{cells['steps']} denoising steps" if "steps" in cells else "",
            f"of which a strength of {cells['strength']} makes a share" if "strength" in cells else "",
            counted(cells["passes"], "denoiser pass") + " a step" if "passes" in cells else "",
            f"precision {precision}" if precision else "",
            f"{self.batch} at a time" if self.batch > 1 else "",
            f"assumed, for the request did not say: {assumed}" if assumed else "",
        ]
        return [part for part in told if part]

    def hardware(self) -> str:
        """The GPUs and how the model is executed on them, as far as the row says so."""
        name = self.gpu.name if self.gpu.vendor in self.gpu.name else f"{self.gpu.vendor} {self.gpu.name}"
        executed = runtime_of_row(self.row)
        return f"{self.gpus} x {name}" + (f" ({executed})" if executed else "")

    def obtained(self, made_by: str) -> str:
        """How the energy is known; a prediction says that it is one."""
        if self.origin.is_predicted:
            return f"{self.origin.words}, by {made_by}: an estimate, not a measurement"
        return self.origin.words


def subject_of(row: Row, form: str) -> Subject:
    """What a form, which errors name (``a BoAmps report``), is of.

    Raises InputError where the row is neither predicted nor measured, of a part of the pipeline, or lacks a
    name; UnknownNameError for a GPU that the catalogue does not have, and a boundary that is none.
    """
    origin = origin_of(row)
    if not (origin.is_predicted or origin.is_measured):
        raise InputError(
            f"how the energy was obtained: {origin.words}; {form} is of a prediction (column law) "
            "or a measurement (column source)"
        )
    check_whole(row)
    model, gpu = words(row, "model"), words(row, "gpu")
    if model is None:
        raise InputError(f"{form} names the model: the row has none")
    if gpu is None:
        raise InputError(f"{form} names the GPU: the row has none")
    count, single = count_and_name(gpu)
    return Subject(
        row=row,
        model=model,
        gpu=find_gpu(single),
        gpus=as_whole(GPU_COUNT, gpus_of(row, count)),
        batch=as_whole("batch_size", positive(row, "batch_size", 1.0)),
        origin=origin,
        boundary=check_boundary(words(row, "boundary") or "gross"),
    )


def as_whole(name: str, count: float) -> int:
    """A count as the whole number it must be. Raises InputError."""
    if count != int(count):
        raise InputError(f"{name} must be a whole number, not {count:g}")
    return int(count)


def task_name(subject: Subject) -> str:
    """What the model is for: ``image generation`` or ``video generation``."""
    return f"{TASKS[subject.output]} generation"
