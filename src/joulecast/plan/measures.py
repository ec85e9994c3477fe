"""What an image is measured by, one row a measure: its key, its option, and what tables call it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from joulecast.errors import InputError, UnknownNameError, shown

USUAL_BY = ("energy", "latency")  # options of a trade-off that names none
QUALITY = "quality"  # the user's own figure, the higher the better


@dataclass(frozen=True)
class Measure:
    """One measure of an image, or of the batch that it is made in.

    `key` names it in data and in Python, `option` on the command line, `label` in text and `heading` above
    a column. Its `unit` is empty for money, whose unit is a currency, and for a figure that has none.
    """

    key: str
    option: str
    label: str
    heading: str
    unit: str
    has_range: bool = True  # where tables show it
    more_is_better: bool = False

    @property
    def column(self) -> str:
        """Its heading with its unit, e.g. ``energy [J]``."""
        return f"{self.heading} [{self.unit}]" if self.unit else self.heading

    def unit_in(self, currency: str) -> str:
        """Its unit, of money the currency."""
        return currency if self.key == "cost" else self.unit

    @property
    def of_the_image(self) -> str:
        """Its label where it is clear that an image is meant, e.g. ``GPU energy``."""
        return self.label.removesuffix(" of an image")


MEASURES = {
    measure.key: measure
    for measure in (
        Measure("energy_j", "energy", "GPU energy of an image", "energy", "J"),
        Measure("seconds", "time", "GPU time of an image", "GPU time", "s", has_range=False),
        Measure("latency_s", "latency", "time of a batch", "batch time", "s", has_range=False),
        Measure("carbon_g", "carbon", "carbon of an image", "carbon", "g CO2e"),
        Measure("cost", "cost", "cost of an image", "cost", ""),
        Measure(QUALITY, QUALITY, "quality of an image", QUALITY, "", has_range=False, more_is_better=True),
    )
}


def measures_of(options: Sequence[object], *, with_quality: bool = False) -> tuple[str, ...]:
    """The keys of measures by their options, each once; quality, a user's own, only where it is known.

    Raises UnknownNameError, and InputError where there are not two.
    """
    keys = {one.option: one.key for one in MEASURES.values() if with_quality or not one.more_is_better}
    for name in options:
        if str(name) not in keys:
            raise UnknownNameError("measure", name, keys, f"known: {', '.join(keys)}")
    found = tuple(dict.fromkeys(keys[str(name)] for name in options))
    if len(found) < 2:
        told = shown(options[0] if len(options) == 1 else list(options))
        raise InputError(f"by {told} is no trade-off: give two measures, e.g. energy and latency")
    return found


# What a change is told of besides, of a clip whose frame rate is known; no option of `pareto`.
OF_VIDEO = {
    measure.key: measure
    for measure in (
        Measure("clip_s", "", "length of a clip", "length", "s"),
        Measure("energy_per_second_of_video_j", "", "GPU energy of a second of video", "energy", "J"),
    )
}
