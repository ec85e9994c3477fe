"""The footprint of images: energy of the GPU in, carbon, water and money out, every factor named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joulecast.errors import InputError, shown
from joulecast.footprint import formulas
from joulecast.footprint.factors import (
    Factor,
    Given,
    checked,
    embodied_gpu,
    embodied_host,
    factor,
)
from joulecast.footprint.grid import GridIntensity, given_intensity, grid_intensity
from joulecast.footprint.ledger import Ledger, Step
from joulecast.footprint.quantity import Quantity, quantity
from joulecast.forecast.estimate import Estimate
from joulecast.hardware import gpu as find_gpu
from joulecast.uncertainty import Interval

__all__ = ["Footprint", "Site", "footprint", "footprint_of", "site"]


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


@dataclass(frozen=True)
class Footprint:
    """What `images` images cost. Every amount is an interval with its unit.

    Attributes
    ----------
    images : how many.
    gpu_energy, node_energy, facility_energy : [kWh].
    operational_carbon, embodied_carbon, carbon : [g CO2e]; the last is their sum.
    water : on site [L].
    money : [currency], None without a price.
    sci : Software Carbon Intensity [g CO2e/image].
    accounting : ``location-based``, ``market-based`` or ``marginal``.
    grid : the intensity that was used.
    steps : the whole sum.
    warnings : where the numbers deserve doubt.
    """

    images: int
    gpu_energy: Quantity
    node_energy: Quantity
    facility_energy: Quantity
    operational_carbon: Quantity
    embodied_carbon: Quantity
    carbon: Quantity
    water: Quantity
    money: Quantity | None
    sci: Quantity
    accounting: str
    grid: GridIntensity
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]

    def __add__(self, other: Footprint) -> Footprint:
        """Both together. Raises InputError where they are accounted, or paid, in different ways."""
        if self.accounting != other.accounting:
            raise InputError(
                f"a {self.accounting} footprint and a {other.accounting} one cannot be added: "
                "state them side by side"
            )
        if (self.money is None) != (other.money is None):
            raise InputError("a footprint with money and one without cannot be added; give both a price")
        carbon, images = self.carbon + other.carbon, self.images + other.images
        grid = self.grid if self.grid == other.grid else _several(self.grid, other.grid)
        return Footprint(
            images=images,
            gpu_energy=self.gpu_energy + other.gpu_energy,
            node_energy=self.node_energy + other.node_energy,
            facility_energy=self.facility_energy + other.facility_energy,
            operational_carbon=self.operational_carbon + other.operational_carbon,
            embodied_carbon=self.embodied_carbon + other.embodied_carbon,
            carbon=carbon,
            water=self.water + other.water,
            money=self.money + other.money if self.money and other.money else None,
            sci=carbon / quantity(images, "image"),
            accounting=self.accounting,
            grid=grid,
            steps=(*self.steps, *other.steps),
            warnings=tuple(dict.fromkeys((*self.warnings, *other.warnings))),
        )

    def explain(self) -> str:
        """The whole sum, line by line, with every factor's source; each line can be redone by hand."""
        return "\n".join(line for step in self.steps for line in step.lines())

    def to_dict(self) -> dict[str, Any]:
        """The same as one JSON object; units are in the names."""
        names = {
            "gpu_energy_kwh": self.gpu_energy,
            "node_energy_kwh": self.node_energy,
            "facility_energy_kwh": self.facility_energy,
            "operational_carbon_g": self.operational_carbon,
            "embodied_carbon_g": self.embodied_carbon,
            "carbon_g": self.carbon,
            "water_l": self.water,
            "sci_g_per_image": self.sci,
        }
        money = None if self.money is None else {"currency": self.money.unit, **_ends(self.money)}
        return {
            "images": self.images,
            **{name: _ends(amount) for name, amount in names.items()},
            "money": money,
            "accounting": self.accounting,
            "grid": {
                "region": self.grid.region,
                "year": self.grid.year,
                "intensity_g_per_kwh": _ends(self.grid.intensity),
                "boundary": self.grid.boundary,
                "source": self.grid.source,
            },
            "sources": self.sources(),
            "warnings": list(self.warnings),
        }

    def sources(self) -> dict[str, str]:
        """Each factor's source by its name."""
        return {name: source for step in self.steps for name, source in step.sources.items()}


def site(
    region: str | None = None,
    *,
    year: int | None = None,
    intensity: Given | GridIntensity | None = None,
    accounting: str = "location-based",
    host_overhead: Given | None = None,
    pue: Given | None = None,
    wue: Given | None = None,
    life_years: Given | None = None,
    utilisation: Given | None = None,
    price_per_kwh: Given | None = None,
    price_per_gpu_hour: Given | None = None,
    currency: str = "USD",
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
    return Site(
        grid=_grid(region, year, intensity, accounting),
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


def footprint_of(estimate: Estimate, at: Site, images: int = 1) -> Footprint:
    """The footprint of images as estimated. Raises InputError when the estimate is of dynamic energy."""
    batch = int(estimate.workload["batch_size"])
    law = f"joulecast estimate, law {estimate.law['name']}, 90 % interval"
    return footprint(
        Interval(estimate.energy_low_j, estimate.energy_j, estimate.energy_high_j),
        Interval(estimate.duration_low_s, estimate.duration_s, estimate.duration_high_s) / batch,
        at,
        images=images,
        gpu=estimate.gpu["name"],
        boundary=estimate.boundary,
        source=law,
    )


def footprint(
    energy_j: Interval | float,
    duration_s: Interval | float,
    at: Site,
    *,
    images: int = 1,
    gpu: str | None = None,
    boundary: str = "gross",
    source: str = "given by the user",
) -> Footprint:
    """The footprint of `images` images at a site.

    Parameters
    ----------
    energy_j : gross GPU energy of one image [J].
    duration_s : GPU time of one image [s]: the time of a batch over its images.
    gpu : its name, for its embodied carbon; None for any GPU's range.
    boundary : of `energy_j`; ``dynamic`` is refused, it leaves out what was drawn while idle.
    source : where energy and time come from.
    """
    if boundary != "gross":
        raise InputError(
            f"a footprint needs the gross energy of the GPU, not the {boundary}: "
            "without idle power it would be too low"
        )
    count = _images(images)
    given = {
        "energy_j": Factor("energy_j", _positive(energy_j, "J/image", "energy of an image"), source),
        "duration_s": Factor("duration_s", _positive(duration_s, "s/image", "time of an image"), source),
    }
    return _Sum(at, given, count, gpu).footprint()


class _Sum:
    """The steps of one footprint."""

    def __init__(self, at: Site, given: Mapping[str, Factor], images: int, gpu: str | None) -> None:
        self.site, self.given, self.count, self.gpu = at, given, images, gpu
        self.images = quantity(images, "image")
        self.ledger = Ledger()

    def footprint(self) -> Footprint:
        note, f = self.ledger.note, formulas
        energy, node, facility = self._energy()
        intensity = Factor("intensity", self.site.grid.intensity, self._grid_source())
        fed, fed_name = self._fed_in(facility)
        operational = note(
            "operational_carbon_g",
            f.operational_carbon(fed, intensity.quantity),
            f"{fed_name} * intensity",
            {fed_name: fed, "intensity": intensity},
        )
        hours = note(
            "gpu_hours",
            f.gpu_time(self.given["duration_s"].quantity, self.images),
            "duration_s * images / 3600",
            {"duration_s": self.given["duration_s"], "images": self.images},
        )
        embodied = self._embodied(hours)
        carbon = note(
            "carbon_g",
            operational + embodied,
            "operational_carbon_g + embodied_carbon_g",
            {"operational_carbon_g": operational, "embodied_carbon_g": embodied},
        )
        sci = note(
            "sci",
            f.software_carbon_intensity(operational, embodied, self.images),
            "(operational_carbon_g + embodied_carbon_g) / images",
            {"operational_carbon_g": operational, "embodied_carbon_g": embodied, "images": self.images},
        )
        water = note(
            "water_l",
            f.water(node, self.site.wue.quantity),
            "node_energy_kwh * wue",
            {"node_energy_kwh": node, "wue": self.site.wue},
        )
        return Footprint(
            images=self.count,
            gpu_energy=energy,
            node_energy=node,
            facility_energy=facility,
            operational_carbon=operational,
            embodied_carbon=embodied,
            carbon=carbon,
            water=water,
            money=self._money(facility, hours),
            sci=sci,
            accounting=self.site.grid.accounting,
            grid=self.site.grid,
            steps=tuple(self.ledger.steps),
            warnings=self.site.grid.warnings,
        )

    def _energy(self) -> tuple[Quantity, Quantity, Quantity]:
        note, f, at = self.ledger.note, formulas, self.site
        energy = note(
            "gpu_energy_kwh",
            f.gpu_energy(self.given["energy_j"].quantity, self.images),
            "energy_j * images / 3600000",
            {"energy_j": self.given["energy_j"], "images": self.images},
        )
        node = note(
            "node_energy_kwh",
            f.node_energy(energy, at.host_overhead.quantity),
            "gpu_energy_kwh * (1 + host_overhead)",
            {"gpu_energy_kwh": energy, "host_overhead": at.host_overhead},
        )
        facility = note(
            "facility_energy_kwh",
            f.facility_energy(node, at.pue.quantity),
            "node_energy_kwh * pue",
            {"node_energy_kwh": node, "pue": at.pue},
        )
        return energy, node, facility

    def _fed_in(self, facility: Quantity) -> tuple[Quantity, str]:
        """The energy that the intensity applies to, and its name in the sum."""
        loss = self.site.transmission_loss
        if loss is None:
            return facility, "facility_energy_kwh"
        fed = self.ledger.note(
            "generated_energy_kwh",
            formulas.generated_energy(facility, loss.quantity),
            "facility_energy_kwh / (1 - transmission_loss)",
            {"facility_energy_kwh": facility, "transmission_loss": loss},
        )
        return fed, "generated_energy_kwh"

    def _embodied(self, hours: Quantity) -> Quantity:
        note, at = self.ledger.note, self.site
        generation = find_gpu(self.gpu).generation if self.gpu else None
        card, host = embodied_gpu(generation, self.gpu), embodied_host()
        kilograms = note(
            "embodied_g",
            formulas.embodied_carbon_per_gpu(card.quantity, host.quantity),
            "(embodied_gpu + embodied_host) * 1000",
            {"embodied_gpu": card, "embodied_host": host},
        )
        return note(
            "embodied_carbon_g",
            formulas.amortised_embodied_carbon(hours, kilograms, at.life.quantity, at.utilisation.quantity),
            "gpu_hours * embodied_g / (life * 8760 * utilisation)",
            {"gpu_hours": hours, "embodied_g": kilograms, "life": at.life, "utilisation": at.utilisation},
            falling=("life", "utilisation"),
        )

    def _money(self, facility: Quantity, hours: Quantity) -> Quantity | None:
        price = self.site.price
        if price is None:
            return None
        if price.name == "price_per_kwh":
            amount = formulas.electricity_cost(facility, price.quantity)
            expression, used = "facility_energy_kwh * price_per_kwh", {"facility_energy_kwh": facility}
        else:
            amount = formulas.gpu_time_cost(hours, price.quantity)
            expression, used = "gpu_hours * price_per_gpu_hour", {"gpu_hours": hours}
        return self.ledger.note("money", amount, expression, {**used, price.name: price})

    def _grid_source(self) -> str:
        grid = self.site.grid
        return f"{grid.source} ({grid.accounting}, {grid.boundary})"


def _grid(
    region: str | None, year: int | None, intensity: Given | GridIntensity | None, accounting: str
) -> GridIntensity:
    if isinstance(intensity, GridIntensity):
        return intensity
    if intensity is not None:
        return given_intensity(intensity, accounting=accounting, region=region or "as given")
    if accounting != "location-based":
        raise InputError(
            f"the packaged intensities are location-based; give the {accounting} intensity itself"
        )
    if region is None:
        raise InputError("a footprint needs a region, e.g. FR, or a grid intensity [g/kWh]")
    return grid_intensity(region, year)


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
            "given by the user",
        )
    if per_gpu_hour is not None:
        amount = checked("price_per_gpu_hour", per_gpu_hour)
        return Factor("price_per_gpu_hour", Quantity(amount, f"{currency}/GPU-h"), "given by the user")
    return None


def _images(images: object) -> int:
    if isinstance(images, bool) or not isinstance(images, int | float) or images != images:
        raise InputError(f"images must be a whole number, not {shown(images)}")
    if not 1 <= images <= 1e15 or images != int(images):
        raise InputError(f"images must be a whole number from 1 to 1e15, not {shown(images)}")
    return int(images)


def _positive(given: Interval | float, unit: str, words: str) -> Quantity:
    amount = quantity(given, unit)
    if amount.amount.low < 0 or not 0 < amount.amount.value < math.inf:
        raise InputError(f"the {words} must be a positive number, not {amount.amount}")
    return amount


def _several(a: GridIntensity, b: GridIntensity) -> GridIntensity:
    low = min(a.intensity.amount.low, b.intensity.amount.low)
    high = max(a.intensity.amount.high, b.intensity.amount.high)
    return GridIntensity(
        intensity=Quantity(Interval(low, (low + high) / 2, high), "g/kWh"),
        region=" and ".join(dict.fromkeys((a.region, b.region))),
        accounting=a.accounting,
        year=a.year if a.year == b.year else None,
        boundary=a.boundary if a.boundary == b.boundary else "mixed",
        source="; ".join(dict.fromkeys((a.source, b.source))),
        warnings=tuple(dict.fromkeys((*a.warnings, *b.warnings))),
    )


def _ends(amount: Quantity) -> dict[str, float | None]:
    a = amount.amount
    return {"value": a.value, "low": a.low, "high": a.high if math.isfinite(a.high) else None}
