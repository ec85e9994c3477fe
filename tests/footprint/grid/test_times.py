"""Times and windows as users write them: placed in UTC for certain, or refused."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

import pytest

from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.grid.times import Window, moment_of, parse_window, zone_of

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


def test_zones() -> None:
    assert moment_of("2022-06-01T13:00", zone_of("utc")) == datetime(2022, 6, 1, 13, tzinfo=UTC)
    with pytest.raises(UnknownNameError, match="did you mean Europe/Paris"):
        zone_of("Europe/Pariss")
