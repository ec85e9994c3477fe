"""Hourly carbon intensity from files, in three layouts; `series` has the record and the packaged ones.

- generic CSV: a column of times (``datetime``, ``timestamp``, ``time``, ``hour``, ...; ISO 8601) and a
  column of g CO2e/kWh;
- Electricity Maps: the CSV export (``Datetime (UTC)``, ``Carbon intensity gCO₂eq/kWh (...)``) and the
  JSON of its history;
- UK Carbon Intensity: the JSON of its API, half-hourly.

Times need a zone: an offset in each, ``UTC`` in the column's name, or the option `timezone`. Steps
shorter than an hour are averaged. A gap, a doubled hour, a zone that cannot be right or a summer-time
change in what should be UTC is an error that names the hour.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import FileFormatError, InputError, UnknownNameError, fold, near_matches, shown
from joulecast.files.paths import shown_path, user_text
from joulecast.footprint.factors import PLAUSIBLE
from joulecast.footprint.grid.series import HourlySeries, authority, hourly_series, packaged_regions
from joulecast.footprint.grid.times import HOUR, hour_text, zone_of
from joulecast.footprint.grid.yearly import LOCATION_BASED, check_accounting
from joulecast.units import SECONDS_PER_HOUR

__all__ = ["HourlySeries", "find_series", "hourly_series", "packaged_regions", "read_hourly"]

MOST_BYTES = 100_000_000
TIME_NAMES = ("datetime", "timestamp", "time", "date", "hour", "from", "start")

Stamp = tuple[datetime, float, int]  # time, intensity, row


class Reading(TypedDict, total=False):
    """How a file is read: the options of `read_hourly`."""

    column: str | None
    timezone: str | None
    region: str | None
    accounting: str
    allow_gaps: bool


def find_series(name: str, **reading: Unpack[Reading]) -> HourlySeries:
    """A packaged series by name, or one from a file; `reading` goes to `read_hourly`.

    Raises UnknownNameError where it is neither, InputError where an option does not fit a packaged one;
    and what `read_hourly` raises.
    """
    known = {fold(n): n for n in packaged_regions()} | {fold(authority(n)): n for n in packaged_regions()}
    if not name.strip():
        raise InputError("an hourly series has a name, e.g. US-CAL-CISO, or is a file, e.g. fr.csv")
    place = Path(name)
    if fold(name) in known and not place.is_file():
        is_accounted = reading.get("accounting", LOCATION_BASED) != LOCATION_BASED
        if is_accounted or reading.get("column") is not None:
            raise InputError(
                f"the packaged hourly series {known[fold(name)]} is one location-based column: "
                f"--{'accounting' if is_accounted else 'hourly-column'} is for files"
            )
        return hourly_series(name)
    if not place.exists() and not place.suffix and len(place.parts) == 1:
        hint = f"packaged: {', '.join(packaged_regions())}; or give a file, e.g. fr.csv"
        raise UnknownNameError("hourly series", name, packaged_regions(), hint)
    return read_hourly(place, **reading)


def read_hourly(
    path: str | os.PathLike[str],
    *,
    column: str | None = None,
    timezone: str | None = None,
    region: str | None = None,
    accounting: str = LOCATION_BASED,
    allow_gaps: bool = False,
) -> HourlySeries:
    """An hourly series from a file; the layouts are in this module's docstring.

    Parameters
    ----------
    column : of the intensity, where a CSV file has several.
    timezone : of times without an offset, e.g. ``"Europe/Paris"``.
    region : its name; by default what the file says, or the file's name.
    accounting : ``location-based``, ``market-based`` or ``marginal``.
    allow_gaps : keep hours without a value as unknown.

    Raises
    ------
    FileFormatError
        The file is of no known layout, or a row is not what it should be.
    InputError
        Hours are missing or doubled, or the time zone cannot be right.
    """
    text = user_text(path, "hourly file", MOST_BYTES)
    where = f"hourly file {shown_path(path)}"
    zone = None if timezone is None else zone_of(timezone)
    if text.lstrip()[:1] in ("{", "["):
        stamps, name, boundary, source = _from_json(text, where, zone)
    else:
        stamps, name, boundary, source = _from_csv(text, where, column, zone)
    start, values = _regular(stamps, where, allow_gaps)
    label = region or name or os.path.splitext(os.path.basename(os.fspath(path)))[0]  # noqa: PTH122, PTH119
    return HourlySeries(label, start, values, check_accounting(accounting), boundary, source)


# --- layouts -------------------------------------------------------------------------------------


def _from_csv(
    text: str, where: str, column: str | None, zone: tzinfo | None
) -> tuple[list[Stamp], str, str, str]:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if len(rows) < 2:
        raise FileFormatError(f"{where} has no rows; expected a header line and a line for each hour")
    header = [name.strip() for name in rows[0]]
    time_at = next((i for i, name in enumerate(header) if fold(name).startswith(TIME_NAMES)), None)
    if time_at is None:
        raise FileFormatError(
            f"{where} has no column of times, e.g. datetime_utc; found: {', '.join(header[:8])}"
        )
    value_at = _value_column(header, time_at, column, where)
    assumed = UTC if "utc" in fold(header[time_at]) else None
    stamps, seen = [], Counter[datetime]()
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(time_at, value_at):
            raise FileFormatError(f"{where}, line {number} has {len(row)} cells; expected {len(header)}")
        moment = _moment(row[time_at], assumed, zone, f"{where}, line {number}", seen)
        stamps.append((moment, _intensity(row[value_at], f"{where}, line {number}"), number))
    is_maps = any("carbonintensity" in fold(name) for name in header) and any(
        "zone" in fold(name) for name in header
    )
    label = header[value_at]
    boundary = "life-cycle" if any(word in fold(label) for word in ("lifecycle", "lca")) else (
        "combustion" if "direct" in fold(label) else "as given"
    )  # fmt: skip
    name_at = next((i for i, name in enumerate(header) if fold(name) in ("zoneid", "zonename", "zone")), None)
    name = rows[1][name_at].strip() if name_at is not None and len(rows[1]) > name_at else ""
    if name_at is not None and len({row[name_at] for row in rows[1:] if len(row) > name_at}) > 1:
        raise InputError(f"{where} holds several zones; give a file of one zone")
    source = f"{'Electricity Maps' if is_maps else 'file'} {where.partition(' file ')[2]}, column {label}"
    return stamps, name, boundary, source


def _value_column(header: Sequence[str], time_at: int, column: str | None, where: str) -> int:
    if column is not None:
        if column not in header:
            near = near_matches(column, header, most=1)
            better = f"did you mean {near[0]}?" if near else f"found: {', '.join(header[:8])}"
            raise InputError(f"{where} has no column {shown(column)}; {better}")
        return header.index(column)
    others = [i for i in range(len(header)) if i != time_at]
    life = [i for i in others if "carbonintensity" in fold(header[i]) and "life" in fold(header[i])]
    named = [i for i in others if "intensity" in fold(header[i]) or "gco2" in fold(header[i])]
    for found in (life, named, others):
        if len(found) == 1:
            return found[0]
    if not others:
        raise FileFormatError(
            f"{where} has no column of intensities beside {shown(header[time_at])}; are its columns "
            "separated by commas?"
        )
    names = ", ".join(header[i] for i in others[:8])
    raise InputError(f"{where} has several columns that may be the intensity; name one of: {names}")


def _from_json(text: str, where: str, zone: tzinfo | None) -> tuple[list[Stamp], str, str, str]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise FileFormatError(f"{where} is not JSON: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("history"), list):
        rows = [
            (row.get("datetime"), row.get("carbonIntensity")) for row in _objects(content["history"], where)
        ]
        name, boundary, source = str(content.get("zone", "")), "life-cycle", "Electricity Maps"
    elif isinstance(content, dict) and isinstance(content.get("data"), list):
        rows = [(row.get("from"), uk_intensity(row)) for row in _objects(content["data"], where)]
        name, boundary, source = "GB", "combustion", "UK Carbon Intensity"
    else:
        raise FileFormatError(
            f"{where} is neither of Electricity Maps (with history) nor of UK Carbon Intensity (with data)"
        )
    seen = Counter[datetime]()
    stamps = [
        (_moment(time, None, zone, f"{where}, item {n}", seen), _intensity(value, f"{where}, item {n}"), n)
        for n, (time, value) in enumerate(rows, 1)
    ]
    return stamps, name, boundary, f"{source}, {where.partition(' file ')[2]}"


def uk_intensity(row: Mapping[str, object]) -> object:
    """The actual intensity of an item of the UK Carbon Intensity API, or the forecast until there is one."""
    found = row.get("intensity")
    if not isinstance(found, dict):
        return found
    return found.get("forecast") if found.get("actual") is None else found["actual"]


def _objects(items: list[object], where: str) -> list[dict[str, object]]:
    objects = [item for item in items if isinstance(item, dict)]
    if len(objects) < len(items):
        raise FileFormatError(f"{where} holds something other than objects in its list of hours")
    return objects


# --- times ---------------------------------------------------------------------------------------


def _moment(
    text: object, assumed: tzinfo | None, zone: tzinfo | None, where: str, seen: Counter[datetime]
) -> datetime:
    """A time in UTC. `assumed` is the zone the file states, `zone` the caller's."""
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise FileFormatError(f"{where}: {shown(text)} is no time; expected e.g. 2022-06-01T13:00Z") from None
    if moment.tzinfo is not None:
        if zone is not None and moment.astimezone(zone).utcoffset() != moment.utcoffset():
            raise InputError(f"{where}: {text} is not in the time zone {zone}; leave the zone out")
        return moment.astimezone(UTC)
    if assumed is not None and zone is not None and zone is not UTC:
        raise InputError(f"{where}: the column says UTC, the option says {zone}; one of the two is wrong")
    place = zone or assumed
    if place is None:
        raise InputError(
            f"{where}: {shown(text)} has no time zone; write 2022-06-01T13:00Z, name the column "
            "datetime_utc, or give the zone, e.g. Europe/Paris"
        )
    seen[moment] += 1
    local = moment.replace(tzinfo=place, fold=1 if seen[moment] > 1 else 0)
    there_and_back = local.astimezone(UTC).astimezone(place).replace(tzinfo=None)
    if there_and_back != moment:
        raise InputError(
            f"{where}: {text} does not exist in {place}: summer time begins then; is the file in UTC?"
        )
    return local.astimezone(UTC)


def _regular(stamps: list[Stamp], where: str, allow_gaps: bool) -> tuple[datetime, NDArray[np.float64]]:
    """Hourly values without gap or double, from the first full hour on."""
    if not stamps:
        raise FileFormatError(f"{where} has no rows; expected one for each hour")
    stamps = sorted(stamps)
    start, step = stamps[0][0], _step([moment for moment, _, _ in stamps], where)
    if start.minute * 60 + start.second and step == HOUR:
        raise InputError(
            f"{where}: its hours begin {start.minute} minutes past the UTC hour; the time zone is not a "
            "whole number of hours, give a series of UTC hours"
        )
    counts = Counter(moment for moment, _, _ in stamps)
    doubled = [moment for moment, count in sorted(counts.items()) if count > 1]
    slots = round((stamps[-1][0] - start) / step) + 1
    missing = [start + i * step for i in range(slots) if start + i * step not in counts]
    _refuse(missing if not allow_gaps else [], doubled, where)
    by_slot = np.full(slots, math.nan)
    for moment, value, row in stamps:
        place = (moment - start) / step
        if place != int(place):
            raise InputError(
                f"{where}, row {row}: {moment:%Y-%m-%d %H:%M} UTC is between two steps of {step}"
            )
        by_slot[int(place)] = value
    if not allow_gaps and np.isnan(by_slot).any():
        first = start + int(np.flatnonzero(np.isnan(by_slot))[0]) * step
        unknown = int(np.isnan(by_slot).sum())
        times = f"{unknown} time{'s' if unknown > 1 else ''}"
        raise InputError(f"{where}: no value for {times}, first {hour_text(first)}")
    return _averaged(start, by_slot, round(HOUR / step), where)


def _averaged(
    start: datetime, values: NDArray[np.float64], per_hour: int, where: str
) -> tuple[datetime, NDArray[np.float64]]:
    """Whole UTC hours of a series with `per_hour` steps in each; incomplete ones at the ends are dropped."""
    into_hour = round((start.minute * 60 + start.second) / SECONDS_PER_HOUR * per_hour)
    skipped = (per_hour - into_hour) % per_hour
    whole = (len(values) - skipped) // per_hour
    if whole < 1:
        raise InputError(f"{where} does not hold one whole hour")
    hours = values[skipped : skipped + whole * per_hour].reshape(whole, per_hour).mean(axis=1)
    return start + skipped * HOUR / per_hour, hours


def _step(moments: list[datetime], where: str) -> timedelta:
    gaps = Counter(b - a for a, b in pairwise(moments) if b > a)
    step = gaps.most_common(1)[0][0] if gaps else HOUR
    if step > HOUR or HOUR % step:
        raise InputError(f"{where}: its times are {step} apart; expected an hour, or a part of one")
    return step


def _refuse(missing: list[datetime], doubled: list[datetime], where: str) -> None:
    """InputError that names missing and doubled hours, and what they look like."""
    if not missing and not doubled:
        return
    told = [
        f"{len(hours)} hour{'s' if len(hours) > 1 else ''} {word}, first {hour_text(hours[0])}"
        for word, hours in (("missing", missing), ("doubled", doubled))
        if hours
    ]
    months = {hour.month for hour in missing} | {hour.month for hour in doubled}
    is_summer_time = months <= {3, 4, 9, 10, 11} and len(missing) <= 2 and len(doubled) <= 2
    hint = (
        "; this looks like local time with a summer-time change: give its time zone, or the hours in UTC"
        if is_summer_time
        else ""
    )
    raise InputError(f"{where}: {' and '.join(told)} (UTC){hint}")


def _intensity(value: object, where: str) -> float:
    least, most, words = PLAUSIBLE["intensity"]
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    try:
        number = (
            float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        )
    except (OverflowError, ValueError):
        number = math.nan
    if not least <= number <= most:
        raise InputError(f"{where}: {words} must be from {least:g} to {most:g}, not {shown(value)}")
    return number
