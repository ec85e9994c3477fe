"""Predictions of a campaign's runs, written before it is measured, and how they did.

A prediction that was written down first cannot have been fitted to what it predicts. Rows are
matched to measured runs by their `run_id`, which `joulecast.measure.export` makes in the same way.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from joulecast.boundary import check_boundary
from joulecast.errors import FileFormatError, InputError, shown
from joulecast.files.documents import parse_csv_records
from joulecast.files.fields import MOST_MEASURED
from joulecast.files.paths import replacing, shown_path, user_text
from joulecast.files.plain import finite
from joulecast.files.tables import inert
from joulecast.forecast.predictor import OUTPUTS, Predictor
from joulecast.law.law import Law
from joulecast.law.scores import Score, log_of_call, score_errors
from joulecast.measure.export import run_id, runtime_of
from joulecast.measure.records import EAGER, TF32_DEFAULT
from joulecast.measure.store import NewTask
from joulecast.question.gpus import gpu as find_gpu
from joulecast.question.questions import SEPARATOR
from joulecast.runs import MeasuredRun, RunTable
from joulecast.runtime import Runtime

SETTINGS: Final = (
    "model", "width", "height", "steps", "passes", "batch_size", "precision", "text_tokens",
    "negative_prompt", "frames",
)  # fmt: skip
COMPILE: Final = "compile"
COLUMNS: Final = ("run_id", "gpu", *SETTINGS, COMPILE, "boundary", "runtime", "weights", *OUTPUTS)
NEEDED: Final = ("run_id", "boundary", "energy_j", "energy_low_j", "energy_high_j", "duration_s")
MOST_BYTES: Final = 50_000_000


def predict_plan(
    name: str, tasks: Iterable[NewTask], gpu: str, law: Law, boundary: str = "gross"
) -> dict[str, list[Any]]:
    """Predictions of a plan's tasks on a GPU, in columns, COLUMNS; those for other GPUs left out.

    Units as of `joulecast.predict`. A compiled task is predicted as such; by a law that knows no runtimes it
    is not, and its `error` says so. A task with a TF32 setting of its own gets a warning: no law is of it.

    Raises InputError when the GPU or the boundary is unknown, or no task is for this GPU.
    """
    known, boundary = find_gpu(gpu).name, check_boundary(boundary)
    specs = [task.spec for task in tasks if task.gpu in (None, known)]
    if not specs:
        raise InputError(f"no task of the plan is for {known}")
    columns: dict[str, list[Any]] = {
        "run_id": [run_id(name, spec, known) for spec in specs],
        "gpu": [known] * len(specs),
        **{key: [getattr(spec, key) for spec in specs] for key in SETTINGS},
        COMPILE: [spec.runtime != EAGER for spec in specs],
        "boundary": [boundary] * len(specs),
        "runtime": [runtime_of(spec) for spec in specs],
        "weights": [spec.weights for spec in specs],
    }
    answers = Predictor(law).predict({key: cells for key, cells in columns.items() if key != "runtime"})
    found = columns | {key: list(values) for key, values in answers.items()}
    found["warning"] = [
        SEPARATOR.join(filter(None, [words, _tf32_caveat(spec.tf32)]))
        for words, spec in zip(found["warning"], specs, strict=True)
    ]
    return found


def _tf32_caveat(tf32: str) -> str:
    return "" if tf32 == TF32_DEFAULT else f"tf32 {tf32}: laws are of torch's default"


def write_predictions(columns: Mapping[str, Sequence[Any]], out: str | os.PathLike[str]) -> None:
    """Write predictions as CSV, numbers in full precision, empty where there is none.

    Raises InputError when the name does not end in .csv or the file cannot be written.
    """
    target = Path(out)
    if target.suffix.casefold() != ".csv":
        raise InputError(f"--out {shown(str(out))}: predictions are written as CSV, e.g. predictions.csv")
    with replacing(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(*(map(_cell, columns[name]) for name in COLUMNS), strict=True))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value is np.ma.masked or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(inert(value))


@dataclass(frozen=True)
class Checked:
    """Predictions beside what was measured; arrays of shape (runs,), runs of the runtime that was predicted.

    Attributes
    ----------
    runs : what was measured.
    energy_j, low_j, high_j, duration_s : predicted, nan where nothing was.
    other_runtime : runs of another runtime than was predicted, or of another TF32 than laws are of; left out.
    unmeasured : predictions without a run.
    unpredicted : runs without a prediction.
    """

    runs: RunTable
    energy_j: np.ndarray[Any, np.dtype[np.float64]]
    low_j: np.ndarray[Any, np.dtype[np.float64]]
    high_j: np.ndarray[Any, np.dtype[np.float64]]
    duration_s: np.ndarray[Any, np.dtype[np.float64]]
    other_runtime: int
    unmeasured: int
    unpredicted: int

    @property
    def energy(self) -> Score:
        """Errors of the energy of all runs."""
        return self.score("energy_j")

    def score(self, quantity: str, rows: Any = slice(None)) -> Score:
        """Errors of ``energy_j`` or ``duration_s``; of times there is no interval."""
        measured = self.runs.column(quantity).astype(np.float64)
        errors = np.log(getattr(self, quantity) / measured)
        if quantity == "energy_j":
            held = np.where(np.isfinite(errors), (self.low_j <= measured) & (measured <= self.high_j), np.nan)
            width = np.log(self.high_j / self.energy_j)
        else:
            held = width = np.full(len(errors), np.nan)
        log_call = log_of_call(self.runs, quantity)
        return score_errors(errors[rows], log_call[rows], held[rows], width[rows])

    def groups(self) -> Iterator[tuple[str, Score, Score]]:
        """Name, energy, time: of all runs, then of each model and precision, and of runtimes if several."""
        yield "all", self.score("energy_j"), self.score("duration_s")
        runtimes = [run.runtime.kind.label for run in self.runs]
        if len(set(runtimes)) == 1:
            runtimes = []
        for values in (self.runs.column("model"), self.runs.column("precision"), runtimes):
            for value in dict.fromkeys(values):
                rows = np.array([one == value for one in values])
                yield str(value), self.score("energy_j", rows), self.score("duration_s", rows)

    def to_dict(self) -> dict[str, object]:
        """Scores and every run's prediction as one JSON object."""
        pairs = zip(self.runs, self.energy_j, self.low_j, self.high_j, self.duration_s, strict=True)
        return {
            "groups": [
                {"name": name, "energy": energy.to_dict(), "time": time.to_dict()}
                for name, energy, time in self.groups()
            ],
            "runs": [
                {
                    "run_id": run.run_id,
                    "measured_j": run.energy_j,
                    "predicted_j": finite(energy),
                    "predicted_low_j": finite(low),
                    "predicted_high_j": finite(high),
                    "measured_s": run.duration_s,
                    "predicted_s": finite(seconds),
                }
                for run, energy, low, high, seconds in pairs
            ],
            "other_runtime": self.other_runtime,
            "unmeasured": self.unmeasured,
            "unpredicted": self.unpredicted,
        }


def check_predictions(path: str | os.PathLike[str], runs: RunTable) -> Checked:
    """Compare a file of predictions with runs, matched by `run_id` and boundary.

    A file without a column `compile` predicts eager runs alone.

    Raises
    ------
    InputError
        No run was predicted, or there is no such file.
    FileFormatError
        The file is not what `write_predictions` writes.
    """
    predicted = _read(path)
    matched: list[MeasuredRun] = []
    numbers: list[tuple[float, ...]] = []
    other_runtime = unpredicted = 0
    met = set()
    for run in runs:
        key = run.run_id.removesuffix(f"-{run.boundary}"), run.boundary or ""
        if key not in predicted:
            unpredicted += 1
            continue
        met.add(key)
        if _is_of_runtime(run, predicted[key].runtime):
            matched.append(run)
            numbers.append(predicted[key].numbers)
        else:
            other_runtime += 1
    if not matched:
        raise InputError(
            f"no run was predicted in {shown(str(path))}: {len(predicted)} predictions, {len(runs)} runs; "
            "the plan's name, GPU and boundary must be the same"
        )
    energy, low, high, seconds = np.array(numbers, dtype=np.float64).T
    unmeasured = len(predicted) - len(met)
    return Checked(RunTable(matched), energy, low, high, seconds, other_runtime, unmeasured, unpredicted)


class _Row(NamedTuple):
    """What was predicted: energy, its ends and time [J, J, J, s], and of which runtime."""

    numbers: tuple[float, ...]
    runtime: Runtime


def _is_of_runtime(run: MeasuredRun, runtime: Runtime) -> bool:
    return run.runtime.kind == runtime and run.power_limit_w is None and run.tf32 == TF32_DEFAULT


def _read(path: str | os.PathLike[str]) -> dict[tuple[str, str], _Row]:
    text = user_text(path, "predictions", MOST_BYTES)
    rows = [row for _, row in parse_csv_records(text, f"predictions {shown_path(path)}")]
    missing = [name for name in NEEDED if not rows or name not in rows[0]]
    if missing:
        raise FileFormatError(
            f"{shown(str(path))} has no column {', '.join(missing)}; expected what "
            "`joulecast campaign predict` writes"
        )
    return {
        (row["run_id"], row["boundary"]): _Row(
            tuple(_number(row[name], f"{shown(str(path))}, data row {place}") for name in NEEDED[2:]),
            Runtime(compile=row.get(COMPILE) == "yes"),
        )
        for place, row in enumerate(rows, 1)
    }


def _number(cell: str | None, where: str) -> float:
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        raise FileFormatError(f"{where}: {shown(cell)} is no number") from None
    if not 0 < value <= MOST_MEASURED:
        raise FileFormatError(
            f"{where}: {shown(cell)} is no energy or time; expected more than 0 and at most {MOST_MEASURED:g}"
        )
    return value
