"""How a law as it is does on runs: no fit, each run predicted with the interval a user would be shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from joulecast.law.dataset import Dataset
from joulecast.law.fitted import FittedLaw
from joulecast.law.hold_out import as_measured
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
