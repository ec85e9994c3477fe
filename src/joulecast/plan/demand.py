"""A plan's demand file: TOML, every key checked and every value named when it is wrong.

The keys are in the docstring of `joulecast.plan.make.make_plan`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from joulecast.compute.output import CLIP
from joulecast.errors import InputError, UnknownNameError, shown
from joulecast.files.documents import parse_toml
from joulecast.files.numbers import whole, within
from joulecast.files.paths import shown_path, user_text
from joulecast.files.streams import folder_of
from joulecast.footprint.grid.times import YEARS
from joulecast.forecast.answer import gpu_seconds
from joulecast.forecast.estimate import resolve_law
from joulecast.forecast.memory import in_full
from joulecast.forecast.predictor import predict_questions
from joulecast.hardware import Gpu
from joulecast.plan.offers import Assumption, Said, beside, gpu_offered, place_offered
from joulecast.plan.possible import cannot_run, cannot_run_so, too_large
from joulecast.plan.problem import OBJECTIVES, GpuType, Option, Place, Problem, Service
from joulecast.plan.table import Table
from joulecast.question.models import load_profile
from joulecast.question.question import ask, asked_of, precision_notes, precision_of, told_of_runtime, work_of
from joulecast.question.questions import SEPARATOR
from joulecast.question.runtimes import KEYS as RUNTIME_KEYS
from joulecast.question.setting import Setting
from joulecast.runtime import REFERENCE
from joulecast.units import counted

MOST_BYTES = 1_000_000
MOST_HOURS = 8784
BATCH_SIZES = (1, 2, 4, 8, 16)
LEAST_IMAGES = 1e-3  # in an hour, where there are any: less is a slip, and no solver tells it from nothing
_FILES = ("model", "engine")  # may be files, a profile or an engine
_ASKED = (
    "size", "width", "height", "steps", "precision", "passes", "guidance", "true_cfg_scale",
    "negative_prompt", "text_tokens", "frames", "fps", "seconds", "strength", "input_image", "control",
    "lora", "lora_rank", "lora_fused", *RUNTIME_KEYS,
)  # fmt: skip
_TODAY = ("carbon_kg", "energy_kwh", "cost")


@dataclass(frozen=True)
class Demand:
    """A demand file read: the problem, what deserves doubt about it, when it begins, what it assumes."""

    problem: Problem
    warnings: tuple[str, ...]
    start: datetime | None = None
    assumptions: tuple[Assumption, ...] = ()
    today: Mapping[str, float] = field(default_factory=dict)  # what runs now, by a key of _TODAY


def read_demand(path: str | os.PathLike[str]) -> Demand:
    """The problem that a demand file states; the keys are those of `make_plan`.

    Raises InputError (a key or value that cannot be used, named), UnknownNameError (with near matches)
    or FileFormatError (no TOML).
    """
    text = user_text(path, "plan file", MOST_BYTES)
    content = parse_toml(text, f"plan file {shown_path(path)}", "hours = 24")
    return demand_of(content, folder_of(path))


def demand_of(content: Mapping[str, Any], folder: Path = Path()) -> Demand:
    """The problem that the content of a demand file states; `folder` is where its files lie."""
    root = Table(content, "")
    plan = Table(root.take("plan") or {}, "plan")
    limits = Table(root.take("limits") or {}, "limits")
    now = Table(root.take("today") or {}, "today")
    today = {key: amount for key in _TODAY if (amount := now.number(key, 1e-9)) is not None}
    hours = plan.whole("hours", 1, MOST_HOURS, 24) or 24
    start = _start(plan.text("start"))
    minimise = plan.text("minimise", "carbon")
    if minimise not in OBJECTIVES:
        raise UnknownNameError("plan.minimise", minimise, OBJECTIVES, f"known: {', '.join(OBJECTIVES)}")
    said = Said()
    devices = [gpu_offered(table, folder, said) for table in root.tables("gpus")]
    _distinct([kind.name for kind, _ in devices], "gpus")
    defaults = {name: plan.given(name) for name in ("pue", "host_overhead")}
    kinds = tuple(kind for kind, _ in devices)
    places = tuple(
        place_offered(t, kinds, hours, start, defaults, folder, said) for t in root.tables("regions")
    )
    _distinct([place.name for place in places], "regions")
    services, configurations = [], []
    for s, table in enumerate(root.tables("services")):
        services.append(_service(table, s, hours))
        configurations += _configurations(table, s, services[-1], folder)
        table.done()
    _distinct([service.name for service in services], "services")
    _check_demand(services)
    if not any(service.demand.sum() for service in services):
        raise InputError("the plan asks for nothing: the demand of every service is 0")
    _check_prices(kinds, places, minimise)
    problem = Problem(
        services=tuple(services),
        options=_options(configurations, [device for _, device in devices], kinds, said),
        gpus=kinds,
        places=places,
        minimise=minimise,
        utilisation=plan.number("utilisation", 0.01, 1.0, 1.0) or 1.0,
        max_carbon_kg=limits.number("carbon_kg", 0),
        max_cost=limits.number("cost", 0),
        max_energy_kwh=limits.number("energy_kwh", 0),
        max_gpus=limits.whole("gpus", 0, 10**9),
        currency=plan.text("currency", "USD") or "USD",
    )
    for table in (plan, limits, now, root):
        table.done()
    return Demand(problem, tuple(dict.fromkeys(said.warnings)), start, tuple(said.assumptions), today)


# --- parts ---------------------------------------------------------------------------------------


def _service(table: Table, number: int, hours: int) -> Service:
    name = table.text("name", f"service{number}") or ""
    per_day = table.number("images_per_day", 0)
    by_hour = table.take("images_by_hour")
    if (per_day is None) == (by_hour is None):
        raise InputError(
            f"{table.where} needs images_per_day or images_by_hour, one of the two (clips count as images)"
        )
    if by_hour is None:
        demand = np.full(hours, (per_day or 0.0) / 24)
    else:
        if not isinstance(by_hour, list) or len(by_hour) != hours:
            count = len(by_hour) if isinstance(by_hour, list) else shown(by_hour)
            raise InputError(
                f"{table.where}.images_by_hour needs a number for each of {hours} hours, not {count}"
            )
        demand = np.array([within(x, f"{table.where}.images_by_hour", 0, 1e15) for x in by_hour])
    return Service(
        name=name,
        demand=demand,
        deadline_hours=table.whole("deadline_hours", 0, hours, 0) or 0,
        latency_s=table.number("latency_s", 0),
        max_g_per_image=table.number("max_g_per_image", 0),
        min_quality=table.number("min_quality", -1e9),
    )


def _check_demand(services: Sequence[Service]) -> None:
    """Hours of next to no images are a slip of the unit."""
    for service in services:
        some = service.demand[service.demand > 0]
        if some.size and some.min() < LEAST_IMAGES:
            raise InputError(
                f"the demand of {service.name} is {some.min():.3g} images in an hour; expected none, or at "
                f"least {LEAST_IMAGES:g}"
            )


@dataclass(frozen=True)
class _Configuration:
    """A way to make a service's images that is accepted: a setting without a GPU, batch sizes, quality."""

    service: int
    where: str
    asked: Setting
    batch_sizes: tuple[int, ...]
    quality: float | None

    def on(self, device: Gpu, batch_size: int) -> Setting:
        """The setting on a GPU, of a batch."""
        return replace(self.asked, gpu=device, batch_size=batch_size)


def _configurations(table: Table, number: int, service: Service, folder: Path) -> list[_Configuration]:
    found = [_configuration(t, number, folder) for t in table.tables("configurations")]
    without = [c.where for c in found if c.quality is None]
    if service.min_quality is not None and without:
        raise InputError(f"{table.where}.min_quality needs the quality of {without[0]}")
    return found


def _configuration(table: Table, service: int, folder: Path) -> _Configuration:
    model = table.text("model")
    if model is None:
        raise InputError(f'{table.where} needs a model, e.g. model = "sdxl"')
    sizes = table.take("batch_sizes")
    if sizes is not None and (not isinstance(sizes, list) or not sizes):
        raise InputError(f"{table.where}.batch_sizes must be a list of whole numbers, e.g. [1, 4, 16]")
    try:
        given = {**table.asked(_ASKED), "model": model}
        files = {key: beside(name, folder) for key in _FILES if isinstance(name := given.get(key), str)}
        asked = Setting.of({**given, **files})
        told_of_runtime(asked, work_of(asked))
    except InputError as error:
        raise InputError(f"{table.where}: {error}") from error
    found = _Configuration(
        service=service,
        where=table.where,
        asked=asked,
        batch_sizes=tuple(whole(x, f"{table.where}.batch_sizes", 1, 4096) for x in (sizes or BATCH_SIZES)),
        quality=table.number("quality", -1e9),
    )
    table.done()
    return found


def _options(
    configurations: Sequence[_Configuration],
    devices: Sequence[Gpu],
    kinds: Sequence[GpuType],
    said: Said,
) -> tuple[Option, ...]:
    """Every configuration on every GPU at every batch size, predicted at once."""
    rows, impossible = [], []
    for configuration in configurations:
        for place, device in enumerate(devices):
            why = _why_not(configuration, device, said) or _too_few(configuration, kinds[place], said)
            if why:
                impossible.append(why)
                continue
            asked = [ask(configuration.on(device, batch)) for batch in configuration.batch_sizes]
            over = too_large(asked)
            impossible += filter(None, over)
            said.warnings += [f"not planned: {why}" for why in dict.fromkeys(filter(None, over))]
            rows += [(configuration, place, one) for one, why in zip(asked, over, strict=True) if not why]
    if not rows:
        raise InputError(
            "no GPU on offer holds and computes in the precision of any configuration: "
            + "; ".join(dict.fromkeys(impossible))
        )
    law = resolve_law(None)
    found = predict_questions([question for _, _, question in rows], law)
    words = f"{len(rows)} combinations of configuration, GPU and batch size"
    said.assume("all options", "energy and time", words, f"law {law.name}")
    options = []
    for i, (configuration, place, question) in enumerate(rows):
        on = f"{question.profile.name} on {question.gpu.name}"
        if found.error[i]:
            raise InputError(f"{configuration.where} on {question.gpu.name}: {found.error[i]}")
        if found.warning[i]:
            told = [
                in_full(one, question.profile, question.workload, question.gpu, question.runtime)
                for one in found.warning[i].split(SEPARATOR)
            ]
            said.warnings += [one if question.gpu.name in one else f"{on}: {one}" for one in told]
        w, latency = question.workload, found.duration_s(i)
        steps = counted(w.steps, "step") + (f" x {w.passes} passes" if w.passes > 1 else "")
        frames = f", {counted(w.frames, 'frame')}" if question.profile.output == CLIP else ""
        how = "" if question.runtime == REFERENCE else f", {question.runtime.label}"
        label = f"{question.profile.name} {w.width}x{w.height}{frames}, {steps}, {w.precision}{how}"
        options.append(
            Option(
                configuration.service,
                place,
                label,
                w.batch_size,
                found.energy_j(i),
                gpu_seconds(latency, question.runtime.gpus, w.batch_size).value,
                latency.value,
                configuration.quality,
                question.profile.output,
            )
        )
    return tuple(options)


def _why_not(configuration: _Configuration, device: Gpu, said: Said) -> str:
    """Why a configuration is not planned on a GPU, which is said; empty where it is."""
    profile, given = load_profile(configuration.asked.model), configuration.asked.precision
    asked = asked_of(configuration.asked)
    why = cannot_run(profile, device, given, asked) or cannot_run_so(configuration.on(device, 1))
    if why:
        said.warnings.append(f"not planned: {why}")
    elif given is None:
        said.warnings += precision_notes(profile, device, precision_of(profile, device))
    return why


def _too_few(configuration: _Configuration, kind: GpuType, said: Said) -> str:
    """Why a configuration is not planned on GPUs of which too few are on offer, which is said."""
    needed = asked_of(configuration.asked).sharing
    if kind.max_count is None or needed <= kind.max_count:
        return ""
    why = (
        f"{load_profile(configuration.asked.model).name} on {counted(needed, 'GPU')} does not run on the "
        f"{kind.max_count} of {kind.name} on offer"
    )
    said.warnings.append(f"not planned: {why}")
    return why


def _check_prices(kinds: Sequence[GpuType], places: Sequence[Place], minimise: str) -> None:
    rented = [kind.name for kind in kinds if kind.price_per_hour]
    paid = [place.name for place in places if place.price_per_kwh]
    if rented and paid:
        raise InputError(
            f"{rented[0]} has a price_per_hour and {paid[0]} a price_per_kwh: rent holds its electricity, "
            "give one kind of price"
        )
    if minimise == "cost" and not (rented or paid):
        raise InputError("plan.minimise is cost, but no GPU and no region has a price")


def _start(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f'plan.start {shown(text)} is no time; write e.g. "2022-06-01T00:00Z"') from None
    if moment.tzinfo is None:
        raise InputError(f'plan.start {shown(text)} has no time zone; write e.g. "2022-06-01T00:00Z"')
    if moment.year not in YEARS:
        raise InputError(f"plan.start {shown(text)} is not in the years {YEARS[0]} to {YEARS[-1]}")
    return moment.astimezone(UTC)


def _distinct(names: Sequence[str], where: str) -> None:
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"[[{where}]] has {doubled} twice")
