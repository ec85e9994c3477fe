"""Tables choose between hourly series by every name that a grid has."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.grid.reading import hourly_series, read_hourly
from joulecast.footprint.grid.source import HourlySource

EXPORT = Path(__file__).parent / "layouts" / "electricity_maps_2024.csv"  # CAISO, US-CAL-CISO
GERMANY = Path(__file__).parent / "layouts" / "electricity_maps_2022.csv"  # Germany, DE


@pytest.mark.parametrize(
    ("region", "grid"),
    [
        ("US-CAL-CISO", "CAISO"),
        ("CAISO", "CAISO"),
        ("ciso", "CAISO"),
        ("California", "CAISO"),
        ("us-west-1", "CAISO"),
        ("DE", "Germany"),
        ("DEU", "Germany"),
        ("Germany", "Germany"),
        ("Federal Republic of Germany", "Germany"),
    ],
)
def test_a_zone_is_found_by_its_id_and_its_names(region: str, grid: str) -> None:
    assert HourlySource([read_hourly(GERMANY), read_hourly(EXPORT)])(region, None).region == grid


def test_a_zone_that_is_not_there_is_not_its_neighbour() -> None:
    source = HourlySource([read_hourly(GERMANY), read_hourly(EXPORT)])
    for region in ("US", "US-TEX-ERCO", "us-east-1", "Texas"):
        with pytest.raises(UnknownNameError):
            source(region, None)


def test_a_file_that_says_it_is_marginal_is_not_the_grid_s_mean() -> None:
    path = Path(__file__).parent / "layouts" / "watttime_v3_moer.json"
    assert "CAISO_NORTH: its intensities are marginal, as the file says" in read_hourly(path).caveats()
    assert not any(
        "as the file says" in words for words in read_hourly(path, accounting="marginal").caveats()
    )
    with pytest.raises(InputError, match="holds marginal intensities, not market-based ones"):
        read_hourly(path, accounting="market-based")


def test_two_series_of_one_zone_are_told() -> None:
    with pytest.raises(InputError, match="2 hourly series of California"):
        HourlySource([hourly_series("CISO"), read_hourly(EXPORT)])("California", None)
