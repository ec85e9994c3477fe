"""Where a model's joules go: the roofline law's energy by component and by what they are spent on.

The law's dynamic energy is a sum over its energy constants, so each part is what `demand` asks with
the other constants at zero; static power is shared by busy time, as in the law itself. The parts of
a component add up to its energy, and those of all components to the law's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError
from joulecast.law.fitted import FittedLaw
from joulecast.law.prediction import Array, GpuColumns
from joulecast.law.roofline import Demand, GpuTraits, RooflineLaw, Work, demand

# Part of the energy: the law's constants that make it.
CONSTANTS: Mapping[str, tuple[str, ...]] = {
    "arithmetic": ("energy_per_flop_j", "energy_per_fp32_flop_j"),
    "attention_scores": ("energy_per_score_j",),
    "memory_traffic": ("energy_per_byte_j",),
}
STATIC = "static_power"
PARTS = (*CONSTANTS, STATIC)


def breakdown(
    law: FittedLaw, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
) -> dict[str, dict[str, Array]]:
    """Gross energy of one image [J] by component and part, each of shape (workloads,).

    Raises
    ------
    InputError
        The law is no roofline law: no other tells what the joules are spent on.
    """
    if not isinstance(law, RooflineLaw):
        raise InputError(f"the law {law.name} does not say where joules go; a roofline law does")
    answer = law.gross(profile, workloads, precision, gpus)
    p = law.parameters["shared"]
    asked = _demands(law, profile, workloads, precision, gpus)
    busy = {name: next(iter(parts.values())).busy_s for name, parts in asked.items()}
    static_w = p["static_power_share"] * gpus.column(lambda gpu: gpu.tdp_w)
    static_j = static_w * answer.duration_s / workloads.batch_size / sum(busy.values())
    out = {}
    for name, whole in answer.component_energy_j.items():
        own = static_j * busy[name]
        total = sum((d.energy_j for d in asked[name].values()), np.zeros(len(workloads)))
        dynamic = {
            part: (whole - own) * np.divide(d.energy_j, total, out=np.zeros_like(total), where=total > 0)
            for part, d in asked[name].items()
        }
        out[name] = {**dynamic, STATIC: own}
    return out


def _demands(
    law: RooflineLaw, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
) -> dict[str, dict[str, Demand]]:
    """What each component asks for, with the energy of one part alone."""
    p = law.parameters["shared"]
    others = {
        part: {name: 0.0 for other, names in CONSTANTS.items() if other != part for name in names}
        for part in CONSTANTS
    }
    out = {
        component.name: {part: _nothing(len(workloads)) for part in CONSTANTS}
        for component in profile.components
    }
    for costs in profile.costs(workloads, precision):
        work, traits = Work.of(costs), GpuTraits.of(gpus.take(costs.rows))
        for part, zeros in others.items():
            asked, so_far = demand(work, traits, {**p, **zeros}), out[costs.component.name][part]
            for total, value in (
                (so_far.busy_s, asked.busy_s),
                (so_far.energy_j, asked.energy_j),
                (so_far.host_s, asked.host_s),
            ):
                total[costs.rows] += value
    return out


def _nothing(size: int) -> Demand:
    return Demand(np.zeros(size), np.zeros(size), np.zeros(size))
