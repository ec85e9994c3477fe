"""Times and windows as users write them: placed in UTC for certain, or refused."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, tzinfo

import pytest

from joulecast.errors import FileFormatError, InputError, UnknownNameError
from joulecast.footprint.grid.times import Window, moment_of, parse_window, stamp_of, zone_of

PARIS, KOLKATA = zone_of("Europe/Paris"), zone_of("Asia/Kolkata")


@pytest.mark.parametrize(
    ("text", "zone", "start", "hours"),
    [
        ("2022-06-01T13:00Z", None, datetime(2022, 6, 1, 13), 1),
        ("2022-06-01T13:59:59+02:00", None, datetime(2022, 6, 1, 11), 1),
        (" 2022-06-01 13:20 ", PARIS, datetime(2022, 6, 1, 11), 1),
        ("2022-06-01T12:10", KOLKATA, datetime(2022, 6, 1, 6), 1),
        ("2022-06-01T00:00Z/2022-06-02T00:00Z", None, datetime(2022, 6, 1), 24),
        ("2022-06-01T00:00/2022-06-01T06:00", PARIS, datetime(2022, 5, 31, 22), 6),
        ("2022-06-01", PARIS, datetime(2022, 5, 31, 22), 24),
        ("2022-03-27", PARIS, datetime(2022, 3, 26, 23), 23),
        ("2022-10-30", PARIS, datetime(2022, 10, 29, 22), 25),
        ("2022-06-01", UTC, datetime(2022, 6, 1), 24),
    ],
)
def test_windows(text: str, zone: tzinfo | None, start: datetime, hours: int) -> None:
    assert parse_window(text, zone) == Window(start.replace(tzinfo=UTC), hours)


@pytest.mark.parametrize(
    ("text", "zone", "words"),
    [
        ("noon", None, "is no time; expected e.g. 2022-06-01T13:00Z"),
        ("2022-06-01T13:00", None, "no time zone"),
        ("2022-06-01", None, "no time zone"),
        ("2022-06-31T13:00Z", None, "no time"),
        ("2022-06-01T00:00Z/2022-06-01T00:00Z", None, "ends before it has lasted an hour"),
        ("2022-06-02T00:00Z/2022-06-01T00:00Z", None, "ends before"),
        ("2022-06-01T00:30Z/2022-06-01T02:30Z", None, "whole UTC hours"),
        ("2022-06-01T00:00Z/2022-06-01T00:30Z", None, "whole UTC hours"),
        ("2022-06-01", KOLKATA, "whole UTC hours"),
        ("2022-06-01T00:00Z/", None, "no time"),
        ("2022-06-01T13:00Z", PARIS, "is not in the time zone Europe/Paris"),
        ("2022-03-27T02:30", PARIS, "does not exist in Europe/Paris: summer time begins"),
        ("2022-10-30T02:30", PARIS, "comes twice .* write 2022-10-30T00:30Z or 2022-10-30T01:30Z"),
        ("0001-01-01T00:00+14:00", None, "a year from 1880 to 2200"),
    ],
)
def test_what_cannot_be_placed_is_refused(text: str, zone: tzinfo | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_window(text, zone)


@pytest.mark.parametrize("cell", ["202206010130", 202206010130, 202206010130.0, "202206010130 UTC"])
def test_a_date_in_digits_is_no_count_of_seconds(cell: object) -> None:
    assert stamp_of(cell, UTC, None, "row 2", Counter()) == datetime(2022, 6, 1, 1, 30, tzinfo=UTC)


def test_a_count_of_seconds_is_no_date_in_digits() -> None:
    for cell in ("1654047000", 1654047000000, "1654047000.0"):
        assert stamp_of(cell, None, None, "row 2", Counter()) == datetime(2022, 6, 1, 1, 30, tzinfo=UTC)
    assert stamp_of("2022990100", None, None, "row 2", Counter()).year == 2034
    with pytest.raises(InputError, match="row 2: '202206010130' has no time zone"):
        stamp_of("202206010130", None, None, "row 2", Counter())
    with pytest.raises(FileFormatError, match="'202206012400' is no time"):
        stamp_of("202206012400", UTC, None, "row 2", Counter())
    with pytest.raises(InputError, match=r"may be a date and an hour, or seconds .* write 2022-06-01T13:00"):
        stamp_of("2022060113", UTC, None, "row 2", Counter())


def test_zones() -> None:
    assert moment_of("2022-06-01T13:00", zone_of("utc")) == datetime(2022, 6, 1, 13, tzinfo=UTC)
    with pytest.raises(UnknownNameError, match="did you mean Europe/Paris"):
        zone_of("Europe/Pariss")
