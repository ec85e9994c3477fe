"""Carbon intensity of electricity: the packaged yearly table, or a figure the user gives.

Three ways of accounting exist, and a footprint is of one of them: `location-based` (the mix of the
grid), `market-based` (what was contracted) and `marginal` (the plant that answers to one more kWh).
The packaged table is location-based, life-cycle, of the production mix: Ember, CC BY 4.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from joulecast import data
from joulecast.errors import InputError, UnknownNameError, fold
from joulecast.footprint.factors import GIVEN, Given, checked
from joulecast.footprint.quantity import Quantity
from joulecast.uncertainty import Interval

ACCOUNTING = ("location-based", "market-based", "marginal")
LOCATION_BASED = ACCOUNTING[0]
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


@dataclass(frozen=True)
class Region:
    """A row of the packaged table."""

    name: str
    alpha2: str
    alpha3: str
    aliases: tuple[str, ...]
    kind: str
    year: int
    intensity_g_per_kwh: float
    source: str
    note: str


def grid_intensity(region: str, year: int | None = None) -> GridIntensity:
    """The packaged yearly figure of a country or aggregate: ISO code of two or three letters, or name.

    Raises UnknownNameError for another region, InputError when the table has another year for it.
    """
    row = find_region(region)
    if year is not None and int(year) != row.year:
        raise InputError(
            f"no grid intensity of {row.name} for {year}: the packaged table has {row.year}; "
            "leave the year out, or give the intensity itself"
        )
    warnings = []
    if newest_year() - row.year >= STALE_YEARS:
        warnings.append(
            f"the grid intensity of {row.name} is of {row.year}, {newest_year() - row.year} years older "
            "than the newest of the table"
        )
    if row.kind == "aggregate":
        warnings.append(f"{row.name} is an average over many grids: a site has another intensity")
    if row.note:
        warnings.append(f"grid intensity of {row.name}: {row.note}")
    return GridIntensity(
        intensity=Quantity(Interval.exact(row.intensity_g_per_kwh), "g/kWh"),
        region=row.name,
        accounting="location-based",
        year=row.year,
        boundary="life-cycle",
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
        return given_intensity(intensity, accounting=accounting, region=region or "as given")
    if check_accounting(accounting) != LOCATION_BASED:
        raise InputError(
            f"the packaged intensities are location-based; give the {accounting} intensity itself"
        )
    if region is None:
        raise InputError("a footprint needs a region, e.g. FR, or a grid intensity [g/kWh]")
    return grid_intensity(region, year)


def given_intensity(
    value: Given, *, accounting: str = "location-based", region: str = "as given", source: str = GIVEN
) -> GridIntensity:
    """A figure the user has [g/kWh], and how it is accounted. Raises InputError or UnknownNameError."""
    return GridIntensity(
        intensity=Quantity(checked("intensity", value), "g/kWh"),
        region=region,
        accounting=check_accounting(accounting),
        year=None,
        boundary="as given",
        source=source,
    )


def boundary_caveats(region: str, boundary: str) -> tuple[str, ...]:
    """What must be said of an intensity that counts less than the packaged yearly, life-cycle ones."""
    if boundary != "combustion":
        return ()
    return (
        f"the intensity of {region} counts combustion alone: life-cycle figures are higher, "
        "do not compare the two",
    )


MIXED = "some intensities count combustion alone, others whole life cycles: do not compare or add the two"


def are_mixed(boundaries: Iterable[str]) -> bool:
    """Whether intensities of these boundaries are no comparison."""
    return {"combustion", "life-cycle"} <= set(boundaries)


def check_accounting(name: str) -> str:
    """`name` if it is a way of accounting, else UnknownNameError."""
    if name not in ACCOUNTING:
        raise UnknownNameError("accounting", name, ACCOUNTING, f"known: {', '.join(ACCOUNTING)}")
    return name


def find_region(name: str) -> Region:
    """A region of the packaged table by code, name or alias. Raises UnknownNameError."""
    text = str(name).strip()
    found = _by_name().get(fold(text)) if text else None
    if found is None:
        names = [known for row in regions() for known in (row.name, *row.aliases)]
        codes = [code for row in regions() for code in (row.alpha3,) if code]
        choices = codes + names if len(text) <= 3 else names
        raise UnknownNameError(
            "region", name, choices, "regions are countries, by name or ISO code, or World"
        )
    return found


@cache
def regions() -> tuple[Region, ...]:
    """Every region of the packaged table."""
    return tuple(
        Region(
            name=row["region"],
            alpha2=row["alpha2"],
            alpha3=row["alpha3"],
            aliases=tuple(alias for alias in row["aliases"].split(";") if alias),
            kind=row["kind"],
            year=int(row["year"]),
            intensity_g_per_kwh=float(row["intensity_g_per_kwh"]),
            source=row["source"],
            note=row["note"],
        )
        for row in data.read_table("grid_intensity_yearly.csv")
    )


@cache
def newest_year() -> int:
    """The newest year of the packaged table."""
    return max(row.year for row in regions())


@cache
def _by_name() -> dict[str, Region]:
    names = {}
    for row in regions():
        for name in (row.name, row.alpha2, row.alpha3, *row.aliases):
            if name:
                names[fold(name)] = row
    return names
