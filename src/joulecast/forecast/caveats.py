"""Plain warnings beside a prediction: where the number deserves doubt, in words.

Some hold for a model on a GPU (`pair_caveats`), some for single workloads (`workload_caveats`,
computed in columns). The law adds its own: see `Law.outside`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ROUND_UP, ComputeProfile
from joulecast.hardware import Gpu
from joulecast.units import BYTES_PER_GIGABYTE

POWER_MARGIN = 1.05  # sensors and boards differ by a few per cent from their stated limit

_FAMILIARITY = {
    "same_source": "",
    "seen": "",
    "unseen_model": "no run of {model} was fitted on: its error is of models held out",
    "unseen_gpu": "no run on {gpu} was fitted on, only its datasheet is known: its error is of GPUs held out",
    "unseen_both": "no run of {model} and none on {gpu} was fitted on: its error is of both held out",
}
_FIGURES = {
    "tdp": "power limit",
    "bandwidth": "memory bandwidth",
    "memory": "memory",
    "idle_power": "idle power",
}

Mask = NDArray[np.bool_]


@lru_cache(maxsize=16_384)
def pair_caveats(
    profile: ComputeProfile, gpu: Gpu, precision: str, boundary: str, familiarity: str
) -> tuple[str, ...]:
    """What holds for every workload of a model on a GPU; `familiarity` is the law's."""
    weights = profile.weight_bytes(precision)
    found = [_FAMILIARITY[familiarity].format(model=profile.name, gpu=gpu.name)]
    if weights > gpu.memory_bytes:
        found.append(
            f"the weights alone, {weights / BYTES_PER_GIGABYTE:.1f} GB in {precision}, do not fit the "
            f"{gpu.memory_bytes / BYTES_PER_GIGABYTE:g} GB of {gpu.name} (offloading costs time and energy)"
        )
    doubtful = [words for figure, words in _figures(precision, boundary).items() if figure in gpu.unverified]
    if doubtful:
        found.append(f"no citable source confirms the {' and '.join(doubtful)} of {gpu.name}")
    if boundary == "dynamic" and gpu.idle_power_w is None:
        found.append(
            f"the idle power of {gpu.name} is unknown: a usual share of its power limit was subtracted"
        )
    return tuple(words for words in found if words)


def workload_caveats(profile: ComputeProfile, workloads: WorkloadColumns) -> dict[str, Mask]:
    """Warnings that hold for some workloads: words -> mask of shape (workloads,)."""
    width, height = profile.rendered(workloads)
    caveats = {rounding(profile): (width != workloads.width) | (height != workloads.height)}
    if profile.size.native is not None:
        low, high = profile.size.native
        beyond = (np.minimum(width, height) < low) | (np.maximum(width, height) > high)
        caveats[f"sides outside the {low} to {high} pixels that {profile.name} is made for"] = beyond
    return caveats


def rounding(profile: ComputeProfile) -> str:
    """What the pipeline does with a size it does not generate at."""
    if profile.size.bins:
        return f"{profile.name} generates at the nearest of its trained sizes and resizes the image"
    way = "up" if profile.size.off_grid == ROUND_UP else "down"
    return f"{profile.name} rounds sides {way} to multiples of {profile.size.unit} pixels"


def power_caveat(power_w: NDArray[np.float64], limit_w: NDArray[np.float64]) -> Mapping[str, Mask]:
    """Energy and time of a law that together need more than the board's power limit."""
    return {"energy and time together exceed the board's power limit": power_w > POWER_MARGIN * limit_w}


def _figures(precision: str, boundary: str) -> dict[str, str]:
    """The GPU figures that a prediction rests on, and their names."""
    used = {
        figure: words for figure, words in _FIGURES.items() if figure != "idle_power" or boundary == "dynamic"
    }
    return used | {precision: f"{precision} peak"}
