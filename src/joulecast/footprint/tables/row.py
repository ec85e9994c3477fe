"""One row of a table: its cells checked, and its footprint.

Columns read: ``energy_j`` [J of one image], ``duration_s`` [s of one batch]; optional the ends of their
ranges (``energy_low_j``, ``energy_high_j``, ``duration_low_s``, ``duration_high_s``), ``batch_size`` (1),
``gpu_count`` (1, or what ``gpu`` or ``parallel`` says), ``parallel``, ``gpu``, ``boundary`` (gross),
``scope`` (pipeline), ``images`` (1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from joulecast.compute.output import CLIP, IMAGE
from joulecast.errors import InputError, JoulecastError, UnknownNameError, shown
from joulecast.files import numbers
from joulecast.files.columns import is_missing, text_of
from joulecast.files.fields import MOST_MEASURED
from joulecast.files.numbers import MOST_WHOLE
from joulecast.files.paths import is_path
from joulecast.footprint.account import Footprint, check_gross, check_images, footprint_of_energy
from joulecast.footprint.factors import embodied_of
from joulecast.footprint.site import Site
from joulecast.forecast.answer import gpu_seconds
from joulecast.forecast.predictor import RENDERED_FRAMES
from joulecast.question.gpus import count_and_name
from joulecast.question.headers import keys_of
from joulecast.question.models import catalogue_name, load_profile
from joulecast.question.question import work_of
from joulecast.question.setting import Setting
from joulecast.question.vocabulary import yes_or_no
from joulecast.runtime import DATA, read_degrees
from joulecast.uncertainty import Interval

WHOLE = "pipeline"
GPU_COUNT = "gpu_count"  # as runs call it; a request's `gpus`
SOURCE = "the table's row"
SIZED_BY = ("model", "size", "width", "height", "strength", "input_image", "input_width", "input_height")
RANGES = (("energy_low_j", "energy_j", "energy_high_j"), ("duration_low_s", "duration_s", "duration_high_s"))

Row = Mapping[str, object]  # cells as a table holds them, by column: `positive` and `words` check them


@dataclass(frozen=True)
class Cells:
    """What a footprint needs of a row: energy [J/image], GPU time [s/image], images, and the GPU."""

    energy_j: Interval
    gpu_s_per_image: Interval
    images: int
    card: Card


@dataclass(frozen=True)
class Card:
    """The GPU of a row: how many of them its name says, one's name, None for any, and what to doubt."""

    count: int
    gpu: str | None
    warnings: tuple[str, ...] = ()


def checked(row: Row, images: int | None = None) -> Cells:
    """A row's cells; `images` stands in for the column. Raises InputError where one cannot be used."""
    energy, duration = (range_of(row, names) for names in RANGES)
    count = images if images is not None else positive(row, "images", 1.0)
    card = card_of(row.get("gpu"))
    gpus = gpus_of(row, card.count)
    seconds = gpu_seconds(duration, gpus, positive(row, "batch_size", 1.0))
    check_gross(words(row, "boundary") or "gross")
    check_whole(row)
    return Cells(energy, seconds, check_images(count), card)


def gpus_of(row: Row, named: int) -> float:
    """GPUs that share a row's work: as it says, or the GPU's name, which says `named`, or its parallel."""
    if not is_missing(row.get(GPU_COUNT)):
        return positive(row, GPU_COUNT)
    return float(count_of(named, row.get("parallel")))


def count_of(named: int, parallel: object) -> int:
    """GPUs as the GPU's name says, or the degrees of `parallel`. Raises InputError."""
    if named > 1 or is_missing(parallel):
        return named
    text = str(text_of(parallel))
    return 1 if yes_or_no(text) is False else math.prod(read_degrees(text, DATA).values())


def card_of(cell: object) -> Card:
    """The GPU that a cell names, as ``"H100"`` or ``"2 x Tesla V100"``.

    One that the catalogue does not know is any GPU, with a warning. Raises InputError for a cell that is no
    text, or names a file that is no GPU's.
    """
    name = words({"gpu": cell}, "gpu")
    if name is None:
        return Card(1, None)
    count, single = count_and_name(name)
    try:
        return Card(count, single, embodied_of(single).warnings)
    except UnknownNameError:
        warning = f"the GPU {shown(single)} is not known: the embodied carbon is any GPU's"
        return Card(count, None, (warning,))


def row_footprint(row: Row, at: Site, images: int | None = None) -> Footprint:
    """The footprint of one row. Raises InputError where a cell cannot be used."""
    cells = checked(row, images)
    found = footprint_of_energy(
        cells.energy_j, cells.gpu_s_per_image, at, images=cells.images, gpu=cells.card.gpu, source=SOURCE
    )
    unknown = cells.card.warnings if cells.card.gpu is None else ()  # of a known one it is said already
    return replace(found, warnings=(*found.warnings, *unknown))


def output_of(row: Row) -> str:
    """What a row's energy is of: what its model makes, or, of a model that is not known, by its frames."""
    model = words(row, "model") or ""
    if catalogue_name(model) or is_path(model, ".json"):
        with suppress(JoulecastError):
            return load_profile(model).output
    return CLIP if positive(row, "frames", 1.0) > 1 else IMAGE


def size_of(row: Row) -> tuple[int, int] | None:
    """Width and height of what is made [pixels], as the row states them or, of a prediction, as it took them;
    None where neither is known. Raises InputError where a side is no whole number."""
    width, height = row.get("width"), row.get("height")
    if not (is_missing(width) or is_missing(height)):
        return numbers.whole(width, "width"), numbers.whole(height, "height")
    if words(row, "law") is None:
        return None
    with suppress(JoulecastError):
        asked = {key: text_of(row[name]) for key, name in keys_of(list(row)).items() if key in SIZED_BY}
        given = {key: cell for key, cell in asked.items() if not is_missing(cell)}
        made = work_of(Setting.of(given)).workload
        return made.width, made.height
    return None


def frames_of(row: Row) -> int | None:
    """Frames of a row's clip: those that are made, or else those asked for; None where none are stated."""
    cells = {name: row.get(name) for name in (RENDERED_FRAMES, "frames") if not is_missing(row.get(name))}
    return next((numbers.whole(cell, name) for name, cell in cells.items()), None)


def check_whole(row: Row) -> None:
    """InputError for a row that covers less than the whole pipeline call."""
    scope = words(row, "scope") or WHOLE
    if scope != WHOLE:
        raise InputError(f"the row covers the scope {shown(scope)} alone: the whole pipeline takes more")


def range_of(row: Row, names: tuple[str, str, str]) -> Interval:
    """A value and its ends, which are the value where they are empty. Raises InputError."""
    value = positive(row, names[1])
    low, high = positive(row, names[0], value), positive(row, names[2], value)
    if not low <= value <= high:
        raise InputError(f"{names[0]} {low:g} <= {names[1]} {value:g} <= {names[2]} {high:g} is not so")
    return Interval(low, value, high)


def positive(row: Row, name: str, default: float | None = None) -> float:
    """A cell as a positive number, or `default` where it is empty. Raises InputError otherwise."""
    cell = row.get(name)
    if is_missing(cell):
        if default is None:
            raise InputError(f"{name} is missing")
        return default
    return numbers.positive(cell, name, most_of(name))


def most_of(name: str) -> float:
    """The largest number that a column may hold: an energy [J], a time [s], a count."""
    return MOST_MEASURED if name.endswith(("_j", "_s")) else MOST_WHOLE


def words(row: Row, name: str) -> str | None:
    """A cell of text, None where it is empty. Raises InputError for anything else."""
    cell = text_of(row.get(name))
    if is_missing(cell):
        return None
    if not isinstance(cell, str):
        raise InputError(f"{name} must be text, not {shown(cell)}")
    return cell
