"""Names of places as people and other tools write them, and what each must mean or say.

``../others_places.csv`` holds a row a name; one without a region is refused with the words of ``says``.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from joulecast import data
from joulecast.errors import UnknownNameError
from joulecast.footprint.factors import PLAUSIBLE
from joulecast.footprint.grid.places import find_region, located, regions, series_of
from joulecast.footprint.grid.series import packaged_regions
from joulecast.footprint.grid.yearly import grid_intensity
from joulecast.footprint.site import site

NAMES = Path(__file__).parents[1] / "others_places.csv"
ROWS = list(csv.DictReader(NAMES.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_what_a_place_means(row: dict[str, str]) -> None:
    if not row["region"]:
        with pytest.raises(UnknownNameError) as error:
            grid_intensity(row["name"])
        assert row["says"] in str(error.value)
        assert "New Caledonia" not in str(error.value)
        return
    found = grid_intensity(row["name"])
    assert found.region == row["region"]
    told = "; ".join(found.warnings)
    assert row["says"] in told if row["says"] else "its country" not in told


def test_there_are_enough_names() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS) >= 60


def test_every_name_of_the_tables_finds_its_row() -> None:
    for row in regions():
        for name in (row.name, row.alpha2, row.alpha3, *row.aliases):
            assert not name or find_region(name) is row
    shared = []
    for area in data.read_table("grid_areas.csv"):
        for name in (area["area"], *area["aliases"].split(";")):
            if name and located(name).name != area["area"]:
                shared.append(name)
    assert shared == ["Georgia"]  # the country keeps its name, and says so


def test_rows_of_areas_and_clouds_are_sound() -> None:
    countries = {row.alpha2 for row in regions()}
    least, most, _ = PLAUSIBLE["pue"]
    clouds = data.read_table("cloud_regions.csv")
    assert len({row["region"] for row in clouds}) == len(clouds)
    for row in [*clouds, *data.read_table("grid_areas.csv")]:
        assert row["country"] in countries
        assert row["series"] in {"", *packaged_regions()}
        assert len(row["source"]) > 9
    for row in clouds:
        assert located(row["region"]).name.startswith(row["provider"])
        assert bool(row["pue"]) == bool(row["pue_year"])
        assert not row["pue"] or least <= float(row["pue"]) <= most


def test_grids_of_places() -> None:
    assert [series_of(name) for name in ("California", "us-west-1", "ERCOT", "FR", "Mordor")] == [
        "US-CAL-CISO",
        "US-CAL-CISO",
        "US-TEX-ERCO",
        "",
        "",
    ]


def test_the_pue_of_a_cloud_region_is_told_and_not_applied() -> None:
    there, country = site("us-east-1"), site("US")
    assert there.pue == country.pue
    assert "the PUE of AWS us-east-1 (N. Virginia) was 1.15 in 2024" in there.grid.warnings[-1]
    assert not any("PUE" in words for words in site("us-east-1", pue=1.2).grid.warnings)
    assert not any("PUE" in words for words in site("eu-west-3").grid.warnings)  # none is published
