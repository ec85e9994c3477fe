"""The answers of a log's questions: each distinct question is predicted once, however many rows ask it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl

from joulecast.architecture.workload import PRECISIONS
from joulecast.forecast.caveats import known_of
from joulecast.forecast.predictor import Predictor
from joulecast.hardware import idle_power_w
from joulecast.law.law import Law
from joulecast.question.questions import Questions
from joulecast.question.table import TableReader

# What a question's answer adds to its rows. Energies [J] are of one image or clip, times [s] of one batch,
# powers [W] of all the GPUs that share it.
MODEL, GPU, RUNTIME, OUTPUT, KNOWN = "#model", "#gpu", "#runtime", "#output", "#known"
ENERGY, ENERGY_LOW, ENERGY_HIGH = "#energy", "#energy_low", "#energy_high"
TIME_S, TIME_LOW, TIME_HIGH = "#time", "#time_low", "#time_high"
BATCH, GPUS, LIMIT_W, IDLE_W, CLIP_S = "#batch", "#gpus", "#limit", "#idle", "#clip"
ASSUMED, WARNED, ERROR = "#assumed", "#warned", "#error"
_NUMBERS: Final = {
    ENERGY: "energy_j", ENERGY_LOW: "energy_low_j", ENERGY_HIGH: "energy_high_j",
    TIME_S: "duration_s", TIME_LOW: "duration_low_s", TIME_HIGH: "duration_high_s",
}  # fmt: skip


class Oracle:
    """Answers questions of any partition with one law; remembers the names that it has looked up."""

    def __init__(self, law: Law) -> None:
        self.law = law
        self._reader, self._predictor = TableReader(), Predictor(law)
        self._known: dict[tuple[int, int, int, int], str] = {}

    def answers(self, distinct: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """The distinct questions, by `keys`, with their answers; ERROR says why one has none."""
        if not distinct.height:
            return distinct.with_columns(*[pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items()])
        questions = self._reader.read({key: distinct[key].to_list() for key in keys})
        numbers = self._predictor.answers(questions)
        columns = _Columns(questions)
        found: dict[str, Any] = {
            **{name: numbers.numbers[ours] for name, ours in _NUMBERS.items()},
            **columns.numbers,
            **columns.words,
            KNOWN: self._familiarity(questions),
            ASSUMED: questions.assumed,
            WARNED: numbers.warning,
            ERROR: numbers.error,
        }
        told = pl.DataFrame({name: pl.Series(found[name], dtype=kind) for name, kind in SCHEMA.items()})
        return pl.concat([distinct, told], how="horizontal").with_columns(pl.col(CLIP_S).fill_nan(None))

    def _familiarity(self, questions: Questions) -> list[str]:
        """What the law knows of the energy of each row's model, GPU, precision and runtime."""
        q = questions
        codes = zip(*(part.tolist() for part in (q.model, q.gpu, q.precision, q.runtime)), strict=True)
        return [
            "" if error else self._known_of(q, code)
            for code, error in zip(codes, q.error.tolist(), strict=True)
        ]

    def _known_of(self, questions: Questions, code: tuple[int, int, int, int]) -> str:
        model, gpu, precision, runtime = code
        what = questions.profiles[model], questions.devices[gpu].gpu, questions.runtimes[runtime]
        key = (id(what[0]), id(what[1]), precision, hash(what[2]))
        if key not in self._known:
            profile, on, way = what
            self._known[key] = known_of(self.law, profile, [on], PRECISIONS[precision], way)[0].energy
        return self._known[key]


SCHEMA: Final = {
    **dict.fromkeys((*_NUMBERS, BATCH, GPUS, LIMIT_W, IDLE_W, CLIP_S), pl.Float64),
    **dict.fromkeys((MODEL, GPU, RUNTIME, OUTPUT, KNOWN, ASSUMED, WARNED, ERROR), pl.String),
}


class _Columns:
    """Facts of each row's model, GPU and runtime; meaningless where a row is no question."""

    def __init__(self, questions: Questions) -> None:
        self._q = questions

    @cached_property
    def numbers(self) -> dict[str, np.ndarray]:
        """Batch sizes, GPUs, power limits and idle powers [W], and seconds of video: nan where they are not
        known, none of an image."""
        q = self._q
        gpus = np.array([one.gpus for one in q.runtimes], dtype=np.float64)[q.runtime]
        pairs = zip(q.gpu.tolist(), q.runtime.tolist(), strict=True)
        limit = [
            q.runtimes[how].power_limit_of(q.devices[on].gpu.tdp_w) if q.devices else 0.0 for on, how in pairs
        ]
        idle = np.array([idle_power_w(device.gpu) for device in q.devices] or [0.0])[q.gpu] * gpus
        is_clip = np.array([one.frames is not None for one in q.profiles] or [False])[q.model]
        return {
            BATCH: q.batch_size.astype(np.float64),
            GPUS: gpus,
            LIMIT_W: np.array(limit, dtype=np.float64),
            IDLE_W: idle,
            CLIP_S: np.where(is_clip, q.clip_s(), 0.0),
        }

    @cached_property
    def words(self) -> dict[str, np.ndarray]:
        """Names of models, GPUs and runtimes, and what is made."""
        q = self._q

        def named(names: list[str], index: np.ndarray) -> np.ndarray:
            found: np.ndarray = np.array(names or [""], dtype=object)[index]
            return found

        return {
            MODEL: named([one.name for one in q.profiles], q.model),
            GPU: named([one.gpu.name for one in q.devices], q.gpu),
            RUNTIME: named([one.label for one in q.runtimes], q.runtime),
            OUTPUT: named([one.output for one in q.profiles], q.model),
        }
