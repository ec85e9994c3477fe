"""Rules of thumb that people use today, as laws: energy and time proportional to one quantity.

- ``tdp_time``: TDP times the time that the peak rate would take, at one fitted utilisation.
- ``joules_per_flop``: one constant J/FLOP, and one constant FLOP/s.
- ``parameters_steps``: denoiser parameters times steps times passes, whatever the size.

Each has two constants, fitted as geometric means over the runs, so that their errors show what the
quantity alone can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import FitError
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import FittedLaw, Gross
from joulecast.law.law import FAMILIARITY, Array, GpuColumns
from joulecast.law.roofline import half_peak

UNVALIDATED_HALF_WIDTH = 0.7
Quantity = Callable[[ComputeProfile, WorkloadColumns, Array, GpuColumns], tuple[Array, Array]]


def _tdp_time(
    profile: ComputeProfile, workloads: WorkloadColumns, flop: Array, gpus: GpuColumns
) -> tuple[Array, Array]:
    seconds = flop / gpus.column(half_peak)
    return seconds * gpus.column(lambda gpu: gpu.tdp_w), seconds


def _joules_per_flop(
    profile: ComputeProfile, workloads: WorkloadColumns, flop: Array, gpus: GpuColumns
) -> tuple[Array, Array]:
    return flop, flop


def _parameters_steps(
    profile: ComputeProfile, workloads: WorkloadColumns, flop: Array, gpus: GpuColumns
) -> tuple[Array, Array]:
    denoisers = sum(part.parameters for part in profile.denoisers)
    count: Array = float(denoisers) * (workloads.steps * workloads.passes).astype(np.float64)
    return count, count


# For each form: what energy and what time of one image are proportional to.
QUANTITIES: Mapping[str, Quantity] = {
    "tdp_time": _tdp_time,
    "joules_per_flop": _joules_per_flop,
    "parameters_steps": _parameters_steps,
}


class BaselineLaw(FittedLaw):
    """One of the rules of thumb. Parameters: ``quantity``, ``energy_factor`` and ``duration_factor``."""

    form = "baseline"

    def gross(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Gross:
        """See `FittedLaw.gross`; the energy is shared by FLOP."""
        by_component = profile.flop(workloads, precision)
        total = profile.total_flop(workloads, precision)
        quantity = QUANTITIES[self.parameters["quantity"]]
        energy, seconds = quantity(profile, workloads, total / workloads.batch_size, gpus)
        parts = {
            name: self.parameters["energy_factor"] * energy * flop / total
            for name, flop in by_component.items()
        }
        none = np.zeros(len(workloads))
        duration = self.parameters["duration_factor"] * seconds * workloads.batch_size
        return Gross(parts, duration, none, none)


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
    half = dict.fromkeys(FAMILIARITY, UNVALIDATED_HALF_WIDTH)
    parameters = {"quantity": quantity, "energy_factor": factors[0], "duration_factor": factors[1]}
    return BaselineLaw(quantity, parameters, dataset.fitted_on(), half, half)


def _geometric_mean(ratios: Array) -> float:
    known = ratios[np.isfinite(ratios)]
    if not known.size:
        raise FitError("no run has both a gross energy and a time, which the rules of thumb need")
    return float(np.exp(np.log(known).mean()))
