"""One row of a table: its cells checked, and its footprint.

Columns read: ``energy_j`` [J of one image], ``duration_s`` [s of one batch]; optional the ends of their
ranges (``energy_low_j``, ``energy_high_j``, ``duration_low_s``, ``duration_high_s``), ``batch_size`` (1),
``gpu_count`` (1, or what ``gpu`` says), ``gpu``, ``boundary`` (gross), ``scope`` (pipeline), ``images`` (1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from joulecast.errors import InputError, UnknownNameError, shown
from joulecast.files import numbers
from joulecast.files.columns import is_missing, text_of
from joulecast.files.fields import MOST_MEASURED
from joulecast.files.numbers import MOST_WHOLE
from joulecast.footprint.account import Footprint, check_gross, check_images, footprint_of_energy
from joulecast.footprint.factors import embodied_of
from joulecast.footprint.site import Site
from joulecast.question.gpus import counted
from joulecast.uncertainty import Interval

WHOLE = "pipeline"
SOURCE = "the table's row"
RANGES = (("energy_low_j", "energy_j", "energy_high_j"), ("duration_low_s", "duration_s", "duration_high_s"))

Row = Mapping[str, object]  # cells as a table holds them, by column: `positive` and `words` check them
Given = Interval | float


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
    energy, duration = (_range(row, names) for names in RANGES)
    count = images if images is not None else positive(row, "images", 1.0)
    card = card_of(row.get("gpu"))
    gpus = positive(row, "gpu_count", float(card.count))
    seconds = gpu_seconds(duration, gpus, positive(row, "batch_size", 1.0))
    check_gross(words(row, "boundary") or "gross")
    check_whole(row)
    return Cells(energy, seconds, check_images(count), card)


def card_of(cell: object) -> Card:
    """The GPU that a cell names, as ``"H100"`` or ``"2 x Tesla V100"``.

    One that the catalogue does not know is any GPU, with a warning. Raises InputError for a cell that is no
    text, or names a file that is no GPU's.
    """
    name = words({"gpu": cell}, "gpu")
    if name is None:
        return Card(1, None)
    count, single = counted(name)
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


def check_whole(row: Row) -> None:
    """InputError for a row that covers less than the whole pipeline call."""
    scope = words(row, "scope") or WHOLE
    if scope != WHOLE:
        raise InputError(f"the row covers the scope {shown(scope)} alone: the whole pipeline takes more")


def gpu_seconds(duration_s: Interval, gpu_count: Given, batch_size: Given) -> Interval:
    """GPU time of one image [s], of a row or a column: that of a batch on all its GPUs over its images."""
    return duration_s * gpu_count / batch_size


def _range(row: Row, names: tuple[str, str, str]) -> Interval:
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
