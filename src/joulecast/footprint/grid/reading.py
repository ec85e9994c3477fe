"""Hourly carbon intensity from files; `series` has the record and the packaged ones.

A file is a table of times and intensities: CSV of any separator, or the JSON of an API. `headers` finds the
columns, their unit and what they count by their names, `records` reads the rows, `regular` makes whole hours
of them. Known are the exports and APIs of Electricity Maps, UK Carbon Intensity, WattTime, RTE, Energinet,
US EIA and others (tests/footprint/grid/layouts), and any file whose columns say what they are.

Times need a zone: an offset in each, ``UTC`` in the column's name, or the option `timezone`.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TypedDict, Unpack

from joulecast.errors import FileFormatError, InputError, UnknownNameError, as_name, fold, shown
from joulecast.files.paths import advising_files, may_be_file, may_be_there, shown_path, user_text
from joulecast.files.streams import stream_name
from joulecast.footprint.factors import PLAUSIBLE
from joulecast.footprint.grid.headers import (
    Publisher,
    boundary_of,
    ends_hour,
    factor_type_boundary,
    forecast_column,
    is_estimate_flag,
    is_forecast,
    publisher_of,
    time_column,
    unit_column,
    unit_of,
    value_column,
    zone_columns,
)
from joulecast.footprint.grid.kinds import AS_GIVEN, LOCATION_BASED, check_accounting
from joulecast.footprint.grid.records import LIST, Records, records_of
from joulecast.footprint.grid.regular import Stamp, regular
from joulecast.footprint.grid.series import HourlySeries, hourly_series, packaged_name, packaged_regions
from joulecast.footprint.grid.times import HOUR, stamp_of, zone_of

__all__ = ["HourlySeries", "find_series", "hourly_series", "packaged_regions", "read_hourly"]

MOST_BYTES = 100_000_000
_YES = ("true", "yes", "1", "estimated")


class Reading(TypedDict, total=False):
    """How a file is read: the options of `read_hourly`."""

    column: str | None
    timezone: str | None
    region: str | None
    accounting: str | None
    allow_gaps: bool


def find_series(name: str, **reading: Unpack[Reading]) -> HourlySeries:
    """A packaged series by name or place, or one from a file; `reading` goes to `read_hourly`.

    Raises UnknownNameError where it is neither, InputError where an option does not fit a packaged one;
    and what `read_hourly` raises.
    """
    if not name.strip():
        or_file = advising_files(", or is a file, e.g. fr.csv")
        raise InputError(f"an hourly series has a name, e.g. US-CAL-CISO{or_file}")
    place = Path(name)
    known = packaged_name(name)
    if known and not may_be_file(place):
        is_accounted = (reading.get("accounting") or LOCATION_BASED) != LOCATION_BASED
        if is_accounted or reading.get("column") is not None:
            raise InputError(
                f"the packaged hourly series {known} is one location-based column: "
                f"--{'accounting' if is_accounted else 'hourly-column'} is for files"
            )
        return hourly_series(known)
    if not place.suffix and len(place.parts) == 1 and not may_be_there(place):
        hint = f"packaged: {', '.join(packaged_regions())}"
        or_file = advising_files("; or give a file, e.g. fr.csv")
        raise UnknownNameError("hourly series", name, packaged_regions(), hint + or_file)
    return read_hourly(place, **reading)


def read_hourly(
    path: str | os.PathLike[str],
    *,
    column: str | None = None,
    timezone: str | None = None,
    region: str | None = None,
    accounting: str | None = None,
    allow_gaps: bool = False,
) -> HourlySeries:
    """An hourly series from a file; what is read is in this module's docstring.

    Parameters
    ----------
    column : of the intensity, where a file has several.
    timezone : of times without an offset, e.g. ``"Europe/Paris"``.
    region : its name; by default what the file says, or the file's name.
    accounting : ``location-based``, ``market-based`` or ``marginal``; by default what the file says, else
        the first.
    allow_gaps : keep hours without a value as unknown.

    Raises
    ------
    FileFormatError
        The file is of no known layout, or a row is not what it should be.
    InputError
        Hours are missing or doubled, a unit or the time zone is not known, or columns leave a choice.
    """
    where = f"hourly file {shown_path(path)}"
    table = records_of(user_text(path, "hourly file", MOST_BYTES), where)
    said = publisher_of(table.header)
    if said.instead:
        raise FileFormatError(f"{where} is of {said.name}: {said.instead}")
    names = [region] if region else _zone_names(table, where)
    zone = None if timezone is None else zone_of(timezone)
    time_at = time_column(table.header, where)
    value_at = value_column(table.header, column, where)
    stamps, notes = _stamps(table, said, time_at, value_at, zone, where)
    start, values = regular(stamps, where, allow_gaps)
    accounted = table.accounting or said.accounting
    if accounted and accounting is None:
        notes = (f"its intensities are {accounted}, as the file says", *notes)
    label = stream_name(path) or Path(path).stem
    return HourlySeries(
        names[0] if names else as_name(label),
        start,
        values,
        _accounting(accounting, accounted, where),
        _boundary(table, said, table.header[value_at], where),
        f"{said.name} {shown_path(path)}, column {as_name(table.header[value_at])}",
        tuple(names[1:]),
        notes,
    )


# --- rows ----------------------------------------------------------------------------------------


def _stamps(
    table: Records, said: Publisher, time_at: int, value_at: int, zone: tzinfo | None, where: str
) -> tuple[list[Stamp], tuple[str, ...]]:
    """Times and intensities [g/kWh] of all rows, and what must be said of them."""
    name = table.header[time_at]
    assumed = UTC if "utc" in fold(name) else None
    late = HOUR if said.ends or ends_hour(name) else None
    value_name = table.header[value_at]
    unit = unit_of(_unit_text(table, where), unit_of(value_name, said.unit_g_per_kwh))
    forecast_at = forecast_column(table.header, value_at)
    stamps, seen, forecasts = [], Counter[datetime](), 0
    for number, row in table.rows:
        at = f"{where}, {table.counted} {number}"
        moment = stamp_of(row[time_at], assumed, zone, at, seen)
        cell = row[value_at]
        if forecast_at is not None and _is_empty(cell) and not _is_empty(row[forecast_at]):
            cell, forecasts = row[forecast_at], forecasts + 1
        value = _intensity(cell, unit, at, table.is_decimal_comma)
        stamps.append((moment if late is None else moment - late, value, number))
    return stamps, tuple(_notes(table, value_at, forecasts))


def _unit_text(table: Records, where: str) -> str:
    """The unit that a file states beside its intensities, or ``""``. Raises InputError for several."""
    at = unit_column(table.header)
    stated = {table.fact("units", "unit")} if at is None else {str(cell).strip() for cell in table.column(at)}
    if len(stated) > 1:
        several = ", ".join(map(shown, sorted(stated)[:5]))
        raise InputError(f"{where} holds several units ({several}); give a file of one unit")
    return stated.pop() if stated else ""


def _notes(table: Records, value_at: int, forecasts: int) -> list[str]:
    """What must be said of values that nobody measured."""
    rows = len(table.rows)
    if is_forecast(table.header[value_at]) or is_forecast(table.fact(LIST)):
        forecasts = rows
    told = [f"{forecasts} of {rows} values are forecasts, not measured"] if forecasts else []
    flag = next((i for i, name in enumerate(table.header) if is_estimate_flag(name)), None)
    if flag is not None:
        guessed = sum(str(cell).strip().casefold() in _YES for cell in table.column(flag))
        told += [f"{guessed} of {rows} values are estimates of their publisher"] if guessed else []
    return told


def _is_empty(cell: object) -> bool:
    return (
        cell is None
        or cell != cell
        or (isinstance(cell, str) and cell.strip().casefold() in ("", "nan", "null", "n/e", "n/a"))
    )


def _intensity(cell: object, unit: float, where: str, is_decimal_comma: bool) -> float:
    """A cell [g/kWh], nan where it is empty. Raises InputError where it cannot be."""
    least, most, words = PLAUSIBLE["intensity"]
    if _is_empty(cell):
        return float("nan")
    text = cell.replace(",", ".") if is_decimal_comma and isinstance(cell, str) else cell
    try:
        number = float(text) if isinstance(text, str | int | float) and not isinstance(text, bool) else None
    except (OverflowError, ValueError):
        number = None
    if number is None or not least <= number * unit <= most:
        stated = shown(cell) if unit == 1 or number is None else f"{shown(cell)} x {unit:g} g/kWh"
        raise InputError(f"{where}: {words} must be from {least:g} to {most:g}, not {stated}")
    return number * unit


# --- what the whole file says --------------------------------------------------------------------


def _zone_names(table: Records, where: str) -> list[str]:
    """The names of the file's grid, the first its label. Raises InputError where it holds several."""
    found = []
    for at in zone_columns(table.header):
        names = list(dict.fromkeys(str(cell).strip() for cell in table.column(at) if not _is_empty(cell)))
        if len(names) > 1:
            raise InputError(
                f"{where} holds several zones ({', '.join(map(shown, names[:5]))}); give a file of one zone"
            )
        found += names
    meta = table.facts.get("region") or table.facts.get("zone") or table.facts.get("shortname")
    told = [*found, *([str(meta)] if isinstance(meta, str) else [])]
    if not told and publisher_of(table.header).name == "UK Carbon Intensity":
        told = ["GB"]
    return list(dict.fromkeys(as_name(name) for name in told if name))


def _boundary(table: Records, said: Publisher, name: str, where: str) -> str:
    """What the intensities count: as their rows, their column or their publisher says."""
    kinds = next((i for i, header in enumerate(table.header) if fold(header) == "emissionfactortype"), None)
    if kinds is not None:
        found = {factor_type_boundary(cell) for cell in table.column(kinds)}
        if len(found) > 1:
            raise InputError(
                f"{where} mixes {' and '.join(sorted(found))} intensities; give a file of one kind"
            )
        return found.pop()
    return next((b for b in (boundary_of(name), table.boundary, said.boundary) if b != AS_GIVEN), AS_GIVEN)


def _accounting(given: str | None, said: str, where: str) -> str:
    """How the intensities are accounted. Raises InputError where the file says otherwise than the user."""
    if given is not None and said and check_accounting(given) != said:
        raise InputError(f"{where} holds {said} intensities, not {given} ones")
    return check_accounting(given or said or LOCATION_BASED)
