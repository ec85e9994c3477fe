"""Where images are made: the grid, and every factor between a GPU's joules and a footprint."""

from __future__ import annotations

from dataclasses import dataclass, replace

from joulecast.errors import InputError, shown
from joulecast.footprint.factors import GIVEN, Factor, Given, checked, factor
from joulecast.footprint.grid.kinds import LOCATION_BASED
from joulecast.footprint.grid.places import located
from joulecast.footprint.grid.yearly import GridIntensity, grid_of
from joulecast.footprint.quantity import Quantity

CURRENCY = "USD"  # of a price, where no other is given


@dataclass(frozen=True)
class Site:
    """Where images are made: everything between a GPU's joules and a footprint.

    `price` is per kWh or per GPU-hour, never both: a GPU-hour's price holds its electricity.
    """

    grid: GridIntensity
    host_overhead: Factor
    pue: Factor
    wue: Factor
    life: Factor
    utilisation: Factor
    price: Factor | None = None
    transmission_loss: Factor | None = None


def site(
    region: str | None = None,
    *,
    year: int | None = None,
    intensity: Given | GridIntensity | None = None,
    accounting: str = LOCATION_BASED,
    host_overhead: Given | None = None,
    pue: Given | None = None,
    wue: Given | None = None,
    life_years: Given | None = None,
    utilisation: Given | None = None,
    price_per_kwh: Given | None = None,
    price_per_gpu_hour: Given | None = None,
    currency: str = CURRENCY,
    transmission_loss: Given | None = None,
) -> Site:
    """A site from what the user knows; the rest takes packaged ranges.

    Parameters
    ----------
    region, year : of the packaged yearly table (see `grid_intensity`); or a name for `intensity`.
    intensity : of the grid [g CO2e/kWh], accounted as `accounting` says.
    host_overhead : energy of the rest of the node for each joule of GPU energy.
    pue : facility energy over IT energy. wue : [L/kWh of IT energy].
    life_years, utilisation : of the hardware, to write its embodied carbon off.
    price_per_kwh or price_per_gpu_hour : in `currency`, three capital letters.
    transmission_loss : share of the electricity fed in that is lost on the way; none unless given.

    Numbers, intervals or text as `parse_interval` takes it. Raises InputError or UnknownNameError.
    """
    grid = grid_of(region, year=year, intensity=intensity, accounting=accounting)
    if region is not None and intensity is None and pue is None:
        grid = replace(grid, warnings=(*grid.warnings, *located(region).advice()))
    return Site(
        grid=grid,
        host_overhead=factor("host_overhead", host_overhead),
        pue=factor("pue", pue),
        wue=factor("wue", wue),
        life=factor("life", life_years),
        utilisation=factor("utilisation", utilisation),
        price=_price(price_per_kwh, price_per_gpu_hour, currency),
        transmission_loss=None
        if transmission_loss is None
        else factor("transmission_loss", transmission_loss),
    )


def _price(per_kwh: Given | None, per_gpu_hour: Given | None, currency: str) -> Factor | None:
    if per_kwh is not None and per_gpu_hour is not None:
        raise InputError(
            "give the price of a kWh or of a GPU-hour, not both: a GPU-hour's price holds its electricity"
        )
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isalpha() and currency.isupper()):
        raise InputError(f"a currency is three capital letters, e.g. EUR, not {shown(currency)}")
    if per_kwh is not None:
        return Factor(
            "price_per_kwh",
            Quantity(checked("price_per_kwh", per_kwh), f"{currency}/kWh"),
            GIVEN,
        )
    if per_gpu_hour is not None:
        amount = checked("price_per_gpu_hour", per_gpu_hour)
        return Factor("price_per_gpu_hour", Quantity(amount, f"{currency}/GPU-h"), GIVEN)
    return None
