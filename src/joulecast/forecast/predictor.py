"""Many questions, predicted in columns: rows of one model and precision together, in chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import PRECISIONS, WorkloadColumns
from joulecast.boundary import BOUNDARIES
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError, JoulecastError, near_matches, shown
from joulecast.files.columns import Words
from joulecast.forecast import caveats
from joulecast.forecast.answer import DYNAMIC, Answer, answer, no_answer
from joulecast.forecast.estimate import LawChoice, resolve_law
from joulecast.hardware import Gpu
from joulecast.law.law import GpuColumns, Law, LawInput
from joulecast.question.headers import keys_of
from joulecast.question.neighbours import neighbour
from joulecast.question.question import Question
from joulecast.question.questions import SEPARATOR, Device, Questions, questions_of
from joulecast.question.table import REQUIRED, TableReader
from joulecast.runtime import Runtime
from joulecast.uncertainty import Interval

NUMBERS = (
    "energy_j", "energy_low_j", "energy_high_j", "duration_s", "duration_low_s", "duration_high_s", "flop",
    "peak_memory_bytes",
)  # fmt: skip
PER_SECOND = "energy_per_second_of_video_j"
PER_SECOND_LOW, PER_SECOND_HIGH = "energy_per_second_of_video_low_j", "energy_per_second_of_video_high_j"
RENDERED_FRAMES, CLIP_S = "rendered_frames", "clip_s"
OF_CLIPS = (RENDERED_FRAMES, CLIP_S, PER_SECOND, PER_SECOND_LOW, PER_SECOND_HIGH)  # empty for images
OUTPUTS = (*NUMBERS, *OF_CLIPS, "law", "assumed", "warning", "error")
MOST_THREADS = 4
CHUNK = 8_192  # workloads evaluated at a time: many for each GPU, and their arrays still fit the cache

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
MaskedRows = np.ma.MaskedArray[Any, np.dtype[np.int64]]


def check_columns(names: list[str], where: str = "the table") -> None:
    """Raise InputError where a needed column is missing, two say the same, or an output's name is taken."""
    found = keys_of(names)
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        other = neighbour(names)
        if other:
            raise InputError(
                f"{where} has no column {', '.join(missing)}: {other}; `joulecast footprint` takes that"
            )
        near = near_matches(missing[0], names, most=1)
        there = f"; is it {shown(near[0])}?" if near else f"; found: {', '.join(map(shown, names[:8]))}"
        raise InputError(f"{where} has no column {', '.join(missing)} (needed: {', '.join(REQUIRED)}){there}")
    taken = [name for name in OUTPUTS if name in names]
    if taken:
        raise InputError(
            f"{where} already has {', '.join(taken)}, which predict adds; rename or drop what is there first"
        )


@dataclass(frozen=True)
class Predicted:
    """The answers of many questions: `table` by row and number of NUMBERS, nan where `error` has words.

    A row's numbers lie together, because rows of one model are scattered over the table.
    """

    table: Floats
    warning: Words
    error: Words

    @classmethod
    def none(cls, questions: Questions) -> Predicted:
        """No answer yet; the errors of the questions."""
        rows = len(questions)
        table = np.full((rows, len(NUMBERS)), np.nan)
        return cls(table, np.full(rows, "", dtype=object), questions.error.copy())

    @property
    def numbers(self) -> dict[str, Floats]:
        """The columns of the table by name."""
        return dict(zip(NUMBERS, np.ascontiguousarray(self.table.T), strict=True))

    def energy_j(self, row: int) -> Interval:
        """GPU energy of one image or clip of a row [J], with its 90 % interval."""
        return self._interval(row, "energy_low_j", "energy_j", "energy_high_j")

    def duration_s(self, row: int) -> Interval:
        """Time of one batch of a row [s], with its 90 % interval."""
        return self._interval(row, "duration_low_s", "duration_s", "duration_high_s")

    def _interval(self, row: int, *names: str) -> Interval:
        return Interval(*(float(self.table[row, NUMBERS.index(name)]) for name in names))

    def refuse(self, rows: Rows, words: str | Words) -> None:
        """Say why rows have no answer; what numbers they have are taken back."""
        self.error[rows], self.warning[rows] = words, ""
        self.table[rows] = np.nan

    def fill(self, rows: Rows, found: Answer, warning: Words) -> None:
        """Take the answers of rows."""
        self.warning[rows] = warning
        self.table[rows] = np.array([getattr(found, name) for name in NUMBERS]).T


@dataclass(frozen=True)
class _Chunk:
    """Rows of one model, precision and runtime."""

    profile: ComputeProfile
    precision: str
    runtime: Runtime
    rows: Rows


class Predictor:
    """Predicts tables of workloads with one law; remembers the names it has looked up."""

    def __init__(self, law: Law) -> None:
        self.law = law
        self._reader = TableReader()

    def predict(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The output columns for a table; see `predict`."""
        check_columns(list(columns))
        questions = self._reader.read(columns)
        found = self.answers(questions)
        numbers = found.numbers
        return {
            **numbers,
            **_of_clips(questions, numbers),
            "law": np.full(len(questions), self.law.name),
            "assumed": questions.assumed,
            "warning": found.warning,
            "error": found.error,
        }

    def answers(self, questions: Questions) -> Predicted:
        """The answer of every question that is one, on as many threads as there are cores."""
        found = Predicted.none(questions)
        tasks = list(_chunks(questions, np.flatnonzero(questions.error == "")))
        run = partial(self._answer_chunk, questions.devices, _asked(questions), found)
        if len(tasks) < 2:
            for task in tasks:
                run(task)
            return found
        from concurrent.futures import ThreadPoolExecutor  # only here: an import saved for small tables

        with ThreadPoolExecutor(max_workers=min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            for _ in pool.map(run, tasks):
                pass
        return found

    def _answer_chunk(
        self, known: Sequence[Device], asked: NDArray[np.int32], found: Predicted, chunk: _Chunk
    ) -> None:
        rows = chunk.rows
        gpu, boundary, *columns = asked[rows].T.astype(np.int64, order="C")
        devices, index = _met(known, gpu)
        workloads = WorkloadColumns(*columns)
        is_dynamic = boundary == DYNAMIC
        problem = _problems(chunk, workloads, devices, index)
        if problem is not None:
            is_bad = problem != ""
            found.error[rows[is_bad]] = problem[is_bad]
            kept = np.flatnonzero(~is_bad)
            if not kept.size:
                return
            rows, workloads, index, is_dynamic = (
                rows[kept], workloads.take(kept), index[kept], is_dynamic[kept],
            )  # fmt: skip
        on_gpu = GpuColumns(tuple(device.gpu for device in devices), index)
        of_law = LawInput(chunk.profile, workloads, chunk.precision, on_gpu, chunk.runtime)
        try:
            one = answer(self.law, of_law, is_dynamic)
            found.fill(rows, one, self._warnings(chunk, on_gpu, devices, is_dynamic, one.doubts))
        except JoulecastError as error:
            found.refuse(rows, str(error))
            return
        if not one.is_usable.all():
            found.refuse(rows[~one.is_usable], no_answer(self.law))

    def _warnings(
        self,
        chunk: _Chunk,
        on_gpu: GpuColumns,
        devices: Sequence[Device],
        is_dynamic: NDArray[np.bool_],
        doubts: Mapping[str, NDArray[np.bool_]],
    ) -> Words:
        """Warnings of each workload: the few combinations of words that occur, then looked up."""
        known = caveats.known_of(self.law, chunk.profile, on_gpu.gpus, chunk.precision, chunk.runtime)
        masked = [words for words, mask in doubts.items() if mask.any()]
        code = on_gpu.index * len(BOUNDARIES) + is_dynamic
        for words in masked:
            code = code * 2 + doubts[words]
        occurs, index = np.unique(code, return_inverse=True)
        held = cache(partial(_held, masked))

        @cache
        def of_pair(pair: int) -> str:
            place, boundary = divmod(pair, len(BOUNDARIES))
            device = devices[place]
            told = caveats.pair_caveats(
                chunk.profile, device.gpu, chunk.precision, BOUNDARIES[boundary], known[place], chunk.runtime
            )
            return SEPARATOR.join(filter(None, (device.ambiguity, *told)))

        told = np.empty(len(occurs), dtype=object)
        pairs, bits = np.divmod(occurs, 1 << len(masked))
        told[:] = [_both(of_pair(a), held(b)) for a, b in zip(pairs.tolist(), bits.tolist(), strict=True)]
        found: Words = told[index]
        return found


def _of_clips(questions: Questions, numbers: Mapping[str, Floats]) -> dict[str, Floats | MaskedRows]:
    """The columns OF_CLIPS: frames, and numbers; masked and nan for images and where there is no answer."""
    makes_clips = np.array([profile.frames is not None for profile in questions.profiles], dtype=bool)
    is_clip = np.isfinite(numbers["energy_j"])
    is_clip[is_clip] = makes_clips[questions.model[is_clip]]
    clip_s = np.where(is_clip, questions.clip_s(), np.nan)
    return {
        RENDERED_FRAMES: np.ma.masked_array(questions.rendered_frames(), ~is_clip),
        CLIP_S: clip_s,
        PER_SECOND: numbers["energy_j"] / clip_s,
        PER_SECOND_LOW: numbers["energy_low_j"] / clip_s,
        PER_SECOND_HIGH: numbers["energy_high_j"] / clip_s,
    }


def predict_questions(questions: Sequence[Question], law: LawChoice = None) -> Predicted:
    """The answer of every question, in order, predicted in columns."""
    return Predictor(resolve_law(law)).answers(questions_of(questions))


def _chunks(questions: Questions, rows: Rows) -> Iterator[_Chunk]:
    """The rows by model, precision and runtime, at most CHUNK at a time."""
    profiles = questions.profiles
    first = {id(one): place for place, one in reversed(list(enumerate(profiles)))}  # aliases share a model
    same = np.array([first[id(one)] for one in profiles])
    runtimes = questions.runtimes
    key = same[questions.model[rows]] * len(PRECISIONS) + questions.precision[rows]
    if len(runtimes) > 1:
        key = key * len(runtimes) + questions.runtime[rows]
    small = np.min_scalar_type(
        len(profiles) * len(PRECISIONS) * len(runtimes)
    )  # two bytes sort ten times faster than eight
    order = np.argsort(key.astype(small), kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    for part in np.split(order, starts)[1:]:
        kind, runtime = divmod(int(key[part[0]]), len(runtimes))
        model, precision = divmod(kind, len(PRECISIONS))
        for start in range(0, len(part), CHUNK):
            yield _Chunk(
                profiles[model], PRECISIONS[precision], runtimes[runtime], rows[part[start : start + CHUNK]]
            )


def _asked(questions: Questions) -> NDArray[np.int32]:
    """Each row's GPU, boundary and workload, side by side: rows of one model are scattered over the table."""
    q = questions
    workload = (
        q.width, q.height, q.steps, q.passes, q.batch_size, q.text_tokens, q.frames, q.negative_prompt,
    )  # fmt: skip
    return np.stack((q.gpu, q.boundary, *workload), axis=1, dtype=np.int32, casting="same_kind")


def _met(devices: Sequence[Device], gpu: Rows) -> tuple[list[Device], Rows]:
    """The GPUs of rows, and which of them each row is on."""
    occurs = np.zeros(len(devices), dtype=bool)
    occurs[gpu] = True
    index: Rows = (np.cumsum(occurs) - 1)[gpu]
    return [devices[place] for place in np.flatnonzero(occurs).tolist()], index


def _problems(chunk: _Chunk, workloads: WorkloadColumns, devices: list[Device], index: Rows) -> Words | None:
    """Why the GPU or the pipeline would refuse each workload, in the order of `ask`; None for none."""
    refusals = chunk.profile.errors(workloads)
    unsupported = [_unsupported(device.gpu, chunk.precision) for device in devices]
    if not any(refusals) and not any(unsupported):
        return None
    problem = np.array(refusals, dtype=object)
    by_gpu = np.array(unsupported, dtype=object)[index]
    return np.where(by_gpu == "", problem, by_gpu)


def _both(one: str, other: str) -> str:
    """Two texts of warnings, either of which may say nothing."""
    return f"{one}{SEPARATOR}{other}" if one and other else one or other


def _held(masked: Sequence[str], bits: int) -> str:
    """The masked warnings of one combination, of which the last is the lowest bit."""
    return SEPARATOR.join(words for place, words in enumerate(masked, 1) if bits >> len(masked) - place & 1)


def _unsupported(gpu: Gpu, precision: str) -> str:
    """Why a GPU cannot compute in a precision, or an empty string."""
    try:
        gpu.peak_flop_per_s(precision)
    except InputError as error:
        return str(error)
    return ""
