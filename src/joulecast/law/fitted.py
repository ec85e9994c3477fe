"""What every fitted law carries besides its equations: the runs behind it, its range, its errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import is_
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.output import said_of
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law import possible
from joulecast.law.knowledge import MOST_KNOWN, Knowledge, familiarity_of, model_of, own_of
from joulecast.law.law import (
    FAMILIARITY,
    FORMATS,
    Array,
    Breakdown,
    FittedOn,
    Kind,
    LawFacts,
    LawInput,
    Prediction,
)
from joulecast.law.remembered import remembered
from joulecast.law.scores import Scores
from joulecast.records import Record
from joulecast.runtime import REFERENCE, Runtime
from joulecast.units import FLOP_PER_TERAFLOP

Decoded = Mapping[str, Any]  # an object of a law file, read from JSON and not checked yet

UNVALIDATED_HALF_WIDTH = 0.7
SAME_RANGE = 1.1  # a workload up to this factor beyond the fitted range counts as inside
# Half-width (log) that is added in quadrature for each factor of e by which a workload lies beyond it. Of the
# packaged runs on one side of a cut through compute, pixels, steps or batch size, predicted from those on the
# other, intervals that grow so cover nine in ten, and at their usual width 8 in ten (tests/law/test_range.py)
BEYOND_RANGE = 0.25
SO_WIDER = "so the range is wider"  # what warnings say of it
# The range of the frames, and of the share of the board's power limit, of a law that says none: it was fitted
# on images alone, at boards' own limits.
OF_ONE_ALONE = (1.0, 1.0)
OF_NO_VIDEO = f" of a video, {SO_WIDER}"
NO_VIDEO = f"the law has seen no run{OF_NO_VIDEO}"
OF_ONE = ("energies", "times")  # of which a range is told that the other's is not

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
    host_share : how far the time follows the host's kernel launches, 0 to 1; 0 of a law that knows no host.
    """

    component_energy_j: dict[str, Array]
    duration_s: Array
    energy_spread: Array
    duration_spread: Array
    host_share: Array


def unvalidated() -> dict[str, float]:
    """Half-widths (log) of a law that no hold-out has calibrated: a factor of two, whatever is known."""
    return dict.fromkeys(FAMILIARITY, UNVALIDATED_HALF_WIDTH)


class Parameters:
    """What a form of law is fitted by; each form has its own frozen dataclass, as its law files have it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Covariance(Record):
    """Of the fitted `parameters` on `scale`, a row each."""

    parameters: tuple[str, ...]
    scale: str
    matrix: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, value: Decoded) -> Covariance:
        """As a law file has it."""
        return cls(tuple(value["parameters"]), str(value["scale"]), tuple(map(tuple, value["matrix"])))


class Calibration(Record):
    """What hold-outs say of a stratum of runtimes: 90 % half-widths (log) and errors, by familiarity."""

    half_widths: Mapping[str, float]
    duration_half_widths: Mapping[str, float]
    errors: Mapping[str, Scores]


@dataclass(frozen=True)
class FittedLaw(ABC):
    """A law with its parameters, 90 % half-widths (log) by familiarity, and published errors.

    These are of the reference runtime; `runtimes` has the same of the other strata.

    The half-widths are calibrated on held-out runs (see `joulecast.law.hold_out`); the law's own
    spread for a workload is added to them in quadrature.
    """

    form: ClassVar[str]
    knows_runtimes: ClassVar[bool] = False  # other than eager diffusers on one GPU

    name: str
    parameters: Parameters
    fitted_on: FittedOn
    half_widths: Mapping[str, float] = field(default_factory=unvalidated)
    duration_half_widths: Mapping[str, float] = field(default_factory=unvalidated)
    errors: Mapping[str, Scores] = field(default_factory=dict)
    covariance: Covariance | None = None
    runtimes: Mapping[str, Calibration] = field(default_factory=dict)

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
        for stratum, found in self.runtimes.items():
            possible.check_stratum(stratum)
            possible.check_widths(found.half_widths)
            possible.check_widths(found.duration_half_widths)
            possible.check_errors(found.errors)
        if self.covariance is not None:
            possible.check_covariance(self.covariance.parameters, self.covariance.matrix)

    @abstractmethod
    def gross(self, asked: LawInput) -> Gross:
        """Gross energy by component, time, and how uncertain they are for such a workload."""

    def predict(self, asked: LawInput) -> Prediction:
        """See `Law.predict`.

        Raises InputError for a runtime that laws of this form know nothing of.
        """
        runtime = asked.runtime
        if not (self.knows_runtimes or (runtime.is_reference and runtime.power_limit_w is None)):
            raise InputError(
                f"the law {self.name} is of {REFERENCE.engine} on one GPU, not of {runtime.label}; another "
                "law, e.g. roofline, knows runtimes"
            )
        gross = self.gross(asked)
        half_width, duration_half_width = self.interval(asked, gross)
        return Prediction(
            energy_j=sum(gross.component_energy_j.values(), np.zeros(len(asked.workloads))),
            duration_s=gross.duration_s,
            log_half_width=half_width,
            duration_log_half_width=duration_half_width,
            idle_power_w=asked.gpus.column(idle_power_w) * runtime.gpus,
            component_energy_j=gross.component_energy_j,
            host_share=gross.host_share,
        )

    def interval(self, asked: LawInput, gross: Gross) -> tuple[Array, Array]:
        """Half-widths (log) of the 90 % intervals of energy and time, (workloads,) each.

        The calibrated width; with it the law's own spread, but where whoever asks measured the model and the
        GPU, for then it is known; and BEYOND_RANGE.
        """
        index = asked.gpus.index
        known = self._known(asked.profile, asked.gpus.gpus, asked.precision, asked.runtime)
        beyond = BEYOND_RANGE * np.log(np.maximum.reduce(self._times_beyond(asked), axis=1))
        spread = np.array([gross.energy_spread, gross.duration_spread])
        if known.is_own is not None:
            spread = np.where(known.is_own[:, index], 0.0, spread)
        energy, duration = widened(np.hypot(known.half_widths[:, index], beyond), spread)
        return energy, duration

    def familiarity(
        self, profile: ComputeProfile, gpus: Sequence[Gpu], precision: str, runtime: Runtime = REFERENCE
    ) -> list[str]:
        """See `Law.familiarity`."""
        return list(self._known(profile, gpus, precision, runtime).energies)

    def timed_familiarity(
        self, profile: ComputeProfile, gpus: Sequence[Gpu], precision: str, runtime: Runtime = REFERENCE
    ) -> list[str]:
        """The same of times: a GPU may have measured times alone."""
        return list(self._known(profile, gpus, precision, runtime).times)

    def _known(
        self, profile: ComputeProfile, gpus: Sequence[Gpu], precision: str, runtime: Runtime
    ) -> Knowledge:
        asked = model_of(profile), tuple([gpu.name for gpu in gpus]), precision, runtime
        return remembered(self._knowledge, asked, lambda: self._found(*asked), MOST_KNOWN)

    def _found(self, model: str | None, gpus: tuple[str, ...], precision: str, runtime: Runtime) -> Knowledge:
        on, fitted = self._kind(precision, runtime), self.fitted_on
        energies = None if on is None else (on.models, on.gpus)
        times = None if on is None else (on.timed_models, on.timed_gpus)
        of_stratum = self.runtimes.get(runtime.stratum, self)
        return Knowledge.of(
            familiarity_of(model, gpus, energies, own_of(fitted.own, precision, runtime)),
            familiarity_of(model, gpus, times, own_of(fitted.own_timed, precision, runtime)),
            of_stratum.half_widths,
            of_stratum.duration_half_widths,
        )

    @cached_property
    def _knowledge(self) -> dict[tuple[str | None, tuple[str, ...], str, Runtime], Knowledge]:
        return {}

    def _kind(self, precision: str, runtime: Runtime) -> Kind | FittedOn | None:
        """What was fitted on of a number format and a runtime; None where nothing was of such a runtime, or
        no GPUs shared the work as its do."""
        if not {way for way, _ in runtime.parallel} <= set(self.fitted_on.ways):
            return None
        if not self.fitted_on.kinds:
            return self.fitted_on if runtime.is_reference else None
        return self._kinds.get((runtime.family, FORMATS[precision]), self._kinds.get((runtime.family, "")))

    @cached_property
    def _kinds(self) -> Mapping[tuple[str, str], Kind]:
        """The kinds by runtime and format, and of each runtime one of no models and GPUs, in no format."""
        kinds = self.fitted_on.kinds
        known = {(kind.runtime, kind.format): kind for kind in kinds}
        nothing = {(kind.runtime, ""): Kind(kind.runtime, "", (), (), (), ()) for kind in kinds}
        return {**nothing, **known}

    def outside(self, asked: LawInput) -> Mapping[str, NDArray[np.bool_]]:
        """See `Law.outside`."""
        out: dict[str, NDArray[np.bool_]] = {}
        if asked.precision not in self.fitted_on.precisions:
            out[f"no run in {asked.precision} was fitted on"] = np.ones(len(asked.workloads), dtype=bool)
        beyond = self._times_beyond(asked) > 1
        if not beyond.any():
            return out
        energy, time = beyond[0], beyond[-1]
        for told, masks in zip(self._words, (energy & time, energy & ~time, ~energy & time), strict=False):
            out.update(zip((said_of(asked.profile.output, words) for words in told), masks, strict=True))
        return out

    def _times_beyond(self, asked: LawInput) -> Array:
        """How many times beyond the fitted range each of _LABELS is, 1 inside; (ranges, labels, workloads).

        Found once, then remembered with the workloads: an answer asks for its range and for its warnings.
        """
        profile, workloads, precision, gpus, runtime = asked
        whose = (self, profile, precision, gpus, runtime)  # held, so that their ids stay their own
        known = workloads.memo.get(id(self))
        if isinstance(known, _Beyond) and all(map(is_, known.asked, whose)):
            return known.times
        values = np.ones((len(_LABELS), len(workloads)))
        np.divide(profile.total_flop(workloads, precision), workloads.batch_size, out=values[0])
        np.multiply(*profile.rendered(workloads), out=values[1])
        values[2], values[3] = workloads.steps, workloads.batch_size
        values[4] = profile.rendered_frames(workloads)
        if runtime.power_limit_w is not None:
            values[5] = gpus.column(lambda gpu: (runtime.lowered_limit_w(gpu.tdp_w) or gpu.tdp_w) / gpu.tdp_w)
        low, high = self._limits
        times: Array = np.maximum(1.0, np.maximum(values / high, low / values))
        workloads.memo[id(self)] = _Beyond(whose, times)
        return times

    @property
    def _ranges(self) -> list[Mapping[str, tuple[float, float]]]:
        """Those of energies, then of times, or of both at once."""
        on = self.fitted_on
        return [on.ranges, on.timed_ranges] if on.timed_ranges else [on.ranges]

    @cached_property
    def _limits(self) -> tuple[Array, Array]:
        """Where what lies outside the fitted ranges begins, below and above, (ranges, labels, 1)."""
        ends = [[one.get(label, OF_ONE_ALONE) for label in _LABELS] for one in self._ranges]
        low, high = np.moveaxis(np.array(ends, dtype=np.float64), -1, 0)[..., None]
        return low / SAME_RANGE, high * SAME_RANGE

    @cached_property
    def _words(self) -> list[list[str]]:
        """What is said of each of _LABELS outside of all ranges, then of that of energies or times alone."""
        every = self._ranges
        ends = {label: [one[label] for one in every if label in one] for label in _LABELS}
        hull = {label: (min(a)[0], max(b for _, b in a)) for label, a in ends.items() if a}
        return [_outside(hull), *map(_outside, every, OF_ONE)] if len(every) > 1 else [_outside(hull)]

    def breakdown(self, asked: LawInput) -> Breakdown | None:
        """See `Law.breakdown`; the parts of a component add up to its energy."""
        return None

    def launch_bound(self, asked: LawInput) -> Array:
        """How far the time follows the host's kernel launches, 0 to 1; 0 of a law that knows no host."""
        return self.gross(asked).host_share

    def describe(self) -> LawFacts:
        """See `Law.describe`."""
        of_runtimes = {stratum: found.errors for stratum, found in self.runtimes.items()}
        return LawFacts(self.name, self.form, self.fitted_on, self.errors, of_runtimes)


class _Beyond(NamedTuple):
    """What a law found of workloads, and what it was asked: itself, and all that is beside the workloads."""

    asked: tuple[object, ...]
    times: Array


def _outside(ranges: Mapping[str, tuple[float, float]], of: str = "") -> list[str]:
    """What is said of each of _LABELS outside of ranges, of energies or times alone where `of` says so."""
    found = []
    for label, (what, size, unit) in _LABELS.items():
        if label == "power_limit" and label not in ranges:
            found.append(f"no run{f' with {of}' if of else ''} under a power limit that was set, {SO_WIDER}")
            continue
        if label not in ranges:
            found.append(f"the law has seen no {of}{OF_NO_VIDEO}" if of else NO_VIDEO)
            continue
        low, high = (_plain(end / size) for end in ranges[label])
        whose = f" (of {of})" if of else ""
        found.append(f"{what} outside the fitted {low} to {high}{unit}{whose}, {SO_WIDER}")
    return found


def _plain(value: float) -> str:
    """A number to four digits without an exponent: ``2.659``, ``7,459``, ``1,048,576``; whole ones whole."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.4g}"


# What ranges are fitted of, in the order in which `outside` finds them: name, the unit's size, the unit.
_LABELS = {
    "flop": ("compute per image", FLOP_PER_TERAFLOP, " TFLOP"),
    "pixels": ("image size", 1.0, " pixels"),
    "steps": ("steps", 1.0, ""),
    "batch_size": ("batch size", 1.0, ""),
    "frames": ("frames", 1.0, ""),
    "power_limit": ("a power limit", 0.01, " % of the board's own"),
}
