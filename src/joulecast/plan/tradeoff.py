"""Trade-offs: what an image costs under many settings, and the settings of which none is better in all.

A setting is what `joulecast.estimate` takes (model, gpu, size, steps, precision, batch_size, law, ...) and
what a `joulecast.footprint.place.Place` has (region, intensity, pue, price_per_kwh, hourly, at, ...), in one
mapping or as a `joulecast.plan.case.Case`.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from joulecast.compute.output import together
from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.account import footprint_of, footprint_of_energy
from joulecast.footprint.factors import embodied_of
from joulecast.footprint.place import Place
from joulecast.footprint.site import Site
from joulecast.forecast.answer import gpu_seconds
from joulecast.forecast.estimate import LawChoice, estimate_of
from joulecast.forecast.memory import in_full
from joulecast.forecast.predictor import predict_questions
from joulecast.hardware import Gpu
from joulecast.plan.case import Case, check_values
from joulecast.plan.measures import MEASURES, QUALITY
from joulecast.plan.possible import cannot_run, cannot_run_so, too_large
from joulecast.plan.problem import Array
from joulecast.question.gpus import gpu_and_count
from joulecast.question.models import load_profile, resolved_name
from joulecast.question.question import Question, ask, asked_of
from joulecast.question.questions import SEPARATOR
from joulecast.question.setting import Setting
from joulecast.uncertainty import Interval

MOST_SETTINGS = 100_000
CLIP_SECONDS = "clip_seconds"  # what a setting's `seconds` are called where the measure of that name is too
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

    def setting_data(self) -> dict[str, object]:
        """The same as data have it beside the measures, one of which is called as the length of a clip."""
        return {CLIP_SECONDS if key == "seconds" else key: v for key, v in self.case.to_dict().items()}


def outcome(setting: Given) -> Outcome:
    """GPU energy [J], GPU time [s], carbon [g] and cost of an image, and time of a batch [s].

    Raises UnknownNameError for a key that is no setting, and what `estimate` and `Place.site` raise.
    """
    case = Case.of(setting)
    guess = estimate_of(ask(case.asked), case.law)
    latency = guess.duration
    ranges = {"energy_j": guess.energy, "seconds": guess.gpu_seconds, "latency_s": latency}
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
    cases = _cases(settings)
    return _outcomes(cases, [ask(case.asked) for case in cases])


def possible_outcomes(settings: Sequence[Given]) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    """Outcomes of the settings whose GPU can run and hold them, and why others' cannot, each reason once.

    Raises what `outcomes` raises.
    """
    cases = _cases(settings)
    unable = [_why_not(case) for case in cases]
    asked = {place: ask(case.asked) for place, case in enumerate(cases) if not unable[place]}
    large = dict(zip(asked, too_large(list(asked.values())), strict=True))
    kept = [place for place in asked if not large[place]]
    reasons = (why or large[place] for place, why in enumerate(unable))
    found = _outcomes([cases[place] for place in kept], [asked[place] for place in kept])
    return found, tuple(dict.fromkeys(filter(None, reasons)))


def some_possible(settings: Sequence[Given]) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    """`possible_outcomes`, of which there is one; InputError, with the reasons, where none can run."""
    found, left_out = possible_outcomes(settings)
    if not found:
        raise InputError(f"no setting can run: {'; '.join(left_out)}")
    return found, left_out


def combinations(given: Mapping[str, object], most: int | None = None) -> list[Case]:
    """Every setting of one in which a list of values is each in turn, each once.

    Raises InputError for an empty list and for more than `most`, by default MOST_SETTINGS, and what
    `Case.of` raises.
    """
    choices = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    empty = next((name for name, values in choices.items() if not values), None)
    if empty is not None:
        raise InputError(f"{empty} is an empty list: give a value, or leave it out")
    check_count(math.prod(map(len, choices.values())), most)
    every = (dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values()))
    cases = (Case.of(check_values(one)) for one in every)
    return in_agreement({repr(case.given): case for case in cases}.values())


def in_agreement(cases: Iterable[Case]) -> list[Case]:
    """Of cases that vary how many GPUs share the work and how, those in which both tell one number; all of
    them where none does, so that it is told why."""
    every = list(cases)
    return [case for case in every if _agrees(case.asked)] or every


def _agrees(setting: Setting) -> bool:
    asked = asked_of(setting)
    return not asked.parallel or setting.gpu is None or asked.on(gpu_and_count(setting.gpu)[1]).agrees


def check_count(count: int, most: int | None = None) -> None:
    """InputError for more settings than are compared."""
    if count > (most or MOST_SETTINGS):
        raise InputError(f"{count:,} settings are too many to compare; at most {most or MOST_SETTINGS:,}")


def front(settings: Sequence[Given], by: Sequence[str] = ("energy_j", "latency_s")) -> tuple[Outcome, ...]:
    """The outcomes of which no other is as good in every measure of `by` and better in one, best first.

    Settings that their GPU cannot run are left out.
    """
    return on_front(possible_outcomes(settings)[0], by)


def fronts(found: Sequence[Outcome], by: Sequence[str]) -> tuple[Outcome, ...]:
    """The front of each model's outcomes, model by model; one front of all where `by` holds a quality.

    Models make different pictures: without a figure for how good they are, the smallest would beat the rest.
    """
    if QUALITY in by:
        return on_front(found, by)
    measured(found, by)
    return tuple(kept for own in _by_model(found).values() for kept in on_front(own, by))


def has_one_front(found: Sequence[Outcome], by: Sequence[str]) -> bool:
    """Whether `fronts` compares each outcome with all others, and not with those of its model alone."""
    return QUALITY in by or len(_by_model(found)) == 1


def output_of_all(found: Sequence[Outcome]) -> str:
    """What the models of outcomes make."""
    return together(load_profile(one.case.asked.model).output for one in found)


def _by_model(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    models: dict[str, list[Outcome]] = {}
    for one in found:
        models.setdefault(resolved_name(one.case.asked.model), []).append(one)
    return models


def _why_not(case: Case) -> str:
    """Why a case's GPU cannot run it; empty where nothing says so. One that has no GPU is asked later."""
    if case.asked.gpu is None:
        return ""
    gpu, count = gpu_and_count(case.asked.gpu)
    asked = asked_of(case.asked).on(count)
    why = cannot_run(load_profile(case.asked.model), gpu, case.asked.precision, asked)
    return why or cannot_run_so(case.asked)


def on_front(found: Sequence[Outcome], by: Sequence[str]) -> tuple[Outcome, ...]:
    """Of given outcomes, those that `front` keeps: of equals, the first."""
    points = measured(found, by) * [-1.0 if MEASURES[name].more_is_better else 1.0 for name in by]
    return tuple(found[i] for i in _front_rows(points))


def measured(found: Sequence[Outcome], by: Sequence[str]) -> Array:
    """The measures `by` of outcomes, shape (outcomes, measures).

    Raises UnknownNameError for another name, InputError where an outcome lacks one: what it needs.
    """
    for name in by:
        if name not in MEASURES:
            raise UnknownNameError("measure", name, MEASURES, f"known: {', '.join(MEASURES)}")
        if any(name not in one.measures for one in found):
            option = MEASURES[name].option
            raise InputError(f"{option} is not known of these settings: it needs {_needs(name, found)}")
    return np.array([[one.measures[name] for name in by] for one in found]).reshape(len(found), len(by))


def _needs(name: str, found: Sequence[Outcome]) -> str:
    """What a measure needs that an outcome does not have."""
    if name == QUALITY:
        return "figures of your own"
    has_place = all("carbon_g" in one.measures for one in found)
    needed = [] if has_place else ["a place (a region, an intensity or an hourly series)"]
    needed += ["a price of a kWh or of a GPU-hour"] if name == "cost" else []
    return " and ".join(needed)


# --- in columns ----------------------------------------------------------------------------------


def _cases(settings: Sequence[Given]) -> list[Case]:
    check_count(len(settings))
    return [Case.of(setting) for setting in settings]


def _outcomes(cases: Sequence[Case], asked: Sequence[Question]) -> tuple[Outcome, ...]:
    """The outcome of every case, of which `asked` has the question."""
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
    seconds = gpu_seconds(latency, question.runtime.gpus, question.workload.batch_size)
    ranges = {"energy_j": energy, "seconds": seconds, "latency_s": latency}
    told = [
        in_full(one, question.profile, question.workload, question.gpu, question.runtime)
        for one in _split(warning)
    ]
    warnings = [*question.warnings, *told]
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


def _split(warning: str) -> list[str]:
    return warning.split(SEPARATOR) if warning else []


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
