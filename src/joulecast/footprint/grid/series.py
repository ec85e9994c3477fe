"""Hour by hour carbon intensity of a grid: the record, the packaged series, and their means."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from joulecast import data
from joulecast.errors import InputError, UnknownNameError, fold
from joulecast.files.documents import parse_csv
from joulecast.footprint.grid.kinds import COMBUSTION, LOCATION_BASED
from joulecast.footprint.grid.places import series_of
from joulecast.footprint.grid.times import HOUR, Window, hour_text, in_utc
from joulecast.footprint.grid.yearly import (
    STALE_YEARS,
    GridIntensity,
    boundary_caveats,
    newest_year,
    value_caveats,
)
from joulecast.footprint.quantity import Quantity
from joulecast.uncertainty import Interval
from joulecast.units import counted

PACKAGED = "grid_intensity_hourly_us_2022.csv.gz"
PACKAGED_SOURCE = "US EIA generation data 2022, emission factors of HewlettPackard/dc-rl (MIT)"


@dataclass(frozen=True)
class HourlySeries:
    """Carbon intensity by UTC hour: `values` [g/kWh], shape (hours,), from `start` on; nan is unknown.

    `aliases` are further names of its region, `notes` what else must be said of its values.
    """

    region: str
    start: datetime
    values: NDArray[np.float64]
    accounting: str
    boundary: str
    source: str
    aliases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def end(self) -> datetime:
        """The time at which the last hour ends."""
        return self.start + len(self.values) * HOUR

    def window(self, start: datetime | None = None, hours: int = 24) -> NDArray[np.float64]:
        """`hours` values from `start` on, or from the beginning. InputError where one is not known."""
        begin = self.start if start is None else in_utc(start)
        first = (begin - self.start) / HOUR
        if first != int(first):
            raise InputError(f"a window begins on a whole UTC hour, not at {begin:%Y-%m-%d %H:%M}")
        last = int(first) + hours
        if not first >= 0 or last > len(self.values):
            raise InputError(
                f"the hourly series of {self.region} is from {hour_text(self.start)} to "
                f"{hour_text(self.end)}: {_span(begin, hours)} not in it"
            )
        found = self.values[int(first) : last]
        unknown = np.flatnonzero(np.isnan(found))
        if len(unknown):
            earliest = hour_text(begin + int(unknown[0]) * HOUR)
            which = earliest if hours == 1 else f"{len(unknown)} of these {hours} hours, first {earliest}"
            raise InputError(f"the hourly series of {self.region} has no value for {which}")
        return found

    def average(self, start: datetime | None = None, hours: int | None = None) -> GridIntensity:
        """The mean over a window, or over all known hours, as a grid intensity; its range: least to most.

        Raises InputError where an hour of the window is not known, or no hour at all.
        """
        whole = hours is None
        known = self._known() if hours is None else self.window(start, hours)
        begin = self.start if whole or start is None else in_utc(start)
        last = self.end - HOUR if hours is None else begin + (hours - 1) * HOUR
        what = (
            hour_text(begin)
            if len(known) == 1
            else f"mean of {counted(len(known), 'hour')} from {hour_text(begin)}, range least to most"
        )
        year = begin.year if begin.year == last.year else None
        ends = float(known.min()), float(known.max())
        return self.mean_of(known, ends, year, what, self._whole_caveats() if whole else ())

    def mean_of(
        self,
        values: NDArray[np.float64],
        ends: tuple[float, float],
        year: int | None,
        what: str,
        warnings: Iterable[str] = (),
    ) -> GridIntensity:
        """The mean of some of its values [g/kWh] as a grid intensity, within the `ends` of its range.

        `what` says in words which they are.
        """
        low, high = ends
        mean = min(max(float(values.mean()), low), high)
        return GridIntensity(
            intensity=Quantity(Interval(low, mean, high), "g/kWh"),
            region=self.region,
            accounting=self.accounting,
            year=year,
            boundary=self.boundary,
            source=f"{self.source}, {self.region}, {what}",
            warnings=(*self.caveats(), *warnings),
        )

    def at(self, window: Window | None) -> GridIntensity:
        """The mean over a window, or over all known hours where there is none; see `average`."""
        return self.average() if window is None else self.average(window.start, window.hours)

    def caveats(self) -> tuple[str, ...]:
        """Where the series deserves doubt."""
        told = boundary_caveats(self.region, self.boundary) + tuple(f"{self.region}: {n}" for n in self.notes)
        known = self._all_known()
        if not len(known):
            return told
        mean = Quantity(Interval.exact(float(known.mean())), "g/kWh")
        return told + value_caveats(self.region, mean, self.boundary, self.accounting)

    def _all_known(self) -> NDArray[np.float64]:
        return self.values[~np.isnan(self.values)]

    def _known(self) -> NDArray[np.float64]:
        known = self._all_known()
        if not len(known):
            raise InputError(f"the hourly series of {self.region} has no value for any hour")
        return known

    def _whole_caveats(self) -> list[str]:
        """Where a mean over everything deserves doubt: hours left out, an old year."""
        found, unknown = [], int(np.isnan(self.values).sum())
        if unknown:
            first = self.start + int(np.flatnonzero(np.isnan(self.values))[0]) * HOUR
            found.append(
                f"the hourly series of {self.region} has no value for {counted(unknown, 'hour')}, first "
                f"{hour_text(first)}: its mean leaves them out"
            )
        age = newest_year() - (self.end - HOUR).year
        if age >= STALE_YEARS:
            found.append(
                f"the hourly series of {self.region} ends in {(self.end - HOUR).year}, {age} years before "
                "the newest of the yearly table"
            )
        return found


def hourly_series(region: str) -> HourlySeries:
    """A packaged series: its name, balancing authority, or a place in its grid. Raises UnknownNameError."""
    name = packaged_name(str(region))
    if not name:
        names = [name for known in packaged_regions() for name in (known, authority(known))]
        raise UnknownNameError("hourly region", region, names, f"packaged: {', '.join(packaged_regions())}")
    return _packaged_series()[name]


def packaged_name(name: str) -> str:
    """The packaged series of a name, its balancing authority or a place in its grid, or ``""``."""
    by_name = {fold(n): known for known in packaged_regions() for n in (known, authority(known))}
    return by_name.get(fold(name)) or series_of(name)


def packaged_regions() -> tuple[str, ...]:
    """Names of the packaged hourly series."""
    return tuple(_packaged_series())


def authority(name: str) -> str:
    """The balancing authority's code at the end of a packaged name, e.g. ``CISO``."""
    return name.rpartition("-")[2]


@cache
def _packaged_series() -> dict[str, HourlySeries]:
    rows = parse_csv(gzip.decompress(data.read_bytes(PACKAGED)).decode("ascii"), PACKAGED)
    table = np.array([[float(cell) if cell else math.nan for cell in row[1:]] for _, row in rows[1:]])
    start = datetime(2022, 1, 1, tzinfo=UTC)
    return {
        name: HourlySeries(name, start, table[:, i], LOCATION_BASED, COMBUSTION, PACKAGED_SOURCE)
        for i, name in enumerate(rows[0][1][1:])
    }


def _span(begin: datetime, hours: int) -> str:
    return f"{hour_text(begin)} is" if hours == 1 else f"{hours} hours from {hour_text(begin)} are"
