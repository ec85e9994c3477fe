"""Fit the rules of thumb: two constants each, geometric means over the runs."""

from __future__ import annotations

import numpy as np

from joulecast.errors import FitError
from joulecast.law.baseline import QUANTITIES, BaselineLaw, BaselineParameters
from joulecast.law.dataset import Dataset
from joulecast.law.law import Array


def fit_baseline(dataset: Dataset, quantity: str) -> BaselineLaw:
    """A rule of thumb with its two constants fitted on runs of whole pipelines.

    Raises FitError when no run has a gross energy, or none a time.
    """
    predicted = np.full((2, len(dataset.runs)), np.nan)
    for group in dataset.groups:
        flop = group.profile.total_flop(group.workloads, group.precision)
        per_image = flop / group.workloads.batch_size
        predicted[:, group.rows] = QUANTITIES[quantity](group.profile, group.workloads, per_image, group.gpus)
    batch = np.array([run.batch_size for run in dataset.runs])
    gross = np.where(dataset.is_dynamic | dataset.loop_only, np.nan, dataset.energy_j)
    seconds = np.where(dataset.loop_only, np.nan, dataset.duration_s / batch)
    factors = [_geometric_mean(measured / p) for measured, p in zip((gross, seconds), predicted, strict=True)]
    parameters = BaselineParameters(quantity, energy_factor=factors[0], duration_factor=factors[1])
    return BaselineLaw(quantity, parameters, dataset.fitted_on())


def _geometric_mean(ratios: Array) -> float:
    known = ratios[np.isfinite(ratios)]
    if not known.size:
        raise FitError("no run has both a gross energy and a time, which the rules of thumb need")
    return float(np.exp(np.log(known).mean()))
