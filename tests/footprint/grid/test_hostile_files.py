"""Damaged and hostile files of intensities: one line that names what is wrong, in bounded work."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from joulecast.errors import FileFormatError, InputError
from joulecast.footprint.grid.reading import read_hourly
from joulecast.footprint.grid.times import parse_window, zone_of

SOON_S = 5.0
HOUR = '{"history": [{"datetime": "2026-03-01T00:00Z", "carbonIntensity": '
ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def refused(path: Path, content: str, **options: str) -> str:
    """The one line with which a file is refused, soon."""
    path.write_text(content, encoding="utf-8")
    begun = time.monotonic()
    with pytest.raises((InputError, FileFormatError)) as error:
        read_hourly(path, **options)  # type: ignore[arg-type]  # options are text alone
    assert time.monotonic() - begun < SOON_S
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"a":' * 100_000, "nested deeper than 64 levels"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ("[[[1]]]", "no list of hours"),
        ('{"history": []}', "no list of hours"),
        ('{"history": [1, {"datetime": 2}]}', "something other than objects"),
        (json.dumps([{f"k{i}": 1} for i in range(2000)]), "2,000 different fields"),
        (HOUR + "1" + "0" * 200 + "}]}", "grid intensity"),
        (HOUR + "1" + "0" * 400 + "}]}", "a number of more than 300 digits"),
        (HOUR + "1" + "0" * 5000 + "}]}", "a number of more than 300 digits"),
        (HOUR + "Infinity}]}", "grid intensity"),
        (HOUR + "NaN}]}", "no value for 1 time"),
        (HOUR + "true}]}", "grid intensity"),
        ('{"history": [{"datetime": {"a": 1}, "carbonIntensity": 3}]}', "no column of times|is no time"),
        ('{"history": [{"datetime": [1], "carbonIntensity": 3}]}', "no column of times"),
        ('{"history": [{"datetime": null, "carbonIntensity": 3}]}', "is no time"),
    ],
    ids=range(16),
)  # fmt: skip
def test_json(tmp_path: Path, content: str, words: str) -> None:
    said = refused(tmp_path / "x.json", content)
    assert any(word in said for word in words.split("|")), said


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        # steps of a microsecond, and a year between
        (
            ["2022-01-01T00:00:00.000001Z,1", "2022-01-01T00:00:00.000002Z,1", "2023-01-01T00:00:00Z,1"],
            "apart",
        ),
        (
            ["2022-01-01T00:00:01Z,1", "2022-01-01T00:00:02Z,1", "2023-01-01T00:00:00Z,1"],
            "apart; expected an hour",
        ),
        (["0001-01-01T00:00Z,1", "0001-01-01T01:00Z,1", "9999-12-31T00:00Z,1"], "a year from 1880 to 2200"),
        (["2022-01-01T00:00Z,1", "2022-01-01T00:01Z,1", "2040-01-01T00:00Z,1"], "more than 6,000,000 steps"),
        (["0001-01-01T00:00+14:00,1"], "a year from 1880 to 2200"),
        (["9999-12-31T23:00-12:00,1"], "a year from 1880 to 2200"),
        (["2022-01-01T00:00Z," + "1" * 200_000], "field larger than field limit"),
        (["2022-01-01T00:00Z,nan"], "no value for 1 time"),
        (["2022-01-01T00:00Z,inf"], "grid intensity"),
        (["2022-01-01T00:00Z,1e400"], "grid intensity"),
        (["99999999999999,1"], "is no time"),
        (["-1,1"], "is no time"),
        (["01/02/2022 00:00,1"], "is no time"),
    ],
    ids=range(13),
)
def test_csv(tmp_path: Path, rows: list[str], words: str) -> None:
    assert words in refused(tmp_path / "x.csv", "\n".join(["datetime,g", *rows]) + "\n")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("datetime,g,g", "two columns named 'g'"),
        ("datetime,datetime,g", "two columns named 'datetime'"),
        ('datetime,g,"n"ote', "not CSV"),
        ('datetime,g,"note', "not CSV"),
        ("datetime;zone;g;zone", "two columns named 'zone'"),
    ],
)
def test_headers(tmp_path: Path, header: str, words: str) -> None:
    assert words in refused(tmp_path / "x.csv", f"{header}\n2022-01-01T00:00Z,1,2\n")


def test_a_header_may_end_in_columns_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("datetime,carbon_intensity,,\n2022-01-01T00:00Z,300,,\n")
    assert read_hourly(tmp_path / "x.csv").values.tolist() == [300]


@pytest.mark.parametrize(
    "moment", ["0001-01-01", "9999-12-31", "0001-01-01T00:00+14:00", "9999-12-31T23:59Z"]
)
def test_times_at_the_ends_of_the_calendar(tmp_path: Path, moment: str) -> None:
    for zone in ("Asia/Tokyo", "America/New_York"):
        said = refused(tmp_path / "x.csv", f"datetime,g\n{moment},1\n", timezone=zone)
        assert "a year from 1880 to 2200" in said
        with pytest.raises(InputError, match="a year from 1880 to 2200"):
            parse_window(moment, zone_of(zone))


def test_long_gaps_are_counted_without_listing_them(tmp_path: Path) -> None:
    said = refused(
        tmp_path / "x.csv", "datetime,g\n1880-01-01T00:00Z,1\n1880-01-01T01:00Z,1\n2200-01-01T00:00Z,1\n"
    )
    assert "hours missing, first 1880-01-01T02:00Z" in said


@pytest.mark.parametrize(
    "content",
    [
        f"{ESCAPE},g\n1,2\n",
        f"datetime,{ESCAPE},b\n2022-01-01T00:00Z,1,2\n",
        f"datetime,zone,g\n2022-01-01T00:00Z,{ESCAPE},2\n2022-01-01T01:00Z,b,2\n",
        f"datetime,g {ESCAPE} kg\n2022-01-01T00:00Z,1\n",
        f"datetime,g\n{ESCAPE},1\n",
        f"datetime,g\n2022-01-01T00:00Z,{ESCAPE}\n",
    ],
    ids=range(6),
)
def test_escapes_in_errors_are_visible(tmp_path: Path, content: str) -> None:
    assert "\\x1b" in refused(tmp_path / "x.csv", content)


@pytest.mark.parametrize("name", ["x.csv", "x.json"])
def test_escapes_in_names_of_zones_and_columns_are_visible(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "x.csv":
        path.write_text(f"datetime,zone,intensity {ESCAPE}\n2022-01-01T00:00Z,{ESCAPE},300\n")
    else:
        path.write_text(
            json.dumps({"zone": ESCAPE, "history": [{"datetime": "2022-01-01T00:00Z", "carbonIntensity": 3}]})
        )
    series = read_hourly(path)
    printed = " ".join((series.region, series.source, *series.aliases, *series.caveats()))
    assert printed.isprintable()
    assert "\\x1b" in printed
