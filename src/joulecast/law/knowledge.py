"""What a fitted law knows of a model on GPUs, and how wide its intervals are for that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.profile import ComputeProfile
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

    energies: tuple[str, ...]
    times: tuple[str, ...]
    half_widths: Array
    is_own: NDArray[np.bool_] | None

    @classmethod
    def of(
        cls,
        energies: tuple[str, ...],
        times: tuple[str, ...],
        widths: Mapping[str, float],
        duration_widths: Mapping[str, float],
    ) -> Knowledge:
        """With the calibrated half-widths of energies and times by familiarity."""
        own = np.array([[one == FAMILIARITY[0] for one in known] for known in (energies, times)])
        calibrated = [[widths[one] for one in energies], [duration_widths[one] for one in times]]
        return cls(energies, times, np.array(calibrated), own if own.any() else None)


def model_of(profile: ComputeProfile) -> str | None:
    """The name under which runs of a model would be known; None of one that no run can be of."""
    if profile.adapters:
        return None
    if profile.origin.casefold().endswith(".json"):
        return profile.origin
    return profile.name if profile.origin == "catalogue" else None


def familiarity_of(
    model: str | None,
    gpus: Iterable[str],
    known: tuple[Collection[str], Collection[str]] | None,
    own: Collection[tuple[str, str]],
) -> tuple[str, ...]:
    """Of each GPU, by name, from the `known` models and GPUs; None where nothing is known of such a
    runtime."""
    if known is None:
        return tuple(UNSEEN_RUNTIME for _ in gpus)
    models, measured = known
    is_known = model in models
    seen, unseen = ("seen", "unseen_gpu") if is_known else ("unseen_model", "unseen_both")
    return tuple(
        "same_source" if is_known and (model, gpu) in own else seen if gpu in measured else unseen
        for gpu in gpus
    )


def own_of(measured: Iterable[Own], precision: str, runtime: Runtime) -> set[tuple[str, str]]:
    """Models and GPUs that were measured in such a number format under such a runtime."""
    kind = runtime.family, FORMATS[precision]
    return {(model, gpu) for model, gpu, *of in measured if tuple(of) == kind}
