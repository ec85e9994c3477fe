"""The intensity of an hour: of one moment of a series, or of an hour of the day over all its days."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np

from joulecast.errors import InputError, UnknownNameError, shown
from joulecast.footprint.grid import GridIntensity
from joulecast.footprint.hourly import HourlySeries, hourly_series, read_hourly
from joulecast.footprint.quantity import Quantity
from joulecast.uncertainty import Interval

TAIL = 0.05  # of the days, left out at either end of the range
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):00")


def series(name: str) -> HourlySeries:
    """A packaged hourly series by its name, or one from a file. Errors as of `read_hourly`."""
    return read_hourly(name) if Path(name).suffix or Path(name).is_file() else hourly_series(name)


def intensity_at(found: HourlySeries, at: str | None = None, timezone: str | None = None) -> GridIntensity:
    """The intensity of a series at a time.

    Parameters
    ----------
    at : a moment with its zone (``2022-06-01T12:00Z``), or an hour of the day (``12:00``): the mean over
        all days, its range that of nine days in ten. None for the mean of the whole series.
    timezone : of an hour of the day, e.g. ``America/Los_Angeles``; UTC by default.

    Raises InputError or UnknownNameError.
    """
    if at is None:
        if timezone is not None:
            raise InputError("a time zone without a time of day has no use; give both")
        return found.average()
    if _TIME_OF_DAY.fullmatch(at.strip()):
        return _of_the_day(found, int(at.strip().split(":")[0]), timezone)
    try:
        moment = datetime.fromisoformat(at.strip())
    except ValueError:
        raise InputError(
            f"{shown(at)} is no time; write a full hour of the day, e.g. 12:00, or 2022-06-01T12:00Z"
        ) from None
    if timezone is not None:
        raise InputError(
            f"{shown(at)} is a moment with its own zone; the time zone is for an hour of the day"
        )
    return found.average(moment, 1)


def by_hour_of_day(found: HourlySeries, timezone: str | None = None) -> dict[int, np.ndarray]:
    """The known values of a series [g/kWh] by hour of the day, each of shape (days,)."""
    zone = _zone(timezone)
    local = np.array(
        [(found.start + timedelta(hours=i)).astimezone(zone).hour for i in range(len(found.values))]
    )
    known = ~np.isnan(found.values)
    return {hour: found.values[known & (local == hour)] for hour in range(24)}


def _of_the_day(found: HourlySeries, hour: int, timezone: str | None) -> GridIntensity:
    values = by_hour_of_day(found, timezone)[hour]
    if not len(values):
        raise InputError(f"the hourly series of {found.region} has no value for {hour}:00 on any day")
    low, high = (float(np.quantile(values, q)) for q in (TAIL, 1 - TAIL))
    mean = float(np.clip(values.mean(), low, high))
    return GridIntensity(
        intensity=Quantity(Interval(low, mean, high), "g/kWh"),
        region=found.region,
        accounting=found.accounting,
        year=found.start.year,
        boundary=found.boundary,
        source=(
            f"{found.source}, {found.region}, {hour}:00 {timezone or 'UTC'}, mean of {len(values)} days, "
            "range of nine in ten"
        ),
        warnings=found.caveats(),
    )


def _zone(name: str | None) -> tzinfo:
    if name is None or name.strip().casefold() in ("utc", "z"):
        return UTC
    try:
        return zoneinfo.ZoneInfo(name.strip())
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = "e.g. Europe/Paris or UTC"
        raise UnknownNameError("time zone", name, zoneinfo.available_timezones(), hint) from None
