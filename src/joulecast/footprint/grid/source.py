"""The grid intensity of a row from hourly series.

A source of intensities (`grid.GridOf`) answers for a region and a time, both as text and both optional: a
table has them row by row. `live.LiveSource` is the same for an API.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from joulecast.errors import InputError, UnknownNameError, fold
from joulecast.footprint.grid.places import find_region, series_of
from joulecast.footprint.grid.series import HourlySeries, authority
from joulecast.footprint.grid.times import Window, parse_window
from joulecast.footprint.grid.yearly import GridIntensity


@dataclass
class HourlySource:
    """Intensities from hourly series: of a row's region where there are several, and of its time.

    Parameters
    ----------
    series : one, or one for each region.
    at : the intensity of a series where no time is given; by default the mean over all of it.
    zone : of times without an offset.
    """

    series: Sequence[HourlySeries]
    at: Callable[[HourlySeries], GridIntensity] = HourlySeries.average
    zone: tzinfo | None = None
    _known: dict[tuple[int, Window | None], GridIntensity] = field(default_factory=dict)

    def __call__(self, region: str | None, time: str | None) -> GridIntensity:
        """Raises UnknownNameError for a region without a series, InputError for a time that is not in it."""
        place = self._place(region)
        window = None if time is None else parse_window(time, self.zone)
        if (place, window) not in self._known:
            series = self.series[place]
            self._known[place, window] = self.at(series) if window is None else series.at(window)
        return self._known[place, window]

    def _place(self, region: str | None) -> int:
        if region is None:
            if len(self.series) > 1:
                raise InputError(
                    "there are several hourly series: a column of regions must choose between them"
                )
            return 0
        wanted = _names(region)
        found = [
            i
            for i, series in enumerate(self.series)
            if any(wanted & _names(name) for name in (series.region, *series.aliases))
        ]
        if not found:
            names = [series.region for series in self.series]
            raise UnknownNameError("hourly region", region, names, f"given: {', '.join(names)}")
        if len(found) > 1:
            raise InputError(f"there are {len(found)} hourly series of {region}: give one")
        return found[0]


def _names(region: str) -> set[str]:
    """What a region answers to, folded: itself, its balancing authority or grid, the country it names."""
    found = {fold(name) for name in (region, authority(region), series_of(region)) if name}
    try:
        row = find_region(region)
    except UnknownNameError:
        return found
    return found | {fold(name) for name in (row.name, row.alpha2, row.alpha3) if name}
