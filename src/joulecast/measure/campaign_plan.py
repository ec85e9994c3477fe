"""Plans of a campaign: a TOML file of grids becomes an ordered list of tasks.

    name = "my-sweep"            # goes into the run ids
    budget = "9m"                # default of --budget
    order = "spread"             # or "listed"

    [protocol]                   # see `joulecast.measure.protocol.Settings`
    window_s = 2.0

    [[grid]]                     # every combination; a value or a list of values for each key
    model = ["sd2", "flux.1-dev"]
    size = ["512x512", "default"]
    steps = [10, 30]
    precision = ["default", "fp32"]

The other keys of a grid are those of any request (`passes`, or `guidance` and `negative_prompt`;
`batch_size`; `text_tokens`; of videos `frames`, or `seconds` and `fps`; of an image as input `input_image`
and `strength`; `control`), and `runtime` (``eager`` or ``compiled``), `tf32`, `components` (whether each is
also measured alone), `weights` (``random``, ``trained`` for the catalogue's hub id, or a folder or hub id)
and `gpu`.
``"default"`` is the model's own.

Order ``spread``: every model and precision gets a few settings far apart from each other first,
quick ones before slow ones, then twice as many, and so on: a campaign that is interrupted has
covered the range. A grid with `later` joins so many rounds later.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from joulecast import data
from joulecast.architecture.catalogue import find_model
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import (
    InputError,
    JoulecastError,
    UnknownNameError,
    did_you_mean,
    shown,
)
from joulecast.files.documents import parse_toml
from joulecast.files.paths import user_text
from joulecast.files.streams import stream_name
from joulecast.measure.expected_time import task_s
from joulecast.measure.protocol import Settings
from joulecast.measure.records import EAGER, RANDOM, TF32_DEFAULT, TRAINED, TaskSpec
from joulecast.measure.store import NewTask
from joulecast.question.gpus import gpu as find_gpu
from joulecast.question.inputs import ALL_STEPS, pipeline_given
from joulecast.question.question import additions_of, input_of, workload_of
from joulecast.question.runtimes import READERS
from joulecast.question.setting import Setting, key_of, refuse_work
from joulecast.question.vocabulary import refused_name
from joulecast.runtime import REFERENCE

MOST_PLAN_BYTES: Final = 200_000
MOST_TASKS: Final = 20_000
MOST_ROUNDS: Final = 20
PRICE: Final = 1 / 2  # how much a setting's time counts against it: none at 0, wholly at 1
FIRST_ROUND: Final = 2  # settings of each model and precision in the first round of order "spread"
ORDERS: Final = ("spread", "listed")
RUNTIMES: Final = (EAGER, "compiled")
TF32: Final = (TF32_DEFAULT, "on", "off")
PLAN_KEYS: Final = ("name", "description", "budget", "order", "protocol", "grid")
MOST_WEIGHTS_CHARACTERS: Final = 1000
DEFAULT: Final = "default"  # of a grid's key: the model's own
WORK_KEYS: Final = (
    "model", "size", "width", "height", "steps", "precision", "passes", "guidance", "true_cfg_scale",
    "negative_prompt", "batch_size", "text_tokens", "frames", "fps", "seconds", "strength", "input_image",
    "input_width", "input_height", "input_images", "control",
)  # fmt: skip
GRID_KEYS: Final = (*WORK_KEYS, "runtime", "tf32", "components", "weights", "gpu", "later")


@dataclass(frozen=True)
class Plan:
    """A campaign's plan. `tasks` are in the order in which they are to be run."""

    name: str
    tasks: tuple[NewTask, ...]
    settings: Settings
    budget_s: float | None = None
    description: str = ""


@dataclass(frozen=True)
class _Cell:
    """One task before it is ordered."""

    task: NewTask
    group: tuple[str, ...]
    place: tuple[float, ...] = field(default=())
    later: int = 0


def read_plan(source: str | Path) -> Plan:
    """A plan by the name of a packaged one (``calibrate``, ``paper-sweep``) or from a TOML file.

    Raises
    ------
    InputError
        There is no such file or packaged plan, or a value of it cannot be used.
    FileFormatError
        It is not TOML.
    """
    text = str(source)
    names = {name.removeprefix("plans/").removesuffix(".toml"): name for name in data.names("plans", ".toml")}
    if not Path(text).exists() and text.removesuffix(".toml") in names:
        return parse_plan(data.read_text(names[text.removesuffix(".toml")]), text)
    if not Path(text).exists() and not text.endswith(".toml"):
        raise UnknownNameError("plan", text, names, f"packaged: {', '.join(names)}; or a .toml file")
    return parse_plan(
        user_text(text, "plan", MOST_PLAN_BYTES), Path(text).name if stream_name(text) else text
    )


def parse_plan(text: str, where: str) -> Plan:
    """A plan from the text of its TOML file; errors as of `read_plan`."""
    content = parse_toml(text, f"plan {shown(where)}", 'name = "my-sweep"')
    _check_keys(content, PLAN_KEYS, f"plan {shown(where)}")
    grids = content.get("grid")
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, dict) for grid in grids):
        raise InputError(f"plan {shown(where)} has no [[grid]]; see docs/campaigns.md")
    name = content.get("name", Path(where).stem)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", name):
        raise InputError(f"plan name {shown(name)} must be letters, digits, dots and dashes, 60 at most")
    order = content.get("order", "spread")
    if order not in ORDERS:
        raise UnknownNameError("order", order, ORDERS, f"known: {', '.join(ORDERS)}")
    settings = Settings.of(content.get("protocol", {}))
    cells = list(_cells(grids, settings, where))
    ordered = spread(cells) if order == "spread" else cells
    budget = content.get("budget")
    return Plan(
        name,
        tuple(cell.task for cell in ordered),
        settings,
        None if budget is None else parse_duration(budget),
        str(content.get("description", "")).strip(),
    )


def parse_duration(text: object) -> float:
    """Seconds from ``"9m"``, ``"90s"``, ``"1h30m"`` or a number of seconds. Raises InputError."""
    found = re.fullmatch(r"\s*(?:([\d.]+)h)?\s*(?:([\d.]+)m)?\s*(?:([\d.]+)s?)?\s*", str(text))
    try:
        hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0, 0, 0)
    except ValueError:
        hours = minutes = seconds = 0
    total = 3600 * hours + 60 * minutes + seconds
    if not 0 < total < 1e7:
        raise InputError(f"{shown(text)} is no length of time; expected e.g. 9m, 90s or 1h30m")
    return total


def _check_keys(table: Iterable[str], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise InputError(f"unknown key {shown(key)} in {where}; {did_you_mean(key, known)}")


# --- grids ----------------------------------------------------------------------------------------


def _cells(grids: list[dict[str, object]], settings: Settings, where: str) -> Iterator[_Cell]:
    seen: set[tuple[TaskSpec, str | None]] = set()
    for number, grid in enumerate(grids, 1):
        place = f"grid {number} of plan {shown(where)}"
        chosen = in_order(grid, place)
        if "model" not in chosen:
            raise InputError(f"{place} has no model")
        lists = [value if isinstance(value, list) else [value] for value in chosen.values()]
        if math.prod(len(values) for values in lists) > MOST_TASKS:
            raise InputError(f"{place} has more than {MOST_TASKS:,} combinations")
        for values in itertools.product(*lists):
            cell = _cell(dict(zip(chosen, values, strict=True)), settings, place)
            key = cell.task.spec, cell.task.gpu
            if key not in seen:
                seen.add(key)
                yield cell


def _asks_nothing(name: str, value: object) -> bool:
    """Whether a key is no grid's, but known to ask for nothing. InputError where it asks for something."""
    if name in GRID_KEYS:
        return False
    key = key_of(name)
    if key is not None and key in READERS:
        return _is_measured(name, key, value)
    if refused_name(name) is None:
        return False
    for one in value if isinstance(value, list) else [value]:
        refuse_work(name, one)
    return True


def _is_measured(name: str, key: str, value: object) -> bool:
    """Whether a key of runtimes asks for what is measured here, which is nothing more. InputError if not."""
    for one in value if isinstance(value, list) else [value]:
        if READERS[key](one) != getattr(REFERENCE, key):
            raise InputError(
                f"{name} is {shown(one)}, and what is measured here is diffusers on one GPU; runtime is "
                f"{' or '.join(RUNTIMES)}"
            )
    return True


def in_order(grid: Mapping[str, object], place: str) -> dict[str, object]:
    """A grid's values by key, whichever names its keys have, in the order in which they vary.

    Raises InputError, which says the `place`, for a key that no grid has or that is given twice.
    """
    named = [(key_of(name) or name, value) for name, value in grid.items() if not _asks_nothing(name, value)]
    _check_keys([key for key, _ in named], GRID_KEYS, place)
    values = dict(named)
    if len(values) < len(named):
        twice = next(key for key in values if [name for name, _ in named].count(key) > 1)
        raise InputError(f"{twice} is given twice in {place}")
    return {key: values[key] for key in GRID_KEYS if key in values}


def make_spec(values: Mapping[str, object]) -> TaskSpec:
    """A task's specification, defaults of the model filled in; keys as of a grid.

    Raises InputError or UnknownNameError when a value cannot be used; whether the pipeline would
    refuse the workload is not checked.
    """
    model = values.get("model")
    if not isinstance(model, str):
        raise InputError(f"model {shown(model)} is no name")
    named = packaged_profile(find_model(model))
    given = {key: values[key] for key in WORK_KEYS if values.get(key, DEFAULT) != DEFAULT}
    setting = Setting.of({**given, "model": named.name})
    profile = pipeline_given(named, input_of(setting), additions_of(setting))
    workload = workload_of(setting, profile)
    strength = setting.strength if profile.images.strength and setting.strength != ALL_STEPS else None
    steps_asked = profile.defaults.steps if setting.steps is None else setting.steps
    tf32 = _one_of("tf32", values.get("tf32", TF32_DEFAULT), TF32)
    components = values.get("components", False)
    if not isinstance(components, bool):
        raise InputError(f"components must be true or false, not {shown(components)}")
    return TaskSpec(
        model=profile.name,
        width=workload.width,
        height=workload.height,
        steps=workload.steps,
        passes=workload.passes,
        batch_size=workload.batch_size,
        precision=workload.precision,
        text_tokens=workload.text_tokens,
        frames=workload.frames,
        negative_prompt=workload.negative_prompt,
        runtime=_one_of("runtime", values.get("runtime", EAGER), RUNTIMES),
        tf32=tf32 if workload.precision == "fp32" else TF32_DEFAULT,
        components=components,
        weights=check_weights(values.get("weights", RANDOM)),
        strength=strength,
        steps_asked=None if strength is None else steps_asked,
    )


def _one_of(key: str, value: object, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise UnknownNameError(key, value, known, f"known: {', '.join(known)}")
    return value


def check_weights(weights: object) -> str:
    """``random``, ``trained``, or a folder or hub id. Raises InputError when it is none of them."""
    if not isinstance(weights, str) or not 0 < len(weights.strip()) <= MOST_WEIGHTS_CHARACTERS:
        raise InputError(
            f"weights {shown(weights)} are not {RANDOM!r}, {TRAINED!r}, or the name of a folder or hub id"
        )
    return weights


def with_weights(tasks: Iterable[NewTask], weights: str | None) -> tuple[NewTask, ...]:
    """Tasks with `weights` where the plan has random ones; as they are for None. Raises InputError."""
    if weights is None:
        return tuple(tasks)
    check_weights(weights)
    return tuple(
        dataclasses.replace(task, spec=dataclasses.replace(task.spec, weights=weights))
        if task.spec.weights == RANDOM
        else task
        for task in tasks
    )


def _cell(values: Mapping[str, object], settings: Settings, where: str) -> _Cell:
    try:
        later = _rounds(values.get("later", 0))
        spec = make_spec(values)
        gpu = None if values.get("gpu") is None else find_gpu(str(values["gpu"])).name
    except JoulecastError as error:
        raise type(error)(f"{where}: {error}") if type(error) is InputError else error from None
    workload, profile = spec.workload, packaged_profile(spec.model)
    refused = profile.errors(workload.columns())[0]
    cost = 0.0 if refused else task_s(spec, settings)
    group = (spec.model, spec.precision, spec.runtime, spec.tf32, spec.weights)
    place = (
        math.log2(workload.width * workload.height) / 2,
        math.log2(workload.width / workload.height),
        math.log2(workload.steps),
        2.0 * workload.passes,
        math.log2(workload.batch_size),
        math.log2(workload.frames),
    )
    return _Cell(NewTask(spec, cost, gpu, refused), group, place, later)


# --- order ----------------------------------------------------------------------------------------


def spread(cells: Sequence[_Cell]) -> list[_Cell]:
    """Rounds that double in size; within a round the cells of one pipeline follow each other. A
    pipeline's first round is the earliest of its cells'."""
    groups: dict[tuple[str, ...], list[_Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    rounds: dict[int, list[_Cell]] = {}
    for members in groups.values():
        start, size = 0, FIRST_ROUND
        costs = [cell.task.cost_s for cell in members]
        chosen = farthest_first([cell.place for cell in members], costs)
        for number in itertools.count(min(cell.later for cell in members)):
            if start >= len(chosen):
                break
            rounds.setdefault(number, []).extend(members[i] for i in chosen[start : start + size])
            start, size = start + size, size * 2
    return [cell for number in sorted(rounds) for cell in rounds[number]]


def _rounds(later: object) -> int:
    if not isinstance(later, int) or isinstance(later, bool) or not 0 <= later <= MOST_ROUNDS:
        raise InputError(f"later must be a whole number of rounds, 0 to {MOST_ROUNDS}, not {shown(later)}")
    return later


def farthest_first(places: Sequence[Sequence[float]], costs: Sequence[float] = ()) -> list[int]:
    """Indices: the most central place first, then always the one farthest from all chosen; with
    costs, the distance is over the square root of the cost."""
    prices = [max(cost, 1e-9) ** PRICE for cost in costs] or [1.0] * len(places)
    if not places:
        return []
    centre = [sum(axis) / len(places) for axis in zip(*places, strict=True)]
    first = min(range(len(places)), key=lambda i: (math.dist(places[i], centre), i))
    chosen, nearest = [first], [math.dist(place, places[first]) for place in places]
    while len(chosen) < len(places):
        left = set(range(len(places))) - set(chosen)
        chosen.append(max(left, key=lambda i: (nearest[i] / prices[i], -i)))
        nearest = [min(d, math.dist(p, places[chosen[-1]])) for d, p in zip(nearest, places, strict=True)]
    return chosen
