"""Units in words."""

from __future__ import annotations

import pytest

from joulecast.units import JOULES_IN, JOULES_PER_KILOWATT_HOUR, counted, gigabytes


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [
        (1, "law", "1 law"),
        (0, "law", "0 laws"),
        ("1,000", "image", "1,000 images"),
        ("1", "image", "1 image"),
        (1, "denoiser pass", "1 denoiser pass"),
        (2, "denoiser pass", "2 denoiser passes"),
    ],
)
def test_counts_agree_with_their_nouns(count: int | str, noun: str, words: str) -> None:
    assert counted(count, noun) == words


def test_joules_in_units() -> None:
    assert JOULES_IN["kWh"] == JOULES_PER_KILOWATT_HOUR == 3.6 * JOULES_IN["MJ"] == 1000 * JOULES_IN["Wh"]
    assert JOULES_IN["GJ"] == 1e6 * JOULES_IN["kJ"] == 1e12 * JOULES_IN["mJ"]


@pytest.mark.parametrize(
    ("size", "words"),
    [(88_912_345_678, "88.9 GB"), (7.056e9, "7.06 GB"), (105.25e9, "105.2 GB"), (1.5e12, "1,500.0 GB")],
)
def test_gigabytes(size: float, words: str) -> None:
    assert gigabytes(size) == words
