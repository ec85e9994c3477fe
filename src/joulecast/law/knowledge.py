"""What a fitted law knows of a model on GPUs, and how wide its intervals are for that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu
from joulecast.law.law import FAMILIARITY, FORMATS, UNSEEN_RUNTIME, Array, Own
from joulecast.runtime import Runtime

MOST_KNOWN = 4096  # models on sets of GPUs of which a law keeps it


class Knowledge(NamedTuple):
    """What a law knows of a model on each of some GPUs, energies first and then times.

    Attributes
    ----------
    energies, times : of each GPU, one of FAMILIARITY.
    half_widths : calibrated (log), of intervals of 90 %, shape (2, GPUs).
    is_own : where whoever asks measured the model on the GPU, shape (2, GPUs); None where nowhere.
    """

    energies: Sequence[str]
    times: Sequence[str]
    half_widths: Array
    is_own: NDArray[np.bool_] | None

    @classmethod
    def of(
        cls,
        energies: Sequence[str],
        times: Sequence[str],
        widths: Mapping[str, float],
        duration_widths: Mapping[str, float],
    ) -> Knowledge:
        """With the calibrated half-widths of energies and times by familiarity."""
        own = np.array([[one == FAMILIARITY[0] for one in known] for known in (energies, times)])
        calibrated = [[widths[one] for one in energies], [duration_widths[one] for one in times]]
        return cls(energies, times, np.array(calibrated), own if own.any() else None)


def familiarity_of(
    profile: ComputeProfile,
    gpus: Sequence[Gpu],
    known: tuple[Sequence[str], Sequence[str]] | None,
    own: Collection[tuple[str, str]],
) -> list[str]:
    """Of each GPU, from the `known` models and GPUs; None where nothing is known of such a runtime."""
    if known is None:
        return [UNSEEN_RUNTIME] * len(gpus)
    models, measured = known
    from_file = profile.origin.casefold().endswith(".json")
    name = profile.origin if from_file else profile.name
    is_listed = from_file or profile.origin == "catalogue"
    model = is_listed and name in models and not profile.adapters  # no run has adapters
    seen, unseen = ("seen", "unseen_gpu") if model else ("unseen_model", "unseen_both")
    return [
        "same_source" if model and (name, gpu.name) in own else seen if gpu.name in measured else unseen
        for gpu in gpus
    ]


def own_of(measured: Iterable[Own], precision: str, runtime: Runtime) -> set[tuple[str, str]]:
    """Models and GPUs that were measured in such a number format under such a runtime."""
    kind = runtime.family, FORMATS[precision]
    return {(model, gpu) for model, gpu, *of in measured if tuple(of) == kind}
