"""Plain warnings beside a prediction: where the number deserves doubt, in words.

Some hold for a model on a GPU (`pair_caveats`), some for single workloads (`workload_caveats`,
computed in columns). The law adds its own: see `Law.outside`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ROUND_UP, ComputeProfile
from joulecast.hardware import Gpu
from joulecast.hardware import gpus as catalogue
from joulecast.law.law import Law
from joulecast.units import BYTES_PER_GIGABYTE

POWER_MARGIN = 1.05  # sensors and boards differ by a few per cent from their stated limit

DATASHEET = "only datasheet figures"
HOST_BOUND = 0.5  # of the time's following the host, from which it is said that the host sets it

# What a law has not seen, and of what its range then is: of what was held out to find its error.
_MISSING = {
    "same_source": "",
    "seen": "",
    "unseen_model": "no {what} of {model}",
    "unseen_gpu": "no {what} on {gpu}",
    "unseen_both": "no {what} of {model}, nor on {gpu}",
}
_UNSEEN_GPU = {"unseen_gpu", "unseen_both"}
_RANGE_FOR = {
    "same_source": "what you measured",
    "seen": "what others measured",
    "unseen_model": "models it has not seen",
    "unseen_gpu": "GPUs it has not seen",
    "unseen_both": "models and GPUs it has not seen",
}
_FIGURES = {
    "tdp": "power limit",
    "bandwidth": "memory bandwidth",
    "memory": "memory",
    "idle_power": "idle power",
}

Mask = NDArray[np.bool_]


class Known(NamedTuple):
    """What a law knows of a model on a GPU: of energies and of times, each one of FAMILIARITY.

    `of_gpu` says in words what it knows of a GPU that it has seen no run on.
    """

    energy: str
    time: str
    of_gpu: str = DATASHEET


def known_of(law: Law, profile: ComputeProfile, gpus: Sequence[Gpu]) -> list[Known]:
    """What a law knows of a model on each of some GPUs."""
    on = law.describe().fitted_on
    return [
        Known(energy, time, _of_unseen(gpu, on.gpus, on.timed_gpus) if {energy, time} & _UNSEEN_GPU else "")
        for gpu, energy, time in zip(
            gpus, law.familiarity(profile, gpus), law.timed_familiarity(profile, gpus), strict=True
        )
    ]


@lru_cache(maxsize=4096)
def _of_unseen(gpu: Gpu, fitted: tuple[str, ...], timed: tuple[str, ...]) -> str:
    """What a law knows of a GPU that it has seen no run on: its chip, another of its vendor, or figures."""
    for words, names in (("runs on ", fitted), ("times on ", timed)):
        alike = [one.name for one in catalogue() if one.name in names and one.chip == gpu.chip]
        if others := [name for name in alike if name != gpu.name]:
            return f"only {words}{' and '.join(others)}, of the same chip"
    vendors = {one.vendor for one in catalogue() if one.name in {*fitted, *timed}}
    if gpu.vendor and vendors and gpu.vendor not in vendors:
        return f"nor on another GPU of {gpu.vendor}, {DATASHEET}"
    return DATASHEET


@lru_cache(maxsize=65_536)  # of every model, GPU, precision and boundary of the catalogue
def pair_caveats(
    profile: ComputeProfile, gpu: Gpu, precision: str, boundary: str, known: Known
) -> tuple[str, ...]:
    """What holds for every workload of a model on a GPU."""
    weights = profile.weight_bytes(precision)
    found = [not_fitted_on(profile.name, gpu.name, known)]
    if weights > gpu.memory_bytes:
        found.append(
            f"the weights of {profile.name} alone, {weights / BYTES_PER_GIGABYTE:.1f} GB in {precision}, do "
            f"not fit the {gpu.memory_bytes / BYTES_PER_GIGABYTE:g} GB of {gpu.name} (offloading costs time "
            "and energy)"
        )
    if gpu.limit_note:
        found.append(f"the power limit of {gpu.name}, {gpu.tdp_w:g} W, {gpu.limit_note}")
    told = {"tdp"} if gpu.limit_note else set()
    figures = _figures(precision, boundary)
    doubtful = [words for figure, words in figures.items() if figure in gpu.unverified - told]
    if doubtful:
        found.append(f"no citable source confirms the {' and '.join(doubtful)} of {gpu.name}")
    if boundary == "dynamic" and gpu.idle_power_w is None:
        found.append(
            f"the idle power of {gpu.name} is unknown: a usual share of its power limit was subtracted"
        )
    return tuple(words for words in found if words)


def not_fitted_on(model: str, gpu: str, known: Known) -> str:
    """What a law has not seen, of energies and of times, and so for what its ranges are."""
    if known.energy == known.time:
        missing = _MISSING[known.energy].format(what="run", model=model, gpu=gpu)
        rests_on = f", {known.of_gpu}" if known.energy in _UNSEEN_GPU else ""
        if not missing:
            return ""
        return f"the law has seen {missing}{rests_on}: the range is that for {_RANGE_FOR[known.energy]}"
    energy = _MISSING[known.energy].format(what="energy", model=model, gpu=gpu)
    time = _MISSING[known.time].format(what="time", model=model, gpu=gpu)
    missing = f"{energy} and {time}" if energy and time else energy or time
    if not missing:
        return ""
    others = "" if energy and time else f", but {'times' if energy else 'energies'}"
    return (
        f"the law has seen {missing}{others}: the range of the energy is that for "
        f"{_RANGE_FOR[known.energy]}, the range of the time that for {_RANGE_FOR[known.time]}"
    )


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


def host_caveat(host_share: NDArray[np.float64]) -> Mapping[str, Mask]:
    """A GPU that waits for its host to launch kernels."""
    return {_HOST_SETS_TIME: host_share > HOST_BOUND}


_HOST_SETS_TIME = (
    "the host, not the GPU, sets the time: its processor and software (Python, torch, diffusers) launch "
    "kernels more slowly than the GPU runs them, which differs between machines, hence the wide range (a "
    "larger batch waits less, 9 or more runs of your own, this model among them, narrow it: `joulecast fit`)"
)


def _figures(precision: str, boundary: str) -> dict[str, str]:
    """The GPU figures that a prediction rests on, and their names."""
    used = {
        figure: words for figure, words in _FIGURES.items() if figure != "idle_power" or boundary == "dynamic"
    }
    return used | {precision: f"{precision} peak"}
