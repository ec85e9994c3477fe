"""The sum of a footprint: formulas applied in order, each written down with its numbers and sources."""

from __future__ import annotations

from dataclasses import dataclass

from joulecast.footprint import formulas
from joulecast.footprint.explanation import Ledger
from joulecast.footprint.factors import Factor, embodied_host
from joulecast.footprint.quantity import Quantity
from joulecast.footprint.site import Site
from joulecast.units import GRAMS_PER_KILOGRAM, HOURS_PER_YEAR, JOULES_PER_KILOWATT_HOUR, SECONDS_PER_HOUR


@dataclass(frozen=True)
class Amounts:
    """What images cost, every amount with its unit; the fields are those of `Footprint`."""

    gpu_energy: Quantity
    node_energy: Quantity
    facility_energy: Quantity
    operational_carbon: Quantity
    embodied_carbon: Quantity
    carbon: Quantity
    water: Quantity
    money: Quantity | None
    sci: Quantity


class Sum:
    """The steps of one footprint, or of a column of them: amounts that are columns give columns.

    Parameters
    ----------
    at : the site.
    energy_j, duration_s : GPU energy [J/image] and time [s/image] of one image.
    images : how many [image].
    embodied_gpu : embodied carbon of the GPU [kg].
    """

    def __init__(
        self, at: Site, energy_j: Factor, duration_s: Factor, images: Quantity, embodied_gpu: Factor
    ) -> None:
        self.site, self.energy_j, self.duration_s = at, energy_j, duration_s
        self.images, self.embodied_gpu = images, embodied_gpu
        self.ledger = Ledger()

    def amounts(self) -> Amounts:
        """Every amount, in the order in which the steps are written down."""
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
            f.gpu_time(self.duration_s.quantity, self.images),
            f"duration_s * images / {SECONDS_PER_HOUR:.0f}",
            {"duration_s": self.duration_s, "images": self.images},
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
        return Amounts(
            gpu_energy=energy,
            node_energy=node,
            facility_energy=facility,
            operational_carbon=operational,
            embodied_carbon=embodied,
            carbon=carbon,
            water=water,
            money=self._money(facility, hours),
            sci=sci,
        )

    def _energy(self) -> tuple[Quantity, Quantity, Quantity]:
        note, f, at = self.ledger.note, formulas, self.site
        energy = note(
            "gpu_energy_kwh",
            f.gpu_energy(self.energy_j.quantity, self.images),
            f"energy_j * images / {JOULES_PER_KILOWATT_HOUR:.0f}",
            {"energy_j": self.energy_j, "images": self.images},
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
        card, host = self.embodied_gpu, embodied_host()
        kilograms = note(
            "embodied_g",
            formulas.embodied_carbon_per_gpu(card.quantity, host.quantity),
            f"(embodied_gpu + embodied_host) * {GRAMS_PER_KILOGRAM:.0f}",
            {"embodied_gpu": card, "embodied_host": host},
        )
        return note(
            "embodied_carbon_g",
            formulas.amortised_embodied_carbon(hours, kilograms, at.life.quantity, at.utilisation.quantity),
            f"gpu_hours * embodied_g / (life * {HOURS_PER_YEAR:.0f} * utilisation)",
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
