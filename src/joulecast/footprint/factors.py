"""Factors between joules and the rest: the packaged ones, with ranges and sources, or the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from joulecast import data
from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.quantity import Quantity
from joulecast.hardware import Gpu
from joulecast.question.gpus import gpu as find_gpu
from joulecast.uncertainty import Interval, Number, interval, parse_interval

# factor -> (smallest, largest) value that can be meant, and what it is
PLAUSIBLE: dict[str, tuple[float, float, str]] = {
    "host_overhead": (0.0, 5.0, "host energy for each joule of GPU energy"),
    "pue": (1.0, 4.0, "PUE (facility energy over IT energy; never below 1)"),
    "wue": (0.0, 20.0, "WUE [L/kWh]"),
    "life": (0.5, 20.0, "life of the hardware [years]"),
    "utilisation": (0.01, 1.0, "utilisation (a share, above 0 and at most 1)"),
    "transmission_loss": (0.0, 0.5, "transmission loss (a share of what is fed in)"),
    "intensity": (0.0, 3000.0, "grid intensity [g CO2e/kWh]"),
    "price_per_kwh": (0.0, 1e6, "price of a kWh"),
    "price_per_gpu_hour": (0.0, 1e6, "price of a GPU-hour"),
}
UNITS = {"host_overhead": "1", "pue": "1", "wue": "L/kWh", "life": "year", "utilisation": "1",
         "transmission_loss": "1", "intensity": "g/kWh"}  # fmt: skip
GIVEN = "given by the user"
_ANY = "any"

Given = Interval | Number | str


@dataclass(frozen=True)
class Factor:
    """A number of the sum: what it is called, its quantity, where it comes from, why to doubt it."""

    name: str
    quantity: Quantity
    source: str
    warnings: tuple[str, ...] = ()


def factor(name: str, given: Given | None = None, *, unit: str | None = None, source: str = GIVEN) -> Factor:
    """The user's factor, checked, or the packaged one where nothing is given.

    `given` is a number, an interval, or text as `parse_interval` takes it. Raises InputError when it is
    not plausible, UnknownNameError when `name` is not packaged and nothing is given.
    """
    if given is None:
        row = packaged().get(name)
        if row is None:
            raise UnknownNameError("factor", name, packaged())
        return row
    return Factor(name, Quantity(checked(name, given), unit or UNITS[name]), source)


def checked(name: str, given: Given) -> Interval:
    """A factor as an interval within what is plausible, else InputError."""
    least, most, words = PLAUSIBLE[name]
    amount = parse_interval(given, words) if isinstance(given, str) else interval(given)
    if not (least <= amount.low and amount.high <= most):
        raise InputError(f"{words} must be from {least:g} to {most:g}, not {amount}")
    return amount


@cache
def packaged() -> dict[str, Factor]:
    """The packaged factors by name; see ``data/factors.csv``."""
    return {
        row["factor"]: Factor(row["factor"], Quantity(_range(row), row["unit"]), _source(row))
        for row in data.read_table("factors.csv")
    }


def embodied_of(gpu: str | Gpu | None) -> Factor:
    """Embodied carbon of a GPU (or its name or alias) by its chip, or of any [kg]. Raises UnknownNameError.

    A chip of which nobody has published a figure takes the range of any GPU, and a warning says so.
    """
    found = find_gpu(gpu) if gpu else None
    row = next(row for row in _embodied() if row["item"] == "gpu" and _fits(row["gpus"], found))
    amount = Quantity(_range(row), "kg")
    warnings = (
        ()
        if found is None or row["gpus"] != _ANY
        else (
            f"nobody has published the embodied carbon of {found.name}: any GPU's was taken, "
            f"{amount.amount.low:g} to {amount.amount.high:g} kg",
        )
    )
    return Factor("embodied_gpu", amount, _source(row), warnings)


def _fits(gpus: str, found: Gpu | None) -> bool:
    """Whether a row is that of a GPU: ``GH100`` a chip, ``GH100:H200`` products on it, ``any``."""
    chip, _, product = gpus.partition(":")
    if chip == _ANY:
        return True
    return found is not None and chip in found.architecture.split() and found.name.startswith(product)


def embodied_host() -> Factor:
    """Embodied carbon of one GPU's share of the rest of its server [kg]."""
    row = next(row for row in _embodied() if row["item"] == "host")
    return Factor("embodied_host", Quantity(_range(row), "kg"), _source(row))


@cache
def _embodied() -> tuple[dict[str, str], ...]:
    return tuple(data.read_table("embodied.csv"))


def _range(row: dict[str, str]) -> Interval:
    return Interval(float(row["low"]), float(row["value"]), float(row["high"]))


def _source(row: dict[str, str]) -> str:
    return row["source"]
