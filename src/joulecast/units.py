"""Units and the conversions between them. SI inside; conversion happens once, at the edge.

A name carries its unit: ``energy_j``, ``power_w``, ``duration_s``, ``flop``, ``memory_bytes``.
1 multiply-accumulate is 2 FLOP, everywhere.
"""

from __future__ import annotations

JOULES_PER_WATT_HOUR = 3600.0
JOULES_PER_KILOWATT_HOUR = 3.6e6
JOULES_IN = {
    "mJ": 1e-3, "J": 1.0, "kJ": 1e3, "MJ": 1e6, "GJ": 1e9, "TJ": 1e12,
    "Wh": JOULES_PER_WATT_HOUR, "kWh": JOULES_PER_KILOWATT_HOUR,
}  # fmt: skip
FLOP_PER_TERAFLOP = 1e12
BYTES_PER_MEBIBYTE = 2**20
BYTES_PER_GIBIBYTE = 2**30
BYTES_PER_GIGABYTE = 1e9
GRAMS_PER_KILOGRAM = 1000.0
SECONDS_PER_HOUR = 3600.0
HOURS_PER_YEAR = 8760.0  # 365 days
HERTZ_PER_MEGAHERTZ = 1e6
WATTS_PER_KILOWATT = 1000.0


def counted(count: int | str, noun: str) -> str:
    """A count and what it is of: ``1 step``, ``50 steps``, ``2 passes``."""
    ending = "" if str(count) == "1" else "es" if noun.endswith("s") else "s"
    return f"{count} {noun}{ending}"


def gigabytes(size_bytes: float) -> str:
    """A size [byte] in GB: one digit after the point, two below 10 GB."""
    size = size_bytes / BYTES_PER_GIGABYTE
    return f"{size:,.{1 if size >= 10 else 2}f} GB"


def joules_to_watt_hours(energy_j: float) -> float:
    """Energy [J] as energy [Wh]."""
    return energy_j / JOULES_PER_WATT_HOUR


def joules_to_kilowatt_hours(energy_j: float) -> float:
    """Energy [J] as energy [kWh]."""
    return energy_j / JOULES_PER_KILOWATT_HOUR
