"""How a law as it is does on runs: no fit, each run predicted with the interval a user would be shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from joulecast.boundary import dynamic_j
from joulecast.compute.operators import DENOISER
from joulecast.law.dataset import Dataset, Group, Load
from joulecast.law.fitted import FittedLaw, Gross
from joulecast.law.groups import level
from joulecast.law.law import Array
from joulecast.law.scores import Score, Scores, log_of_call, score_errors
from joulecast.runs import RunTable


@dataclass(frozen=True)
class OnRuns:
    """A law's predictions of runs; arrays of shape (runs,).

    Attributes
    ----------
    law : the law's name.
    runs : what was measured.
    familiarity, timed_familiarity : of each run, what the law knew of such energies and times.
    energy_j, duration_s : predicted, within each run's boundary and scope.
    log_half_width, duration_log_half_width : of the 90 % intervals.
    """

    law: str
    runs: RunTable
    familiarity: tuple[str, ...]
    timed_familiarity: tuple[str, ...]
    energy_j: Array
    duration_s: Array
    log_half_width: Array
    duration_log_half_width: Array

    def log_errors(self, quantity: str) -> Array:
        """log(predicted / measured) of ``energy_j`` or ``duration_s``, nan where nothing was measured."""
        result: Array = np.log(getattr(self, quantity) / self.runs.column(quantity).astype(np.float64))
        return result

    def width(self, quantity: str) -> Array:
        """Half-widths (log) of the intervals."""
        return self.log_half_width if quantity == "energy_j" else self.duration_log_half_width

    def covered(self, quantity: str) -> Array:
        """1 where the interval holds what was measured, else 0; nan where nothing was measured."""
        errors = self.log_errors(quantity)
        return np.where(np.isfinite(errors), np.abs(errors) <= self.width(quantity), np.nan)

    def score(self, quantity: str, rows: Array | slice = slice(None)) -> Score:
        """The errors of ``energy_j`` or ``duration_s``."""
        return score_errors(
            self.log_errors(quantity)[rows],
            log_of_call(self.runs, quantity)[rows],
            self.covered(quantity)[rows],
            self.width(quantity)[rows],
        )

    def scores(self, rows: Array | slice = slice(None)) -> Scores:
        """The scores of energies and of times."""
        return Scores(self.score("energy_j", rows), self.score("duration_s", rows))


def on_runs(law: FittedLaw, dataset: Dataset) -> OnRuns:
    """Predict every run of a dataset with a law as it is."""
    energy, duration = (np.full(len(dataset.runs), np.nan) for _ in range(2))
    widths = np.empty((2, len(dataset.runs)))
    known, timed = [""] * len(dataset.runs), [""] * len(dataset.runs)
    for group in dataset.groups:
        gross = law.gross(group.asked)
        energy[group.rows], duration[group.rows] = as_measured(dataset, group, gross)
        widths[:, group.rows] = law.interval(group.asked, gross)
        gpus = [dataset.gpus[row] for row in group.rows]
        for row, of_energy, of_time in zip(
            group.rows,
            law.familiarity(group.profile, gpus, group.precision, group.runtime),
            law.timed_familiarity(group.profile, gpus, group.precision, group.runtime),
            strict=True,
        ):
            known[row], timed[row] = of_energy, of_time
    return OnRuns(
        law=law.name,
        runs=dataset.runs,
        familiarity=tuple(known),
        timed_familiarity=tuple(timed),
        energy_j=energy,
        duration_s=duration,
        log_half_width=widths[0],
        duration_log_half_width=widths[1],
    )


def predict_runs(law: FittedLaw, dataset: Dataset) -> tuple[Array, Array, Array, Array]:
    """Energy of one image and time of a batch within each run's boundary and scope, and the spreads."""
    size = len(dataset.runs)
    energy, duration, spread, duration_spread = (np.full(size, np.nan) for _ in range(4))
    for group in dataset.groups:
        gross = law.gross(group.asked)
        energy[group.rows], duration[group.rows] = as_measured(dataset, group, gross)
        spread[group.rows], duration_spread[group.rows] = gross.energy_spread, gross.duration_spread
    return energy, duration, spread, duration_spread


def as_measured(dataset: Dataset, group: Group, gross: Gross) -> tuple[Array, Array]:
    """A law's answer for a group of runs as energy of one image and time of a batch, within each run's
    boundary and scope.

    For a run of the denoising loop alone, the time is the whole pipeline's times the denoiser's
    share of the energy.
    """
    parts, seconds = gross.component_energy_j, gross.duration_s
    whole = sum(parts.values(), np.zeros(len(group.rows)))
    roles = {component.name: component.role for component in group.profile.components}
    denoising = sum((e for name, e in parts.items() if roles[name] == DENOISER), np.zeros(len(group.rows)))
    loop = np.where(dataset.loop_only[group.rows], denoising / whole, 1.0)
    idle = dataset.idle_power_w[group.rows] * seconds / group.workloads.batch_size
    energy = np.where(dataset.is_dynamic[group.rows], dynamic_j(whole, idle), whole) * loop
    return energy, seconds * loop


def within_groups(law: FittedLaw, runs: RunTable, load: Load) -> dict[str, float]:
    """R2 of the log energy of a call within one model, chip and runtime, after a fit of the group's level.

    Only groups with at least four settings; this is what the paper reports, and it says little
    about models or GPUs that were not measured.
    """
    with_energy = runs.filter(lambda run: run.energy_j is not None)
    dataset = Dataset.build(with_energy, load)
    predicted = np.log(predict_runs(law, dataset)[0])
    measured = np.log(dataset.energy_j)
    batch = np.log([run.batch_size for run in with_energy])
    keys = [level(run) for run in with_energy]
    out = {}
    for key in dict.fromkeys(keys):
        rows = np.array([k == key for k in keys])
        call = (measured + batch)[rows]
        if rows.sum() >= 4 and np.ptp(call) > 0:
            residual = (predicted - measured)[rows]
            residual = residual - residual.mean()
            out[key] = 1 - float(np.sum(residual**2) / np.sum((call - call.mean()) ** 2))
    return out
