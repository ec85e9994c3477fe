"""Trade-offs: what an image costs under many settings, and the settings of which none is better in all.

A setting is what `joulecast.estimate` takes (model, gpu, size, steps, precision, batch_size, law, ...) and
what a `joulecast.footprint.place.Place` has (region, intensity, pue, price_per_kwh, hourly, at, ...), in one
mapping or as a `joulecast.plan.case.Case`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.account import footprint_of, footprint_of_energy
from joulecast.footprint.factors import embodied_of
from joulecast.footprint.place import Place
from joulecast.footprint.site import Site
from joulecast.forecast.estimate import LawChoice, estimate_of
from joulecast.forecast.predictor import predict_questions
from joulecast.hardware import Gpu
from joulecast.plan.case import Case
from joulecast.plan.measures import MEASURES, QUALITY
from joulecast.plan.possible import cannot_run
from joulecast.plan.problem import Array
from joulecast.question.gpus import gpu as find_gpu
from joulecast.question.models import load_profile
from joulecast.question.question import Question, ask
from joulecast.question.questions import SEPARATOR
from joulecast.uncertainty import Interval

MOST_SETTINGS = 100_000
Given = Mapping[str, object] | Case


@dataclass(frozen=True)
class Outcome:
    """What an image costs under a setting, by measure; carbon and cost only where the setting has a place.

    `ranges` holds the range of the measures that have one; `warnings` say where doubt is due.
    """

    case: Case
    measures: Mapping[str, float]
    ranges: Mapping[str, Interval] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def setting(self) -> Mapping[str, object]:
        """What was given of the case, by key."""
        return self.case.named


def outcome(setting: Given) -> Outcome:
    """GPU energy [J], GPU time [s], carbon [g] and cost of an image, and time of a batch [s].

    Raises UnknownNameError for a key that is no setting, and what `estimate` and `Place.site` raise.
    """
    case = Case.of(setting)
    guess = estimate_of(ask(case.asked), case.law)
    latency = guess.duration
    ranges = {"energy_j": guess.energy, "seconds": latency / guess.workload.batch_size, "latency_s": latency}
    at, warnings = case.place.site(), guess.warnings
    if at is not None:
        found = footprint_of(guess, at)
        ranges["carbon_g"] = found.carbon.amount
        if found.money is not None:
            ranges["cost"] = found.money.amount
        warnings += found.warnings
    return Outcome(case, {name: a.value for name, a in ranges.items()}, ranges, warnings)


def outcomes(settings: Sequence[Given]) -> tuple[Outcome, ...]:
    """The outcome of every setting, in order, predicted in columns.

    The same as `outcome`, ranges too. Raises what `outcome` raises, for the first setting that cannot be.
    """
    if len(settings) > MOST_SETTINGS:
        raise InputError(f"{len(settings):,} settings are too many to compare; at most {MOST_SETTINGS:,}")
    cases = [Case.of(setting) for setting in settings]
    asked = [ask(case.asked) for case in cases]
    answers: dict[int, tuple[Interval, Interval, str]] = {}
    rows_of: dict[str | int, list[int]] = {}
    for i, case in enumerate(cases):
        rows_of.setdefault(_name_of(case.law), []).append(i)
    for rows in rows_of.values():
        found = _predicted([asked[i] for i in rows], cases[rows[0]].law)
        answers |= dict(zip(rows, found, strict=True))
    sites, rates = _Sites(), _Rates()
    return tuple(
        _costed(case, asked[i], *answers[i], sites(case.place), rates) for i, case in enumerate(cases)
    )


def possible(settings: Sequence[Given]) -> tuple[list[Case], tuple[str, ...]]:
    """The settings whose GPU can run them, and why the others' cannot, each reason once.

    Raises what `ask` raises for a name that is not known.
    """
    cases: list[Case] = []
    reasons: dict[str, None] = {}
    for case in map(Case.of, settings):
        why = _why_not(case)
        if why:
            reasons[why] = None
        else:
            cases.append(case)
    return cases, tuple(reasons)


def front(settings: Sequence[Given], by: Sequence[str] = ("energy_j", "latency_s")) -> tuple[Outcome, ...]:
    """The outcomes of which no other is as good in every measure of `by` and better in one, best first.

    Settings that their GPU cannot run are left out.
    """
    return on_front(outcomes(possible(settings)[0]), by)


def fronts(found: Sequence[Outcome], by: Sequence[str]) -> tuple[Outcome, ...]:
    """The front of each model's outcomes, model by model; one front of all where `by` holds a quality.

    Models make different pictures: without a figure for how good they are, the smallest would beat the rest.
    """
    if QUALITY in by:
        return on_front(found, by)
    measured(found, by)
    models: dict[str, list[Outcome]] = {}
    for one in found:
        models.setdefault(str(one.setting["model"]), []).append(one)
    return tuple(kept for own in models.values() for kept in on_front(own, by))


def _why_not(case: Case) -> str:
    """Why a case's GPU cannot run it; empty where nothing says so. One that has no GPU is asked later."""
    if case.asked.gpu is None:
        return ""
    return cannot_run(load_profile(case.asked.model), find_gpu(case.asked.gpu), case.asked.precision)


def on_front(found: Sequence[Outcome], by: Sequence[str]) -> tuple[Outcome, ...]:
    """Of given outcomes, those that `front` keeps: of equals, the first."""
    points = measured(found, by) * [-1.0 if MEASURES[name].more_is_better else 1.0 for name in by]
    return tuple(found[i] for i in _front_rows(points))


def measured(found: Sequence[Outcome], by: Sequence[str]) -> Array:
    """The measures `by` of outcomes, shape (outcomes, measures). UnknownNameError where one is missing."""
    for name in by:
        if name not in MEASURES:
            raise UnknownNameError("measure", name, MEASURES, f"known: {', '.join(MEASURES)}")
        if any(name not in one.measures for one in found):
            raise UnknownNameError(
                "measure of these settings",
                name,
                (),
                "carbon needs a region, cost a price, quality figures of your own",
            )
    return np.array([[one.measures[name] for name in by] for one in found]).reshape(len(found), len(by))


# --- in columns ----------------------------------------------------------------------------------


def _name_of(law: LawChoice) -> str | int:
    """What tells laws apart: a name or path, or which object it is; the default's is empty."""
    if law is None:
        return ""
    return os.fspath(law) if isinstance(law, str | os.PathLike) else id(law)


def _predicted(asked: Sequence[Question], law: LawChoice) -> Iterator[tuple[Interval, Interval, str]]:
    """Energy of an image [J], time of a batch [s] and warnings of each question."""
    found = predict_questions(asked, law)
    for i, question in enumerate(asked):
        if found.error[i]:
            raise InputError(f"{question.profile.name} on {question.gpu.name}: {found.error[i]}")
        energy, latency = found.energy_j(i), found.duration_s(i)
        yield energy, latency, str(found.warning[i])


class _Sites:
    """Sites by what makes them, each built once."""

    def __init__(self) -> None:
        self.known: dict[str, Site | None] = {}

    def __call__(self, place: Place) -> Site | None:
        key = repr(place)
        if key not in self.known:
            self.known[key] = place.site()
        return self.known[key]


class _Rates:
    """Carbon and cost of a joule and of a GPU-second at a site, each worked out once."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int, str], Rates] = {}

    def __call__(self, at: Site, gpu: Gpu, boundary: str) -> Rates:
        key = (id(at), id(gpu), boundary)
        if key not in self.known:
            self.known[key] = rates(at, gpu, boundary)
        return self.known[key]


@dataclass(frozen=True)
class Rates:
    """What a site makes of GPU energy and GPU time: [g/J], [g/s], [currency/J], [currency/s].

    `warnings` say what to doubt in the carbon of the GPU.
    """

    carbon_per_j: Interval
    carbon_per_s: Interval
    cost_per_j: Interval | None
    cost_per_s: Interval | None
    warnings: tuple[str, ...] = ()


def rates(at: Site, gpu: Gpu, boundary: str = "gross") -> Rates:
    """The footprint of one joule in one GPU-second, taken apart: a footprint is linear in the two."""
    unit = footprint_of_energy(1.0, 1.0, at, gpu=gpu, boundary=boundary)
    money = None if unit.money is None else unit.money.amount
    is_rent = at.price is not None and at.price.name == "price_per_gpu_hour"
    return Rates(
        carbon_per_j=unit.operational_carbon.amount,
        carbon_per_s=unit.embodied_carbon.amount,
        cost_per_j=None if is_rent else money,
        cost_per_s=money if is_rent else None,
        warnings=embodied_of(gpu).warnings,
    )


def _costed(
    case: Case,
    question: Question,
    energy: Interval,
    latency: Interval,
    warning: str,
    at: Site | None,
    of: _Rates,
) -> Outcome:
    seconds = latency / question.workload.batch_size
    ranges = {"energy_j": energy, "seconds": seconds, "latency_s": latency}
    warnings = [*question.warnings, *(warning.split(SEPARATOR) if warning else [])]
    if at is not None:
        unit = of(at, question.gpu, question.boundary)
        ranges["carbon_g"] = energy * unit.carbon_per_j + unit.carbon_per_s * seconds
        if unit.cost_per_j is not None:
            ranges["cost"] = energy * unit.cost_per_j
        if unit.cost_per_s is not None:
            ranges["cost"] = unit.cost_per_s * seconds
        warnings += [*at.grid.warnings, *unit.warnings]
    values = {name: a.value for name, a in ranges.items()}
    return Outcome(case, values, ranges, tuple(warnings))


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
