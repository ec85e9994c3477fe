"""A table of workloads, predicted in columns: rows of one model and precision together, in chunks.

Columns read: ``model`` (name, alias, hub id or profile file), ``gpu`` (name, alias or GPU file),
``width``, ``height`` [pixels], ``steps``; optional ``batch_size`` (1), ``passes`` (the model's own
rule at its default guidance, without a negative prompt), ``precision`` (``fp16``), ``text_tokens``
(the model's own), ``boundary`` (``gross``). Every other column is kept as it is. Columns added:
OUTPUTS. An input that has one of these already is refused: measured values are never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import PRECISIONS, WorkloadColumns, check_precision
from joulecast.boundary import BOUNDARIES, check_boundary
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError, JoulecastError, fold, near_matches, shown
from joulecast.files.columns import Column, Words, is_missing, length, look_up, text_of
from joulecast.files.paths import is_path
from joulecast.forecast import caveats
from joulecast.forecast.estimate import LawChoice, no_answer, resolve_law
from joulecast.hardware import Gpu, gpus
from joulecast.hardware import gpu as find_gpu
from joulecast.law.law import GpuColumns, Law, Prediction
from joulecast.question.models import catalogue_name, load_profile
from joulecast.question.numbers import whole_numbers
from joulecast.question.question import ambiguous_gpu

REQUIRED = ("model", "gpu", "width", "height", "steps")
OPTIONAL = ("batch_size", "passes", "precision", "text_tokens", "boundary")
NUMBERS = (
    "energy_j", "energy_low_j", "energy_high_j", "duration_s", "duration_low_s", "duration_high_s", "flop",
)  # fmt: skip
OUTPUTS = (*NUMBERS, "law", "warning", "error")
DEFAULT_PRECISION = "fp16"
SEPARATOR = "; "
MOST_THREADS = 4
CHUNK = 8_192  # workloads evaluated at a time: their arrays fit the processor's cache
MOST_EXPLAINED = 300  # unknown names for which near matches are sought; that takes a while for each

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def predict(table: Mapping[str, Any] | str | os.PathLike[str], *, law: LawChoice = None) -> dict[str, Any]:
    """Energy, time and compute of every workload of a table.

    Parameters
    ----------
    table : columns by name (lists or one-dimensional arrays, all of the same length), or the path of
        a CSV or Parquet file; see this module's docstring for the columns.
    law : name of a packaged law, path of a law file, or a law; None for the default law.

    Returns
    -------
    The input's columns as they were (a CSV file's as text), and arrays of shape (rows,):
    ``energy_j``, ``energy_low_j``, ``energy_high_j`` [J, of one image, 90 % interval], ``duration_s``,
    ``duration_low_s``, ``duration_high_s`` [s, of one batch, 90 % interval], ``flop`` [FLOP, of one
    image], nan where a row cannot be predicted; ``law`` (its name), ``warning`` (where the number
    deserves doubt) and ``error`` (why there is none), text.

    Raises
    ------
    InputError
        A required column is missing, columns differ in length, or an output's name is taken.
    FileFormatError
        The file is no CSV or Parquet file, is cut, or its rows are ragged.
    UnknownNameError
        There is no such law.
    """
    if isinstance(table, str | os.PathLike):
        from joulecast.forecast.files import read_table

        columns = read_table(table)
    else:
        columns = columns_of(table)
    return {**columns, **Predictor(resolve_law(law)).predict(columns)}


def columns_of(table: Any) -> dict[str, Any]:
    """The columns of a mapping or a data frame by name; InputError when it is neither."""
    names = table.keys() if hasattr(table, "keys") else getattr(table, "columns", None)
    if names is None or isinstance(names, Callable):  # type: ignore[arg-type]
        raise InputError(f"a table is a mapping of columns or the path of a file, not {shown(table)}")
    return {str(name): table[name] for name in names}


def check_columns(names: list[str], where: str = "the table") -> None:
    """Raise InputError where a required column is missing or an output's name is taken."""
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        near = near_matches(missing[0], names, most=1)
        found = f"; is it {shown(near[0])}?" if near else f"; found: {', '.join(map(shown, names[:8]))}"
        raise InputError(f"{where} has no column {', '.join(missing)} (needed: {', '.join(REQUIRED)}){found}")
    taken = [name for name in OUTPUTS if name in names]
    if taken:
        raise InputError(
            f"{where} already has {', '.join(taken)}, which predict adds; rename or drop what is there first"
        )


@dataclass
class _Names:
    """Names of a kind that were looked up so far, and the records they stand for."""

    kind: str
    find: Callable[[str], Any]
    is_listed: Callable[[str], bool]
    records: list[Any] = field(default_factory=list)
    unknown: int = 0

    def __call__(self, value: object) -> int:
        """The place of a name's record; JoulecastError when there is none."""
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


@dataclass(frozen=True)
class _Device:
    """A GPU and the warning that goes with the name it was asked for by."""

    gpu: Gpu
    ambiguity: str


@dataclass(frozen=True)
class _Chunk:
    """Rows of one model and precision."""

    profile: ComputeProfile
    precision: str
    rows: Rows


@dataclass
class _Answers:
    """The output columns, filled group by group."""

    numbers: dict[str, Floats]
    warning: Words
    error: Words

    @classmethod
    def empty(cls, rows: int) -> _Answers:
        numbers = {name: np.full(rows, np.nan) for name in NUMBERS}
        return cls(numbers, np.full(rows, "", dtype=object), np.full(rows, "", dtype=object))

    def refuse(self, column: Column) -> None:
        """Note a column's problems where a row has none yet."""
        if column.problem is not None:
            first = (self.error == "") & (column.problem != "")
            self.error[first] = column.problem[first]

    def refuse_rows(self, rows: Rows, words: str) -> None:
        """Take back the numbers of rows, and say why."""
        self.error[rows], self.warning[rows] = words, ""
        for numbers in self.numbers.values():
            numbers[rows] = np.nan


class Predictor:
    """Predicts tables of workloads with one law; remembers the names it has looked up."""

    def __init__(self, law: Law) -> None:
        self.law = law
        self._models = _Names("model", load_profile, _is_listed_model)
        self._gpus = _Names("GPU", _device, _is_listed_gpu)

    def predict(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The output columns for a table; see `predict`."""
        check_columns(list(columns))
        rows = length(columns["model"])
        for name in columns:
            if length(columns[name]) != rows:
                raise InputError(
                    f"column {shown(name)} has {length(columns[name])} rows, column 'model' has {rows}"
                )
        answers = _Answers.empty(rows)
        checked = self._checked(columns, rows)
        for column in checked.values():
            answers.refuse(column)
        values = {name: column.values for name, column in checked.items()}
        self._answer(values, answers)
        law = np.full(rows, self.law.name)
        return {**answers.numbers, "law": law, "warning": answers.warning, "error": answers.error}

    def _checked(self, columns: Mapping[str, Any], rows: int) -> dict[str, Column]:
        """Every column used, as numbers: names as places in their tables, defaults filled in."""
        zeros = Column(np.zeros(rows, dtype=np.int64))

        def of(name: str, check: Callable[[Any], Column], default: int) -> Column:
            return check(columns[name]) if name in columns else Column(zeros.values + default)

        def numbers(name: str, default: int | None) -> Column:
            return of(name, lambda column: whole_numbers(name, column, default), default or 0)

        return {
            "model": look_up(columns["model"], self._models),
            "gpu": look_up(columns["gpu"], self._gpus),
            **{name: numbers(name, None) for name in ("width", "height", "steps")},
            "batch_size": numbers("batch_size", 1),
            "passes": numbers("passes", 0),
            "text_tokens": numbers("text_tokens", -1),
            "precision": of(
                "precision", partial(look_up, find=_precision), PRECISIONS.index(DEFAULT_PRECISION)
            ),
            "boundary": of("boundary", partial(look_up, find=_boundary), 0),
        }

    def _answer(self, values: Mapping[str, Rows], answers: _Answers) -> None:
        """Fill the answers of all rows that have no error yet, on as many threads as there are cores."""
        tasks = list(self._chunks(values, np.flatnonzero(answers.error == "")))
        run = partial(self._answer_chunk, values, answers)
        if len(tasks) < 2:
            for task in tasks:
                run(task)
            return
        from concurrent.futures import ThreadPoolExecutor  # only here: an import saved for small tables

        with ThreadPoolExecutor(max_workers=min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            for _ in pool.map(run, tasks):
                pass

    def _chunks(self, values: Mapping[str, Rows], rows: Rows) -> Iterator[_Chunk]:
        """The rows by model and precision, at most CHUNK at a time."""
        if not rows.size:
            return
        models = self._models.records
        first = {
            id(model): place for place, model in reversed(list(enumerate(models)))
        }  # aliases share a model
        same = np.array([first[id(model)] for model in models])
        key = same[values["model"][rows]] * len(PRECISIONS) + values["precision"][rows]
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        for part in np.split(order, starts[1:]):
            model, precision = divmod(int(key[part[0]]), len(PRECISIONS))
            for start in range(0, len(part), CHUNK):
                yield _Chunk(models[model], PRECISIONS[precision], rows[part[start : start + CHUNK]])

    def _answer_chunk(self, values: Mapping[str, Rows], answers: _Answers, chunk: _Chunk) -> None:
        rows, precision = chunk.rows, chunk.precision
        asked, index = np.unique(values["gpu"][rows], return_inverse=True)
        devices = [self._gpus.records[place] for place in asked]
        workloads = _workloads(values, chunk)
        problem = _problems(chunk, workloads, devices, index)
        if problem is not None:
            answers.error[rows] = problem
            kept = np.flatnonzero(problem == "")
            if not kept.size:
                return
            rows, workloads, index = rows[kept], workloads.take(kept), index[kept]
        on_gpu = GpuColumns(tuple(device.gpu for device in devices), index)
        is_dynamic = values["boundary"][rows] == BOUNDARIES.index("dynamic")
        try:
            gross = self.law.predict(chunk.profile, workloads, precision, on_gpu)
            flop = sum(chunk.profile.flop(workloads, precision).values(), np.zeros(len(rows)))
        except JoulecastError as error:
            answers.error[rows] = str(error)
            return
        answers.warning[rows] = self._warnings(chunk, workloads, on_gpu, devices, is_dynamic, gross)
        energy, half_width = _within_boundary(gross, is_dynamic, workloads)
        spread = np.exp(half_width)
        seconds, seconds_spread = gross.duration_s, np.exp(gross.duration_log_half_width)
        times = (seconds, seconds / seconds_spread, seconds * seconds_spread)
        found = (energy, energy / spread, energy * spread, *times, flop / workloads.batch_size)
        for name, numbers in zip(NUMBERS, found, strict=True):
            answers.numbers[name][rows] = numbers
        usable = np.isfinite(energy) & (energy > 0) & np.isfinite(gross.duration_s) & (gross.duration_s > 0)
        if not usable.all():
            answers.refuse_rows(rows[~usable], no_answer(self.law))

    def _warnings(
        self,
        chunk: _Chunk,
        workloads: WorkloadColumns,
        on_gpu: GpuColumns,
        devices: list[_Device],
        is_dynamic: NDArray[np.bool_],
        gross: Prediction,
    ) -> Words:
        """Warnings of each workload: the few combinations of words that occur, then looked up."""
        known = self.law.familiarity(chunk.profile, on_gpu.gpus)
        pairs = [
            [d.ambiguity] * bool(d.ambiguity)
            + caveats.pair_caveats(chunk.profile, d.gpu, chunk.precision, boundary, familiarity)
            for d, familiarity in zip(devices, known, strict=True)
            for boundary in BOUNDARIES
        ]
        power = gross.energy_j * workloads.batch_size / gross.duration_s
        masks = {
            **caveats.workload_caveats(chunk.profile, workloads),
            **caveats.power_caveat(power, on_gpu.column(lambda gpu: gpu.tdp_w)),
            **self.law.outside(chunk.profile, workloads, chunk.precision, on_gpu),
        }
        code = on_gpu.index * len(BOUNDARIES) + is_dynamic
        for mask in masks.values():
            code = code * 2 + mask
        codes, place = np.unique(code, return_inverse=True)
        return np.array([_joined(pairs, list(masks), int(c)) for c in codes], dtype=object)[place]


def _problems(chunk: _Chunk, workloads: WorkloadColumns, devices: list[_Device], index: Rows) -> Words | None:
    """Why the pipeline or the GPU would refuse each workload; None when none is refused."""
    refusals = chunk.profile.errors(workloads)
    unsupported = [_unsupported(device.gpu, chunk.precision) for device in devices]
    if not any(refusals) and not any(unsupported):
        return None
    problem = np.array(refusals, dtype=object)
    by_gpu = np.array(unsupported, dtype=object)[index]
    return np.where(problem == "", by_gpu, problem)


def _within_boundary(
    gross: Prediction, is_dynamic: NDArray[np.bool_], workloads: WorkloadColumns
) -> tuple[Floats, Floats]:
    """Energy of one image [J] and the log half-width of its interval, each row in its own boundary."""
    if not is_dynamic.any():
        return gross.energy_j, gross.log_half_width
    dynamic = gross.dynamic(workloads.batch_size)
    return (
        np.where(is_dynamic, dynamic.energy_j, gross.energy_j),
        np.where(is_dynamic, dynamic.log_half_width, gross.log_half_width),
    )


def _workloads(values: Mapping[str, Rows], chunk: _Chunk) -> WorkloadColumns:
    rows, profile = chunk.rows, chunk.profile
    own_passes = profile.guidance.passes(profile.defaults.guidance, negative_prompt=False)
    columns = {name: values[name][rows] for name in ("width", "height", "steps", "batch_size", "text_tokens")}
    passes = np.where(values["passes"][rows] == 0, own_passes, values["passes"][rows])
    return WorkloadColumns(**columns, passes=passes, frames=np.ones(len(rows), dtype=np.int64))


def _joined(pairs: list[list[str]], masked: list[str], code: int) -> str:
    """The words of one combination: a pair's number, then a bit for each masked warning."""
    held = [words for bit, words in enumerate(reversed(masked)) if code >> bit & 1]
    return SEPARATOR.join(pairs[code >> len(masked)] + held[::-1])


def _unsupported(gpu: Gpu, precision: str) -> str:
    """Why a GPU cannot compute in a precision, or an empty string."""
    try:
        gpu.peak_flop_per_s(precision)
    except InputError as error:
        return str(error)
    return ""


def _precision(value: object) -> int:
    name = text_of(DEFAULT_PRECISION if is_missing(value) else value)
    return PRECISIONS.index(check_precision(name.casefold() if isinstance(name, str) else name))


def _boundary(value: object) -> int:
    name = text_of(BOUNDARIES[0] if is_missing(value) else value)
    return BOUNDARIES.index(check_boundary(name.casefold() if isinstance(name, str) else name))


def _is_listed_model(name: str) -> bool:
    return is_path(name, ".json") or catalogue_name(name) is not None


@cache
def _folded_gpu_names() -> frozenset[str]:
    return frozenset(fold(name) for known in gpus() for name in (known.name, *known.aliases))


def _is_listed_gpu(name: str) -> bool:
    return is_path(name, ".toml") or fold(name) in _folded_gpu_names()


def _device(name: str) -> _Device:
    found = find_gpu(name)
    return _Device(found, ambiguous_gpu(name, found))
