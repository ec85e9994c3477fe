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

from joulecast.errors import InputError, UnknownNameError, shown
from joulecast.files.documents import parse_toml
from joulecast.files.numbers import whole
from joulecast.files.paths import shown_path, user_text
from joulecast.files.streams import folder_of
from joulecast.footprint.factors import GIVEN, Given, embodied_host, embodied_of, factor
from joulecast.footprint.grid.reading import HourlySeries, hourly_series, read_hourly
from joulecast.footprint.grid.yearly import given_intensity, grid_intensity
from joulecast.footprint.quantity import quantity
from joulecast.forecast.estimate import resolve_law
from joulecast.forecast.predictor import predict_questions
from joulecast.hardware import UNKNOWN_IDLE_SHARE, Gpu, idle_power_w
from joulecast.plan.possible import cannot_run
from joulecast.plan.problem import OBJECTIVES, GpuType, Option, Place, Problem, Service
from joulecast.plan.table import Table, number_of, whole_of
from joulecast.question.gpus import gpu as find_gpu
from joulecast.question.models import load_profile
from joulecast.question.question import ask, precision_notes, precision_of, work_of
from joulecast.question.questions import SEPARATOR
from joulecast.question.setting import Setting
from joulecast.units import counted

MOST_BYTES = 1_000_000
MOST_HOURS = 8784
BATCH_SIZES = (1, 2, 4, 8, 16)
LEAST_IMAGES = 1e-3  # in an hour, where there are any: less is a slip, and no solver tells it from nothing
FIRST_YEAR, LAST_YEAR = 1990, 2200  # of a plan's start
_ASKED = (
    "size", "width", "height", "steps", "precision", "passes", "guidance", "true_cfg_scale",
    "negative_prompt", "text_tokens",
)  # fmt: skip
_TODAY = ("carbon_kg", "energy_kwh", "cost")
_SOURCES = ("hourly", "file", "intensity")


@dataclass(frozen=True)
class Assumption:
    """A number the plan rests on: of what, which, how much in words with its unit, and from where."""

    of: str
    what: str
    amount: str
    source: str


@dataclass(frozen=True)
class Demand:
    """A demand file read: the problem, what deserves doubt about it, when it begins, what it assumes."""

    problem: Problem
    warnings: tuple[str, ...]
    start: datetime | None = None
    assumptions: tuple[Assumption, ...] = ()
    today: Mapping[str, float] = field(default_factory=dict)  # what runs now, by a key of _TODAY


class _Said:
    """What reading a demand found to say: warnings and assumptions."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.assumptions: list[Assumption] = []

    def assume(self, of: str, what: str, amount: str, source: str) -> None:
        self.assumptions.append(Assumption(of, what, amount, source))


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
    said = _Said()
    devices = [_gpu(table, folder, said) for table in root.tables("gpus")]
    _distinct([kind.name for kind, _ in devices], "gpus")
    defaults = {name: plan.given(name) for name in ("pue", "host_overhead")}
    kinds = tuple(kind for kind, _ in devices)
    places = tuple(_place(t, kinds, hours, start, defaults, folder, said) for t in root.tables("regions"))
    _distinct([place.name for place in places], "regions")
    services, configurations = [], []
    for s, table in enumerate(root.tables("services")):
        services.append(_service(table, s, hours))
        configurations += _configurations(table, s, services[-1])
        table.done()
    _distinct([service.name for service in services], "services")
    _check_demand(services)
    if not any(service.demand.sum() for service in services):
        raise InputError("the plan asks for no image: the demand of every service is 0")
    _check_prices(kinds, places, minimise)
    problem = Problem(
        services=tuple(services),
        options=_options(configurations, [device for _, device in devices], said),
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
        raise InputError(f"{table.where} needs images_per_day or images_by_hour, one of the two")
    if by_hour is None:
        demand = np.full(hours, (per_day or 0.0) / 24)
    else:
        if not isinstance(by_hour, list) or len(by_hour) != hours:
            count = len(by_hour) if isinstance(by_hour, list) else shown(by_hour)
            raise InputError(
                f"{table.where}.images_by_hour needs a number for each of {hours} hours, not {count}"
            )
        demand = np.array([number_of(x, f"{table.where}.images_by_hour", 0, 1e15) for x in by_hour])
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


def _configurations(table: Table, number: int, service: Service) -> list[_Configuration]:
    found = [_configuration(t, number) for t in table.tables("configurations")]
    without = [c.where for c in found if c.quality is None]
    if service.min_quality is not None and without:
        raise InputError(f"{table.where}.min_quality needs the quality of {without[0]}")
    return found


def _configuration(table: Table, service: int) -> _Configuration:
    model = table.text("model")
    if model is None:
        raise InputError(f'{table.where} needs a model, e.g. model = "sdxl"')
    sizes = table.take("batch_sizes")
    if sizes is not None and (not isinstance(sizes, list) or not sizes):
        raise InputError(f"{table.where}.batch_sizes must be a list of whole numbers, e.g. [1, 4, 16]")
    try:
        asked = Setting.of({**table.asked(_ASKED), "model": model})
        work_of(asked)
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
    configurations: Sequence[_Configuration], devices: Sequence[Gpu], said: _Said
) -> tuple[Option, ...]:
    """Every configuration on every GPU at every batch size, predicted at once."""
    rows, impossible = [], []
    for configuration in configurations:
        for place, device in enumerate(devices):
            why = _why_not(configuration, device, said)
            if why:
                impossible.append(why)
                continue
            rows += [
                (configuration, place, ask(configuration.on(device, batch)))
                for batch in configuration.batch_sizes
            ]
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
            told = found.warning[i].split(SEPARATOR)
            said.warnings += [one if question.gpu.name in one else f"{on}: {one}" for one in told]
        w, seconds = question.workload, found.duration_s(i).value
        steps = counted(w.steps, "step") + (f" x {w.passes} passes" if w.passes > 1 else "")
        label = f"{question.profile.name} {w.width}x{w.height}, {steps}, {w.precision}"
        options.append(
            Option(
                configuration.service,
                place,
                label,
                w.batch_size,
                found.energy_j(i),
                seconds / w.batch_size,
                seconds,
                configuration.quality,
            )
        )
    return tuple(options)


def _why_not(configuration: _Configuration, device: Gpu, said: _Said) -> str:
    """Why a configuration is not planned on a GPU, which is said; empty where it is."""
    profile, given = load_profile(configuration.asked.model), configuration.asked.precision
    why = cannot_run(profile, device, given)
    if why:
        said.warnings.append(f"not planned: {why}")
    elif given is None:
        said.warnings += precision_notes(profile, device, precision_of(profile, device))
    return why


def _gpu(table: Table, folder: Path, said: _Said) -> tuple[GpuType, Gpu]:
    name = table.text("name")
    if name is None:
        raise InputError(f'{table.where} needs a name, e.g. name = "H100"')
    device = _find_gpu(name, folder)
    idle, idle_source = idle_power_w(device), device.sources.get("idle_power", "the catalogue")
    if device.idle_power_w is None:
        idle_source = f"{UNKNOWN_IDLE_SHARE:.0%} of its power limit: nobody measured it"
        said.warnings.append(f"nobody measured the idle power of {device.name}: {idle:g} W was taken")
    card, host, life = embodied_of(device), embodied_host(), factor("life")
    said.warnings += card.warnings
    # over all hours owned: a plan's GPUs carry their idle hours themselves
    per_hour = ((card.quantity + host.quantity).to("g") / life.quantity.to("h")).amount
    said.assume(device.name, "idle power", f"{idle:g} W", idle_source)
    said.assume(device.name, "embodied carbon of the GPU", str(card.quantity), card.source)
    said.assume(device.name, "embodied carbon of its part of the host", str(host.quantity), host.source)
    said.assume(device.name, "life", str(life.quantity), life.source)
    found = GpuType(
        name=device.name,
        idle_w=idle,
        tdp_w=device.tdp_w,
        price_per_hour=table.number("price_per_hour", 0, 1e6, 0.0) or 0.0,
        embodied_g_per_hour=per_hour,
        max_count=table.whole("max_count", 0, 10**9),
    )
    table.done()
    return found, device


def _find_gpu(name: str, folder: Path) -> Gpu:
    """A GPU by its name or file; a file beside the demand file goes before one where the program runs."""
    beside = folder / name
    return find_gpu(str(beside) if name.casefold().endswith(".toml") and beside.is_file() else name)


def _place(
    table: Table,
    kinds: tuple[GpuType, ...],
    hours: int,
    start: datetime | None,
    defaults: Mapping[str, Given | None],
    folder: Path,
    said: _Said,
) -> Place:
    given = {key: table.take(key) for key in _SOURCES}
    stated = [key for key in _SOURCES if given[key] is not None]
    name = table.text("name") or table.content.get("hourly")
    if not isinstance(name, str):
        raise InputError(f'{table.where} needs a name, e.g. name = "FR"')
    if len(stated) > 1:
        raise InputError(f"{table.where} ({name}) has {' and '.join(stated)}: give one of them")
    if not stated:
        grid = grid_intensity(name)
        said.warnings += grid.warnings
        intensity, source = np.full(hours, grid.intensity.amount.value), f"{grid.source}, {grid.boundary}"
    elif stated == ["intensity"]:
        stated_g = number_of(given["intensity"], f"{table.where}.intensity", 0, 3000)
        said.warnings += given_intensity(stated_g, region=name).warnings
        intensity, source = np.full(hours, stated_g), GIVEN
    else:
        series: HourlySeries = (
            hourly_series(given["hourly"]) if given["hourly"] else read_hourly(folder / str(given["file"]))
        )
        said.warnings += series.caveats()
        intensity, source = (
            series.window(start, hours),
            f"{series.source}, {series.region}, {series.boundary}",
        )
    overheads = {key: table.given(key) for key in defaults}
    host, pue = (
        factor(key, overheads[key] if overheads[key] is not None else defaults[key])
        for key in ("host_overhead", "pue")
    )
    found = Place(
        name=name,
        intensity=np.asarray(intensity, dtype=np.float64),
        overhead=((quantity(1) + host.quantity) * pue.quantity).amount,
        price_per_kwh=table.number("price_per_kwh", 0, 1e6, 0.0) or 0.0,
        max_power_kw=table.number("max_power_kw", 0),
        counts=_counts(table, kinds, folder),
    )
    least, most = float(found.intensity.min()), float(found.intensity.max())
    ends = f"{least:.4g}" if least == most else f"{least:.4g} to {most:.4g}"
    said.assume(name, "grid intensity", f"{ends} g CO2e/kWh", source)
    said.assume(name, "host energy for each joule of GPU energy", str(host.quantity.amount), host.source)
    said.assume(name, "PUE", str(pue.quantity.amount), pue.source)
    table.done()
    return found


def _counts(table: Table, kinds: tuple[GpuType, ...], folder: Path) -> tuple[int | None, ...]:
    offered = table.take("gpus")
    if offered is None:
        return ()
    if isinstance(offered, list) and all(isinstance(name, str) for name in offered):
        offered = dict.fromkeys(offered)
    if not isinstance(offered, Mapping):
        raise InputError(f"{table.where}.gpus must be like {{ H100 = 100 }}, not {shown(offered)}")
    found: dict[str, int | None] = {}
    for text, count in offered.items():
        name = _find_gpu(str(text), folder).name
        if name not in [kind.name for kind in kinds]:
            raise InputError(f"{table.where}.gpus has {shown(text)}, which is not in [[gpus]]")
        if name in found:
            raise InputError(f"{table.where}.gpus has {name} twice")
        found[name] = None if count is None else whole_of(count, f"{table.where}.gpus.{text}", 0, 10**9)
    return tuple(found.get(kind.name, 0) for kind in kinds)


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
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InputError(f"plan.start {shown(text)} is not in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment.astimezone(UTC)


def _distinct(names: Sequence[str], where: str) -> None:
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"[[{where}]] has {doubled} twice")
