"""Numbers as people read them: three digits, and where another form or unit begins."""

from __future__ import annotations

import pytest

from joulecast.report.amounts import duration, duration_range, energy_wh, number, parameters, spread, suited
from joulecast.uncertainty import Interval


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"), (1.2, "1.20"), (0.01234, "0.0123"), (3741, "3,740"), (9.996, "10.0"), (999.6, "1,000"),
        (-3741, "-3,740"), (1e-4, "0.000100"), (9.9e-5, "9.90e-05"),
        (9.9e15, "9,900,000,000,000,000"), (1e16, "1.00e+16"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_three_digits(value: float, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.99, "990 ms"), (1, "1.00 s"), (599, "599 s"), (600, "10.0 min"), (35_940, "599 min"),
        (36_000, "10.0 h"),
    ],
)  # fmt: skip
def test_units_of_time(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_units_of_energy_and_parameters() -> None:
    assert (energy_wh(3.59e6), energy_wh(3.6e6)) == ("997 Wh", "1.00 kWh")
    assert (parameters(999_000_000), parameters(1_000_000_000)) == ("999 M", "1.00 B")


def test_ends() -> None:
    assert spread(Interval(1, 2, 3000)) == "1.00 to 3,000"
    assert spread(Interval.exact(2)) == ""


@pytest.mark.parametrize(
    ("low", "value", "high", "told"),
    [
        (485, 960, 1_890, "8.08 min to 31.5 min"),
        (0.623, 1.33, 2.84, "0.623 s to 2.84 s"),
        (0.4, 0.9, 2.0, "400 ms to 2,000 ms"),
        (13_560, 68_000, 342_000, "3.77 h to 95.0 h"),
    ],
)
def test_a_range_of_time_has_the_unit_of_its_time(low: float, value: float, high: float, told: str) -> None:
    assert duration_range(low, value, high) == told


@pytest.mark.parametrize(
    ("amount", "unit", "told"),
    [
        (0.1, "g", (1.0, "g")),
        (0.0999, "g", (1e-3, "mg")),
        (9_999.0, "g", (1.0, "g")),
        (1e4, "g", (1e3, "kg")),
        (0.01, "kWh", (1e-3, "Wh")),
        (2e4, "L", (1e3, "m3")),
        (0.0, "g", (1.0, "g")),
        (1e-9, "EUR", (1.0, "EUR")),
    ],
)
def test_a_unit_suits_its_amount(amount: float, unit: str, told: tuple[float, str]) -> None:
    assert suited(amount, unit) == told
