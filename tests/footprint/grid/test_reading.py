"""Hourly series: the packaged ones, three layouts, and everything that is wrong with a file, named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from joulecast.errors import FileFormatError, InputError, UnknownNameError
from joulecast.footprint.grid.reading import hourly_series, packaged_regions, read_hourly

START = datetime(2022, 3, 27, tzinfo=UTC)


def rows(
    hours: int = 24, start: datetime = START, step: timedelta = timedelta(hours=1)
) -> list[tuple[datetime, float]]:
    return [(start + i * step, 100.0 + i) for i in range(hours)]


def write(folder: Path, lines: list[str], header: str = "datetime,g", name: str = "fr.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def zulu(pairs: list[tuple[datetime, float]]) -> list[str]:
    return [f"{moment:%Y-%m-%dT%H:%MZ},{value}" for moment, value in pairs]


def test_packaged_series() -> None:
    assert len(packaged_regions()) == 7
    california = hourly_series("CISO")
    assert california is hourly_series("us-cal-ciso")
    assert california.values.shape == (8760,)
    assert california.window(hours=3).tolist() == [222.3, 260.9, 271.9]
    assert np.isnan(california.values).sum() == 3
    mean = california.average()
    assert mean.intensity.amount.low < mean.intensity.amount.value < mean.intensity.amount.high
    assert "combustion alone" in mean.warnings[0]
    with pytest.raises(InputError, match=r"no value for 1 of these 24 hours, first 2022-01-05T10:00Z"):
        california.window(datetime(2022, 1, 5, tzinfo=UTC))
    with pytest.raises(InputError, match="not in it"):
        california.window(datetime(2023, 1, 5, tzinfo=UTC))
    with pytest.raises(InputError, match="no time zone"):
        california.window(datetime(2022, 1, 5))
    assert hourly_series("CAISO") is hourly_series("California") is hourly_series("us-west-1") is california
    with pytest.raises(UnknownNameError, match="CISO"):
        hourly_series("CIS")


def test_generic_csv(tmp_path: Path) -> None:
    series = read_hourly(write(tmp_path, zulu(rows())))
    assert (series.region, series.start, series.boundary) == ("fr", START, "as given")
    assert series.values.tolist() == [100.0 + i for i in range(24)]


def test_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    assert read_hourly(write(tmp_path, zulu(rows())[::-1])).values[0] == 100


def test_half_hours_are_averaged(tmp_path: Path) -> None:
    series = read_hourly(write(tmp_path, zulu(rows(6, step=timedelta(minutes=30)))))
    assert series.values.tolist() == [100.5, 102.5, 104.5]


def test_electricity_maps_csv(tmp_path: Path) -> None:
    header = (
        "Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),"
        "Carbon intensity gCO₂eq/kWh (Life cycle),Data source"
    )
    lines = [f"{m:%Y-%m-%d %H:%M:%S},France,France,FR,20,{v},x" for m, v in rows(3)]
    series = read_hourly(write(tmp_path, lines, header))
    assert (series.region, series.boundary) == ("France", "life-cycle")
    assert series.values.tolist() == [100, 101, 102]
    direct = read_hourly(tmp_path / "fr.csv", column="Carbon intensity gCO₂eq/kWh (direct)")
    assert (direct.boundary, direct.values[0]) == ("combustion", 20)
    with pytest.raises(InputError, match="did you mean"):
        read_hourly(tmp_path / "fr.csv", column="Carbon intensity gCO2eq/kWh (Life)")
    lines[1] = lines[1].replace("France,France", "Spain,Spain")
    with pytest.raises(InputError, match="several zones"):
        read_hourly(write(tmp_path, lines, header))


def test_uk_carbon_intensity_json(tmp_path: Path) -> None:
    items = [
        {"from": f"{m:%Y-%m-%dT%H:%MZ}", "to": "", "intensity": {"forecast": v, "actual": None if i else 50}}
        for i, (m, v) in enumerate(rows(4, step=timedelta(minutes=30)))
    ]
    path = tmp_path / "uk.json"
    path.write_text(json.dumps({"data": items}))
    series = read_hourly(path)
    assert (series.region, series.values.tolist()) == ("GB", [75.5, 102.5])


def test_electricity_maps_json(tmp_path: Path) -> None:
    path = tmp_path / "fr.json"
    history = [{"datetime": f"{m:%Y-%m-%dT%H:%M:%S.000Z}", "carbonIntensity": v} for m, v in rows(2)]
    path.write_text(json.dumps({"zone": "FR", "history": history}))
    assert read_hourly(path).values.tolist() == [100, 101]
    path.write_text("{}")
    with pytest.raises(FileFormatError, match="no list of hours"):
        read_hourly(path)
    path.write_text("{")
    with pytest.raises(FileFormatError, match="not valid JSON"):
        read_hourly(path)


# --- what is wrong with a file -------------------------------------------------------------------


def test_gaps_are_named(tmp_path: Path) -> None:
    lines = zulu(rows(24, datetime(2022, 6, 1, tzinfo=UTC)))
    del lines[5:8]
    path = write(tmp_path, lines)
    with pytest.raises(InputError, match="3 hours missing, first 2022-06-01T05:00Z"):
        read_hourly(path)
    assert np.isnan(read_hourly(path, allow_gaps=True).values).sum() == 3


def test_doubled_hours_are_named(tmp_path: Path) -> None:
    lines = zulu(rows(24, datetime(2022, 6, 1, tzinfo=UTC)))
    with pytest.raises(InputError, match="1 hour doubled, first 2022-06-01T07:00Z"):
        read_hourly(write(tmp_path, [*lines, lines[7]]))


def test_empty_cells_are_gaps(tmp_path: Path) -> None:
    lines = zulu(rows(3))
    lines[1] = lines[1].partition(",")[0] + ","
    with pytest.raises(InputError, match="no value for 1 time, first 2022-03-27T01:00Z"):
        read_hourly(write(tmp_path, lines))


def local(hours: int, start: datetime, zone: str) -> list[str]:
    return [f"{m.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M},{v}" for m, v in rows(hours, start)]


@pytest.mark.parametrize("start", [datetime(2022, 3, 26, tzinfo=UTC), datetime(2022, 10, 29, tzinfo=UTC)])
def test_summer_time_changes(tmp_path: Path, start: datetime) -> None:
    lines = local(72, start, "Europe/Paris")
    series = read_hourly(write(tmp_path, lines), timezone="Europe/Paris")
    assert (series.start, len(series.values)) == (start, 72)
    assert series.values.tolist() == [100.0 + i for i in range(72)]
    with pytest.raises(InputError, match="no time zone"):
        read_hourly(write(tmp_path, lines))
    with pytest.raises(InputError, match="summer-time change"):
        read_hourly(write(tmp_path, lines, "datetime_utc,g"))


def test_utc_hours_said_to_be_local(tmp_path: Path) -> None:
    lines = [f"{m:%Y-%m-%d %H:%M},{v}" for m, v in rows(24)]
    with pytest.raises(InputError, match="02:00 does not exist in Europe/Paris"):
        read_hourly(write(tmp_path, lines), timezone="Europe/Paris")
    with pytest.raises(InputError, match="one of the two is wrong"):
        read_hourly(write(tmp_path, lines, "datetime_utc,g"), timezone="Europe/Paris")
    with pytest.raises(InputError, match="not in the time zone"):
        read_hourly(write(tmp_path, zulu(rows())), timezone="Europe/Paris")
    with pytest.raises(UnknownNameError, match="Europe/Paris"):
        read_hourly(write(tmp_path, lines), timezone="Europe/Pariss")
    half = [f"{m:%Y-%m-%dT%H:%M}+05:30,{v}" for m, v in rows(4)]
    with pytest.raises(InputError, match="30 minutes past"):
        read_hourly(write(tmp_path, half))


@pytest.mark.parametrize(
    ("lines", "header", "words"),
    [
        (["yesterday,1"], "datetime,g", "no time; expected"),
        (["2022-01-01T00:00Z,-4"], "datetime,g", "row 2: grid intensity .* not '-4'"),
        (["2022-01-01T00:00Z,4000"], "datetime,g", "grid intensity"),
        (["2022-01-01T00:00Z,high"], "datetime,g", "grid intensity"),
        (["2022-01-01T00:00Z,1,2"], "datetime,a,b", "name one of: 'a', 'b'"),
        (["2022-01-01T00:00Z"], "datetime,a", "1 cells"),
        (["1,2"], "a,b", "no column of times"),
        (["2022-01-01T00:00Z#1"], "datetime#g", "no column of intensities .* separated by commas"),
        ([], "datetime,g", "no rows"),
        (["2022-01-01T00:00Z,1", "2022-01-02T00:00Z,1"], "datetime,g", "apart"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, lines: list[str], header: str, words: str) -> None:
    with pytest.raises((InputError, FileFormatError), match=words):
        read_hourly(write(tmp_path, lines, header))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_hourly(tmp_path / "none.csv")
