"""Trade-offs: what an image costs under many settings, and the settings of which none is better in all.

A setting is what `joulecast.estimate` takes (model, gpu, size, steps, precision, batch_size, ...), what
`joulecast.footprint.account.site` takes (region, intensity, pue, price_per_kwh, ...), and an hourly series
(hourly: a packaged name or a file; at: a moment or an hour of the day; timezone), in one mapping.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.account import footprint, footprint_of
from joulecast.footprint.grid.hours import intensity_at
from joulecast.footprint.grid.reading import find_series
from joulecast.footprint.site import Site, site
from joulecast.forecast.estimate import estimate
from joulecast.forecast.predict import predict
from joulecast.hardware import CATALOGUE
from joulecast.plan.measures import MEASURES
from joulecast.plan.problem import Array
from joulecast.question.question import ask
from joulecast.uncertainty import Interval

MOST_SETTINGS = 100_000
ESTIMATE_KEYS = tuple(inspect.signature(estimate).parameters)
SITE_KEYS = tuple(inspect.signature(site).parameters)
HOUR_KEYS = ("hourly", "at", "timezone")
KEYS = (*ESTIMATE_KEYS, *SITE_KEYS, *HOUR_KEYS)
_PLACES = ("region", "intensity", "hourly")  # a setting with one of them has a site

Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What an image costs under a setting, by measure; carbon and cost only where the setting has a place.

    `ranges` holds the range of the measures that have one; `warnings` say where doubt is due.
    """

    setting: Setting
    measures: Mapping[str, float]
    ranges: Mapping[str, Interval] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def outcome(setting: Setting) -> Outcome:
    """GPU energy [J], GPU time [s], carbon [g] and cost of an image, and time of a batch [s].

    Raises UnknownNameError for a key that is no setting, and what `estimate` and `site` raise.
    """
    check_keys(setting)
    guess = estimate(**{key: value for key, value in setting.items() if key in ESTIMATE_KEYS})
    batch = int(guess.workload["batch_size"])
    latency = Interval(guess.duration_low_s, guess.duration_s, guess.duration_high_s)
    ranges = {
        "energy_j": Interval(guess.energy_low_j, guess.energy_j, guess.energy_high_j),
        "seconds": latency / batch,
        "latency_s": latency,
    }
    at = site_of(setting)
    warnings = guess.warnings
    if at is not None:
        found = footprint_of(guess, at)
        ranges["carbon_g"] = found.carbon.amount
        if found.money is not None:
            ranges["cost"] = found.money.amount
        warnings += found.warnings
    return Outcome(dict(setting), {name: a.value for name, a in ranges.items()}, ranges, warnings)


def outcomes(settings: Sequence[Setting]) -> tuple[Outcome, ...]:
    """The outcome of every setting, in order, predicted in columns.

    The same as `outcome`, ranges too. Raises what `outcome` raises, for the first setting that cannot be.
    """
    if len(settings) > MOST_SETTINGS:
        raise InputError(f"{len(settings):,} settings are too many to compare; at most {MOST_SETTINGS:,}")
    for setting in settings:
        check_keys(setting)
    answers: dict[int, tuple[Interval, Interval, Interval, str]] = {}
    for law in {str(setting.get("law")): setting.get("law") for setting in settings}.values():
        rows = [i for i, s in enumerate(settings) if str(s.get("law")) == str(law)]
        answers |= dict(zip(rows, _predicted([settings[i] for i in rows], law), strict=True))
    sites, rates = _Sites(), _Rates()
    return tuple(_costed(setting, *answers[i], sites(setting), rates) for i, setting in enumerate(settings))


def front(settings: Sequence[Setting], by: Sequence[str] = ("energy_j", "latency_s")) -> tuple[Outcome, ...]:
    """The outcomes of which no other is as good in every measure of `by` and better in one, best first."""
    return on_front(outcomes(settings), by)


def on_front(found: Sequence[Outcome], by: Sequence[str]) -> tuple[Outcome, ...]:
    """Of given outcomes, those that `front` keeps: of equals, the first."""
    points = measured(found, by)
    return tuple(found[i] for i in _front_rows(points))


def measured(found: Sequence[Outcome], by: Sequence[str]) -> Array:
    """The measures `by` of outcomes, shape (outcomes, measures). UnknownNameError where one is missing."""
    for name in by:
        if name not in MEASURES:
            raise UnknownNameError("measure", name, MEASURES, f"known: {', '.join(MEASURES)}")
        if any(name not in one.measures for one in found):
            raise UnknownNameError(
                "measure of these settings", name, (), "carbon needs a region, cost a price"
            )
    return np.array([[one.measures[name] for name in by] for one in found]).reshape(len(found), len(by))


def site_of(setting: Setting) -> Site | None:
    """The site of a setting, or None when it has none. Raises what `site` raises."""
    if not any(setting.get(key) is not None for key in _PLACES):
        stray = [key for key in (*SITE_KEYS, *HOUR_KEYS) if setting.get(key) is not None]
        if [key for key in stray if key not in ("accounting", "currency")]:
            raise InputError(f"{stray[0]} without a place: give a region, an intensity or an hourly series")
        return None
    given = {key: value for key, value in setting.items() if key in SITE_KEYS and value is not None}
    if setting.get("hourly") is None:
        if setting.get("at") is not None or setting.get("timezone") is not None:
            raise InputError("a time of day needs an hourly series, e.g. hourly US-CAL-CISO")
        return site(**given)
    both = [key for key in ("region", "intensity", "year") if key in given]
    if both:
        raise InputError(f"an hourly series and {both[0]} are two intensities: give one of them")
    zone = setting.get("timezone")
    found = intensity_at(find_series(str(setting["hourly"]), timezone=zone), setting.get("at"), zone)
    return site(**given, intensity=found)


def check_keys(setting: Setting) -> None:
    """Raise UnknownNameError for a key that no setting has."""
    unknown = [key for key in setting if key not in KEYS]
    if unknown:
        raise UnknownNameError("setting", unknown[0], KEYS)


# --- in columns ----------------------------------------------------------------------------------


def _predicted(settings: Sequence[Setting], law: Any) -> Iterator[tuple[Interval, Interval, Interval, str]]:
    """Energy of an image [J], GPU time of an image and time of a batch [s], and warnings of each setting."""
    rows = [_row(tuple((k, _hashable(s.get(k))) for k in ESTIMATE_KEYS if k != "law")) for s in settings]
    answers = predict({name: [row[name] for row in rows] for name in rows[0]} if rows else {}, law=law)
    for i, row in enumerate(rows):
        if answers["error"][i]:
            raise InputError(f"{row['model']} on {row['gpu']}: {answers['error'][i]}")
        energy = Interval(*(float(answers[n][i]) for n in ("energy_low_j", "energy_j", "energy_high_j")))
        latency = Interval(
            *(float(answers[n][i]) for n in ("duration_low_s", "duration_s", "duration_high_s"))
        )
        yield energy, latency / int(row["batch_size"]), latency, str(answers["warning"][i])


@cache
def _row(given: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """A setting as a row of `predict`, checked and with the model's defaults filled in."""
    asked = {key: value for key, value in given if value is not None}
    question = ask(asked.pop("model"), asked.pop("gpu"), **asked)
    w = question.workload
    is_listed = question.gpu.origin == CATALOGUE
    return {
        "model": dict(given)["model"],
        "gpu": question.gpu.name if is_listed else question.gpu.origin,
        "width": w.width,
        "height": w.height,
        "steps": w.steps,
        "batch_size": w.batch_size,
        "passes": w.passes,
        "precision": w.precision,
        "text_tokens": "" if w.text_tokens is None else w.text_tokens,
        "boundary": question.boundary,
    }


class _Sites:
    """Sites by what makes them, each built once."""

    def __init__(self) -> None:
        self.known: dict[str, Site | None] = {}

    def __call__(self, setting: Setting) -> Site | None:
        key = repr([setting.get(name) for name in (*SITE_KEYS, *HOUR_KEYS)])
        if key not in self.known:
            self.known[key] = site_of(setting)
        return self.known[key]


class _Rates:
    """Carbon and cost of a joule and of a GPU-second at a site, each worked out once."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, str, str], Rates] = {}

    def __call__(self, at: Site, gpu: str, boundary: str) -> Rates:
        key = (id(at), gpu, boundary)
        if key not in self.known:
            self.known[key] = rates(at, gpu, boundary)
        return self.known[key]


@dataclass(frozen=True)
class Rates:
    """What a site makes of GPU energy and GPU time: [g/J], [g/s], [currency/J], [currency/s]."""

    carbon_per_j: Interval
    carbon_per_s: Interval
    cost_per_j: Interval | None
    cost_per_s: Interval | None


def rates(at: Site, gpu: str, boundary: str = "gross") -> Rates:
    """The footprint of one joule in one GPU-second, taken apart: a footprint is linear in the two."""
    unit = footprint(1.0, 1.0, at, gpu=gpu, boundary=boundary)
    money = None if unit.money is None else unit.money.amount
    is_rent = at.price is not None and at.price.name == "price_per_gpu_hour"
    return Rates(
        carbon_per_j=unit.operational_carbon.amount,
        carbon_per_s=unit.embodied_carbon.amount,
        cost_per_j=None if is_rent else money,
        cost_per_s=money if is_rent else None,
    )


def _costed(
    setting: Setting,
    energy: Interval,
    seconds: Interval,
    latency: Interval,
    warning: str,
    at: Site | None,
    of: _Rates,
) -> Outcome:
    ranges = {"energy_j": energy, "seconds": seconds, "latency_s": latency}
    warnings = [warning] if warning else []
    if at is not None:
        unit = of(at, str(setting["gpu"]), str(setting.get("boundary") or "gross"))
        ranges["carbon_g"] = energy * unit.carbon_per_j + unit.carbon_per_s * seconds
        if unit.cost_per_j is not None:
            ranges["cost"] = energy * unit.cost_per_j
        if unit.cost_per_s is not None:
            ranges["cost"] = unit.cost_per_s * seconds
        warnings += at.grid.warnings
    values = {name: a.value for name, a in ranges.items()}
    return Outcome(dict(setting), values, ranges, tuple(warnings))


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _front_rows(points: Array) -> list[int]:
    """Rows that no other beats, in the order of their measures; of equal rows the first."""
    order = np.lexsort((np.arange(len(points)), *points.T[::-1]))
    kept: list[int] = []
    best = np.empty((0, points.shape[1]))
    for row in order:  # whatever beats a row comes before it
        if not (best <= points[row]).all(axis=1).any():
            kept.append(int(row))
            best = points[kept]
    return kept
