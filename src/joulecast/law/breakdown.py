"""Where a model's joules go: the roofline law's energy by component and by what they are spent on.

The law's dynamic energy is a sum over its energy constants, so each part is what `demands` asks with
the other constants at zero; static power is shared by busy time, as in the law itself. The parts of
a component add up to its energy, and those of all components to the law's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.evaluation import Case
from joulecast.compute.profile import ComputeProfile
from joulecast.law.law import Array, GpuColumns
from joulecast.law.roofline import GpuTraits, RooflineLaw, Weighed, Work, demands, weigh

# Part of the energy: the law's constants that make it.
CONSTANTS: Mapping[str, tuple[str, ...]] = {
    "arithmetic": ("energy_per_flop_j", "energy_per_fp32_flop_j"),
    "attention_scores": ("energy_per_score_j",),
    "memory_traffic": ("energy_per_byte_j",),
}
STATIC = "static_power"
PARTS = (*CONSTANTS, STATIC)


def breakdown(
    law: RooflineLaw, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
) -> dict[str, dict[str, Array]]:
    """Gross energy of one image [J] by component and part, each of shape (workloads,)."""
    answer = law.gross(profile, workloads, precision, gpus)
    p = law.parameters.shared
    traits, evaluation = GpuTraits.of(gpus), profile.evaluation(workloads, precision)
    names = [component.name for component in profile.components]
    busy, energy = {}, {}
    for part in CONSTANTS:
        asked = demands(evaluation, traits, partial(_weighed, p={**p, **_without_others(part)}))
        busy = dict(zip(names, asked[0], strict=True))
        energy[part] = dict(zip(names, asked[1], strict=True))
    static_w = p["static_power_share"] * gpus.column(lambda gpu: gpu.tdp_w)
    static_j = static_w * answer.duration_s / workloads.batch_size / sum(busy.values())
    out = {}
    for name, whole in answer.component_energy_j.items():
        own = static_j * busy[name]
        parts = {part: by_component[name] for part, by_component in energy.items()}
        total = sum(parts.values(), np.zeros(len(workloads)))
        dynamic = {
            part: (whole - own) * np.divide(some, total, out=np.zeros_like(total), where=total > 0)
            for part, some in parts.items()
        }
        out[name] = {**dynamic, STATIC: own}
    return out


def _weighed(case: Case, p: Mapping[str, float]) -> Weighed:
    return weigh(Work.of(case), p)


def _without_others(part: str) -> dict[str, float]:
    return {name: 0.0 for other, names in CONSTANTS.items() if other != part for name in names}
