"""Many questions in columns, whatever they came from: a table's rows, or questions that are whole already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import PRECISIONS
from joulecast.boundary import BOUNDARIES
from joulecast.compute.profile import ComputeProfile
from joulecast.files.columns import Words
from joulecast.hardware import Gpu
from joulecast.question.question import Question
from joulecast.runtime import Runtime

SEPARATOR = "; "  # between warnings, and between what was assumed, of a row
NOT_GIVEN = -1

Rows = NDArray[np.int64]
Record = TypeVar("Record")


@dataclass(frozen=True)
class Device:
    """A GPU, the warning that goes with the name it was asked for by, and how many that name says."""

    gpu: Gpu
    ambiguity: str
    count: int = 1


@dataclass(frozen=True)
class Questions:
    """The question of each row, whole numbers of shape (rows,), meaningless where `error` has words.

    Attributes
    ----------
    profiles, devices : what `model` and `gpu` are places in.
    precision, boundary : places in PRECISIONS and BOUNDARIES.
    text_tokens : NOT_GIVEN where the model's own apply.
    negative_prompt : 1 where one is given, else 0.
    frame_rate : frames a second of a clip, nan where that is not known, and of an image.
    runtimes, runtime : distinct runtimes, and the place of every row's.
    error : why a row is no question; empty where it is one.
    assumed : what a row did not give and what was taken instead.
    """

    profiles: Sequence[ComputeProfile]
    devices: Sequence[Device]
    model: Rows
    gpu: Rows
    width: Rows
    height: Rows
    steps: Rows
    passes: Rows
    batch_size: Rows
    precision: Rows
    text_tokens: Rows
    frames: Rows
    negative_prompt: Rows
    boundary: Rows
    frame_rate: NDArray[np.float64]
    error: Words
    assumed: Words
    runtimes: Sequence[Runtime]
    runtime: Rows

    def __len__(self) -> int:
        return len(self.model)

    def rendered_frames(self) -> Rows:
        """Frames that each row's pipeline makes; 1 of an image."""
        made = self.frames.copy()
        for place, profile in enumerate(self.profiles):
            if profile.frames is not None:
                rows = self.model == place
                made[rows] = profile.frames.rendered(self.frames[rows])
        return made

    def clip_s(self) -> NDArray[np.float64]:
        """Seconds of video that each row's clip is played for, as it is made; nan where `frame_rate` is."""
        return self.rendered_frames() / self.frame_rate


def questions_of(asked: Sequence[Question]) -> Questions:
    """Questions that are whole already, in columns."""
    profiles, model = _placed([one.profile for one in asked])
    devices, gpu = _devices(asked)
    runtimes = tuple(dict.fromkeys(one.runtime for one in asked))

    def column(value: Callable[[Question], int]) -> Rows:
        return np.fromiter(map(value, asked), np.int64, len(asked))

    return Questions(
        profiles=profiles,
        devices=devices,
        model=model,
        gpu=gpu,
        width=column(lambda q: q.workload.width),
        height=column(lambda q: q.workload.height),
        steps=column(lambda q: q.workload.steps),
        passes=column(lambda q: q.workload.passes),
        batch_size=column(lambda q: q.workload.batch_size),
        precision=column(lambda q: PRECISIONS.index(q.workload.precision)),
        text_tokens=column(lambda q: NOT_GIVEN if q.workload.text_tokens is None else q.workload.text_tokens),
        frames=column(lambda q: q.workload.frames),
        negative_prompt=column(lambda q: q.workload.negative_prompt),
        boundary=column(lambda q: BOUNDARIES.index(q.boundary)),
        frame_rate=np.array([q.work.frame_rate or np.nan for q in asked], dtype=np.float64),
        error=np.full(len(asked), "", dtype=object),
        assumed=np.full(len(asked), "", dtype=object),
        runtimes=runtimes,
        runtime=column(lambda q: runtimes.index(q.runtime)),
    )


def _devices(asked: Sequence[Question]) -> tuple[list[Device], Rows]:
    """The GPUs of questions, each with the warning its name came with, and every question's place."""
    known: dict[tuple[int, str], Device] = {}
    for one in asked:
        warning = SEPARATOR.join(one.warnings)
        known.setdefault((id(one.gpu), warning), Device(one.gpu, warning))
    place = {key: i for i, key in enumerate(known)}
    index = [place[id(one.gpu), SEPARATOR.join(one.warnings)] for one in asked]
    return list(known.values()), np.array(index, dtype=np.int64)


def _placed(records: Sequence[Record]) -> tuple[list[Record], Rows]:
    """Each distinct record once, told apart by identity, and every one's place among them."""
    place: dict[int, int] = {}
    index = np.fromiter((place.setdefault(id(one), len(place)) for one in records), np.int64, len(records))
    known = {id(one): one for one in records}
    return [known[key] for key in place], index
