"""Footprints of a table: each row of a CSV file with energies, as `joulecast predict` writes it.

Columns read: ``energy_j`` [J of one image], ``duration_s`` [s of one batch]; optional ``energy_low_j``,
``energy_high_j``, ``batch_size`` (1), ``gpu_count`` (1), ``gpu``, ``boundary`` (gross), ``images`` (1)
and a column of regions. Columns added: OUTPUTS, for the row's images together. A row without a
footprint says why.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import IO

from joulecast import data
from joulecast.errors import FileFormatError, InputError, JoulecastError, near_matches, shown
from joulecast.footprint.account import Footprint, Site, footprint
from joulecast.forecast.files import replacing
from joulecast.uncertainty import Interval

MOST_BYTES = 500_000_000
OUTPUTS = (
    "facility_energy_kwh", "operational_carbon_g", "embodied_carbon_g", "carbon_g", "carbon_low_g",
    "carbon_high_g", "sci_g_per_image", "water_l", "money", "currency", "accounting", "grid_region",
    "grid_year", "footprint_warning", "footprint_error",
)  # fmt: skip

Row = Mapping[str, str]


def read_rows(
    path: str | os.PathLike[str], required: tuple[str, ...] = ("energy_j", "duration_s")
) -> list[dict[str, str]]:
    """The rows of a CSV file as text by column. Raises InputError or FileFormatError."""
    where = data.shown_path(path)
    reader = csv.reader(io.StringIO(data.user_text(path, "table", MOST_BYTES), newline=""))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in required if name not in header]
    if missing:
        near = near_matches(missing[0], header, most=1)
        better = f"; is it {shown(near[0])}?" if near else f"; found: {', '.join(header[:8])}"
        raise InputError(f"{where} has no column {', '.join(missing)}{better}")
    rows = []
    for number, cells in enumerate(reader, 2):
        if not cells:
            continue
        if len(cells) != len(header):
            raise FileFormatError(f"{where}, line {number} has {len(cells)} cells; expected {len(header)}")
        rows.append(dict(zip(header, (cell.strip() for cell in cells), strict=True)))
    return rows


def row_footprint(row: Row, at: Site, images: int | None = None) -> Footprint:
    """The footprint of one row. Raises InputError where a cell cannot be used."""
    energy = positive(row, "energy_j")
    low, high = positive(row, "energy_low_j", energy), positive(row, "energy_high_j", energy)
    if not low <= energy <= high:
        raise InputError(f"energy_low_j {low:g} <= energy_j {energy:g} <= energy_high_j {high:g} is not so")
    count = images if images is not None else positive(row, "images", 1.0)
    gpu_seconds = (
        positive(row, "duration_s") * positive(row, "gpu_count", 1.0) / positive(row, "batch_size", 1.0)
    )
    return footprint(
        Interval(low, energy, high),
        gpu_seconds,
        at,
        images=count,  # type: ignore[arg-type]  # checked there: a whole number
        gpu=row.get("gpu") or None,
        boundary=row.get("boundary") or "gross",
        source="the table's row",
    )


def footprint_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | IO[str],
    site_of: Callable[[str | None], Site],
    region_column: str | None = None,
) -> tuple[int, int, str]:
    """Write a table with its footprints; rows, rows without one, and the first such row's reason.

    `site_of` gives the site of a region, or of None where the table has no regions.
    """
    rows = read_rows(source, ("energy_j", "duration_s", *([region_column] if region_column else [])))
    taken = [name for name in OUTPUTS if rows and name in rows[0]]
    if taken:
        raise InputError(f"{data.shown_path(source)} already has {', '.join(taken)}; rename or drop it first")
    known = cache(site_of)
    failed, first = 0, ""
    answers = []
    for number, row in enumerate(rows, 1):
        try:
            if row.get("error"):
                raise InputError(f"there is no energy: {row['error']}")
            region = row[region_column] if region_column else None
            answers.append({**row, **_outputs(row_footprint(row, known(region)))})
        except JoulecastError as error:
            failed, first = failed + 1, first or f"data row {number}: {error}"
            answers.append({**row, **dict.fromkeys(OUTPUTS, ""), "footprint_error": str(error)})
    names = [*(rows[0] if rows else ("energy_j", "duration_s")), *OUTPUTS]
    if isinstance(target, str | os.PathLike):
        with replacing(Path(target)) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            _write(answers, names, file)
    else:
        _write(answers, names, target)
    return len(rows), failed, first


def _outputs(answer: Footprint) -> dict[str, str]:
    amounts = (
        answer.facility_energy.amount.value,
        answer.operational_carbon.amount.value,
        answer.embodied_carbon.amount.value,
        answer.carbon.amount.value,
        answer.carbon.amount.low,
        answer.carbon.amount.high,
        answer.sci.amount.value,
        answer.water.amount.value,
    )
    money = ("", "") if answer.money is None else (repr(answer.money.amount.value), answer.money.unit)
    year = "" if answer.grid.year is None else str(answer.grid.year)
    words = (answer.accounting, answer.grid.region, year, "; ".join(answer.warnings), "")
    numbers = [repr(amount) if math.isfinite(amount) else "" for amount in amounts]
    return dict(zip(OUTPUTS, (*numbers, *money, *words), strict=True))


def positive(row: Row, name: str, default: float | None = None) -> float:
    """A cell as a positive number, or `default` where it is empty. Raises InputError otherwise."""
    text = row.get(name, "")
    if not text:
        if default is None:
            raise InputError(f"{name} is missing")
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be a positive number, not {shown(text)}")
    return value


def _write(rows: list[dict[str, str]], names: list[str], file: IO[str]) -> None:
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
