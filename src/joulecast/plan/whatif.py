"""What one change does to an image: from what to what each measure goes, and how sure the change is.

The two predictions share most of their errors, and so do the two sites. What is the same before and
after is one number here, not two: a factor that does not change is varied in both at once, and the law's
error on the ratio is that of `joulecast.plan.ratio`, counted on held-out pairs. Where that is not known,
the two errors are taken as independent, and the delta says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from joulecast.compute.output import IMAGE
from joulecast.errors import InputError
from joulecast.footprint.account import Footprint, footprint_of
from joulecast.footprint.site import Site
from joulecast.forecast.answer import gpu_seconds
from joulecast.forecast.estimate import Estimate, estimate_of
from joulecast.hardware import CATALOGUE
from joulecast.law.load import law_names, load_law
from joulecast.plan.case import Case, changed_keys
from joulecast.plan.pairs_of_ends import Ends, added, linked, product, shared
from joulecast.plan.ratio import Facts, RatioError, known_ratio_error, lesser
from joulecast.plan.tradeoff import Given, rates
from joulecast.presented import Presented
from joulecast.question.question import ask
from joulecast.question.runtimes import KEYS as RUNTIME_KEYS
from joulecast.runtime import NONE
from joulecast.uncertainty import Interval
from joulecast.units import JOULES_PER_KILOWATT_HOUR, SECONDS_PER_HOUR


@dataclass(frozen=True)
class Delta:
    """A measure before and after; `ratio` is after over before, `difference` after less before."""

    measure: str
    before: Interval
    after: Interval
    ratio: Interval
    difference: Interval


@dataclass(frozen=True)
class KeyChange:
    """A key of a setting that changes, and its values: as given, else the model's; None for none."""

    key: str
    before: object
    after: object


@dataclass(frozen=True)
class Basis:
    """Where the ranges of a change come from.

    `kinds` is what of Facts differs: nothing where workload and GPU are the same, None where something
    differs of which no pair of runs tells. `energy` and `duration` are the law's errors on the ratios, None
    where they are not known. `intensities` are what the two grid intensities count, where that differs.
    """

    kinds: tuple[str, ...] | None
    energy: RatioError | None
    duration: RatioError | None
    intensities: tuple[str, str] | None = None
    is_added: bool = False


@dataclass(frozen=True, repr=False)
class WhatIf(Presented):
    """One change: what is changed, to what, what that does to an `output`, and where its ranges come from."""

    text_by = "decisions.what_if_text:what_if_sentence"

    setting: Mapping[str, object]
    change: Mapping[str, object]
    keys: tuple[KeyChange, ...]
    deltas: tuple[Delta, ...]
    basis: Basis
    warnings: tuple[str, ...]
    output: str = IMAGE


def what_if(setting: Given, change: Mapping[str, object]) -> WhatIf:
    """What a change does to an image. Settings are those of `joulecast.plan.tradeoff`.

    Raises UnknownNameError for a key that is no setting, InputError where `change` changes nothing, and
    what `estimate` and `site` raise.
    """
    case = Case.of(setting)
    before, after = _Side.of(case), _Side.of(case.changed(change))
    if (before.place is None) != (after.place is None):
        raise InputError(
            "a place is compared with none: give the place before too, as a region, an intensity or a series"
        )
    if before.guess.law.name != after.guess.law.name:
        raise InputError("what two laws say of one workload is no change of it: keep the law")
    if before.guess.boundary != after.guess.boundary:
        raise InputError("gross and dynamic energy are two quantities, not a change: keep the boundary")
    if before.guess.output != after.guess.output:
        raise InputError("an image and a clip are two things, not a change: keep to models of one of them")
    basis = _basis(before.guess, after.guess)
    pair = _Pair(before, after, basis)
    deltas = [pair.energy(), pair.latency(), *pair.of_video()]
    if before.place is not None and after.place is not None:
        basis = replace(basis, intensities=_two_intensities(before.place.site, after.place.site))
        deltas.append(pair.carbon(before.place, after.place))
        if before.place.money.low > 0 and after.place.money.low > 0:
            deltas.append(pair.cost(before.place, after.place))
    changed = {key: after.case.named.get(key) for key in changed_keys(change)}
    keys = tuple(KeyChange(key, _value(key, before), _value(key, after)) for key in changed)
    if all(one.before == one.after for one in keys):
        told = ", ".join(f"{key}={value}" for key, value in change.items())
        raise InputError(f"{told} is what the setting has already: nothing changes")
    warnings = tuple(dict.fromkeys((*before.warnings, *after.warnings)))
    return WhatIf(case.named, changed, keys, tuple(deltas), basis, warnings, before.guess.output)


@dataclass(frozen=True)
class _Place:
    """Where a side is: its site, and the footprint of an image there."""

    site: Site
    footprint: Footprint
    carbon_per_s: Interval  # of the hardware [g/s]

    @property
    def overhead(self) -> Interval:
        """Energy that the intensity applies to, for each joule of GPU energy."""
        at = self.site
        loss = Interval.exact(0) if at.transmission_loss is None else at.transmission_loss.quantity.amount
        return self.facility / (1 - loss)

    @property
    def facility(self) -> Interval:
        """Energy at the facility's meter for each joule of GPU energy."""
        return (self.site.host_overhead.quantity.amount + 1) * self.site.pue.quantity.amount

    @property
    def intensity(self) -> Interval:
        """Of the grid [g/kWh]."""
        return self.site.grid.intensity.amount

    @property
    def money(self) -> Interval:
        """Cost of an image; nothing where there is no price."""
        return Interval.exact(0) if self.footprint.money is None else self.footprint.money.amount

    def price(self, name: str) -> Interval:
        """The price of that name; nothing where it is another's."""
        price = self.site.price
        return price.quantity.amount if price is not None and price.name == name else Interval.exact(0)

    def shares(self, other: _Place, *names: str) -> bool:
        """Whether both sites have the same of each name."""
        return all(getattr(self.site, name) == getattr(other.site, name) for name in names)


@dataclass(frozen=True)
class _Side:
    """Before or after: what was asked, predicted and, where there is a place, what that makes of it."""

    case: Case
    guess: Estimate
    place: _Place | None
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, case: Case) -> _Side:
        guess = estimate_of(ask(case.asked), case.law)
        at = case.place.site()
        if at is None:
            return cls(case, guess, None, guess.warnings)
        found = footprint_of(guess, at)
        hardware = rates(at, guess.gpu, guess.boundary).carbon_per_s
        return cls(case, guess, _Place(at, found, hardware), (*guess.warnings, *found.warnings))

    def gpu_seconds(self, duration_s: float) -> float:
        """GPU time of one image whose batch takes so long [s]."""
        return gpu_seconds(
            Interval.exact(duration_s), self.guess.runtime.gpus, self.guess.workload.batch_size
        ).value


class _Pair:
    """Two sides, with where the range of their change comes from."""

    def __init__(self, before: _Side, after: _Side, basis: Basis) -> None:
        self.before, self.after, self.basis = before, after, basis

    def energy(self) -> Delta:
        return _delta("energy_j", self.before.guess.energy, self.after.guess.energy, self._energies())

    def latency(self) -> Delta:
        return _delta("latency_s", self.before.guess.duration, self.after.guess.duration, self._durations())

    def _energies(self) -> Ends:
        return self._ends(self.before.guess.energy, self.after.guess.energy, self.basis.energy)

    def _durations(self) -> Ends:
        return self._ends(self.before.guess.duration, self.after.guess.duration, self.basis.duration)

    def _ends(self, before: Interval, after: Interval, error: RatioError | None) -> Ends:
        return added(before, after) if self.basis.is_added else linked(before, after, error)

    def of_video(self) -> list[Delta]:
        """The length of a clip and the energy of a second of it; none of an image, or of an unknown rate."""
        before, after = self.before.guess, self.after.guess
        if before.clip_s is None or after.clip_s is None:
            return []
        length, longer = Interval.exact(before.clip_s), Interval.exact(after.clip_s)
        ends = [(x / before.clip_s, y / after.clip_s) for x, y in self._energies()]
        per_s = _delta(
            "energy_per_second_of_video_j", before.energy / before.clip_s, after.energy / after.clip_s, ends
        )
        return [
            _delta("clip_s", length, longer, shared(length, longer, same=False)),
            # Times one number, which leaves exact what is.
            replace(per_s, ratio=self.energy().ratio * (before.clip_s / after.clip_s)),
        ]

    def carbon(self, before: _Place, after: _Place) -> Delta:
        """Carbon is energy x overhead x intensity + time x what a GPU-second of the hardware is."""
        same_overhead = before.shares(after, "host_overhead", "pue", "transmission_loss")
        overhead = shared(before.overhead, after.overhead, same_overhead)
        grid = shared(before.intensity, after.intensity, before.shares(after, "grid"))
        same_gpu = self.before.guess.gpu.name == self.after.guess.gpu.name
        hardware = shared(
            before.carbon_per_s,
            after.carbon_per_s,
            same_gpu and before.shares(after, "life", "utilisation"),
        )
        per_joule = product(overhead, grid, JOULES_PER_KILOWATT_HOUR)
        grams = self._joined(per_joule, hardware)
        return _delta("carbon_g", before.footprint.carbon.amount, after.footprint.carbon.amount, grams)

    def cost(self, before: _Place, after: _Place) -> Delta:
        """Cost is energy x overhead x price of a kWh, or time x price of a GPU-hour."""
        same = before.shares(after, "price")
        kwh, hour = (
            shared(before.price(name), after.price(name), same)
            for name in ("price_per_kwh", "price_per_gpu_hour")
        )
        overhead = shared(before.facility, after.facility, before.shares(after, "host_overhead", "pue"))
        per_joule = product(overhead, kwh, JOULES_PER_KILOWATT_HOUR)
        per_second = product([(1.0, 1.0)], hour, SECONDS_PER_HOUR)
        return _delta("cost", before.money, after.money, self._joined(per_joule, per_second))

    def _joined(self, per_j: Ends, per_s: Ends) -> Ends:
        """Every combination of the ends of energy, time and their rates, before and after.

        The sum is linear, and its ratio linear-fractional, in each of them alone: the extremes are there.
        """
        energy = self._energies()
        time = [(self.before.gpu_seconds(x), self.after.gpu_seconds(y)) for x, y in self._durations()]
        return [
            (e[0] * j[0] + t[0] * s[0], e[1] * j[1] + t[1] * s[1])
            for e, j, t, s in itertools.product(energy, per_j, time, per_s)
        ]


def _delta(measure: str, before: Interval, after: Interval, ends: Ends) -> Delta:
    """A measure's change from the pairs that may occur, the central one first."""
    (x, y), *_ = ends
    finite = [pair for pair in ends if all(map(math.isfinite, pair))]
    if len(finite) < len(ends):  # nothing is known of the law's error
        return Delta(
            measure, before, after, Interval(0.0, y / x, math.inf), Interval(-math.inf, y - x, math.inf)
        )
    ratios, differences = [b / a for a, b in ends], [b - a for a, b in ends]
    return Delta(
        measure=measure,
        before=before,
        after=after,
        ratio=Interval(min(ratios), y / x, max(ratios)),
        difference=Interval(min(differences), y - x, max(differences)),
    )


def _basis(before: Estimate, after: Estimate) -> Basis:
    """The law's error on the ratios of energy and of time, as far as held-out pairs of runs tell it."""
    if _is_moved_alone(before, after):
        return Basis((), RatioError(0.0), RatioError(0.0), is_added=True)
    kinds = _kinds(before, after)
    if kinds is not None and not kinds:
        return Basis(kinds, RatioError(0.0), RatioError(0.0))
    if not kinds or not _is_packaged(before, after):
        return Basis(kinds, None, None)
    law, known = before.law.name, lesser(before.familiarity, after.familiarity)
    energy, duration = (known_ratio_error(law, known, name, kinds) for name in ("energy_j", "duration_s"))
    return Basis(kinds, energy, duration)


def _two_intensities(before: Site, after: Site) -> tuple[str, str] | None:
    """What two intensities count, where that differs; InputError where they cannot be compared."""
    a, b = before.grid, after.grid
    if a.accounting != b.accounting:
        raise InputError(f"{a.accounting} and {b.accounting} carbon cannot be compared: keep the accounting")
    return None if a.boundary == b.boundary else (a.boundary, b.boundary)


def _is_packaged(before: Estimate, after: Estimate) -> bool:
    """Whether both come from one packaged law, whose held-out predictions ship with it."""
    name = before.law.name
    packaged: object = load_law(name) if name in law_names() else None
    return before.law == after.law == packaged


def _kinds(before: Estimate, after: Estimate) -> tuple[str, ...] | None:
    """What of KINDS differs; None where something else does, of which no pair of runs tells."""
    kinds = _other_kinds(before, after)
    is_moved = before.runtime.offload != after.runtime.offload or (kinds and before.runtime.offload != NONE)
    return None if is_moved else kinds


def _other_kinds(before: Estimate, after: Estimate) -> tuple[str, ...] | None:
    """The same, whether or not weights are moved."""
    kinds = _facts(before).differing(_facts(after))
    has_other_text = before.text_tokens != after.text_tokens and "model" not in kinds
    has_others_beside = before.question.work.additions != after.question.work.additions
    is_told = not (has_other_text or has_others_beside)
    return kinds if is_told and before.law.name == after.law.name else None


def _is_moved_alone(before: Estimate, after: Estimate) -> bool:
    """Whether weights are moved on one side, and all else is the same."""
    one_side = (before.runtime.offload == NONE) != (after.runtime.offload == NONE)
    return one_side and _other_kinds(before, after) == ()


def _facts(guess: Estimate) -> Facts:
    profile, w = guess.question.profile, guess.workload
    return Facts(
        model=profile.name if profile.origin == CATALOGUE else profile.origin,
        gpu=guess.gpu.name,
        size=(guess.rendered_width, guess.rendered_height),
        steps=w.steps,
        passes=w.passes,
        precision=w.precision,
        batch_size=w.batch_size,
        frames=guess.rendered_frames,
        runtime=guess.runtime.kind.label,
        power_limit_w=guess.runtime.lowered_limit_w(guess.gpu.tdp_w),
    )


def _value(key: str, side: _Side) -> object:
    """The value of a key: what was given, else what the model has, or None."""
    guess, given = side.guess, side.case.named.get(key)
    if key == "size":
        return f"{guess.workload.width}x{guess.workload.height}"
    if key == "gpu":
        return guess.gpu.name if guess.runtime.gpus == 1 else f"{guess.runtime.gpus} x {guess.gpu.name}"
    if key == "seconds" and given is None:
        return guess.clip_s
    if key == "fps":
        return guess.question.work.frame_rate
    if key == "steps" and given is None:
        return guess.question.work.steps_asked
    if key == "power_limit_w":
        return guess.limit_of_boards_w / guess.runtime.gpus
    if key in RUNTIME_KEYS and (key != "engine" or given is None):
        return guess.runtime.to_dict()[key]
    of_work = key in ("guidance", "true_cfg_scale", "negative_prompt", "strength")
    own = getattr(guess.question.work if of_work else guess.workload, key, None)
    return own if given is None else given
