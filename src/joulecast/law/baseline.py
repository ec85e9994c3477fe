"""Rules of thumb that people use today, as laws: energy and time proportional to one quantity.

- ``tdp_time``: TDP times the time that the peak rate would take, at one fitted utilisation.
- ``joules_per_flop``: one constant J/FLOP, and one constant FLOP/s.
- ``parameters_steps``: denoiser parameters times steps times passes, whatever the size.

Each has two constants, so that their errors show what the quantity alone can tell; see
`joulecast.law.fit_baseline`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError, shown
from joulecast.files.numbers import within
from joulecast.law.fitted import Decoded, FittedLaw, Gross, Parameters
from joulecast.law.law import Array, GpuColumns, LawInput
from joulecast.law.traits import half_peak
from joulecast.records import Record

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


class BaselineParameters(Parameters, Record):
    """A key of QUANTITIES, and what energy and time are over it."""

    quantity: str
    energy_factor: float
    duration_factor: float


class BaselineLaw(FittedLaw):
    """One of the rules of thumb."""

    form = "baseline"
    parameters: BaselineParameters

    @classmethod
    def parameters_of(cls, value: Decoded) -> BaselineParameters:
        """See `FittedLaw.parameters_of`."""
        return BaselineParameters(**value)

    def check(self) -> None:
        """See `FittedLaw.check`."""
        super().check()
        p = self.parameters
        if not isinstance(p.quantity, str) or p.quantity not in QUANTITIES:
            raise InputError(f"quantity is {shown(p.quantity)}; known: {', '.join(QUANTITIES)}")
        within(p.energy_factor, "energy_factor", 1e-18, 1e6)
        within(p.duration_factor, "duration_factor", 1e-21, 1e6)

    def gross(self, asked: LawInput) -> Gross:
        """See `FittedLaw.gross`; the energy is shared by FLOP."""
        profile, workloads, precision, gpus, _ = asked
        by_component = profile.flop(workloads, precision)
        total = profile.total_flop(workloads, precision)
        quantity = QUANTITIES[self.parameters.quantity]
        energy, seconds = quantity(profile, workloads, total / workloads.batch_size, gpus)
        parts = {
            name: self.parameters.energy_factor * energy * flop / total for name, flop in by_component.items()
        }
        none = np.zeros(len(workloads))
        duration = self.parameters.duration_factor * seconds * workloads.batch_size
        return Gross(parts, duration, none, none, none)
