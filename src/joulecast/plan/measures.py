"""What an image is measured by, one row a measure: its key, its option, and what tables call it."""

from __future__ import annotations

from dataclasses import dataclass

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
