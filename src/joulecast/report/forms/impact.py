"""What one image or clip takes, for forms: electricity and what it counts, carbon, its intensity (SCI)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from joulecast.compute.output import IMAGE
from joulecast.footprint.account import Footprint
from joulecast.footprint.site import Site
from joulecast.footprint.tables.row import row_footprint
from joulecast.report.amounts import number, spread
from joulecast.report.forms.subject import Subject
from joulecast.uncertainty import Interval
from joulecast.units import GRAMS_PER_KILOGRAM, JOULES_PER_KILOWATT_HOUR, JOULES_PER_WATT_HOUR

SECOND_OF_VIDEO = "second of video"
SCI_BOUNDARY = (
    "GPUs, the rest of their servers, cooling and losses of the data centre, and a share of the carbon of "
    "making the hardware; not training, storage, networks, nor the devices of users"
)
_OF_BOARD = {
    "gross": "all that the GPU boards drew, idle power included (gross)",
    "dynamic": "what the GPU boards drew above their idle power (dynamic)",
}
_NOT_IN_BOARD = "; not the rest of the computer, nor cooling"
_OF_FACILITY = "the GPU boards (gross), the rest of their servers, and cooling and losses of the data centre"
NINETY = "90 % interval"
WIDEST = "the widest range that the factors allow"
STATED = "as the table states it"


@dataclass(frozen=True)
class Impact:
    """What one image or clip takes.

    Attributes
    ----------
    subject : whose it is.
    energy_kwh : electricity [kWh]: of the GPU boards, or of the whole facility where a place is known.
    counts : what that electricity is of.
    range_is : what its ends are.
    footprint : carbon with every factor, None where no place is known.
    """

    subject: Subject
    energy_kwh: Interval
    counts: str
    range_is: str
    footprint: Footprint | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where the figures deserve doubt."""
        return (*self.subject.warnings, *(self.footprint.warnings if self.footprint else ()))

    @property
    def sci_g(self) -> dict[str, Interval]:
        """Software carbon intensity [g CO2e] by its functional unit; none without a place."""
        return {} if self.footprint is None else sci_of(self.footprint, self.subject.clip_s)

    def energy_told(self) -> str:
        """The electricity with its range, and what both are: ``2.25 Wh (1.91 to 2.65 Wh, 90 % interval)``."""
        amount = self.energy_kwh * (JOULES_PER_KILOWATT_HOUR / JOULES_PER_WATT_HOUR)
        ends = spread(amount)
        return f"{number(amount.value)} Wh" + (f" ({ends} Wh, {self.range_is})" if ends else "")

    def sentences(self, energy_of: str, made_by: str) -> Iterator[str]:
        """The energy, called `energy_of`, how it was had, what it counts, its carbon, and what to doubt."""
        yield f"{energy_of}: {self.energy_told()}"
        yield f"How that was obtained: {self.subject.obtained(made_by)}"
        yield f"It counts {self.counts}"
        yield from self.sci_told()
        if self.footprint is not None:
            yield f"SCI counts {SCI_BOUNDARY}"
        for warning in self.warnings:
            yield f"Beware: {warning}"

    def sci_told(self) -> Iterator[str]:
        """Each intensity as a sentence."""
        for unit, amount in self.sci_g.items():
            yield f"SCI {number(amount.value)} g CO2e per {unit} ({spread(amount)}, {WIDEST})"


def impact_of(subject: Subject, at: Site | None) -> Impact:
    """What one output of a row takes, at a place. Raises InputError where a footprint cannot be had."""
    if at is None:
        counts = _OF_BOARD[subject.boundary] + _NOT_IN_BOARD
        return Impact(subject, subject.energy_kwh, counts, NINETY if subject.origin.is_predicted else STATED)
    found = replace(row_footprint(subject.row, at, 1), output=subject.output)
    return Impact(subject, found.facility_energy.amount, _OF_FACILITY, WIDEST, found)


def sci_of(footprint: Footprint, clip_s: float | None) -> dict[str, Interval]:
    """Software carbon intensity [g CO2e] for each functional unit: an image, or a clip and a second of it."""
    of_one = footprint.sci.amount
    found = {footprint.output: of_one}
    if footprint.output != IMAGE and clip_s is not None:
        found[SECOND_OF_VIDEO] = of_one / clip_s
    return found


def grams_to_tonnes(amount: Interval) -> Interval:
    """A mass [g] in tonnes."""
    return amount / (GRAMS_PER_KILOGRAM * GRAMS_PER_KILOGRAM)


def rounded(value: float, digits: int = 6) -> float:
    """A figure to as many significant digits as any range leaves of it, and some."""
    return float(f"{value:.{digits - 1}e}")
