"""Options of a site that several commands take, and the sites that they describe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from joulecast.cli.options import CARBON
from joulecast.errors import InputError

if TYPE_CHECKING:
    from joulecast.footprint.grid.series import HourlySeries
    from joulecast.footprint.grid.yearly import GridIntensity, GridOf
    from joulecast.footprint.site import Site
    from joulecast.footprint.tables.columns import Sites

FACTORS: Final = (
    "host_overhead", "pue", "wue", "life_years", "utilisation", "price_per_kwh", "price_per_gpu_hour",
    "transmission_loss",
)  # fmt: skip
SITE: Final = ("region", "year", "intensity", "accounting", *FACTORS, "currency")
HOURS: Final = ("hourly", "at", "timezone")
_OF_SERIES = ("hourly_column", "at", "timezone", "time_column", "allow_gaps")
_LIVE = ("live", "live_timeout")
LIVE_TIMEOUT_S: Final = 5.0


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
    add("--region", help="country by name or ISO code, or World: packaged yearly grid intensity (Ember)")
    add("--year", help="year of that intensity, where it must be a certain one")
    add("--intensity", metavar="G_PER_KWH", help="grid intensity [g CO2e/kWh] instead; a range is LOW:HIGH")
    add(
        "--accounting",
        help="of --intensity or an hourly file: location-based (default), market-based or marginal",
    )
    add(
        "--live",
        action="store_true",
        help="ask for the intensity of now (key in ELECTRICITYMAPS_API_KEY; GB needs none); if that fails, "
        "the yearly one and a warning",
    )
    add("--live-timeout", metavar="SECONDS", help="most time to wait for --live; 5 by default")
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
        help="take hourly files with missing hours; a mean leaves them out",
    )
    if images:
        add("--images", help="footprint of that many images; 1 by default")
        add("--explain", action="store_true", help="print the footprint's whole sum")
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
    asking = (*SITE, *HOURS, "hourly_column", "allow_gaps", *_LIVE, "images", "explain")
    return any(getattr(options, name, None) not in (None, False) for name in asking)


# --- sites ----------------------------------------------------------------------------------------


def site_of(options: argparse.Namespace) -> Site:
    """The one site that the options describe."""
    return _at(options, grid_source(options)(options.region, None))


def sites_of(options: argparse.Namespace) -> Sites:
    """The sites of a table's rows; where no column chooses between grids there is but one."""
    from joulecast.footprint.grid.yearly import given_intensity
    from joulecast.footprint.tables.columns import Sites

    found, columns = grid_source(options), (options.region_column, options.time_column)
    if not any(columns):
        return Sites(_at(options, found(options.region, None)))
    return Sites(_at(options, given_intensity(0)), found, *columns)


def _at(options: argparse.Namespace, grid: GridIntensity) -> Site:
    from joulecast.footprint.site import site

    check_currency(options)
    factors = {name: getattr(options, name) for name in (*FACTORS, "currency")}
    return site(intensity=grid, **{name: value for name, value in factors.items() if value is not None})


def check_currency(options: argparse.Namespace) -> None:
    """InputError for a currency of no price."""
    if options.currency is not None and options.price_per_kwh is None and options.price_per_gpu_hour is None:
        raise InputError("a currency is of a price: give --price-per-kwh or --price-per-gpu-hour")


# --- grids ----------------------------------------------------------------------------------------


def grid_source(options: argparse.Namespace) -> GridOf:
    """Where the intensity of a region and a time comes from; what does not go together is an error."""
    check_sources(options)
    if options.hourly:
        return _hourly_source(options)
    return live_source(options) if options.live else _yearly_source(options)


def live_source(options: argparse.Namespace) -> GridOf:
    """Intensities of now, asked of an API."""
    from joulecast.files.numbers import positive
    from joulecast.footprint.grid.live import LiveSource, cache_folder

    given = options.live_timeout
    return LiveSource(LIVE_TIMEOUT_S if given is None else positive(given, "--live-timeout"), cache_folder())


def _yearly_source(options: argparse.Namespace) -> GridOf:
    from joulecast.footprint.grid.yearly import grid_of

    year, chosen = year_of(options), {} if options.accounting is None else {"accounting": options.accounting}

    def known(region: str | None, time: str | None) -> GridIntensity:
        return grid_of(region, year=year, intensity=options.intensity, **chosen)

    return known


def year_of(options: argparse.Namespace) -> int | None:
    """The year that was given. Raises InputError."""
    from joulecast.files.numbers import whole

    return None if options.year is None else whole(options.year, "--year")


def check_sources(options: argparse.Namespace) -> None:
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
    lone = [name for name in _OF_SERIES if getattr(options, name, None)]
    if lone:
        raise InputError(f"--{lone[0].replace('_', '-')} needs --hourly, e.g. --hourly US-CAL-CISO")


def _hourly_source(options: argparse.Namespace) -> GridOf:
    from joulecast.footprint.grid.hours import intensity_at
    from joulecast.footprint.grid.reading import find_series
    from joulecast.footprint.grid.source import HourlySource
    from joulecast.footprint.grid.times import zone_of

    def mean(series: HourlySeries) -> GridIntensity:
        return intensity_at(series, options.at, options.timezone)

    chosen = {} if options.accounting is None else {"accounting": options.accounting}
    zone = None if options.timezone is None else zone_of(options.timezone)
    series = [
        find_series(
            name,
            column=options.hourly_column,
            timezone=options.timezone,
            allow_gaps=options.allow_gaps,
            **chosen,
        )
        for name in options.hourly
    ]
    for one in series if options.at else ():
        mean(one)  # a time that is not in a series is told here, not in each row
    return HourlySource(series, mean, zone)
