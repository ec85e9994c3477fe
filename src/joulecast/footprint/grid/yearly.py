"""Carbon intensity of electricity: the packaged yearly table, or a figure the user gives.

The packaged table is location-based, life-cycle, of the production mix: Ember, CC BY 4.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from joulecast.errors import InputError
from joulecast.footprint.factors import GIVEN, Given, checked
from joulecast.footprint.grid.kinds import (
    AS_GIVEN,
    COMBUSTION,
    LIFE_CYCLE,
    LOCATION_BASED,
    MARKET_BASED,
    check_accounting,
)
from joulecast.footprint.grid.places import located, regions
from joulecast.footprint.quantity import Quantity
from joulecast.uncertainty import Interval, parse_interval
from joulecast.units import GRAMS_PER_KILOGRAM

_WITH_UNIT = re.compile(r"([\d.:+-]+(?:e[+-]?\d+)?)\s*([A-Za-z].*)")
USUAL_G_PER_KWH = (
    5.0,
    2000.0,
)  # of any grid, over an hour or more; the yearly table has 20.8 to 1,306, and one 0
STALE_YEARS = 2  # behind the newest year of the table


@dataclass(frozen=True)
class GridIntensity:
    """Carbon of a kWh: `intensity` [g/kWh], of which grid, how accounted, of which year, from where.

    `boundary` says what is counted: ``life-cycle`` or ``combustion``. `warnings` say where it deserves
    doubt.
    """

    intensity: Quantity
    region: str
    accounting: str
    year: int | None
    boundary: str
    source: str
    warnings: tuple[str, ...] = ()


# the intensity of a region and a time, each None where it is not known
GridOf = Callable[[str | None, str | None], GridIntensity]


def grid_intensity(region: str, year: int | None = None) -> GridIntensity:
    """The packaged yearly figure of a country or aggregate: ISO code of two or three letters, or name.

    A part of a country (a state, a balancing authority, a region of a cloud) takes its country's, and a
    warning says so. Raises UnknownNameError for another region, InputError when the table has another year.
    """
    place = located(region)
    row = place.region
    if year is not None and int(year) != row.year:
        raise InputError(
            f"no grid intensity of {row.name} for {year}: the packaged table has {row.year}; "
            "leave the year out, or give the intensity itself"
        )
    warnings = list(place.caveats())
    if newest_year() - row.year >= STALE_YEARS:
        warnings.append(
            f"the grid intensity of {row.name} is of {row.year}, {newest_year() - row.year} years older "
            "than the newest of the table"
        )
    if row.kind == "aggregate":
        warnings.append(f"{row.name} is an average over many grids: a site has another intensity")
    amount = Quantity(Interval.exact(row.intensity_g_per_kwh), "g/kWh")
    warnings += value_caveats(row.name, amount, LIFE_CYCLE, LOCATION_BASED)
    if row.note:
        warnings.append(f"grid intensity of {row.name}: {row.note}")
    return GridIntensity(
        intensity=amount,
        region=row.name,
        accounting=LOCATION_BASED,
        year=row.year,
        boundary=LIFE_CYCLE,
        source=f"{row.source}, {row.name}, {row.year}",
        warnings=tuple(warnings),
    )


def grid_of(
    region: str | None = None,
    *,
    year: int | None = None,
    intensity: Given | GridIntensity | None = None,
    accounting: str = LOCATION_BASED,
) -> GridIntensity:
    """The packaged yearly intensity of a region, or the one given. Raises InputError or UnknownNameError."""
    if isinstance(intensity, GridIntensity):
        return intensity
    if intensity is not None:
        if year is not None:
            raise InputError("a year is of the packaged table: leave it out beside an intensity of your own")
        return given_intensity(intensity, accounting=accounting, region=region or AS_GIVEN)
    if check_accounting(accounting) != LOCATION_BASED:
        raise InputError(
            f"the packaged intensities are location-based; give the {accounting} intensity itself"
        )
    if region is None:
        raise InputError("a footprint needs a region, e.g. FR, or a grid intensity [g/kWh]")
    return grid_intensity(region, year)


def given_intensity(
    value: Given, *, accounting: str = LOCATION_BASED, region: str = AS_GIVEN, source: str = GIVEN
) -> GridIntensity:
    """A figure the user has, and how it is accounted: [g/kWh], or text with its unit (``0.35 kg/kWh``).

    Raises InputError or UnknownNameError.
    """
    amount = Quantity(checked("intensity", _in_grams(value)), "g/kWh")
    return GridIntensity(
        intensity=amount,
        region=region,
        accounting=check_accounting(accounting),
        year=None,
        boundary=AS_GIVEN,
        source=source,
        warnings=value_caveats(region, amount, AS_GIVEN, accounting),
    )


def _in_grams(value: Given) -> Given:
    """An intensity [g/kWh]: of text with a unit, as that says. Raises InputError for an unknown one."""
    found = _WITH_UNIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return value
    from joulecast.footprint.grid.headers import unit_of_text  # where a unit is given, not before

    return parse_interval(found[1], "grid intensity") * unit_of_text(found[2])


def boundary_caveats(region: str, boundary: str) -> tuple[str, ...]:
    """What must be said of an intensity that counts less than the packaged yearly, life-cycle ones."""
    if boundary != COMBUSTION:
        return ()
    return (
        f"the intensity of {region} counts combustion alone: life-cycle figures are higher, "
        "do not compare the two",
    )


def value_caveats(region: str, intensity: Quantity, boundary: str, accounting: str) -> tuple[str, ...]:
    """What must be said of an intensity that no grid has; a contract's and combustion's may be nought."""
    least, most = USUAL_G_PER_KWH
    value = intensity.amount.value
    if value <= most and (value >= least or boundary == COMBUSTION or accounting == MARKET_BASED):
        return ()
    whose = "the given intensity" if region == AS_GIVEN else f"the intensity of {region}"
    kilograms = f"; in kg/kWh it would be {value * GRAMS_PER_KILOGRAM:g} g/kWh"
    return (
        f"{whose} is {value:.4g} g/kWh, outside what grids have ({least:g} to {most:,g})"
        + (kilograms if least <= value * GRAMS_PER_KILOGRAM <= most else ""),
    )


@cache
def newest_year() -> int:
    """The newest year of the packaged table."""
    return max(row.year for row in regions())
