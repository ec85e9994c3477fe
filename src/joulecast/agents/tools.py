"""The tools: each takes what a request says and answers as the command of its name does in JSON, shortened.

No file is read or written for a request, and nothing is asked of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from joulecast.agents.schemas import (
    Schema,
    an_object,
    case_schema,
    changes_schema,
    measures_schema,
    properties,
)
from joulecast.errors import InputError, UnknownNameError, check_extras, shown
from joulecast.files.paths import no_files
from joulecast.files.plain import Json, plain
from joulecast.footprint.account import footprint_where
from joulecast.forecast.estimate import estimate_of
from joulecast.hardware import gpus as known_gpus
from joulecast.plan.case import Case, check_values
from joulecast.plan.measures import USUAL_BY, measures_of
from joulecast.plan.tradeoff import combinations, fronts, some_possible
from joulecast.plan.whatif import what_if
from joulecast.question.gpus import gpu as find_gpu
from joulecast.question.gpus import gpus_of
from joulecast.question.models import load_profile, models
from joulecast.question.question import ask
from joulecast.report.decisions.tradeoff_text import outcome_data
from joulecast.report.decisions.what_if_text import what_if_data

CHANGES_AT_ONCE: Final = 100
SETTINGS_AT_ONCE: Final = 1_000
SOLVING_SECONDS: Final = 20.0  # of solving
SHORT_DIGITS: Final = 6  # of a number, which no range is finer than
# What an answer leaves out unless all of it is asked for: where figures are from, and their parts.
LEFT_OUT: Final = frozenset({"sources", "fitted_on", "factors", "components", "unverified", "aliases"})
OF_MODELS: Final = ("name", "task", "parameters", "default_steps", "default_precision")
OF_GPUS: Final = ("name", "vendor", "year", "tdp_w", "memory_bytes")
FULL: Final = "full"
_FULL: Final[Schema] = {"type": "boolean", "description": "the whole answer: sources, factors, components"}

Request = Mapping[str, object]


class Tool(NamedTuple):
    """A tool: what it does, what a request may hold, and what answers it."""

    summary: str
    schema: Schema
    answer: Callable[[Request], object]


def answered(name: str, request: Request) -> Json:
    """The answer of a tool to a request, shortened unless all of it is asked for.

    Raises UnknownNameError for another tool or key, and what the library raises: all are JoulecastErrors.
    """
    if name not in TOOLS:
        raise UnknownNameError("tool", name, TOOLS, f"known: {', '.join(TOOLS)}")
    tool = TOOLS[name]
    given = dict(request)
    is_full = given.pop(FULL, False) if FULL in properties(tool.schema) else False
    if not isinstance(is_full, bool):
        raise InputError(f"{FULL} is true or false, not {shown(is_full)}")
    with no_files():
        found = plain(tool.answer(given))
    return found if is_full else _short(found)


# --- answers --------------------------------------------------------------------------------------


def _estimate(request: Request) -> object:
    """Energy, time, memory and carbon of one image or clip."""
    case = _case({name: value for name, value in request.items() if name != "images"})
    guess = estimate_of(ask(case.asked), case.law)
    found = footprint_where(guess, case.place.site(), request.get("images"))
    return guess.to_dict() if found is None else {**guess.to_dict(), "footprint": found.to_dict()}


def _what_if(request: Request) -> object:
    """What changes do, each alone."""
    _check_keys(request, ("setting", "changes"))
    case = _case(_mapping(request, "setting"))
    changes = request.get("changes")
    if not isinstance(changes, list) or not 1 <= len(changes) <= CHANGES_AT_ONCE:
        raise InputError(f"changes is a list of 1 to {CHANGES_AT_ONCE} changes, e.g. [{{'steps': 20}}]")
    found = [what_if(case, check_values(_as_mapping(change, "a change"))) for change in changes]
    return {"setting": case.to_dict(), "changes": [what_if_data(one) for one in found]}


def _pareto(request: Request) -> object:
    """The settings worth considering, of all combinations."""
    _check_keys(request, ("setting", "by"))
    names = request.get("by", list(USUAL_BY))
    by = measures_of(names if isinstance(names, list) else [names])
    found, left_out = some_possible(combinations(_named(_mapping(request, "setting")), SETTINGS_AT_ONCE))
    settings = [one for one in outcome_data(found, fronts(found, by)) if one["on_front"]]
    return {"by": list(by), "compared": len(found), "front": settings, "left_out": list(left_out)}


def _plan(request: Request) -> object:
    """Which configuration, GPU, region and hour makes each image or clip."""
    check_extras("solving a plan", "plan")
    from joulecast.plan.make import make_plan  # scipy, where a plan is asked for

    return make_plan(request, time_limit_s=SOLVING_SECONDS).to_dict()


def _models(request: Request) -> object:
    """The models, or one of them whole."""
    _check_keys(request, ("task", "name"))
    name, task = _text(request, "name"), _text(request, "task")
    if name is None:
        return [{key: getattr(one, key) for key in OF_MODELS} for one in models(task)]
    wanted = load_profile(name).name
    return vars(next(one for one in models() if one.name == wanted))


def _gpus(request: Request) -> object:
    """The GPUs, or one of them whole."""
    _check_keys(request, ("vendor", "name"))
    name, vendor = _text(request, "name"), _text(request, "vendor")
    if name is not None:
        return vars(find_gpu(name))
    found = known_gpus() if vendor is None else gpus_of(vendor)
    return [{key: getattr(one, key) for key in OF_GPUS} for one in found]


# --- requests -------------------------------------------------------------------------------------


def _case(given: Request) -> Case:
    """The case of a request. Raises what `Case.of` raises, and InputError for a value of another kind."""
    return Case.of(check_values(_named(given)))


def _named(given: Request) -> Request:
    """A request that names a model and a GPU. Raises InputError."""
    for name in ("model", "gpu"):
        if given.get(name) is None:
            raise InputError(f"{name} is missing: give its name, see the tool {name}s")
    return given


def _mapping(request: Request, name: str) -> Request:
    if name not in request:
        raise InputError(f"{name} is missing: an object of keys and values")
    return _as_mapping(request[name], name)


def _as_mapping(value: object, what: str) -> Request:
    if not isinstance(value, dict):
        raise InputError(f"{what} is an object of keys and values, not {shown(value)}")
    return value


def _text(request: Request, name: str) -> str | None:
    value = request.get(name)
    if not isinstance(value, str | None):
        raise InputError(f"{name} is text, not {shown(value)}")
    return value


def _check_keys(request: Request, known: Sequence[str]) -> None:
    for name in request:
        if name not in known:
            raise UnknownNameError("argument", name, known, f"known: {', '.join(known)}")


def _short(found: Json) -> Json:
    """An answer without LEFT_OUT, its numbers to SHORT_DIGITS significant digits."""
    if isinstance(found, dict):
        return {name: _short(value) for name, value in found.items() if name not in LEFT_OUT}
    if isinstance(found, list):
        return [_short(value) for value in found]
    return float(f"{found:.{SHORT_DIGITS}g}") if isinstance(found, float) else found


_ESTIMATED: Final = case_schema()
_PLANNED: Final[Mapping[str, Schema]] = {
    "plan": {"type": "object", "description": "minimise (carbon, cost or energy), hours, start, utilisation"},
    "today": {"type": "object", "description": "what runs now: carbon_kg, energy_kwh, cost"},
    "limits": {"type": "object", "description": "carbon_kg, cost, energy_kwh, gpus, over all hours"},
    "services": {
        "type": "array",
        "items": {"type": "object"},
        "description": "each: name, images_per_day or images_by_hour, deadline_hours, latency_s, "
        "max_g_per_image, min_quality, configurations (each: model, size, steps, precision, passes, frames, "
        "engine, quantization, batch_sizes, quality)",
    },
    "gpus": {
        "type": "array",
        "items": {"type": "object"},
        "description": "each: name, price_per_hour, max_count",
    },
    "regions": {
        "type": "array",
        "items": {"type": "object"},
        "description": "each: name, or hourly or intensity; pue, price_per_kwh, max_power_kw, gpus",
    },
}
TOOLS: Final[Mapping[str, Tool]] = {
    "estimate": Tool(
        "Energy of one image or clip made by a diffusion model on a GPU, with its 90 % interval, time, "
        "memory, and carbon where a region is given. A prediction, not a measurement.",
        {
            **_ESTIMATED,
            "properties": {
                **properties(_ESTIMATED),
                "images": {"type": "integer", "description": "of the footprint; 1 by default"},
                FULL: _FULL,
            },
        },
        _estimate,
    ),
    "what_if": Tool(
        "What changes of a workload do to energy, time, carbon and cost, and how surely; each alone. Keys "
        "are those of estimate.",
        an_object(
            {"setting": case_schema(described=False), "changes": changes_schema(CHANGES_AT_ONCE)},
            ("setting", "changes"),
        ),
        _what_if,
    ),
    "pareto": Tool(
        "The settings worth considering: give lists of values in a setting, e.g. steps [20, 28, 50]; of all "
        "combinations those that no other beats in every measure are answered. Keys are those of "
        "estimate.",
        an_object(
            {"setting": case_schema(described=False, several=True), "by": measures_schema()}, ("setting",)
        ),
        _pareto,
    ),
    "plan": Tool(
        "Which configuration, GPU, region and hour makes each image or clip of a demand, at least cost or "
        "carbon within limits.",
        an_object(_PLANNED, ("services", "gpus", "regions")),
        _plan,
    ),
    "models": Tool(
        "The models that are known, or all of one.",
        an_object(
            {
                "task": {"enum": ["image", "video"], "description": "models that make these alone"},
                "name": {"type": "string", "description": "of one model, whose whole entry is answered"},
            }
        ),
        _models,
    ),
    "gpus": Tool(
        "The GPUs that are known, or all of one: power, memory, rates.",
        an_object(
            {
                "vendor": {"type": "string", "description": "GPUs of this vendor alone, e.g. AMD"},
                "name": {"type": "string", "description": "of one GPU, whose whole entry is answered"},
                FULL: _FULL,
            }
        ),
        _gpus,
    ),
}
