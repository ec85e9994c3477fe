"""What every fitted law carries besides its equations: the runs behind it, its range, its errors."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law.law import Array, GpuColumns, Prediction

SAME_RANGE = 1.1  # a workload up to this factor beyond the fitted range counts as inside


@dataclass(frozen=True)
class FittedOn:
    """The runs a law was fitted on.

    `models` and `gpus` are those with measured energies, `timed_models` and `timed_gpus` those with
    measured times: a GPU whose times alone are known is still unseen to a prediction of energy.
    `ranges` gives (smallest, largest) of ``flop`` (per image), ``pixels``, ``steps`` and
    ``batch_size``; `precisions` those that occurred. `own` and `own_timed` are pairs of a model and a GPU
    that whoever had the law fitted measured, energies and times.
    """

    runs: int
    models: tuple[str, ...]
    gpus: tuple[str, ...]
    timed_models: tuple[str, ...]
    timed_gpus: tuple[str, ...]
    precisions: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    sources: tuple[str, ...]
    own: tuple[tuple[str, str], ...] = ()
    own_timed: tuple[tuple[str, str], ...] = ()


# Half of a 90 % interval of a normal distribution, in standard deviations.
NORMAL_90 = 1.645


def widened(half_width: Array | float, spread: Array) -> Array:
    """The half-width (log) of a 90 % interval with a further spread (standard deviation, log) in it."""
    result: Array = np.hypot(half_width, NORMAL_90 * spread)
    return result


class Gross(NamedTuple):
    """A law's bare answer, every array of shape (workloads,).

    Attributes
    ----------
    component_energy_j : gross energy of one image by component [J].
    duration_s : time of one batch [s].
    energy_spread, duration_spread : standard deviation (log) of what the law knows to vary between
        workloads of this kind, 0 where it knows of nothing; the interval widens by it.
    """

    component_energy_j: dict[str, Array]
    duration_s: Array
    energy_spread: Array
    duration_spread: Array


@dataclass(frozen=True)
class FittedLaw(ABC):
    """A law with its parameters, 90 % half-widths (log) by familiarity, and published errors.

    The half-widths are calibrated on held-out runs (see `joulecast.law.hold_out`); the law's own
    spread for a workload is added to them in quadrature.
    """

    form: ClassVar[str]

    name: str
    parameters: Mapping[str, Any]
    fitted_on: FittedOn
    half_widths: Mapping[str, float]
    duration_half_widths: Mapping[str, float]
    errors: Mapping[str, Any] = field(default_factory=dict)
    covariance: Mapping[str, Any] = field(default_factory=dict)

    @abstractmethod
    def gross(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Gross:
        """Gross energy by component, time, and how uncertain they are for such a workload."""

    def predict(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Prediction:
        """See `Law.predict`."""
        parts, duration, spread, duration_spread = self.gross(profile, workloads, precision, gpus)
        known = self.familiarity(profile, gpus.gpus)
        timed = self.timed_familiarity(profile, gpus.gpus)
        return Prediction(
            energy_j=sum(parts.values(), np.zeros(len(workloads))),
            duration_s=duration,
            log_half_width=widened(np.array([self.half_widths[k] for k in known])[gpus.index], spread),
            duration_log_half_width=widened(
                np.array([self.duration_half_widths[k] for k in timed])[gpus.index], duration_spread
            ),
            idle_power_w=gpus.column(idle_power_w),
            component_energy_j=parts,
        )

    def familiarity(self, profile: ComputeProfile, gpus: Sequence[Gpu]) -> list[str]:
        """See `Law.familiarity`."""
        on = self.fitted_on
        return _familiarity(profile, gpus, on.models, on.gpus, on.own)

    def timed_familiarity(self, profile: ComputeProfile, gpus: Sequence[Gpu]) -> list[str]:
        """The same of times: a GPU may have measured times alone."""
        on = self.fitted_on
        return _familiarity(profile, gpus, on.timed_models, on.timed_gpus, on.own_timed)

    def outside(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Mapping[str, NDArray[np.bool_]]:
        """See `Law.outside`."""
        out: dict[str, NDArray[np.bool_]] = {}
        if precision not in self.fitted_on.precisions:
            out[f"no run in {precision} was fitted on"] = np.ones(len(workloads), dtype=bool)
        for label, values in self._measures(profile, workloads, precision).items():
            low, high = self.fitted_on.ranges[label]
            words = f"{_LABELS[label]} outside the fitted {low:.4g} to {high:.4g}"
            out[words] = (values < low / SAME_RANGE) | (values > high * SAME_RANGE)
        return out

    @staticmethod
    def _measures(profile: ComputeProfile, workloads: WorkloadColumns, precision: str) -> dict[str, Array]:
        total = sum(profile.flop(workloads, precision).values(), np.zeros(len(workloads)))
        return {
            "flop": total / workloads.batch_size,
            "pixels": (workloads.width * workloads.height).astype(np.float64),
            "steps": workloads.steps.astype(np.float64),
            "batch_size": workloads.batch_size.astype(np.float64),
        }

    def describe(self) -> Mapping[str, Any]:
        """See `Law.describe`."""
        return {
            "name": self.name,
            "form": self.form,
            "fitted_on": dataclasses.asdict(self.fitted_on),
            "errors": dict(self.errors),
        }


def _familiarity(
    profile: ComputeProfile,
    gpus: Sequence[Gpu],
    models: Sequence[str],
    known: Sequence[str],
    own: Collection[tuple[str, str]],
) -> list[str]:
    from_file = profile.origin.casefold().endswith(".json")
    name = profile.origin if from_file else profile.name
    model = (from_file or profile.origin == "catalogue") and name in models
    seen, unseen = ("seen", "unseen_gpu") if model else ("unseen_model", "unseen_both")
    return [
        "same_source" if model and (name, gpu.name) in own else seen if gpu.name in known else unseen
        for gpu in gpus
    ]


_LABELS = {
    "flop": "compute per image [FLOP]",
    "pixels": "image size [pixels]",
    "steps": "steps",
    "batch_size": "batch size",
}
