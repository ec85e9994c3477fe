"""What one change does to an image: from what to what each measure goes, and how sure the change is.

The two predictions share most of their errors, and so do the two sites. What is the same before and
after is one number here, not two: a factor that does not change is varied in both at once, and the law's
error on the ratio is that of `joulecast.plan.ratio`, counted on held-out pairs. Where that is not known,
the two errors are taken as independent, and the delta says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joulecast.errors import InputError
from joulecast.footprint.account import Footprint, footprint_of
from joulecast.footprint.site import Site
from joulecast.forecast.estimate import Estimate, estimate_of
from joulecast.hardware import CATALOGUE
from joulecast.law.load import law_names, load_law
from joulecast.plan.case import Case, changed_keys
from joulecast.plan.ratio import KINDS, RatioError, known_ratio_error, lesser
from joulecast.plan.tradeoff import Given, rates
from joulecast.question.question import ask
from joulecast.uncertainty import Interval
from joulecast.units import JOULES_PER_KILOWATT_HOUR, SECONDS_PER_HOUR

STAYS = 0.005  # of a measure: less is no change
WORDS = {
    "energy_j": ("GPU energy", "J"),
    "seconds": ("GPU time", "s"),
    "latency_s": ("time of a batch", "s"),
    "carbon_g": ("carbon", "g CO2e"),
    "cost": ("cost", ""),
}


@dataclass(frozen=True)
class Delta:
    """A measure before and after; `ratio` is after over before, `difference` after less before."""

    measure: str
    before: Interval
    after: Interval
    ratio: Interval
    difference: Interval

    @property
    def may_go_either_way(self) -> bool:
        """Whether the ratio's range holds both a fall and a rise."""
        return self.ratio.low < 1 < self.ratio.high

    def words(self) -> str:
        """The change in words, e.g. ``falls by 44 % (42 to 46 %)``."""
        told = change(self.ratio.value)
        if self.ratio.is_exact:
            return told
        told = "is about the same" if told == "stays" else told
        return f"{told} ({_range(self.ratio)})"


@dataclass(frozen=True)
class WhatIf:
    """One change: what is changed, to what, what that does, and where its ranges come from."""

    setting: Mapping[str, object]
    change: Mapping[str, object]
    described: str
    deltas: tuple[Delta, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        """The change as one sentence."""
        told = []
        for delta in self.deltas:
            words, unit = WORDS[delta.measure]
            ends = f"{delta.before.value:.3g} to {delta.after.value:.3g} {unit}".rstrip()
            told.append(f"{words} {delta.words()}, {ends}")
        return f"{self.described}: {'; '.join(told)}."

    def to_dict(self) -> dict[str, Any]:
        """The same as one JSON object."""
        return {
            "change": dict(self.change),
            "described": self.described,
            "measures": {
                delta.measure: {
                    name: _ends(getattr(delta, name)) for name in ("before", "after", "ratio", "difference")
                }
                for delta in self.deltas
            },
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


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
        raise InputError("what two laws say of one image is no change of it: keep the law")
    if before.guess.boundary != after.guess.boundary:
        raise InputError("gross and dynamic energy are two quantities, not a change: keep the boundary")
    energy, seconds, notes = _ratios(before.guess, after.guess)
    pair = _Pair(before, after, energy, seconds)
    deltas = [pair.energy(), pair.latency()]
    if before.place is not None and after.place is not None:
        notes += _comparable(before.place.site, after.place.site)
        deltas.append(pair.carbon(before.place, after.place))
        if before.place.money.low > 0 and after.place.money.low > 0:
            deltas.append(pair.cost(before.place, after.place))
    keys, sides = changed_keys(change), (before, after)
    described = ", ".join(
        f"{key.replace('_', ' ')} {' to '.join(_shown(key, side) for side in sides)}" for key in keys
    )
    warnings = tuple(dict.fromkeys((*before.warnings, *after.warnings)))
    return WhatIf(
        case.given,
        {key: after.case.given.get(key) for key in keys},
        described,
        tuple(deltas),
        notes,
        warnings,
    )


def change(ratio: float) -> str:
    """A ratio in words: ``falls by 44 %``, ``stays``, ``2.3 times as much``."""
    if ratio >= 2:
        return f"{ratio:.1f} times as much"
    if abs(ratio - 1) < STAYS:
        return "stays"
    return f"{'falls' if ratio < 1 else 'rises'} by {_per_cent(100 * abs(ratio - 1))} %"


def _per_cent(share: float) -> str:
    """A share [%] in whole numbers; what does not fall to nothing is never said to fall by 100 %."""
    return f"{math.floor(10 * share) / 10:.1f}" if 99.5 <= share < 100 else f"{share:.0f}"


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

    @property
    def batch(self) -> int:
        return self.guess.workload.batch_size


class _Pair:
    """Two sides, with the law's error on their ratios: None where it is not known."""

    def __init__(
        self, before: _Side, after: _Side, energy: RatioError | None, seconds: RatioError | None
    ) -> None:
        self.before, self.after = before, after
        self.energy_error, self.seconds_error = energy, seconds

    def energy(self) -> Delta:
        before, after = self.before.guess.energy, self.after.guess.energy
        return _delta("energy_j", before, after, _linked(before, after, self.energy_error))

    def latency(self) -> Delta:
        before, after = self.before.guess.duration, self.after.guess.duration
        return _delta("latency_s", before, after, _linked(before, after, self.seconds_error))

    def carbon(self, before: _Place, after: _Place) -> Delta:
        """Carbon is energy x overhead x intensity + time x what a GPU-second of the hardware is."""
        same_overhead = before.shares(after, "host_overhead", "pue", "transmission_loss")
        overhead = _shared(before.overhead, after.overhead, same_overhead)
        grid = _shared(before.intensity, after.intensity, before.shares(after, "grid"))
        same_gpu = self.before.guess.gpu.name == self.after.guess.gpu.name
        hardware = _shared(
            before.carbon_per_s,
            after.carbon_per_s,
            same_gpu and before.shares(after, "life", "utilisation"),
        )
        per_joule = _product(overhead, grid, JOULES_PER_KILOWATT_HOUR)
        grams = self._joined(per_joule, hardware)
        return _delta("carbon_g", before.footprint.carbon.amount, after.footprint.carbon.amount, grams)

    def cost(self, before: _Place, after: _Place) -> Delta:
        """Cost is energy x overhead x price of a kWh, or time x price of a GPU-hour."""
        same = before.shares(after, "price")
        kwh, hour = (
            _shared(before.price(name), after.price(name), same)
            for name in ("price_per_kwh", "price_per_gpu_hour")
        )
        overhead = _shared(before.facility, after.facility, before.shares(after, "host_overhead", "pue"))
        per_joule = _product(overhead, kwh, JOULES_PER_KILOWATT_HOUR)
        per_second = _product([(1.0, 1.0)], hour, SECONDS_PER_HOUR)
        return _delta("cost", before.money, after.money, self._joined(per_joule, per_second))

    def _joined(self, per_j: Ends, per_s: Ends) -> Ends:
        """Every combination of the ends of energy, time and their rates, before and after.

        The sum is linear, and its ratio linear-fractional, in each of them alone: the extremes are there.
        """
        energy = _linked(self.before.guess.energy, self.after.guess.energy, self.energy_error)
        time = [
            (x / self.before.batch, y / self.after.batch)
            for x, y in _linked(self.before.guess.duration, self.after.guess.duration, self.seconds_error)
        ]
        return [
            (e[0] * j[0] + t[0] * s[0], e[1] * j[1] + t[1] * s[1])
            for e, j, t, s in itertools.product(energy, per_j, time, per_s)
        ]


# Pairs of (before, after): the central one first, then the ends that may occur together.
Ends = list[tuple[float, float]]


def _linked(before: Interval, after: Interval, error: RatioError | None) -> Ends:
    """Ends of two predictions whose ratio is known to `error`; independent where that is None.

    The ratio is never less sure than that of two independent predictions.
    """
    if error is None or not math.isfinite(before.high * after.high):
        return _shared(before, after, same=False)
    central = after.value / before.value
    least = max(central / error.factor, after.low / before.high)
    most = min(central * error.factor, after.high / before.low)
    factors = (1.0,) if error.factor == 1 else (1.0, least / central, most / central)
    ends = dict.fromkeys((before.value, before.low, before.high))
    return [(x, x * central * factor) for x in ends for factor in factors]


def _shared(before: Interval, after: Interval, same: bool) -> Ends:
    """Ends of a factor before and after: one number where it is the same, else two."""
    ends_before, ends_after = ((i.value, i.low, i.high) for i in (before, after))
    if same:
        return list(dict.fromkeys(zip(ends_before, ends_after, strict=True)))
    return list(dict.fromkeys(itertools.product(ends_before, ends_after)))


def _product(a: Ends, b: Ends, divisor: float) -> Ends:
    return [(x[0] * y[0] / divisor, x[1] * y[1] / divisor) for x, y in itertools.product(a, b)]


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


def _ratios(
    before: Estimate, after: Estimate
) -> tuple[RatioError | None, RatioError | None, tuple[str, ...]]:
    """The law's error on the ratios of energy and of time, and where it comes from in words."""
    kinds = _kinds(before, after)
    if kinds is not None and not kinds:
        same = RatioError(0.0)
        return same, same, ("the same workload on the same GPU: its energy and time are one number each",)
    law = before.law.name
    known = lesser(before.familiarity, after.familiarity)
    found, notes = [], []
    for quantity, word in (("energy_j", "energy"), ("duration_s", "time")):
        error = None
        if kinds and _is_packaged(before, after):
            error = known_ratio_error(law, known, quantity, kinds)
        found.append(error)
        notes.append(f"{word}: {_counted(error, kinds)}")
    return found[0], found[1], tuple(notes)


def _comparable(before: Site, after: Site) -> tuple[str, ...]:
    """What to say where two intensities do not count the same; InputError where they cannot be compared."""
    a, b = before.grid, after.grid
    if a.accounting != b.accounting:
        raise InputError(f"{a.accounting} and {b.accounting} carbon cannot be compared: keep the accounting")
    if a.boundary == b.boundary:
        return ()
    return (
        f"the two grid intensities count different things ({a.boundary} and {b.boundary}): their "
        "difference is not the grids' alone",
    )


def _counted(error: RatioError | None, kinds: Sequence[str] | None) -> str:
    if error is None:
        return (
            "too few held-out pairs tell this law's error on the ratio; the errors before and after were "
            "taken as independent, so the range is wider than it need be"
        )
    what = " and ".join(kind.replace("gpu", "GPU").replace("_", " ") for kind in kinds or ())
    others = "one more thing" if error.more == 1 else f"{error.more} more things"
    more = f", and in up to {others}" if error.more else ""
    return (
        f"nine in ten ratios lie within a factor of {error.factor:.2f}, say {error.pairs} pairs of held-out "
        f"runs of {error.models} models that differ in {what}{more}"
    )


def _is_packaged(before: Estimate, after: Estimate) -> bool:
    """Whether both come from one packaged law, whose held-out predictions ship with it."""
    name = before.law.name
    packaged: object = load_law(name) if name in law_names() else None
    return before.law == after.law == packaged


def _kinds(before: Estimate, after: Estimate) -> tuple[str, ...] | None:
    """What of KINDS differs; None where something else does, of which no pair of runs tells."""
    a, b = _facts(before), _facts(after)
    kinds = tuple(kind for kind in KINDS if a[kind] != b[kind])
    has_other_text = before.text_tokens != after.text_tokens and "model" not in kinds
    return None if has_other_text or before.law.name != after.law.name else kinds


def _facts(guess: Estimate) -> Mapping[str, object]:
    """What pairs of runs are told apart by, one for each of KINDS."""
    profile, w = guess.question.profile, guess.workload
    return {
        "model": profile.name if profile.origin == CATALOGUE else profile.origin,
        "gpu": guess.gpu.name,
        "size": (guess.rendered_width, guess.rendered_height),
        "steps": w.steps,
        "passes": w.passes,
        "precision": w.precision,
        "batch_size": w.batch_size,
    }


def _shown(key: str, side: _Side) -> str:
    """The value of a key as words: what was given, else what the model has."""
    guess, given = side.guess, side.case.given.get(key)
    if key == "size":
        return f"{guess.workload.width}x{guess.workload.height}"
    if key == "gpu":
        return guess.gpu.name
    if given is not None:
        return str(given)
    found = guess.question.work.guidance if key == "guidance" else getattr(guess.workload, key, None)
    return "none" if found is None else str(found)


def _range(ratio: Interval) -> str:
    """A ratio's range in words: per cent of a change, or times."""
    low, high = ratio.low, ratio.high
    if not math.isfinite(high):
        return "not known"
    if ratio.value >= 2:
        return f"{low:.1f} to {high:.1f} times"
    fall = [100 * (1 - x) for x in (high, low)]
    if fall[0] >= 0:
        return f"{_per_cent(fall[0])} to {_per_cent(fall[1])} % less"
    if fall[1] <= 0:
        return f"{-fall[1]:.0f} to {-fall[0]:.0f} % more"
    return f"{_per_cent(fall[1])} % less to {-fall[0]:.0f} % more"


def _ends(amount: Interval) -> dict[str, float | None]:
    names = ("value", "low", "high")
    return {n: x if math.isfinite(x) else None for n in names for x in [getattr(amount, n)]}
