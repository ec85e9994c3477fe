"""Options of a site that several commands take, and the sites that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from joulecast.cli.options import CARBON
from joulecast.errors import InputError

if TYPE_CHECKING:
    from joulecast.footprint.grid.series import HourlySeries
    from joulecast.footprint.grid.yearly import GridIntensity, GridOf
    from joulecast.footprint.place import Place
    from joulecast.footprint.site import Site
    from joulecast.footprint.tables.columns import Sites

FACTORS: Final = (
    "host_overhead", "pue", "wue", "life_years", "utilisation", "price_per_kwh", "price_per_gpu_hour",
    "transmission_loss",
)  # fmt: skip
GRID: Final = ("region", "year", "intensity", "accounting")
OF_SERIES: Final = ("hourly", "hourly_column", "at", "timezone", "allow_gaps")
LIVE_TIMEOUT_S: Final = 5.0

Add = Callable[..., object]  # an option to a group


# --- options --------------------------------------------------------------------------------------


def site_options(command: argparse.ArgumentParser, *, images: bool = False, columns: bool = False) -> None:
    """The options of a site: its grid, and every factor between a GPU's joules and a footprint.

    `images` adds how many images a footprint is of; `columns` those in which a table states the site
    of each row.
    """
    add = command.add_argument_group(CARBON).add_argument
    if columns:
        add("--region-column", metavar="COLUMN", help="the column that holds each row's region")
        add("--time-column", metavar="COLUMN", help="the column that holds each row's time, as --at takes it")
    _yearly_options(add)
    _hourly_options(add, columns)
    if images:
        add("--images", help="footprint of that many images or clips; 1 by default")
        add("--explain", action="store_true", help="print the footprint's whole sum")
    _factor_options(add)


def _yearly_options(add: Add) -> None:
    """A grid's intensity of a year, as given, or of now."""
    add(
        "--region",
        help="country, state or cloud region, by name or code, or World: packaged yearly intensity (Ember)",
    )
    add("--year", help="year of that intensity, where it must be a certain one")
    add(
        "--intensity",
        metavar="G_PER_KWH",
        help="grid intensity [g CO2e/kWh] instead, or with its unit (0.35 kg/kWh); a range is LOW:HIGH",
    )
    add(
        "--accounting",
        metavar="{location-based,market-based,marginal}",
        help="of --intensity or an hourly file; location-based by default",
    )
    add(
        "--live",
        action="store_true",
        help="ask for the intensity of now (key in ELECTRICITYMAPS_API_KEY; GB needs none); if that fails, "
        "the yearly one and a warning",
    )
    add("--live-timeout", metavar="SECONDS", help="most time to wait for --live; 5 by default")


def _hourly_options(add: Add, columns: bool) -> None:
    """A grid's intensities by the hour; of several regions where a table has `columns` that choose."""
    add(
        "--hourly",
        metavar="SERIES",
        action="append",
        help="hourly intensities instead: a file (CSV, Electricity Maps, UK Carbon Intensity) or a packaged "
        "series, e.g. US-CAL-CISO" + ("; once for each region of a table" if columns else ""),
    )
    add("--hourly-column", metavar="COLUMN", help="of the intensity, where an hourly CSV file has several")
    add(
        "--at",
        metavar="TIME",
        help="hour of --hourly, e.g. 2022-06-01T13:00Z, a window START/END, or an hour of the day (12:00); "
        "the mean of all by default",
    )
    add("--timezone", metavar="ZONE", help="of times without an offset, e.g. Europe/Paris")
    add(
        "--allow-gaps",
        action="store_true",
        default=None,
        help="take hourly files with missing hours; a mean leaves them out",
    )


def _factor_options(add: Add) -> None:
    """Every factor between a GPU's joules and a footprint."""
    add("--pue", help="facility energy over IT energy, e.g. 1.2 or 1.1:1.3; a packaged range by default")
    add("--wue", metavar="L_PER_KWH", help="water for each kWh of IT energy; a packaged range by default")
    add(
        "--host-overhead", metavar="SHARE", help="energy of the rest of the node for each joule of GPU energy"
    )
    add("--life-years", metavar="YEARS", help="years over which the hardware's carbon is written off")
    add("--utilisation", metavar="SHARE", help="share of its life in which a GPU generates")
    add("--price-per-kwh", metavar="PRICE", help="price of electricity")
    add("--price-per-gpu-hour", metavar="PRICE", help="price of a rented GPU, electricity included")
    add("--currency", help="of the price, three capital letters; USD by default")
    add(
        "--transmission-loss",
        metavar="SHARE",
        help="share of the electricity lost on its way; none by default",
    )


def asks_for_a_site(options: argparse.Namespace) -> bool:
    """Whether an option asks for a footprint; a factor without region or intensity is an error there."""
    asking = (*GRID, *OF_SERIES, *FACTORS, "currency", "live", "live_timeout", "images", "explain")
    return any(getattr(options, name, None) not in (None, False) for name in asking)


# --- sites ----------------------------------------------------------------------------------------


def places_of(options: argparse.Namespace, regions: Sequence[str | None]) -> list[Place]:
    """The place that the options describe, in each region; InputError for what does not go together.

    Intensities of now, where they are asked for, are asked here; what cannot be reached is asked once.
    """
    from joulecast.footprint.place import Place

    _check_sources(options)
    found = {name: getattr(options, name) for name in (*GRID, *OF_SERIES)} | _factors(options)
    found["hourly"] = options.hourly[0] if options.hourly else None
    live = _live_source(options) if options.live else None
    return [
        Place.of({**found, "region": region, **({} if live is None else {"intensity": live(region, None)})})
        for region in regions
    ]


def place_of(options: argparse.Namespace) -> Place:
    """The one place that the options describe; errors as of `places_of`."""
    return places_of(options, [options.region])[0]


def site_of(options: argparse.Namespace) -> Site:
    """The one site that the options describe."""
    _check_sources(options)
    if options.region is None and options.intensity is None and not options.hourly:
        _yearly_source(options)(None, None)  # says what is missing
    return _site(place_of(options))


def sites_of(options: argparse.Namespace) -> Sites:
    """The sites of a table's rows; where no column chooses between grids there is but one."""
    from joulecast.footprint.grid.yearly import given_intensity
    from joulecast.footprint.place import Place
    from joulecast.footprint.tables.columns import Sites

    columns = options.region_column, options.time_column
    if not any(columns):
        return Sites(site_of(options))
    _check_sources(options)
    anywhere = _site(Place.of({**_factors(options), "intensity": given_intensity(0)}))
    return Sites(anywhere, _grid_source(options), *columns)


def _site(place: Place) -> Site:
    """The site of a place that is somewhere."""
    found = place.site()
    assert found is not None
    return found


def _factors(options: argparse.Namespace) -> dict[str, str | None]:
    """What was given between a GPU's joules and a footprint; a price says its currency."""
    from joulecast.footprint.site import CURRENCY

    has_price = options.price_per_kwh is not None or options.price_per_gpu_hour is not None
    if options.currency is not None and not has_price:
        raise InputError("a currency is of a price: give --price-per-kwh or --price-per-gpu-hour")
    currency = (options.currency or CURRENCY) if has_price else None
    return {**{name: getattr(options, name) for name in FACTORS}, "currency": currency}


# --- what chooses between grids -------------------------------------------------------------------


def _grid_source(options: argparse.Namespace) -> GridOf:
    """Where the intensity of a row's region and time comes from."""
    if options.hourly:
        return _hourly_source(options)
    return _live_source(options) if options.live else _yearly_source(options)


def _live_source(options: argparse.Namespace) -> GridOf:
    """Intensities of now, asked of an API."""
    from joulecast.files.numbers import positive
    from joulecast.footprint.grid.live import LiveSource, cache_folder

    given = options.live_timeout
    return LiveSource(LIVE_TIMEOUT_S if given is None else positive(given, "--live-timeout"), cache_folder())


def _yearly_source(options: argparse.Namespace) -> GridOf:
    from joulecast.files.numbers import whole
    from joulecast.footprint.grid.kinds import LOCATION_BASED
    from joulecast.footprint.grid.yearly import grid_of

    year = None if options.year is None else whole(options.year, "--year")
    accounting = options.accounting or LOCATION_BASED
    return lambda region, time: grid_of(region, year=year, intensity=options.intensity, accounting=accounting)


def _hourly_source(options: argparse.Namespace) -> GridOf:
    from joulecast.footprint.grid.hours import intensity_at
    from joulecast.footprint.grid.reading import find_series
    from joulecast.footprint.grid.source import HourlySource
    from joulecast.footprint.grid.times import zone_of

    def mean(series: HourlySeries) -> GridIntensity:
        return intensity_at(series, options.at, options.timezone)

    zone = None if options.timezone is None else zone_of(options.timezone)
    series = [
        find_series(
            name,
            column=options.hourly_column,
            timezone=options.timezone,
            accounting=options.accounting,
            allow_gaps=bool(options.allow_gaps),
        )
        for name in options.hourly
    ]
    for one in series if options.at else ():
        mean(one)  # a time that is not in a series is told here, not in each row
    return HourlySource(series, mean, zone)


def _check_sources(options: argparse.Namespace) -> None:
    """InputError for options that say two things about the grid, or nothing about what they describe."""
    by_region, by_time = (getattr(options, f"{what}_column", None) is not None for what in ("region", "time"))
    sources = [name for name in ("hourly", "live", "intensity") if getattr(options, name)]
    if len(sources) > 1:
        raise InputError(f"give {' or '.join(f'--{name}' for name in sources)}, not both")
    if by_region and (options.region or options.intensity):
        raise InputError(f"give --{'region' if options.region else 'intensity'} or --region-column, not both")
    if options.live and (not (options.region or by_region) or options.year):
        raise InputError("--live needs --region or --region-column, and not --year")
    if options.live_timeout is not None and not options.live:
        raise InputError("--live-timeout needs --live")
    if options.hourly:
        twice = [name for name in ("region", "year") if getattr(options, name)]
        if twice:
            raise InputError(f"give --hourly or --{twice[0]}, not both: a series has its own")
        if options.at and by_time:
            raise InputError("give --at or --time-column, not both")
        if len(options.hourly) > 1 and not by_region:
            raise InputError("several --hourly series need --region-column, which chooses between them")
        return
    lone = [name for name in (*OF_SERIES, "time_column") if getattr(options, name, None)]
    if lone:
        raise InputError(f"--{lone[0].replace('_', '-')} needs --hourly, e.g. --hourly US-CAL-CISO")
