"""The questions of a table, in columns: what `joulecast.question.question.ask` is for one setting.

Each column is read as a whole, each distinct name is looked up once, and what takes a default is decided
by the functions of `joulecast.question.question`, once for each kind of row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import PRECISIONS
from joulecast.boundary import BOUNDARIES
from joulecast.compute.output import CLIP
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError, shown
from joulecast.files.columns import Words, length
from joulecast.files.paths import is_path
from joulecast.hardware import catalogued
from joulecast.question.assumed import assumed_of
from joulecast.question.cells import Cells, Names, kinds
from joulecast.question.gpus import gpu_and_count
from joulecast.question.headers import is_surely, keys_of, refusals_of, said_by
from joulecast.question.input_rows import read_inputs
from joulecast.question.lengths import frame_rate_of, frames_of, length_note
from joulecast.question.models import catalogue_name, load_profile
from joulecast.question.question import (
    BATCH_SIZE,
    BOUNDARY,
    ambiguous_gpu,
    precision_of,
)
from joulecast.question.questions import NOT_GIVEN, Device, Questions, Rows
from joulecast.question.runtime_rows import read_runtimes
from joulecast.question.setting import (
    read_boundary,
    read_fps,
    read_guidance,
    read_negative_prompt,
    read_precision,
    read_seconds,
)
from joulecast.question.vocabulary import OF_CLIPS
from joulecast.runtime import REFERENCE

REQUIRED = ("model", "gpu")


class TableReader:
    """Reads tables block by block; remembers the names it has looked up."""

    def __init__(self) -> None:
        self._models = Names("model", load_profile, _is_listed_model)
        self._gpus = Names("GPU", _device, _is_listed_gpu)

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
        labels = {key for key, name in found.items() if not is_surely(key, name)}
        reading = _Reading(by_key, rows, self._models, self._gpus, labels)
        for words in refusals_of(columns, said_by(found)):
            reading.refuse(words != "", words)
        for words in refusals_of(columns, said_by(found), OF_CLIPS):
            reading.refuse((words != "") & reading.is_clip, words)
        return reading.questions()


class _Length(NamedTuple):
    """The frames of a kind of row, where none are given; its rate, nan without one.

    `note` is what a length in seconds was taken for, and `problem` what is wrong with them.
    """

    frames: int = 1
    rate: float = math.nan
    note: str = ""
    problem: str = ""


class _Lengths(NamedTuple):
    """Frames and rate of every row, what a length in seconds was taken for, and what is the model's own."""

    frames: Rows
    rate: NDArray[np.float64]
    note: Words
    frames_are_own: NDArray[np.bool_]
    rate_is_own: NDArray[np.bool_]


def _length_of(profile: ComputeProfile, has_frames: int, fps: float | None, seconds: float | None) -> _Length:
    rate = frame_rate_of(profile, fps)
    try:
        frames = frames_of(profile, 1 if has_frames else None, fps, seconds)
    except InputError as error:
        return _Length(problem=str(error))
    note = "" if seconds is None else length_note(profile, seconds, fps, frames)
    return _Length(frames, math.nan if rate is None else rate, note)


class _Reading(Cells):
    """One block's columns as questions, defaults filled in."""

    def __init__(
        self,
        columns: Mapping[str, Any],
        rows: int,
        models: Names,
        devices: Names,
        labels: Collection[str] = (),
    ) -> None:
        super().__init__(columns, rows, labels)
        self.model, self.gpu = self.names("model", models), self.names("gpu", devices)
        self.profiles: list[ComputeProfile] = models.records
        self.devices: list[Device] = devices.records

    def questions(self) -> Questions:
        """The question of every row that is one."""
        inputs, runtimes = read_inputs(self), read_runtimes(self)
        self.model = inputs.models(self.model, self.profiles, self.refuse)
        width, height = self.sizes()
        steps, passes = self.whole("steps"), self.whole("passes")
        precision = self.named("precision", lambda cell: PRECISIONS.index(read_precision(cell)))
        batch_size, text_tokens = self.whole("batch_size", BATCH_SIZE), self.whole("text_tokens")
        boundary = self.named("boundary", lambda cell: BOUNDARIES.index(read_boundary(cell)))
        negative_given = self.named("negative_prompt", read_negative_prompt)
        negative_prompt = self._filled_negative(negative_given, passes)
        by_guidance, is_asked = self._passes_by_guidance(negative_prompt, negative_given)
        lengths = self._lengths()
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
            frames=lengths.frames,
            negative_prompt=negative_prompt,
            boundary=np.where(boundary == NOT_GIVEN, BOUNDARIES.index(BOUNDARY), boundary),
            frame_rate=lengths.rate,
            error=self.error,
            assumed=np.full(self.rows, "", dtype=object),
            runtimes=(REFERENCE,),
            runtime=np.zeros(self.rows, dtype=np.int64),
        )
        filled, notes = inputs.made(filled, self.refuse)
        filled, of_runtimes = runtimes.made(filled, self.refuse)
        taken = [column == NOT_GIVEN for column in (width, steps, precision)]
        taken += [(passes == NOT_GIVEN) & ~is_asked, lengths.frames_are_own, lengths.rate_is_own]
        return replace(filled, assumed=assumed_of(filled, (*notes, lengths.note, *of_runtimes), *taken))

    # --- defaults ---

    def _lengths(self) -> _Lengths:
        """Frames and rates, each kind of row being asked for once: a model, a rate and a length."""
        if not self._may_be_of_clips:
            nowhere, no_words = np.zeros(self.rows, dtype=bool), np.full(self.rows, "", dtype=object)
            ones, no_rate = np.ones(self.rows, dtype=np.int64), np.full(self.rows, np.nan)
            return _Lengths(ones, no_rate, no_words, nowhere, nowhere)
        given = self._of_clips("frames", self.whole("frames"))
        rates: dict[float, int] = {}
        lengths: dict[float, int] = {}
        fps = self._of_clips("fps", self.placed("fps", read_fps, rates))
        seconds = self._of_clips("seconds", self.placed("seconds", read_seconds, lengths))
        fps_by_place, s_by_place = [*rates, None], [*lengths, None]  # NOT_GIVEN is the last
        sizes = (len(self.profiles), 2, len(fps_by_place), len(s_by_place))
        is_given = given != NOT_GIVEN
        kinds_of_length, index = kinds((self.model, is_given, fps % sizes[2], seconds % sizes[3]), sizes)
        asked = [
            _length_of(self.profiles[model], has_frames, fps_by_place[rate], s_by_place[length])
            for model, has_frames, rate, length in kinds_of_length
        ]
        problem = np.array([one.problem for one in asked], dtype=object)[index]
        if any(one.problem for one in asked):
            self.refuse(problem != "", problem)
        rate = np.array([one.rate for one in asked])[index]
        return _Lengths(
            frames=np.where(is_given, given, np.array([one.frames for one in asked])[index]),
            rate=rate,
            note=np.array([one.note for one in asked], dtype=object)[index],
            frames_are_own=self.is_clip & ~is_given & (seconds == NOT_GIVEN),
            rate_is_own=self.is_clip & (fps == NOT_GIVEN) & (seconds == NOT_GIVEN) & ~np.isnan(rate),
        )

    @property
    def _may_be_of_clips(self) -> bool:
        """Whether any model that is known makes clips, or a column asks for the length of one."""
        is_asked = any(key in self.columns for key in ("frames", "fps", "seconds"))
        return any(is_asked or profile.output == CLIP for profile in self.profiles)

    @property
    def is_clip(self) -> NDArray[np.bool_]:
        """Whether each row's model makes clips."""
        makes_clips = [profile.output == CLIP for profile in self.profiles] or [False]
        return np.array(makes_clips)[self.model]

    def _of_clips(self, key: str, column: Rows) -> Rows:
        """What a column says of clips; of images nothing, where its name may be the user's own."""
        return np.where(self.is_clip, column, NOT_GIVEN) if key in self.labels else column

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
        guidance, true_cfg = (
            self.placed(key, partial(read_guidance, name=key), scales)
            for key in ("guidance", "true_cfg_scale")
        )
        if not self.profiles:
            return negative, negative_given == NOT_GIVEN
        known = [*scales, None]  # NOT_GIVEN is the last
        asked, index = kinds(
            (self.model, guidance % len(known), true_cfg % len(known), negative),
            (len(self.profiles), len(known), len(known), 2),
        )
        made = [
            self.profiles[model].passes(known[scale], known[true], negative_prompt=bool(is_negative))
            for model, scale, true, is_negative in asked
        ]
        is_asked = (guidance != NOT_GIVEN) | (true_cfg != NOT_GIVEN) | (negative_given != NOT_GIVEN)
        return np.array(made, dtype=np.int64)[index], is_asked

    def _filled_precision(self, given: Rows) -> Rows:
        """Precisions, the model's own where none is given, which gives way where the GPU lacks it."""
        missing = given == NOT_GIVEN
        if not missing.any():
            return given
        asked, index = kinds((self.model, self.gpu), (len(self.profiles), len(self.devices)))
        own = [
            PRECISIONS.index(precision_of(self.profiles[model], self.devices[gpu].gpu))
            for model, gpu in asked
        ]
        return np.where(missing, np.array(own, dtype=np.int64)[index], given)


def _is_listed_model(name: str) -> bool:
    return is_path(name, ".json") or catalogue_name(name) is not None


def _is_listed_gpu(name: str) -> bool:
    return is_path(name, ".toml") or catalogued(name) is not None


def _device(name: str) -> Device:
    found, count = gpu_and_count(name)
    return Device(found, ambiguous_gpu(name, found), count)
