"""Where a model's joules go: the roofline law's energy by component and by what they are spent on.

The law's dynamic energy is a sum over its energy constants, so each part is what the law asks with
the other constants at zero; static power is shared by busy time, as in the law itself. The parts of
a component add up to its energy, and those of all components to the law's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from joulecast.law.law import Array, LawInput
from joulecast.law.roofline import RooflineLaw, RooflineParameters

# Part of the energy: the law's constants that make it.
CONSTANTS: Mapping[str, tuple[str, ...]] = {
    "arithmetic": ("energy_per_flop_j", "energy_per_fp32_flop_j"),
    "attention_scores": ("energy_per_score_j",),
    "memory_traffic": ("energy_per_byte_j",),
}
STATIC = "static_power"
PARTS = (*CONSTANTS, STATIC)


def breakdown(law: RooflineLaw, asked: LawInput) -> dict[str, dict[str, Array]]:
    """Gross energy of one image [J] by component and part, each of shape (workloads,)."""
    profile, workloads, precision, _, _ = asked
    found = law.settled(asked)
    energies = {}
    for part in CONSTANTS:
        alone = dataclasses.replace(law, parameters=_without_others(law.parameters, part))
        setup, _ = alone.setup(asked)
        energies[part] = alone.demands(profile.evaluation(workloads, precision), precision, setup)[1]
    total = sum(energies.values(), np.zeros_like(found.dynamic_j))
    out = {}
    for place, component in enumerate(profile.components):
        whole = found.dynamic_j[place]
        parts = {
            part: whole
            * np.divide(some[place], total[place], out=np.zeros_like(whole), where=total[place] > 0)
            for part, some in energies.items()
        }
        out[component.name] = {**parts, STATIC: found.static_j[place]}
    return out


def _without_others(parameters: RooflineParameters, part: str) -> RooflineParameters:
    others = {name: 0.0 for other, names in CONSTANTS.items() if other != part for name in names}
    return dataclasses.replace(parameters, shared={**parameters.shared, **others})
