"""The runtimes of a table's rows: each kind of row is asked for once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import PRECISIONS, WorkloadColumns
from joulecast.errors import JoulecastError
from joulecast.files.columns import Words
from joulecast.question.cells import Cells, distinct, rows_of
from joulecast.question.questions import SEPARATOR, Questions, Rows
from joulecast.question.runtimes import NOTHING_ASKED, READERS, Asked, runtime_of
from joulecast.runtime import REFERENCE, Runtime

Refuse = Callable[[NDArray[np.bool_], Words], object]


@dataclass
class RuntimeRows:
    """What was asked of runtimes: `kinds` of it, and the `index` of every row's."""

    kinds: Sequence[Asked]
    index: Rows

    def made(self, filled: Questions, refuse: Refuse) -> tuple[Questions, Sequence[Words]]:
        """Questions with their runtimes, and notes of rows; what cannot be run so is refused."""
        counts = np.array([device.count for device in filled.devices] or [1])
        if all(kind == NOTHING_ASKED for kind in self.kinds) and (counts == 1).all():
            return filled, ()
        usable = np.flatnonzero(filled.error == "")
        columns = (filled.model, filled.gpu, filled.precision, filled.passes, self.index)
        kinds, index = distinct(*(column[usable] for column in columns))
        told = [self._told(filled, *kind) for kind in kinds]
        found: dict[Runtime, int] = {REFERENCE: 0}
        places = [found.setdefault(one.runtime, len(found)) for one in told]
        runtime = np.zeros(len(filled), dtype=np.int64)
        notes, problems = (np.full(len(filled), "", dtype=object) for _ in range(2))
        runtime[usable] = np.array(places, dtype=np.int64)[index]
        notes[usable] = np.array([one.note for one in told], dtype=object)[index]
        if any(one.problem for one in told):
            for own_rows, one, (model, *_) in zip(rows_of(index, len(kinds)), told, kinds, strict=True):
                rows = usable[own_rows]
                if one.is_of_gpu:
                    problems[rows] = one.problem
                elif one.problem:
                    of_pipeline = filled.profiles[model].errors(_workloads(filled, rows))
                    problems[rows] = [told_first or one.problem for told_first in of_pipeline]
            refuse(problems != "", problems)
        return replace(filled, runtimes=tuple(found), runtime=runtime), (notes,)

    def _told(self, filled: Questions, model: int, gpu: int, precision: int, passes: int, kind: int) -> _Told:
        """What rows of a model, a GPU, a precision, passes and what is asked of the runtime are told."""
        device = filled.devices[gpu]
        try:
            device.gpu.peak_flop_per_s(PRECISIONS[precision])  # told before the rest, as `ask` does
        except JoulecastError as error:
            return _Told(problem=str(error), is_of_gpu=True)
        try:
            asked = self.kinds[kind].on(device.count)
            told = runtime_of(asked, filled.profiles[model], device.gpu, PRECISIONS[precision], passes)
        except JoulecastError as error:
            return _Told(problem=str(error))
        if asked == NOTHING_ASKED:
            return _Told(told.runtime)
        return _Told(told.runtime, SEPARATOR.join([f"runtime: {told.runtime.label}", *told.notes]))


class _Told(NamedTuple):
    """The runtime of a kind of row and the note on it, or the problem with it, which may be its GPU's."""

    runtime: Runtime = REFERENCE
    note: str = ""
    problem: str = ""
    is_of_gpu: bool = False


def _workloads(filled: Questions, rows: Rows) -> WorkloadColumns:
    return WorkloadColumns(
        **{field.name: getattr(filled, field.name)[rows] for field in dataclasses.fields(WorkloadColumns)}
    )


def read_runtimes(cells: Cells) -> RuntimeRows:
    """What a table's rows ask of runtimes."""
    if not any(key in cells.columns for key in READERS):
        return RuntimeRows([NOTHING_ASKED], np.zeros(cells.rows, dtype=np.int64))
    met: dict[str, dict[Any, int]] = {key: {} for key in READERS}
    places = [cells.placed(key, read, met[key]) for key, read in READERS.items()]
    kinds, index = distinct(*places)
    values = {key: [*known, None] for key, known in met.items()}  # NOT_GIVEN is the last
    asked = [
        Asked(**{key: values[key][place] for key, place in zip(READERS, some, strict=True)}) for some in kinds
    ]
    return RuntimeRows(asked, index)
