"""Footprints, changes, trade-offs and plans, as the commands of these names answer them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from joulecast.compute.output import CLIP, IMAGE
from joulecast.errors import InputError, UnknownNameError
from joulecast.files.numbers import positive
from joulecast.footprint.account import FootprintData, footprint_of_energy
from joulecast.footprint.place import Place
from joulecast.plan.measures import USUAL_BY, measures_of
from joulecast.plan.tradeoff import combinations, fronts, some_possible
from joulecast.plan.whatif import what_if
from joulecast.report.decisions.tradeoff_text import outcome_data
from joulecast.report.decisions.what_if_text import WhatIfData, what_if_data
from joulecast.web.asking import Body, Defaults, Scalar, case_of, check_keys, checked
from joulecast.web.plans import PLAN_SECONDS, Planned, planned

MOST_CHANGES: Final = 100
MOST_COMPARED: Final = 10_000
OUTPUTS: Final = (IMAGE, CLIP)

Varied = dict[str, str | int | float | bool | list[Scalar] | dict[str, int] | None]


class FootprintRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Energy [J] and GPU time [s] of one output, and the place where it is made.

    `place` has the keys of a place (region, intensity, pue, price_per_kwh, ...), `gpu` is for the carbon of
    its making, `output` an image or a clip.
    """

    energy_j: float
    duration_s: float
    place: dict[str, Scalar]
    gpu: str | None = None
    images: int = 1
    boundary: str = "gross"
    output: str = IMAGE


class WhatIfRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A setting, with its place and law if any, and changes of it, each told alone."""

    setting: Body
    changes: Annotated[list[Body], msgspec.Meta(min_length=1, max_length=MOST_CHANGES)]


class WhatIfAnswer(msgspec.Struct):
    """What was given, and what each change does."""

    setting: dict[str, object]
    changes: list[WhatIfData]


class ParetoRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A setting in which a list of values is each in turn, and by which measures its front is."""

    setting: Varied
    by: list[str] = msgspec.field(default_factory=lambda: list(USUAL_BY))


class ParetoAnswer(msgspec.Struct):
    """Every setting that can run, those of the front marked, and why others cannot."""

    by: list[str]
    settings: list[dict[str, object]]
    left_out: list[str]


def footprint(asked: FootprintRequest) -> FootprintData:
    """A footprint of an energy that is known."""
    if asked.output not in OUTPUTS:
        raise UnknownNameError("output", asked.output, OUTPUTS, f"known: {', '.join(OUTPUTS)}")
    at = Place.of(checked(asked.place)).site()
    if at is None:
        raise InputError("a footprint needs a place: a region, an intensity or an hourly series")
    return footprint_of_energy(
        asked.energy_j,
        asked.duration_s,
        at,
        images=asked.images,
        gpu=asked.gpu,
        boundary=asked.boundary,
        output=asked.output,
    ).to_dict()


def changes(asked: WhatIfRequest, defaults: Defaults) -> WhatIfAnswer:
    """What each change does to a setting."""
    case = case_of(asked.setting, defaults)
    found = [what_if(case, checked(change)) for change in asked.changes]
    return WhatIfAnswer(case.to_dict(), [what_if_data(one) for one in found])


def pareto(asked: ParetoRequest, defaults: Defaults) -> ParetoAnswer:
    """The settings worth considering."""
    check_keys(asked.setting)
    by = measures_of(asked.by)
    found, left_out = some_possible(combinations(defaults.fill(asked.setting), MOST_COMPARED))
    return ParetoAnswer(list(by), outcome_data(found, fronts(found, by)), list(left_out))


def plan(content: Mapping[str, object]) -> Planned:
    """The plan of a demand, whose keys are those of a plan file, and the time for it. Raises as `planned`."""
    seconds = positive(content.get("time_limit_s", PLAN_SECONDS), "time_limit_s", PLAN_SECONDS)
    return planned({name: value for name, value in content.items() if name != "time_limit_s"}, seconds)
