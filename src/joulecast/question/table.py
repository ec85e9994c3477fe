"""The questions of a table, in columns: what `joulecast.question.question.ask` is for one setting.

Each column is read as a whole, each distinct name is looked up once, and what takes a default is decided
by the functions of `joulecast.question.question`, once for each kind of row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import PRECISIONS
from joulecast.boundary import BOUNDARIES
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError, JoulecastError, fold, shown
from joulecast.files.columns import Column, Words, distinct, is_missing, length, look_up, text_of
from joulecast.files.paths import is_path
from joulecast.hardware import catalogued
from joulecast.question.gpus import gpu as find_gpu
from joulecast.question.models import catalogue_name, load_profile
from joulecast.question.numbers import whole_numbers
from joulecast.question.question import (
    BATCH_SIZE,
    BOUNDARY,
    ambiguous_gpu,
    precision_notes,
    precision_of,
)
from joulecast.question.questions import NOT_GIVEN, SEPARATOR, Device, Questions, Rows
from joulecast.question.setting import (
    FOLDED_KEYS,
    key_of,
    own_key_of,
    read_boundary,
    read_guidance,
    read_negative_prompt,
    read_precision,
    read_size,
)
from joulecast.question.vocabulary import WORK, key_meant, meant, names_of_keys
from joulecast.units import counted

REQUIRED = ("model", "gpu")
MOST_EXPLAINED = 300  # unknown names for which near matches are sought; that takes a while for each
SIDE = 2**20  # more than any side: a size is one number, width x SIDE + height
NEARLY = 0.8  # likeness of a column's name and a key, of 1, from which it is taken for a slip of the pen
MORE_NEARLY = 0.9  # of a column's name and another's name for a key: there are many
MOST_NAME = 40  # characters of a name that are compared


def keys_of(names: Collection[str]) -> dict[str, str]:
    """The column of each key of a setting, by key.

    A label (``model_name``) is a key's column where no other says the key. InputError where two columns
    mean the same, or one is nearly called like a key that no column has.
    """
    found: dict[str, str] = {}
    for name in names:
        key = own_key_of(name) or key_meant(name, weakly=False)
        if key is not None and key in found:
            raise InputError(
                f"the columns {shown(found[key])} and {shown(name)} both say the {key}: keep one"
            )
        if key is not None:
            found[key] = name
    twice = [side for side in ("width", "height") if side in found]
    if "size" in found and twice:
        raise InputError(f"the columns {shown(found['size'])} and {shown(found[twice[0]])} both say the size")
    for name in names:
        key = key_meant(name)
        if key is not None and key not in said_by(found):
            found[key] = name
    _refuse_slips(names, said_by(found))
    return found


def said_by(keys: Collection[str]) -> set[str]:
    """The keys that columns of `keys` say: both sides say the size, and a size both sides."""
    has_size = "size" in keys or {"width", "height"} <= set(keys)
    return {*keys, *(("size", "width", "height") if has_size else ())}


def _refuse_slips(names: Collection[str], said: Collection[str]) -> None:
    """InputError for a column that is nearly called like a key which no column says."""
    for name in names:
        key = _nearly(fold(name)[:MOST_NAME])
        if key and key not in said and key_of(name) is None and meant(WORK, name) is None:
            raise InputError(f"is the column {shown(name)} the {key}? Name it so, or unlike it")


def _nearly(name: str) -> str:
    """The key that is nearly called so, by its own name or, more nearly, another's; or an empty string."""
    for known, cutoff in ((FOLDED_KEYS, NEARLY), (names_of_keys(), MORE_NEARLY)):
        near = get_close_matches(name, known, n=1, cutoff=cutoff)
        if near:
            return known[near[0]]
    return ""


def refusals_of(columns: Mapping[str, Any], said: Collection[str]) -> Iterator[Words]:
    """Why rows are refused that ask for work which is not predicted, a column after the other.

    A column that only says in another way what a key of `said` says (``aspect_ratio``) is the user's own.
    """
    for name, column in columns.items():
        known = meant(WORK, name)
        if known is None or known.means in said:
            continue
        cells = distinct(column)
        words = np.array([known.refusal(text_of(cell)) for cell in cells.values], dtype=object)
        if len(words):
            yield words[cells.index]


@dataclass
class _Names:
    """What cells of a kind stand for: records, looked up once for each distinct cell."""

    kind: str
    find: Callable[[Any], Any]
    is_listed: Callable[[str], bool]
    records: list[Any] = field(default_factory=list)
    unknown: int = 0

    def __call__(self, value: object) -> int:
        """The place of a cell's record; JoulecastError when there is none."""
        if is_missing(value):
            raise InputError(f"{self.kind} is missing")
        name = text_of(value)
        if not isinstance(name, str):
            raise InputError(f"{self.kind} must be a name, not {shown(name)}")
        if self.unknown > MOST_EXPLAINED and not self.is_listed(name):
            raise InputError(f"unknown {self.kind} {shown(name)}; see `joulecast {self.kind.lower()}s`")
        try:
            record = self.find(name)
        except JoulecastError:
            self.unknown += 1
            raise
        self.records.append(record)
        return len(self.records) - 1


class TableReader:
    """Reads tables block by block; remembers the names it has looked up."""

    def __init__(self) -> None:
        self._models = _Names("model", load_profile, _is_listed_model)
        self._gpus = _Names("GPU", _device, _is_listed_gpu)

    def read(self, columns: Mapping[str, Any]) -> Questions:
        """The question of every row; columns are named as the keys of a `Setting` or their aliases.

        Raises InputError where columns differ in length or say a thing twice.
        """
        rows = length(columns[next(iter(columns))])
        for name in columns:
            if length(columns[name]) != rows:
                raise InputError(
                    f"column {shown(name)} has {length(columns[name])} rows, the first column has {rows}"
                )
        found = keys_of(columns)
        by_key = {key: columns[name] for key, name in found.items()}
        reading = _Reading(by_key, rows, self._models, self._gpus)
        for words in refusals_of(columns, said_by(found)):
            reading.refuse(words != "", words)
        return reading.questions()


class _Reading:
    """One block's columns, read one after the other; what is wrong first with a row is its error."""

    def __init__(self, columns: Mapping[str, Any], rows: int, models: _Names, devices: _Names) -> None:
        self.columns, self.rows = columns, rows
        self.error = np.full(rows, "", dtype=object)
        self.model, self.gpu = self._names("model", models), self._names("gpu", devices)
        self.profiles: list[ComputeProfile] = models.records
        self.devices: list[Device] = devices.records

    def questions(self) -> Questions:
        """The question of every row that is one."""
        width, height = self._sizes()
        steps, passes = self._whole("steps"), self._whole("passes")
        precision = self._named("precision", lambda cell: PRECISIONS.index(read_precision(cell)))
        batch_size, text_tokens = self._whole("batch_size", BATCH_SIZE), self._whole("text_tokens")
        boundary = self._named("boundary", lambda cell: BOUNDARIES.index(read_boundary(cell)))
        negative_given = self._named("negative_prompt", read_negative_prompt)
        negative_prompt = self._filled_negative(negative_given, passes)
        by_guidance, is_asked = self._passes_by_guidance(negative_prompt, negative_given)
        usable = self.error == ""
        self.model, self.gpu = (np.where(usable, column, 0) for column in (self.model, self.gpu))
        if not usable.any():  # no model or GPU may be known at all
            width = height = steps = precision = passes = by_guidance = np.zeros(self.rows, dtype=np.int64)
        filled = Questions(
            profiles=self.profiles,
            devices=self.devices,
            model=self.model,
            gpu=self.gpu,
            width=self._filled(width, lambda profile: profile.defaults.width),
            height=self._filled(height, lambda profile: profile.defaults.height),
            steps=self._filled(steps, lambda profile: profile.defaults.steps),
            passes=np.where(passes == NOT_GIVEN, by_guidance, passes),
            batch_size=batch_size,
            precision=self._filled_precision(precision),
            text_tokens=text_tokens,
            negative_prompt=negative_prompt,
            boundary=np.where(boundary == NOT_GIVEN, BOUNDARIES.index(BOUNDARY), boundary),
            error=self.error,
            assumed=np.full(self.rows, "", dtype=object),
        )
        taken = [column == NOT_GIVEN for column in (width, steps, precision)]
        return replace(filled, assumed=_assumed(filled, *taken, (passes == NOT_GIVEN) & ~is_asked))

    # --- columns, NOT_GIVEN where a cell or the column is missing ---

    def _names(self, key: str, names: _Names) -> Rows:
        if key not in self.columns:
            raise InputError(f"the table has no column {key}")
        return self._checked(look_up(self.columns[key], names))

    def _named(self, key: str, find: Callable[[Any], int]) -> Rows:
        if key not in self.columns:
            return np.full(self.rows, NOT_GIVEN, dtype=np.int64)
        return self._checked(
            look_up(self.columns[key], lambda cell: NOT_GIVEN if is_missing(cell) else find(text_of(cell)))
        )

    def _whole(self, key: str, default: int = NOT_GIVEN) -> Rows:
        if key not in self.columns:
            return np.full(self.rows, default, dtype=np.int64)
        return self._checked(whole_numbers(key, self.columns[key], default))

    def _checked(self, column: Column) -> Rows:
        if column.problem is not None:
            self.refuse(column.problem != "", column.problem)
        return column.values

    def refuse(self, bad: NDArray[np.bool_], words: Words | str) -> None:
        """Note what is wrong with rows that have no error yet."""
        first = bad & (self.error == "")
        self.error[first] = words if isinstance(words, str) else words[first]

    def _sizes(self) -> tuple[Rows, Rows]:
        if "size" in self.columns:
            size = self._named("size", _size)
            width, height = divmod(size, SIDE)
            return np.where(size == NOT_GIVEN, NOT_GIVEN, width), np.where(size == NOT_GIVEN, size, height)
        width, height = self._whole("width"), self._whole("height")
        for side, one, other in (("width", width, height), ("height", height, width)):
            lone = (one == NOT_GIVEN) & (other != NOT_GIVEN)
            if lone.any():
                self.refuse(lone, f"{side} is missing; give both, or size, or neither")
        return width, height

    # --- defaults ---

    def _filled(self, column: Rows, own: Callable[[ComputeProfile], int]) -> Rows:
        """A column whose missing cells take the model's own."""
        missing = column == NOT_GIVEN
        if not missing.any() or not self.profiles:
            return np.maximum(column, 0)
        defaults = np.array([own(profile) for profile in self.profiles], dtype=np.int64)
        return np.where(missing, defaults[self.model], column)

    def _filled_negative(self, given: Rows, passes: Rows) -> Rows:
        """1 where there is a negative prompt: as given, as the authors do, or as the passes given need."""
        own = self._filled(given, lambda profile: profile.defaults.negative_prompt)
        if (passes == NOT_GIVEN).all():
            return own
        for_two = self._filled(np.full_like(given, NOT_GIVEN), lambda p: p.guidance.needs_negative_prompt)
        by_passes = np.maximum(np.maximum(given, 0), for_two * (passes == 2))
        return np.where(passes == NOT_GIVEN, own, by_passes)

    def _passes_by_guidance(self, negative: Rows, negative_given: Rows) -> tuple[Rows, NDArray[np.bool_]]:
        """Passes that guidance and a negative prompt make of each model's rule; which rows gave any."""
        scales: dict[float, int] = {}
        guidance, true_cfg = (self._scale(key, scales) for key in ("guidance", "true_cfg_scale"))
        if not self.profiles:
            return negative, negative_given == NOT_GIVEN
        known = [*scales, None]  # NOT_GIVEN is the last
        kinds, index = _kinds(
            (self.model, guidance % len(known), true_cfg % len(known), negative),
            (len(self.profiles), len(known), len(known), 2),
        )
        made = [
            self.profiles[model].passes(known[scale], known[true], negative_prompt=bool(is_negative))
            for model, scale, true, is_negative in kinds
        ]
        is_asked = (guidance != NOT_GIVEN) | (true_cfg != NOT_GIVEN) | (negative_given != NOT_GIVEN)
        return np.array(made, dtype=np.int64)[index], is_asked

    def _scale(self, key: str, scales: dict[float, int]) -> Rows:
        """Places of a column's scales among all that were met."""
        return self._named(key, lambda cell: scales.setdefault(read_guidance(cell, key), len(scales)))

    def _filled_precision(self, given: Rows) -> Rows:
        """Precisions, the model's own where none is given, which gives way where the GPU lacks it."""
        missing = given == NOT_GIVEN
        if not missing.any():
            return given
        kinds, index = _kinds((self.model, self.gpu), (len(self.profiles), len(self.devices)))
        own = [
            PRECISIONS.index(precision_of(self.profiles[model], self.devices[gpu].gpu))
            for model, gpu in kinds
        ]
        return np.where(missing, np.array(own, dtype=np.int64)[index], given)


def _assumed(filled: Questions, *taken: NDArray[np.bool_]) -> Words:
    """What rows did not give and what was taken instead: size, steps, precision, passes."""
    if not any(flags.any() for flags in taken):
        return filled.assumed
    usable = filled.error == ""
    places = (filled.model, filled.gpu, filled.precision, filled.passes, *(f.astype(np.int64) for f in taken))
    sizes = (len(filled.profiles), len(filled.devices), len(PRECISIONS), 3, *(2 for _ in taken))
    kinds, index = _kinds([np.where(usable, column, 0) for column in places], sizes)
    words = [_assumed_words(filled, *kind) for kind in kinds]
    return np.where(usable, np.array(words, dtype=object)[index], "")


def _assumed_words(
    filled: Questions,
    model: int,
    gpu: int,
    precision: int,
    passes: int,
    size_is_taken: int,
    steps_are_taken: int,
    precision_is_taken: int,
    passes_are_taken: int,
) -> str:
    profile, name = filled.profiles[model], PRECISIONS[precision]
    own, told = profile.defaults, []
    if size_is_taken:
        told.append(f"{own.width}x{own.height}")
    if steps_are_taken:
        told.append(counted(own.steps, "step"))
    if passes_are_taken:
        told.append(f"{passes} denoiser pass{'es' if passes > 1 else ''} a step")
    if precision_is_taken:
        notes = precision_notes(profile, filled.devices[gpu].gpu, name)
        told += notes or [name]
    return SEPARATOR.join(told)


def _kinds(columns: Sequence[Rows], sizes: Sequence[int]) -> tuple[list[tuple[int, ...]], Rows]:
    """The combinations of places that occur, and which of them each row is."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column, size in zip(columns, sizes, strict=True):
        key = key * size + column
    occurs = np.zeros(math.prod(sizes), dtype=bool)
    occurs[key] = True
    codes = np.flatnonzero(occurs)
    place = np.zeros(len(occurs), dtype=np.int64)
    place[codes] = np.arange(len(codes))
    kinds = zip(*(part.tolist() for part in np.unravel_index(codes, sizes)), strict=True)
    return list(kinds), place[key]


# --- cells ---------------------------------------------------------------------------------------


def _size(cell: object) -> int:
    width, height = read_size(cell)
    return width * SIDE + height


def _is_listed_model(name: str) -> bool:
    return is_path(name, ".json") or catalogue_name(name) is not None


def _is_listed_gpu(name: str) -> bool:
    return is_path(name, ".toml") or catalogued(name) is not None


def _device(name: str) -> Device:
    found = find_gpu(name)
    return Device(found, ambiguous_gpu(name, found))
