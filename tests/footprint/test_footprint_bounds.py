"""Bounds of footprints: just within them nothing is said, just beyond it is."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from joulecast.errors import InputError
from joulecast.footprint.account import check_images, footprint_of_energy, site
from joulecast.footprint.factors import PLAUSIBLE, checked
from joulecast.footprint.grid import series, yearly
from joulecast.footprint.grid.hours import intensity_at
from joulecast.footprint.grid.series import HourlySeries
from joulecast.footprint.grid.yearly import grid_intensity


def old(warnings: tuple[str, ...]) -> list[str]:
    return [words for words in warnings if "years older" in words or "years before" in words]


@pytest.mark.parametrize(("years", "is_said"), [(1, False), (2, True)])
def test_a_yearly_intensity_is_old_after_two_years(
    years: int, is_said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    year = grid_intensity("FR").year
    assert year is not None
    monkeypatch.setattr(yearly, "newest_year", lambda: year + years)
    assert bool(old(grid_intensity("FR").warnings)) == is_said


@pytest.mark.parametrize(("years", "is_said"), [(1, False), (2, True)])
def test_an_hourly_series_is_old_after_two_years(
    years: int, is_said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = HourlySeries("here", datetime(2022, 1, 1, tzinfo=UTC), np.ones(48), "marginal", "as given", "us")
    monkeypatch.setattr(series, "newest_year", lambda: 2022 + years)
    assert bool(old(hours.average().warnings)) == is_said


BOUNDS = {
    "host_overhead": (0.0, 5.0),
    "pue": (1.0, 4.0),
    "wue": (0.0, 20.0),
    "life": (0.5, 20.0),
    "utilisation": (0.01, 1.0),
    "transmission_loss": (0.0, 0.5),
    "intensity": (0.0, 3000.0),
    "price_per_kwh": (0.0, 1e6),
    "price_per_gpu_hour": (0.0, 1e6),
}


@pytest.mark.parametrize("name", PLAUSIBLE)
def test_factors_that_cannot_be_meant(name: str) -> None:
    least, most = BOUNDS[name]
    assert checked(name, f"{least}:{most}").high == most
    for beyond in (math.nextafter(least, -math.inf), math.nextafter(most, math.inf)):
        with pytest.raises(InputError, match=re.escape(f"from {least:g} to {most:g}")):
            checked(name, beyond)


def test_the_most_images() -> None:
    assert check_images(1) == 1
    assert check_images(10**15) == 10**15
    for count in (0, 10**15 + 1):
        with pytest.raises(InputError, match="from 1 to 1e15"):
            check_images(count)


@pytest.mark.parametrize(("other", "year"), [("PL", 2024), ("Reunion", None)])
def test_together_they_are_of_a_year_only_where_both_are(other: str, year: int | None) -> None:
    places = [footprint_of_energy(1e3, 1.0, site(name)) for name in ("FR", other)]
    assert places[0].grid.year == 2024
    assert (places[0] + places[1]).grid.year == (places[1] + places[0]).grid.year == year


def test_nine_days_in_ten() -> None:
    """Of 101 days with 0 to 100 g/kWh at 05:00, five are below the range and five above it."""
    days = np.repeat(np.arange(101.0), 24)
    start = datetime(2022, 1, 1, tzinfo=UTC)
    known = HourlySeries("here", start, days, "location-based", "life-cycle", "test")
    amount = intensity_at(known, "05:00").intensity.amount
    assert (amount.low, amount.value, amount.high) == pytest.approx((5, 50, 95))
    assert known.end - start == timedelta(days=101)
