"""What every fitted law carries besides its equations: the runs behind it, its range, its errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law import possible
from joulecast.law.law import FAMILIARITY, Array, Breakdown, FittedOn, GpuColumns, LawFacts, Prediction
from joulecast.law.scores import Scores
from joulecast.units import FLOP_PER_TERAFLOP

Decoded = Mapping[str, Any]  # an object of a law file, read from JSON and not checked yet

UNVALIDATED_HALF_WIDTH = 0.7
SAME_RANGE = 1.1  # a workload up to this factor beyond the fitted range counts as inside
# Half-width (log) that is added in quadrature for each factor of e by which a workload lies beyond it. Of the
# packaged runs on one side of a cut through compute, pixels, steps or batch size, predicted from those on the
# other, intervals that grow so cover nine in ten, and at their usual width 8 in ten (tests/law/test_range.py)
BEYOND_RANGE = 0.25


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


def unvalidated() -> dict[str, float]:
    """Half-widths (log) of a law that no hold-out has calibrated: a factor of two, whatever is known."""
    return dict.fromkeys(FAMILIARITY, UNVALIDATED_HALF_WIDTH)


@dataclass(frozen=True)
class Parameters:
    """What a form of law is fitted by; each form has its own frozen dataclass, as its law files have it."""


@dataclass(frozen=True)
class Covariance:
    """Of the fitted `parameters` on `scale`, a row each."""

    parameters: tuple[str, ...]
    scale: str
    matrix: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, value: Decoded) -> Covariance:
        """As a law file has it."""
        return cls(tuple(value["parameters"]), str(value["scale"]), tuple(map(tuple, value["matrix"])))


@dataclass(frozen=True)
class FittedLaw(ABC):
    """A law with its parameters, 90 % half-widths (log) by familiarity, and published errors.

    The half-widths are calibrated on held-out runs (see `joulecast.law.hold_out`); the law's own
    spread for a workload is added to them in quadrature.
    """

    form: ClassVar[str]

    name: str
    parameters: Parameters
    fitted_on: FittedOn
    half_widths: Mapping[str, float] = field(default_factory=unvalidated)
    duration_half_widths: Mapping[str, float] = field(default_factory=unvalidated)
    errors: Mapping[str, Scores] = field(default_factory=dict)
    covariance: Covariance | None = None

    @classmethod
    @abstractmethod
    def parameters_of(cls, value: Decoded) -> Parameters:
        """The parameters as a law file has them; an error of any kind where they are not whole."""

    def check(self) -> None:
        """Raise InputError where what a law file says cannot be true; forms add what their parameters may be.

        Names are one line, widths are not negative, ranges rise.
        """
        possible.check_name(self.name)
        possible.check_fitted_on(self.fitted_on)
        possible.check_widths(self.half_widths)
        possible.check_widths(self.duration_half_widths)
        possible.check_errors(self.errors)
        if self.covariance is not None:
            possible.check_covariance(self.covariance.parameters, self.covariance.matrix)

    @abstractmethod
    def gross(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Gross:
        """Gross energy by component, time, and how uncertain they are for such a workload."""

    def predict(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Prediction:
        """See `Law.predict`."""
        gross = self.gross(profile, workloads, precision, gpus)
        half_width, duration_half_width = self.interval(profile, workloads, precision, gpus, gross)
        return Prediction(
            energy_j=sum(gross.component_energy_j.values(), np.zeros(len(workloads))),
            duration_s=gross.duration_s,
            log_half_width=half_width,
            duration_log_half_width=duration_half_width,
            idle_power_w=gpus.column(idle_power_w),
            component_energy_j=gross.component_energy_j,
            host_share=self.host_share(gross),
        )

    def interval(
        self,
        profile: ComputeProfile,
        workloads: WorkloadColumns,
        precision: str,
        gpus: GpuColumns,
        gross: Gross,
    ) -> tuple[Array, Array]:
        """Half-widths (log) of the 90 % intervals of energy and time, (workloads,) each.

        The calibrated width; with it the law's own spread, but where whoever asks measured the model and the
        GPU, for then it is known; and BEYOND_RANGE.
        """
        beyond = BEYOND_RANGE * np.log(self._times_beyond(profile, workloads, precision).max(axis=0))
        found = []
        for familiarity, widths, spread in (
            (self.familiarity, self.half_widths, gross.energy_spread),
            (self.timed_familiarity, self.duration_half_widths, gross.duration_spread),
        ):
            known = familiarity(profile, gpus.gpus)
            own = np.array([one == FAMILIARITY[0] for one in known])[gpus.index]
            calibrated = np.array([widths[one] for one in known])[gpus.index]
            found.append(widened(np.hypot(calibrated, beyond), np.where(own, 0.0, spread)))
        return found[0], found[1]

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
        out.update(zip(self._limits[0], self._times_beyond(profile, workloads, precision) > 1, strict=True))
        return out

    def _times_beyond(self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str) -> Array:
        """How many times beyond the fitted range each of _LABELS is, 1 inside; shape (labels, workloads).

        Found once, then remembered with the workloads: an answer asks for its range and for its warnings.
        """
        asked = (self, profile, precision)  # held, so that their ids stay their own
        known = workloads.memo.get(id(self))
        if isinstance(known, _Beyond) and all(a is b for a, b in zip(known.asked, asked, strict=True)):
            return known.times
        values = np.empty((len(_LABELS), len(workloads)))
        np.divide(profile.total_flop(workloads, precision), workloads.batch_size, out=values[0])
        np.multiply(*profile.rendered(workloads), out=values[1])
        values[2], values[3] = workloads.steps, workloads.batch_size
        _, low, high = self._limits
        times: Array = np.maximum(1.0, np.maximum(values / high, low / values))
        workloads.memo[id(self)] = _Beyond(asked, times)
        return times

    @cached_property
    def _limits(self) -> tuple[tuple[str, ...], Array, Array]:
        """Of each of _LABELS what is said outside the fitted range, and where that begins, (labels, 1)."""
        ranges = [self.fitted_on.ranges[label] for label in _LABELS]
        words = [
            f"{told} outside the fitted {_plain(low / size)} to {_plain(high / size)}{unit}, so the range is "
            "wider"
            for (told, size, unit), (low, high) in zip(_LABELS.values(), ranges, strict=True)
        ]
        low, high = np.array(ranges, dtype=np.float64).T[:, :, None]
        return tuple(words), low / SAME_RANGE, high * SAME_RANGE

    def breakdown(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Breakdown | None:
        """See `Law.breakdown`; the parts of a component add up to its energy."""
        return None

    def launch_bound(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Array:
        """How far the time follows the host's kernel launches, 0 to 1; 0 of a law that knows no host."""
        return self.host_share(self.gross(profile, workloads, precision, gpus))

    def host_share(self, gross: Gross) -> Array:
        """The same of what `gross` answered."""
        return np.zeros(len(gross.duration_s))

    def describe(self) -> LawFacts:
        """See `Law.describe`."""
        return LawFacts(self.name, self.form, self.fitted_on, self.errors)


class _Beyond(NamedTuple):
    """What a law found of workloads, and what it was asked: itself, a profile and a precision."""

    asked: tuple[object, ...]
    times: Array


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


def _plain(value: float) -> str:
    """A number to four digits without an exponent: ``2.659``, ``7,459``, ``1,048,576``; whole ones whole."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.4g}"


# What ranges are fitted of, in the order in which `outside` finds them: name, the unit's size, the unit.
_LABELS = {
    "flop": ("compute per image", FLOP_PER_TERAFLOP, " TFLOP"),
    "pixels": ("image size", 1.0, " pixels"),
    "steps": ("steps", 1.0, ""),
    "batch_size": ("batch size", 1.0, ""),
}
