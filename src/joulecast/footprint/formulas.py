"""The arithmetic from joules to grams, litres and money: one quantity a function, units checked.

Words: GPU energy is what the board draws (gross); IT energy that of the whole node; facility energy
what the meter of the building sees. Intervals are carried through.
"""

from __future__ import annotations

from joulecast.errors import InputError
from joulecast.footprint.quantity import Quantity, is_currency

__all__ = [
    "amortised_embodied_carbon",
    "electricity_cost",
    "embodied_carbon_per_gpu",
    "facility_energy",
    "generated_energy",
    "gpu_energy",
    "gpu_time",
    "gpu_time_cost",
    "node_energy",
    "operational_carbon",
    "software_carbon_intensity",
    "water",
]


def gpu_energy(energy_per_image: Quantity, images: Quantity) -> Quantity:
    """GPU energy of all images [kWh] from that of one [J/image]; 3,600,000 J = 1 kWh."""
    total = energy_per_image.expect("J/image", "energy of one image") * images.expect("image", "images")
    return total.to("kWh")


def gpu_time(duration_per_image_s: Quantity, images: Quantity) -> Quantity:
    """GPU-hours of all images from the GPU seconds of one [s/image]: time of a batch over its images."""
    total = duration_per_image_s.expect("s/image", "time of one image") * images.expect("image", "images")
    return Quantity(total.to("h").amount, "GPU-h")


def node_energy(gpu: Quantity, host_overhead: Quantity) -> Quantity:
    """IT energy [kWh]: the GPUs' and, for each joule of theirs, `host_overhead` of the rest of the node."""
    return gpu.expect("kWh", "GPU energy") * (1 + host_overhead.expect("1", "host overhead"))


def facility_energy(node: Quantity, pue: Quantity) -> Quantity:
    """Facility energy [kWh]: IT energy times power usage effectiveness (ISO/IEC 30134-2)."""
    return node.expect("kWh", "IT energy") * pue.expect("1", "PUE")


def generated_energy(facility: Quantity, transmission_loss: Quantity) -> Quantity:
    """Energy fed into the grid for the facility [kWh], `transmission_loss` a share of what is fed in."""
    delivered = 1 + transmission_loss.expect("1", "transmission loss") * -1
    return facility.expect("kWh", "facility energy") / delivered


def operational_carbon(facility: Quantity, intensity: Quantity) -> Quantity:
    """Carbon of the electricity [g CO2e]: E * I of the GHG Protocol's scope 2 and of ISO/IEC 21031."""
    return facility.expect("kWh", "facility energy") * intensity.expect("g/kWh", "grid intensity")


def water(node: Quantity, wue: Quantity) -> Quantity:
    """Water evaporated on site [L]: IT energy times water usage effectiveness (ISO/IEC 30134-9)."""
    return node.expect("kWh", "IT energy") * wue.expect("L/kWh", "WUE")


def embodied_carbon_per_gpu(gpu: Quantity, host: Quantity) -> Quantity:
    """Embodied carbon of a GPU and its share of the server [g CO2e] from both [kg]."""
    return (gpu.expect("kg", "embodied carbon of a GPU") + host.expect("kg", "embodied carbon of a host")).to(
        "g"
    )


def amortised_embodied_carbon(
    gpu_hours: Quantity, embodied: Quantity, life: Quantity, utilisation: Quantity
) -> Quantity:
    """Share of the embodied carbon [g CO2e]: the time used over the time ever used.

    M = TE * TS * RS of ISO/IEC 21031 with the time share TS = GPU-hours / (life * utilisation) and the
    resource share RS in `embodied`, one GPU's part of its server. `life` in years of 8,760 hours.
    """
    used = gpu_hours.expect("GPU-h", "GPU time").amount
    ever = life.expect("year", "life").to("h").amount * utilisation.expect("1", "utilisation").amount
    return Quantity(used * embodied.expect("g", "embodied carbon").amount / ever, "g")


def electricity_cost(facility: Quantity, price: Quantity) -> Quantity:
    """Money for electricity: facility energy times its price [currency/kWh]."""
    return _money(facility.expect("kWh", "facility energy") * price, "price of a kWh")


def gpu_time_cost(gpu_hours: Quantity, price: Quantity) -> Quantity:
    """Money for rented GPUs: GPU-hours times their price [currency/GPU-h], electricity included."""
    return _money(gpu_hours.expect("GPU-h", "GPU time") * price, "price of a GPU-hour")


def software_carbon_intensity(operational: Quantity, embodied: Quantity, images: Quantity) -> Quantity:
    """Software Carbon Intensity [g/image]: (E * I + M) / R with R images (ISO/IEC 21031:2024)."""
    carbon = operational.expect("g", "operational carbon") + embodied.expect("g", "embodied carbon")
    return carbon / images.expect("image", "images")


def _money(amount: Quantity, what: str) -> Quantity:
    """An amount of money. Raises InputError where the price was of something else than what is paid for."""
    if not is_currency(amount.unit):
        raise InputError(f"the {what} leaves {amount.unit}, which is no currency")
    return amount
