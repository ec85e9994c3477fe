"""Plain warnings beside a prediction: where the number deserves doubt, in words.

Some hold for a model on a GPU (`pair_caveats`), some for single workloads (`workload_caveats`,
computed in columns). The law adds its own: see `Law.outside`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_rules import ROUND_UP
from joulecast.forecast.memory import WOULD_FIT, weight_bytes, weights_fit
from joulecast.forecast.offloading import in_turn, offloading_words
from joulecast.hardware import Gpu
from joulecast.hardware import gpus as catalogue
from joulecast.law.fitted import SO_WIDER
from joulecast.law.law import FORMATS, UNSEEN_RUNTIME, Law
from joulecast.runtime import NONE, Runtime
from joulecast.units import BYTES_PER_GIGABYTE, gigabytes

POWER_MARGIN = 1.05  # sensors and boards differ by a few per cent from their stated limit

DATASHEET = "only datasheet figures"
HOST_BOUND = 0.5  # of the time's following the host, from which it is said that the host sets it

HENCE_WIDE = "hence the wide range"
HOST_SETS_TIME = (
    "the host, not the GPU, sets the time: its processor and software (Python, torch, diffusers) launch "
    f"kernels more slowly than the GPU runs them, which differs between machines, {HENCE_WIDE}. A larger "
    "batch waits less. Nine or more runs of your own, some of this model, narrow it (`joulecast fit`)"
)
EXCEEDS_LIMIT = "energy and time together exceed the board's power limit"
FEW_UNDER_A_LIMIT = "few runs were measured under a power limit that was set, and times alone"

# What a law has not seen, and of what its range then is: of what was held out to find its error.
_MISSING = {
    "same_source": "",
    "seen": "",
    "unseen_model": "no {what} of {model}{way}",
    "unseen_gpu": "no {what} on {gpu}{way}",
    "unseen_both": "no {what} of {model}{way}, nor on {gpu}{so}",
    UNSEEN_RUNTIME: "no {what} of this runtime",
}
_UNSEEN_GPU = {"unseen_gpu", "unseen_both"}
FROM_PARTS = "it is predicted from its parts"
_RANGE_FOR = {
    "same_source": "what you measured",
    "seen": "what others measured",
    "unseen_model": "models it has not seen",
    "unseen_gpu": "GPUs it has not seen",
    "unseen_both": "models and GPUs it has not seen",
    UNSEEN_RUNTIME: "runtimes it has not seen",
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

    `of_gpu` says in words what it knows of a GPU that it has seen no run on, `way` how the model is run where
    that is not in 16 bits by eager diffusers on one GPU: what is known is known of that.
    """

    energy: str
    time: str
    of_gpu: str = DATASHEET
    way: str = ""


def known_of(
    law: Law,
    profile: ComputeProfile,
    gpus: Sequence[Gpu],
    precision: str,
    runtime: Runtime,
) -> list[Known]:
    """What a law knows of a model, in a precision under a runtime, on each of some GPUs."""
    on = law.describe().fitted_on
    return [
        Known(
            energy,
            time,
            _of_unseen(gpu, on.gpus, on.timed_gpus) if {energy, time} & _UNSEEN_GPU else "",
            way_of(precision, runtime, energy == time == UNSEEN_RUNTIME),
        )
        for gpu, energy, time in zip(
            gpus,
            law.familiarity(profile, gpus, precision, runtime),
            law.timed_familiarity(profile, gpus, precision, runtime),
            strict=True,
        )
    ]


def way_of(precision: str, runtime: Runtime, whole: bool = False) -> str:
    """In what numbers, and by what, a model is run, in words; empty in 16 bits by eager diffusers.

    The runtime is told as laws tell them apart, or the `whole` of it, with how GPUs share the work.
    """
    told = [f"in {precision}"] if FORMATS[precision] == precision else []
    name = replace(runtime, power_limit_w=None, offload=NONE).label if whole else runtime.family
    return " ".join([*told, *([] if runtime.is_reference else [f"under {name}"])])


@lru_cache(maxsize=4096)
def _of_unseen(gpu: Gpu, fitted: tuple[str, ...], timed: tuple[str, ...]) -> str:
    """What a law knows of a GPU that no such run is of: others on it, its chip, its vendor, figures."""
    for words, names in (("runs", fitted), ("times", timed)):
        if gpu.name in names:
            return f"only {words} under other runtimes or in other number formats"
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
    profile: ComputeProfile,
    gpu: Gpu,
    precision: str,
    boundary: str,
    known: Known,
    runtime: Runtime,
) -> tuple[str, ...]:
    """What holds for every workload of a model on a GPU under a runtime."""
    name = f"{profile.name} with LoRA adapters" if profile.adapters else profile.name
    found = [not_fitted_on(name, gpu.name, known)]
    if not weights_fit(profile, gpu.memory_bytes, precision, runtime):
        weights = gigabytes(weight_bytes(profile, precision, runtime.offload))
        at_once = in_turn(profile, gpu, precision, runtime)
        found.append(
            f"the weights of {profile.name} alone, {weights} in {precision}, do not fit the "
            f"{gpu.memory_bytes / BYTES_PER_GIGABYTE:g} GB of {gpu.name}{f' ({at_once})' if at_once else ''}"
        )
    if gpu.limit_note:
        found.append(f"the power limit of {gpu.name}, {gpu.tdp_w:g} W, {gpu.limit_note}")
    if runtime.offload != NONE:
        found.append(offloading_words(profile, gpu, precision, runtime))
    if runtime.power_limit_w is not None:
        found.append(FEW_UNDER_A_LIMIT)
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
    if known.energy == known.time == UNSEEN_RUNTIME:
        return (
            f"no run {known.way} was fitted on: {FROM_PARTS}, and the range is that for "
            f"{_RANGE_FOR[UNSEEN_RUNTIME]}"
        )
    way = f" {known.way}" if known.way else ""

    def missing_of(what: str, familiarity: str) -> str:
        return _MISSING[familiarity].format(what=what, model=model, gpu=gpu, way=way, so=" so" if way else "")

    if known.energy == known.time:
        missing = missing_of("run", known.energy)
        rests_on = f", {known.of_gpu}" if known.energy in _UNSEEN_GPU else ""
        if not missing:
            return ""
        return f"the law has seen {missing}{rests_on}: the range is that for {_RANGE_FOR[known.energy]}"
    energy, time = missing_of("energy", known.energy), missing_of("time", known.time)
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
    if profile.frames is not None:
        made, most = profile.rendered_frames(workloads), profile.defaults.frames
        caveats[rounding_frames(profile)] = made != workloads.frames
        caveats[f"more than the {most} frames that the authors of {profile.name} recommend"] = made > most
    return caveats


def rounding(profile: ComputeProfile) -> str:
    """What the pipeline does with a size it does not generate at."""
    if profile.size.bins:
        made = profile.output
        return f"{profile.name} generates at the nearest of its trained sizes and resizes the {made}"
    way = "up" if profile.size.off_grid == ROUND_UP else "down"
    return f"{profile.name} rounds sides {way} to multiples of {profile.size.unit} pixels"


def rounding_frames(profile: ComputeProfile) -> str:
    """What the pipeline does with a number of frames that it does not make; empty of images."""
    rule = profile.frames
    return "" if rule is None else f"{profile.name} makes {rule.expected()}, and rounds others {rule.way}"


def power_caveat(power_w: NDArray[np.float64], limit_w: NDArray[np.float64]) -> Mapping[str, Mask]:
    """Energy and time of a law that together need more than the board's power limit."""
    return {EXCEEDS_LIMIT: power_w > POWER_MARGIN * limit_w}


def host_caveat(host_share: NDArray[np.float64]) -> Mapping[str, Mask]:
    """A GPU that waits for its host to launch kernels."""
    return {HOST_SETS_TIME: host_share > HOST_BOUND}


def says_wider(warning: str) -> bool:
    """Whether a warning says why a range is wider than usual."""
    return SO_WIDER in warning or HENCE_WIDE in warning


def is_of_some_gpu(warning: str) -> bool:
    """Whether a warning is of a GPU without naming it: beside other GPUs it must be said of which."""
    return warning in (HOST_SETS_TIME, EXCEEDS_LIMIT, WOULD_FIT)


def _figures(precision: str, boundary: str) -> dict[str, str]:
    """The GPU figures that a prediction rests on, and their names."""
    used = {
        figure: words for figure, words in _FIGURES.items() if figure != "idle_power" or boundary == "dynamic"
    }
    return used | {precision: f"{precision} peak"}
