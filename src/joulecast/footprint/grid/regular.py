"""From times and values in any order to whole UTC hours without gap or double.

Steps shorter than an hour are averaged. A gap, a doubled hour, a zone that cannot be right or a summer-time
change in what should be UTC is an error that names the hour. Work and memory are bounded by MOST_STEPS.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import FileFormatError, InputError
from joulecast.footprint.grid.times import HOUR, hour_text
from joulecast.units import SECONDS_PER_HOUR, counted

Stamp = tuple[datetime, float, int]  # time in UTC, intensity, row

SHORTEST = timedelta(minutes=1)
MOST_STEPS = 6_000_000  # 11 years of minutes, 680 years of hours
_SHOWN_MISSING = 1000  # of missing times, enough to tell what they look like


def regular(stamps: list[Stamp], where: str, allow_gaps: bool) -> tuple[datetime, NDArray[np.float64]]:
    """The first full hour, and hourly values from it on; nan is unknown. Raises InputError."""
    if not stamps:
        raise FileFormatError(f"{where} has no rows; expected one for each hour")
    stamps = sorted(stamps)
    start, step = stamps[0][0], _step([moment for moment, _, _ in stamps], where)
    if start.minute * 60 + start.second and step == HOUR:
        raise InputError(
            f"{where}: its hours begin {start.minute} minutes past the UTC hour; the time zone is not a "
            "whole number of hours, give a series of UTC hours"
        )
    slots = round((stamps[-1][0] - start) / step) + 1
    if slots > MOST_STEPS:
        raise InputError(
            f"{where} is from {hour_text(start)} to {hour_text(stamps[-1][0])} in steps of {step}: more than "
            f"{MOST_STEPS:,} steps; is one of its times wrong?"
        )
    by_slot = np.full(slots, math.nan)
    is_there = np.zeros(slots, dtype=bool)
    doubled = []
    for moment, value, row in stamps:
        place = (moment - start) / step
        if place != int(place):
            raise InputError(
                f"{where}, row {row}: {moment:%Y-%m-%d %H:%M} UTC is between two steps of {step}"
            )
        if is_there[int(place)]:
            doubled.append(moment)
        by_slot[int(place)], is_there[int(place)] = value, True
    missing = ~is_there if not allow_gaps else np.zeros(0, dtype=bool)
    _refuse(start, step, missing, list(dict.fromkeys(doubled)), where)
    if not allow_gaps and np.isnan(by_slot).any():
        first = start + int(np.flatnonzero(np.isnan(by_slot))[0]) * step
        unknown = int(np.isnan(by_slot).sum())
        raise InputError(f"{where}: no value for {counted(unknown, 'time')}, first {hour_text(first)}")
    return _averaged(start, by_slot, round(HOUR / step), where)


def _averaged(
    start: datetime, values: NDArray[np.float64], per_hour: int, where: str
) -> tuple[datetime, NDArray[np.float64]]:
    """Whole UTC hours of a series with `per_hour` steps in each; incomplete ones at the ends are dropped."""
    into_hour = round((start.minute * 60 + start.second) / SECONDS_PER_HOUR * per_hour)
    skipped = (per_hour - into_hour) % per_hour
    whole = (len(values) - skipped) // per_hour
    if whole < 1:
        raise InputError(f"{where} does not hold one whole hour")
    hours = values[skipped : skipped + whole * per_hour].reshape(whole, per_hour).mean(axis=1)
    return start + skipped * HOUR / per_hour, hours


def _step(moments: list[datetime], where: str) -> timedelta:
    gaps = Counter(b - a for a, b in pairwise(moments) if b > a)
    step = gaps.most_common(1)[0][0] if gaps else HOUR
    if step > HOUR or step < SHORTEST or HOUR % step:
        raise InputError(
            f"{where}: its times are {step} apart; expected an hour, or a part of one of at least a minute; "
            "the mean of a longer time can be given as the intensity"
        )
    return step


def _refuse(
    start: datetime, step: timedelta, missing: NDArray[np.bool_], doubled: list[datetime], where: str
) -> None:
    """InputError that names missing and doubled hours, and what they look like."""
    lacking = [start + int(i) * step for i in np.flatnonzero(missing)[:_SHOWN_MISSING]]
    if not lacking and not doubled:
        return
    told = [
        f"{counted(count, 'hour')} {word}, first {hour_text(hours[0])}"
        for word, hours, count in (
            ("missing", lacking, int(missing.sum())),
            ("doubled", doubled, len(doubled)),
        )
        if hours
    ]
    months = {hour.month for hour in lacking} | {hour.month for hour in doubled}
    is_summer_time = months <= {3, 4, 9, 10, 11} and len(lacking) <= 2 and len(doubled) <= 2
    hint = (
        "; this looks like local time with a summer-time change: give its time zone, or the hours in UTC"
        if is_summer_time
        else ""
    )
    raise InputError(f"{where}: {' and '.join(told)} (UTC){hint}")
