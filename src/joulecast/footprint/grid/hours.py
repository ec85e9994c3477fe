"""The intensity of a series at a time, or at an hour of the day over all its days."""

from __future__ import annotations

import re
from datetime import UTC, timedelta

import numpy as np

from joulecast.errors import InputError
from joulecast.footprint.grid.series import HourlySeries
from joulecast.footprint.grid.times import parse_window, zone_of
from joulecast.footprint.grid.yearly import GridIntensity

TAIL = 0.05  # of the days, left out at either end of the range
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):00")


def intensity_at(found: HourlySeries, at: str | None = None, timezone: str | None = None) -> GridIntensity:
    """The intensity of a series at a time.

    Parameters
    ----------
    at : an hour, day or window as `joulecast.footprint.grid.times.parse_window` takes it, or a full hour of
        the day (``12:00``): the mean over all days, its range that of nine days in ten. None for the mean
        of the whole series.
    timezone : of a time without an offset and of an hour of the day (UTC by default).

    Raises InputError or UnknownNameError.
    """
    if at is None:
        return found.average()
    if _TIME_OF_DAY.fullmatch(at.strip()):
        return _of_the_day(found, int(at.strip().split(":")[0]), timezone)
    return found.at(parse_window(at, None if timezone is None else zone_of(timezone)))


def by_hour_of_day(found: HourlySeries, timezone: str | None = None) -> dict[int, np.ndarray]:
    """The known values of a series [g/kWh] by hour of the day, each of shape (days,)."""
    zone = UTC if timezone is None else zone_of(timezone)
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
    what = f"{hour}:00 {timezone or 'UTC'}, mean of {len(values)} days, range of nine in ten"
    return found.mean_of(values, (low, high), found.start.year, what)
