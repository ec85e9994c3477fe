"""Predicted against measured: every packaged run, with its source, and predictions that did not see it."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

import msgspec
import numpy as np

from joulecast import data
from joulecast.forecast.estimate import resolve_law
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import FittedLaw
from joulecast.law.own_runs import left_out_because, usable
from joulecast.law.score_runs import OnRuns, on_runs
from joulecast.question.models import load_profile
from joulecast.runs import MeasuredRun, packaged_runs


class Predicted(msgspec.Struct):
    """What a law predicts of a run as it ships, with the 90 % interval; what it knew of such runs."""

    predicted_energy_j: float | None
    predicted_energy_low_j: float | None
    predicted_energy_high_j: float | None
    predicted_duration_s: float | None
    predicted_duration_low_s: float | None
    predicted_duration_high_s: float | None
    familiarity: str
    timed_familiarity: str


class HeldOut(msgspec.Struct):
    """What the law predicted of a run when its `group`, of the hold-out named, was kept from the fit.

    `energy_is_within`, `duration_is_within` : whether the 90 % interval held what was measured.
    """

    holdout: str
    group: str
    predicted_energy_j: float | None
    energy_is_within: bool | None
    predicted_duration_s: float | None
    duration_is_within: bool | None


class EvidenceRun(msgspec.Struct):
    """A measured run: what was run on what, what was measured, by whom; and what is predicted of it.

    Energy is of one output in its `boundary` [J], time of a batch [s]. `predicted` is null of runs that laws
    are not fitted on, `held_out` empty, and `left_out` says why. `assumptions` are what its source left open.
    """

    run_id: str
    model: str
    gpu: str
    gpus: int
    runtime: str
    width: int
    height: int
    frames: int
    steps: int
    passes: int
    batch_size: int
    precision: str
    scope: str
    boundary: str | None
    measured_energy_j: float | None
    measured_duration_s: float | None
    predicted: Predicted | None
    held_out: list[HeldOut]
    source: str | None
    source_url: str | None
    trust: str
    assumptions: str | None
    left_out: str


class Evidence(msgspec.Struct):
    """Every packaged run, and the law that predicts them."""

    law: str
    runs: list[EvidenceRun]


@lru_cache(maxsize=8)
def evidence(law: str | None = None) -> bytes:
    """Every packaged run, encoded. Raises UnknownNameError for a law that there is not."""
    known = resolve_law(law)
    assert isinstance(known, FittedLaw)
    used, _ = usable(packaged_runs(), known.knows_runtimes)
    found = on_runs(known, Dataset.build(used, load_profile))
    predicted = {run.run_id: _predicted(found, row) for row, run in enumerate(used)}
    held = _held_out(known.name)
    runs = [_run(run, predicted.get(run.run_id), held.get(run.run_id, [])) for run in packaged_runs()]
    return msgspec.json.encode(Evidence(known.name, runs))


def _run(run: MeasuredRun, predicted: Predicted | None, held_out: list[HeldOut]) -> EvidenceRun:
    return EvidenceRun(
        run_id=run.run_id,
        model=run.model,
        gpu=run.gpu,
        gpus=run.gpu_count,
        runtime=run.runtime.label,
        width=run.width,
        height=run.height,
        frames=run.frames,
        steps=run.steps,
        passes=run.passes,
        batch_size=run.batch_size,
        precision=run.precision,
        scope=run.scope,
        boundary=run.boundary,
        measured_energy_j=run.energy_j,
        measured_duration_s=run.duration_s,
        predicted=predicted,
        held_out=held_out,
        source=run.source,
        source_url=run.source_url,
        trust=run.trust,
        assumptions=run.assumptions,
        left_out="" if predicted else left_out_because(run),
    )


def _predicted(found: OnRuns, row: int) -> Predicted:
    energy, energy_spread = float(found.energy_j[row]), _spread(found.log_half_width[row])
    duration, duration_spread = float(found.duration_s[row]), _spread(found.duration_log_half_width[row])
    return Predicted(
        predicted_energy_j=energy,
        predicted_energy_low_j=energy / energy_spread,
        predicted_energy_high_j=energy * energy_spread,
        predicted_duration_s=duration,
        predicted_duration_low_s=duration / duration_spread,
        predicted_duration_high_s=duration * duration_spread,
        familiarity=found.familiarity[row],
        timed_familiarity=found.timed_familiarity[row],
    )


def _spread(log_half_width: float) -> float:
    with np.errstate(over="ignore"):  # infinite where nothing is known of the error
        return float(np.exp(log_half_width))


def _held_out(law: str) -> dict[str, list[HeldOut]]:
    """The published held-out predictions of a law, by run."""
    found = defaultdict(list)
    for row in data.read_table("held_out.csv"):
        if row["law"] == law:
            found[row["run_id"]].append(
                HeldOut(
                    row["holdout"],
                    row["group"],
                    _number(row["energy_j"]),
                    _is_one(row["energy_covered"]),
                    _number(row["duration_s"]),
                    _is_one(row["duration_covered"]),
                )
            )
    return found


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _is_one(cell: str) -> bool | None:
    return cell == "1" if cell else None
