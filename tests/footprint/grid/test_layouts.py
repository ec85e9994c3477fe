"""Files of intensities as their publishers make them: what each must mean, or what must be said of it.

``layouts/layouts.csv`` holds a row a reading; 0 hours is a file that is refused with the words of ``says``.
The files are small and made up, in the shape that their publishers document.
"""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import pytest

from joulecast.errors import FileFormatError, InputError
from joulecast.footprint.grid.reading import Reading, read_hourly
from joulecast.footprint.grid.times import hour_text

LAYOUTS = Path(__file__).parent / "layouts"
ROWS = list(csv.DictReader((LAYOUTS / "layouts.csv").read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['file']}-{row['column']}".strip("-"))
def test_what_a_file_means(row: dict[str, str]) -> None:
    options: Reading = {"column": row["column"] or None, "timezone": row["timezone"] or None}
    if row["hours"] == "0":
        with pytest.raises((InputError, FileFormatError)) as error:
            read_hourly(LAYOUTS / row["file"], **options)
        assert row["says"] in str(error.value)
        return
    series = read_hourly(LAYOUTS / row["file"], **options)
    assert (series.region, ";".join(series.aliases)) == (row["region"], row["also"])
    assert (series.boundary, series.accounting) == (row["boundary"], row["accounting"])
    assert (hour_text(series.start), len(series.values)) == (row["start"], int(row["hours"]))
    assert series.values[0] == pytest.approx(float(row["first_g_per_kwh"]), rel=1e-6)
    told = "; ".join(series.caveats())
    assert row["says"] in told if row["says"] else "values are" not in told and "outside what" not in told


def test_every_file_of_the_folder_is_in_the_table() -> None:
    files = {path.name for path in LAYOUTS.iterdir()} - {"layouts.csv"}
    assert files == {row["file"] for row in ROWS}
    assert len(files) >= 25
    assert all(datetime.fromisoformat(row["start"]) for row in ROWS if row["start"])
