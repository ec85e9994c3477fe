"""The footprint of images: energy of the GPU in, carbon, water and money out, every factor named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

from joulecast.compute.output import IMAGE, said_of, together
from joulecast.errors import InputError, shown
from joulecast.footprint.explanation import Step
from joulecast.footprint.factors import GIVEN, Factor, embodied_of
from joulecast.footprint.grid.kinds import MIXED, are_mixed
from joulecast.footprint.grid.yearly import GridIntensity
from joulecast.footprint.quantity import Quantity, quantity
from joulecast.footprint.site import Site, site
from joulecast.footprint.summation import Amounts, Sum
from joulecast.forecast.estimate import Estimate
from joulecast.hardware import Gpu
from joulecast.presented import Presented
from joulecast.uncertainty import Ends, Interval
from joulecast.units import JOULES_IN

DRAWN_W = (3.0, 3000.0)  # what GPUs draw: laptops' idle ones, and twice the boards of 2026
LEAST_AT_WORK_W = 10.0  # of the smallest GPUs while they make pictures: a unit that gives less is not meant
_LIKELY_UNITS = ("kWh", "Wh", "kJ", "mJ")  # of an energy that is not in joules, the likeliest first

__all__ = ["Footprint", "Site", "footprint_of", "footprint_of_energy", "power_caveats", "site"]


class MoneyData(Ends):
    """An amount of money as JSON has it."""

    currency: str


class FactorData(Ends):
    """A factor of the sum as JSON has it."""

    unit: str


class GridData(TypedDict):
    """The intensity that was used, as JSON has it."""

    region: str
    year: int | None
    intensity_g_per_kwh: Ends
    boundary: str
    source: str


class FootprintData(TypedDict):
    """A footprint as JSON has it."""

    output: str
    images: int
    gpu_energy_kwh: Ends
    node_energy_kwh: Ends
    facility_energy_kwh: Ends
    operational_carbon_g: Ends
    embodied_carbon_g: Ends
    carbon_g: Ends
    water_l: Ends
    sci_g_per_image: Ends
    money: MoneyData | None
    accounting: str
    grid: GridData
    factors: dict[str, FactorData]
    sources: dict[str, str]
    warnings: list[str]


@dataclass(frozen=True, repr=False)
class Footprint(Presented, Amounts):
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
    output : what `images` counts: images, or clips of video.
    """

    text_by = "footprint_text:footprint_text"

    images: int
    accounting: str
    grid: GridIntensity
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    output: str = IMAGE

    def __add__(self, other: Footprint) -> Footprint:
        """Both together. Raises InputError where they are accounted, or paid, in different ways."""
        if self.accounting != other.accounting:
            raise InputError(
                f"a {self.accounting} footprint and a {other.accounting} one cannot be added: "
                "state them side by side"
            )
        if (self.money is None) != (other.money is None):
            raise InputError("a footprint with money and one without cannot be added; give both a price")
        mixed = [MIXED] if are_mixed((self.grid.boundary, other.grid.boundary)) else []
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
            warnings=tuple(dict.fromkeys((*self.warnings, *other.warnings, *mixed))),
            output=together((self.output, other.output)),
        )

    def explain(self) -> str:
        """The whole sum, line by line, with every factor's source; each line can be redone by hand."""
        return "\n".join(_line_of(self.output, line) for step in self.steps for line in step.lines())

    def to_dict(self) -> FootprintData:
        """The same as one JSON object; units are in the names."""
        money = self.money
        return {
            "output": self.output,
            "images": self.images,
            "gpu_energy_kwh": self.gpu_energy.amount.ends(),
            "node_energy_kwh": self.node_energy.amount.ends(),
            "facility_energy_kwh": self.facility_energy.amount.ends(),
            "operational_carbon_g": self.operational_carbon.amount.ends(),
            "embodied_carbon_g": self.embodied_carbon.amount.ends(),
            "carbon_g": self.carbon.amount.ends(),
            "water_l": self.water.amount.ends(),
            "sci_g_per_image": self.sci.amount.ends(),
            "money": None if money is None else {"currency": money.unit, **money.amount.ends()},
            "accounting": self.accounting,
            "grid": {
                "region": self.grid.region,
                "year": self.grid.year,
                "intensity_g_per_kwh": self.grid.intensity.amount.ends(),
                "boundary": self.grid.boundary,
                "source": self.grid.source,
            },
            "factors": {
                name: {**value.amount.ends(), "unit": value.unit}
                for name, (value, _) in self.factors().items()
            },
            "sources": self.sources(),
            "warnings": list(self.warnings),
        }

    def factors(self) -> dict[str, tuple[Quantity, str]]:
        """Each factor of the sum, and its source, by its name."""
        return {
            name: (step.inputs[name], source) for step in self.steps for name, source in step.sources.items()
        }

    def sources(self) -> dict[str, str]:
        """Each factor's source by its name."""
        return {name: source for name, (_, source) in self.factors().items()}


def _line_of(output: str, line: str) -> str:
    """A line of the sum, said of an output; the words of a source stay."""
    amounts, colon, source = line.partition("]: ")
    return said_of(output, amounts) + colon + source


def footprint_of(estimate: Estimate, at: Site, images: int = 1) -> Footprint:
    """The footprint of images or clips as estimated. Raises InputError when they are of dynamic energy."""
    law = f"joulecast estimate, law {estimate.law.name}, 90 % interval"
    return footprint_of_energy(
        estimate.energy,
        estimate.gpu_seconds,
        at,
        images=images,
        gpu=estimate.gpu,
        boundary=estimate.boundary,
        source=law,
        output=estimate.output,
    )


def footprint_where(estimate: Estimate, at: Site | None, images: object = None) -> Footprint | None:
    """The same of a request, which may give no place: it has no footprint then; one image unless it says.

    Raises InputError for a number of images without a place, and what `footprint_of` raises.
    """
    if at is not None:
        return footprint_of(estimate, at, 1 if images is None else check_images(images))
    if images is not None:
        raise InputError("images are of a footprint: give a region, an intensity or an hourly series")
    return None


def footprint_of_energy(
    energy_j: Interval | float,
    duration_s: Interval | float,
    at: Site,
    *,
    images: int = 1,
    gpu: str | Gpu | None = None,
    boundary: str = "gross",
    source: str = GIVEN,
    output: str = IMAGE,
) -> Footprint:
    """The footprint of `images` images at a site.

    Parameters
    ----------
    energy_j : gross GPU energy of one image [J].
    duration_s : GPU time of one image [s]: the time of a batch, times the GPUs that share it, over its
        images.
    gpu : a GPU, its name or the path of its file, for its embodied carbon; None for any GPU's range.
    boundary : of `energy_j`; ``dynamic`` is refused, it leaves out what was drawn while idle.
    source : where energy and time come from.
    output : what they are of, an ``image`` or a ``clip``.
    """
    check_gross(boundary)
    count = check_images(images)
    energy, duration = (
        _positive(energy_j, "J/image", "energy of an image or clip"),
        _positive(duration_s, "s/image", "time of an image or clip"),
    )
    card = embodied_of(gpu)
    total = Sum(
        at,
        Factor("energy_j", energy, source),
        Factor("duration_s", duration, source),
        quantity(count, "image"),
        card,
    )
    return Footprint(
        images=count,
        **vars(total.amounts()),
        accounting=at.grid.accounting,
        grid=at.grid,
        steps=tuple(total.ledger.steps),
        warnings=(
            *at.grid.warnings,
            *card.warnings,
            *power_caveats(energy.amount.value, duration.amount.value),
        ),
        output=output,
    )


def power_caveats(energy_j: float, duration_s: float) -> tuple[str, ...]:
    """What must be said of an energy in a time of one GPU that no GPU draws: a unit is wrong, most likely."""
    power = energy_j / duration_s
    least, most = DRAWN_W
    if least <= power <= most:
        return ()
    told = (
        f"{energy_j:.4g} J in {duration_s:.4g} s is {_watts(power)}, which no GPU draws "
        f"({least:g} to {most:,g} W)"
    )
    meant = (unit for unit in _LIKELY_UNITS if LEAST_AT_WORK_W <= power * JOULES_IN[unit] <= most)
    if unit := next(meant, ""):
        told += f"; as {unit} it would be {_watts(power * JOULES_IN[unit])}: energies are in joules"
    return (told,)


def _watts(power_w: float) -> str:
    return f"{power_w * 1e3:.3g} mW" if power_w < 1 else f"{power_w:,.4g} W"


def check_gross(boundary: str) -> None:
    """InputError for an energy that leaves out what the GPU draws while idle."""
    if boundary != "gross":
        raise InputError(
            f"a footprint needs the gross energy of the GPU, not the {shown(boundary)}: "
            "without idle power it would be too low"
        )


def check_images(images: object) -> int:
    """A number of images. Raises InputError when it is not a whole number that can be meant."""
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
