"""Many requests at once, predicted in columns: what the columnar door of tables does, for rows of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from joulecast.errors import InputError, JoulecastError, UnknownNameError, shown
from joulecast.footprint.place import PLACE_KEYS
from joulecast.forecast.estimate import resolve_law
from joulecast.forecast.predictor import NUMBERS, OF_CLIPS, RENDERED_FRAMES, Predictor
from joulecast.question.setting import KEYS, key_of, refuse_work
from joulecast.question.table import REQUIRED
from joulecast.question.vocabulary import refused_name
from joulecast.web.asking import IMAGES, MOST_KEYS, Body, Defaults

MOST_ROWS: Final = 10_000
NAME_LENGTH: Final = 100  # characters of a name that are compared with others
_NUMBERS: Final = (*NUMBERS, *OF_CLIPS)
OF_ONE: Final = (*PLACE_KEYS, IMAGES, "law")  # what is asked of one request, or beside many


class BatchRow(msgspec.Struct, omit_defaults=True, gc=False):
    """A row's answer: numbers as of one estimate, null where there is none, and then `error` says why.

    What is said of clips is left out of images, and words that are empty. `assumed` says what was not given
    and what was taken, `warning` where the number deserves doubt.
    """

    energy_j: float | None
    energy_low_j: float | None
    energy_high_j: float | None
    duration_s: float | None
    duration_low_s: float | None
    duration_high_s: float | None
    flop: float | None
    memory_bytes: float | None
    rendered_frames: int | None = None
    clip_s: float | None = None
    energy_per_second_of_video_j: float | None = None
    energy_per_second_of_video_low_j: float | None = None
    energy_per_second_of_video_high_j: float | None = None
    assumed: str = ""
    warning: str = ""
    error: str = ""


class BatchAnswer(msgspec.Struct):
    """The answers of many requests, in order, the law that gave them, and how many have none."""

    law: str
    failed: int
    estimates: list[BatchRow]


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Many requests, and the law that answers all of them."""

    requests: list[Body]
    law: str | None = None


def answered(batch: Batch, defaults: Defaults) -> bytes:
    """The answer, encoded. Raises InputError for too many rows, UnknownNameError for a law there is not."""
    rows = batch.requests
    if not 1 <= len(rows) <= MOST_ROWS:
        raise InputError(f"a batch has from 1 to {MOST_ROWS:,} requests, not {len(rows):,}")
    law = resolve_law(batch.law)
    columns, errors = columns_of(rows, defaults)
    found = Predictor(law).predict(columns)
    if found[RENDERED_FRAMES].mask.all():  # no clips: nothing is said of them
        found |= dict.fromkeys(OF_CLIPS, np.full(len(rows), None))
    cells = (found[name].tolist() for name in (*_NUMBERS, "assumed", "warning", "error"))
    answers = [BatchRow(*row) for row in zip(*cells, strict=True)]
    for place, words in errors.items():
        answers[place] = _refused(words)
    failed = sum(bool(answer.error) for answer in answers)
    return msgspec.json.encode(BatchAnswer(law.name, failed, answers))


def _refused(words: str) -> BatchRow:
    return BatchRow(None, None, None, None, None, None, None, None, error=words)


def columns_of(rows: Sequence[Body], defaults: Defaults) -> tuple[dict[str, list[object]], dict[int, str]]:
    """Requests as columns by key, None where a request says nothing; and what is wrong with rows' keys."""
    errors: dict[int, str] = {}
    places: dict[tuple[str, ...], list[int]] = {}  # of the rows that have the same names
    for place, row in enumerate(rows):
        places.setdefault(tuple(row), []).append(place)
    columns: dict[str, list[object]] = {name: [None] * len(rows) for name in REQUIRED}
    for names, members in places.items():
        own = [rows[place] for place in members]
        keys = zip(names, _keys(names, own, members, errors), strict=True)
        for name, key in ((name, key) for name, key in keys if key):
            cells = _cells([row[name] for row in own])
            if len(members) == len(rows):
                columns[key] = cells
            else:
                column = columns.setdefault(key, [None] * len(rows))
                for place, cell in zip(members, cells, strict=True):
                    column[place] = cell
    for name, value in vars(defaults).items():
        if value is not None:
            given = columns.setdefault(name, [None] * len(rows))
            columns[name] = [value if cell is None else cell for cell in given]
    return columns, errors


def _keys(
    names: Sequence[str], rows: Sequence[Body], places: Sequence[int], errors: dict[int, str]
) -> list[str]:
    """The key of each name, empty where it has none; rows that ask for what no key is are told so."""
    if len(names) > MOST_KEYS:
        errors |= dict.fromkeys(places, f"a request has at most {MOST_KEYS} keys, not {len(names):,}")
        return [""] * len(names)
    found = [key_of(name) or "" for name in names]
    for key in {key for key in found if key and found.count(key) > 1}:
        twice = [name for name, one in zip(names, found, strict=True) if one == key]
        errors |= dict.fromkeys(places, f"{key} is given twice, as {twice[1]} too")
    for name, key in zip(names, found, strict=True):
        for place, row in zip(places, rows, strict=True) if not key else ():
            if place not in errors and (words := _refusal(name, row[name])):
                errors[place] = words
    return found


def _refusal(name: str, value: object) -> str:
    if value is None:
        return ""
    if name in OF_ONE:
        return f"{name} is of one request, or beside many: a batch answers with energy and time alone"
    if refused_name(name) is None:
        return _unknown(name)
    try:
        refuse_work(name, value, choices=KEYS)
    except JoulecastError as error:
        return str(error)
    return ""


@lru_cache(maxsize=1024)
def _unknown(name: str) -> str:
    """That no setting has a key, and which are near: what takes long, and is the same for many rows."""
    return str(UnknownNameError("setting", name[:NAME_LENGTH], KEYS))


def _cells(values: list[object]) -> list[object]:
    """Cells as a table has them: a pair of sides, or degrees by name, is text there."""
    if {list, dict}.isdisjoint(map(type, values)):
        return values
    return [_written(value) if isinstance(value, list | dict) else value for value in values]


def _written(value: list[int] | dict[str, int]) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={degree}" for name, degree in value.items())
    return f"{value[0]}x{value[1]}" if len(value) == 2 else shown(value)
