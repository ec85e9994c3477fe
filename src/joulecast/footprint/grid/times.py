"""Times as users write them, in UTC, and windows of whole hours.

A time says its zone: by its offset (``2022-06-01T13:00Z``), or by a zone that is given beside it.
What cannot be placed in UTC for certain is an error, never a guess.
"""

from __future__ import annotations

import re
import zoneinfo
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from joulecast.errors import FileFormatError, InputError, UnknownNameError, shown

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
YEARS = range(1880, 2201)  # since the first power stations
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_TEXT = re.compile(r"\d{9,13}(\.\d+)?")
# year to minute, or to hour: the latter are seconds since 1970 of 2030 to 2036 too
_DIGITS = re.compile(
    r"((?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-4]))([0-5]\d)?(?:\.0)?"
)
MOST_SECONDS = 1e11  # of a time in seconds; more are thousandths
_DATE_CHARACTERS = 10
_EXAMPLES = "e.g. 2022-06-01T13:00Z, a window 2022-06-01T00:00Z/2022-06-02T00:00Z, or a day and its time zone"


@dataclass(frozen=True)
class Window:
    """`hours` whole UTC hours from `start` on."""

    start: datetime
    hours: int


def parse_window(text: str, zone: tzinfo | None = None) -> Window:
    """The hours that a text means.

    A time is the hour that holds it, ``START/END`` the hours from start to end, a date the whole day
    in `zone` (23 or 25 hours where summer time begins or ends). `zone` is that of times without an
    offset. Raises InputError for anything else.
    """
    words = str(text).strip()
    first, slash, last = (part.strip() for part in words.partition("/"))
    if slash:
        return _between(moment_of(first, zone), moment_of(last, zone), words)
    if len(first) == _DATE_CHARACTERS:
        begin = moment_of(first, zone)
        end = _naive(first) + DAY
        return _between(begin, moment_of(end.isoformat(), zone), words)
    begin = moment_of(first, zone)
    return Window(begin.replace(minute=0, second=0, microsecond=0), 1)


def moment_of(text: str, zone: tzinfo | None = None) -> datetime:
    """One time in UTC; `zone` is that of a time without an offset. Raises InputError."""
    moment = _naive(text)
    if moment.tzinfo is not None:
        if zone is not None and moment.astimezone(zone).utcoffset() != moment.utcoffset():
            raise InputError(f"{text} is not in the time zone {zone}; leave one of the two out")
        return moment.astimezone(UTC)
    if zone is None:
        raise InputError(f"{shown(text)} has no time zone; write 2022-06-01T13:00Z, or give --timezone")
    early, late = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early == late:
        return early
    if early.astimezone(zone).replace(tzinfo=None) != moment:
        raise InputError(f"{text} does not exist in {zone}: summer time begins then")
    raise InputError(
        f"{text} comes twice in {zone}, as summer time ends: "
        f"write {early:%Y-%m-%dT%H:%MZ} or {late:%Y-%m-%dT%H:%MZ}"
    )


def stamp_of(
    cell: object, assumed: tzinfo | None, zone: tzinfo | None, where: str, seen: Counter[datetime]
) -> datetime:
    """The time of a row of a file, in UTC.

    Parameters
    ----------
    cell : ISO 8601 with or without an offset, ``2022-01-01 00:00 UTC``, ``202201010000``, or
        seconds since 1970.
    assumed : the zone the file states; zone : the caller's.
    where : the row, for messages.
    seen : local times before it, counted: the second of a doubled hour is the later one.

    Raises FileFormatError where it is no time, InputError where it is in no zone or does not exist in it.
    """
    text = str(cell).strip() if isinstance(cell, str | int | float) and not isinstance(cell, bool) else ""
    moment = _written(text, where)
    if moment.tzinfo is not None:
        if (
            zone is not None
            and moment.astimezone(zone).utcoffset() != moment.utcoffset()
            and not _is_epoch(text)
        ):
            raise InputError(f"{where}: {text} is not in the time zone {zone}; leave the zone out")
        return moment.astimezone(UTC)
    if assumed is not None and zone is not None and zone is not UTC:
        raise InputError(f"{where}: the column says UTC, the option says {zone}; one of the two is wrong")
    place = zone or assumed
    if place is None:
        raise InputError(
            f"{where}: {shown(text)} has no time zone; write 2022-06-01T13:00Z, name the column "
            "datetime_utc, or give the zone, e.g. Europe/Paris"
        )
    seen[moment] += 1
    local = moment.replace(tzinfo=place, fold=1 if seen[moment] > 1 else 0)
    found = local.astimezone(UTC)
    if found.astimezone(place).replace(tzinfo=None) != moment:
        raise InputError(
            f"{where}: {text} does not exist in {place}: summer time begins then; is the file in UTC?"
        )
    return found


def _written(text: str, where: str) -> datetime:
    """A time as it is written, with its zone where it says one."""
    if _is_epoch(text):
        seconds = float(text)
        seconds = seconds / 1e3 if seconds > MOST_SECONDS else seconds
        return _of_a_grid(EPOCH + timedelta(seconds=seconds), text, where)
    is_utc = text.upper().endswith((" UTC", " GMT"))
    written = _parted(text[:-4] if is_utc else text, where)
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise FileFormatError(f"{where}: {shown(text)} is no time; expected e.g. 2022-06-01T13:00Z") from None
    return _of_a_grid(moment.replace(tzinfo=UTC) if is_utc and moment.tzinfo is None else moment, text, where)


def _is_epoch(text: str) -> bool:
    """Whether a text is seconds, or thousandths of them, since 1970: nine to thirteen digits, no date's."""
    return _EPOCH_TEXT.fullmatch(text) is not None and _DIGITS.fullmatch(text) is None


def _parted(text: str, where: str) -> str:
    """A time; one of digits alone in its parts. Raises InputError where it may be seconds since 1970, too."""
    found = _DIGITS.fullmatch(text)
    if found is None:
        return text
    date, hour = f"{text[:4]}-{text[4:6]}-{text[6:8]}", text[8:10]
    if found[2] is None:
        raise InputError(
            f"{where}: {shown(text)} may be a date and an hour, or seconds since 1970; write {date}T{hour}:00"
        )
    return f"{date}T{hour}:{found[2]}"


def zone_of(name: str) -> tzinfo:
    """A time zone by its name. Raises UnknownNameError."""
    if name.strip().casefold() in ("utc", "z", "gmt"):
        return UTC
    try:
        return zoneinfo.ZoneInfo(name.strip())
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = "e.g. Europe/Paris or UTC"
        raise UnknownNameError("time zone", name, zoneinfo.available_timezones(), hint) from None


def in_utc(moment: datetime) -> datetime:
    """A time in UTC. Raises InputError where it has no zone."""
    if moment.tzinfo is None:
        raise InputError(f"{moment:%Y-%m-%d %H:%M} has no time zone; write e.g. 2022-06-01T00:00Z")
    return moment.astimezone(UTC)


def hour_text(moment: datetime) -> str:
    """A UTC time as messages show it."""
    return f"{moment:%Y-%m-%dT%H:%MZ}"


def _between(begin: datetime, end: datetime, words: str) -> Window:
    hours = (end - begin) / HOUR
    if begin.minute or begin.second or begin.microsecond or hours != int(hours):
        raise InputError(f"{shown(words)} does not begin and end on whole UTC hours")
    if hours < 1:
        raise InputError(f"{shown(words)} ends before it has lasted an hour")
    return Window(begin, int(hours))


def _naive(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise InputError(f"{shown(text)} is no time; expected {_EXAMPLES}") from None
    return _of_a_grid(moment, text)


def _of_a_grid(moment: datetime, text: str, where: str = "") -> datetime:
    """A time that has a day before and after it in every zone, else InputError."""
    if moment.year in YEARS:
        return moment
    told = f"{where}: " if where else ""
    raise InputError(f"{told}{shown(text)} is not of a grid; expected a year from {YEARS[0]} to {YEARS[-1]}")
