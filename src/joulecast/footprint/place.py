"""Where images are made, as a request says it: keys and values as people write them, and their site."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from joulecast.errors import InputError, UnknownNameError
from joulecast.files.numbers import whole
from joulecast.footprint.factors import Given
from joulecast.footprint.grid.hours import intensity_at
from joulecast.footprint.grid.series import HourlySeries
from joulecast.footprint.grid.times import zone_of
from joulecast.footprint.grid.yearly import GridIntensity
from joulecast.footprint.site import Site, site


@dataclass(frozen=True)
class Place:
    """Where images are made, as far as it was given; None is what was not.

    Attributes
    ----------
    region, year, intensity, accounting, host_overhead, pue, wue, life_years, utilisation, price_per_kwh,
    price_per_gpu_hour, currency, transmission_loss : as of `joulecast.footprint.site.site`.
    hourly : an hourly series: a packaged name or a file.
    hourly_column, allow_gaps : of that file, as of `joulecast.footprint.grid.reading.read_hourly`.
    at : a moment or an hour of the day of that series; timezone : of times without an offset.
    """

    region: str | None = None
    year: int | None = None
    intensity: Given | GridIntensity | None = None
    accounting: str | None = None
    host_overhead: Given | None = None
    pue: Given | None = None
    wue: Given | None = None
    life_years: Given | None = None
    utilisation: Given | None = None
    price_per_kwh: Given | None = None
    price_per_gpu_hour: Given | None = None
    currency: str | None = None
    transmission_loss: Given | None = None
    hourly: str | None = None
    at: str | None = None
    timezone: str | None = None
    hourly_column: str | None = None
    allow_gaps: bool | None = None

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Place:
        """A place of keys and values; numbers may be text, None is not given.

        Raises UnknownNameError for a key that no place has, InputError for a year that is none.
        """
        unknown = [key for key in given if key not in PLACE_KEYS]
        if unknown:
            raise UnknownNameError("setting of a place", unknown[0], PLACE_KEYS)
        values = {key: _typed(key, value) for key, value in given.items() if value is not None}
        return cls(**values)  # type: ignore[arg-type]

    def given(self) -> dict[str, object]:
        """What was given, by key."""
        pairs = ((key, getattr(self, key)) for key in PLACE_KEYS)
        return {key: value for key, value in pairs if value is not None}

    def site(self) -> Site | None:
        """The site, or None where no place was given.

        Raises InputError for what does not go together, and what `joulecast.footprint.site.site` raises.
        """
        given = self.given()
        if not any(key in given for key in _WHERE):
            stray = [key for key in given if key not in _ALONE]
            if stray:
                raise InputError(
                    f"{stray[0]} without a place: carbon and cost are of a place; give a region, an "
                    "intensity or an hourly series"
                )
            return None
        of_site = {key: value for key, value in given.items() if key not in _OF_SERIES}
        if self.hourly is None:
            if len(of_site) < len(given):
                raise InputError("a time of day needs an hourly series, e.g. hourly US-CAL-CISO")
            return site(**of_site)  # type: ignore[arg-type]
        both = [key for key in ("region", "intensity", "year") if key in given]
        if both:
            raise InputError(f"an hourly series and {both[0]} are two intensities: give one of them")
        of_site["intensity"] = intensity_at(self._series(self.hourly), self.at, self.timezone)
        return site(**of_site)  # type: ignore[arg-type]

    def _series(self, name: str) -> HourlySeries:
        from joulecast.footprint.grid.reading import find_series  # where there is a series, not before

        if self.timezone is not None:
            zone_of(self.timezone)  # an unknown one is told also where no time needs it
        return find_series(
            name,
            column=self.hourly_column,
            timezone=self.timezone,
            accounting=self.accounting,
            allow_gaps=bool(self.allow_gaps),
        )


PLACE_KEYS: Final = tuple(field.name for field in fields(Place))
_WHERE: Final = ("region", "intensity", "hourly")  # with one of them there is a site
_OF_SERIES: Final = ("hourly", "at", "timezone", "hourly_column", "allow_gaps")
_ALONE: Final = ("accounting", "currency")  # say nothing without a place, and nothing wrong
_TEXT: Final = ("region", "accounting", "currency", "hourly", "at", "timezone", "hourly_column")


def _typed(key: str, value: object) -> object:
    """A value as the number it says; a range (``1.1:1.3``) stays text."""
    if key == "year":
        return whole(value, "year")
    if key in _TEXT or not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value
