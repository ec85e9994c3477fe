"""What a plan offers: kinds of GPUs, and places with their grids; and what reading one found to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from joulecast.errors import InputError, shown
from joulecast.files.numbers import whole_within, within
from joulecast.files.paths import may_be_file
from joulecast.footprint.factors import GIVEN, Given, embodied_host, embodied_of, factor
from joulecast.footprint.grid.reading import HourlySeries, hourly_series, read_hourly
from joulecast.footprint.grid.yearly import given_intensity, grid_intensity
from joulecast.footprint.quantity import quantity
from joulecast.hardware import UNKNOWN_IDLE_SHARE, Gpu, idle_power_w
from joulecast.plan.problem import GpuType, Place
from joulecast.plan.table import Table
from joulecast.question.gpus import gpu as find_gpu

FILES = (".toml", ".json")  # of GPUs and engines, and of profiles
_SOURCES = ("hourly", "file", "intensity")


@dataclass(frozen=True)
class Assumption:
    """A number the plan rests on: of what, which, how much in words with its unit, and from where."""

    of: str
    what: str
    amount: str
    source: str


class Said:
    """What reading a demand found to say: warnings and assumptions."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.assumptions: list[Assumption] = []

    def assume(self, of: str, what: str, amount: str, source: str) -> None:
        """Note a number that the plan rests on."""
        self.assumptions.append(Assumption(of, what, amount, source))


def gpu_offered(table: Table, folder: Path, said: Said) -> tuple[GpuType, Gpu]:
    """A kind of GPU on offer, and the GPU that it is; its files lie in `folder`."""
    name = table.text("name")
    if name is None:
        raise InputError(f'{table.where} needs a name, e.g. name = "H100"')
    device = find_gpu(beside(name, folder))
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


def beside(name: str, folder: Path) -> str:
    """A name, or the path of a file: one beside the demand file goes before one where the program runs."""
    path = folder / name
    return str(path) if name.casefold().endswith(FILES) and may_be_file(path) else name


def place_offered(
    table: Table,
    kinds: tuple[GpuType, ...],
    hours: int,
    start: datetime | None,
    defaults: Mapping[str, Given | None],
    folder: Path,
    said: Said,
) -> Place:
    """A place where GPUs of some `kinds` are on offer, and its grid in each of so many hours."""
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
        stated_g = within(given["intensity"], f"{table.where}.intensity", 0, 3000)
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
        name = find_gpu(beside(str(text), folder)).name
        if name not in [kind.name for kind in kinds]:
            raise InputError(f"{table.where}.gpus has {shown(text)}, which is not in [[gpus]]")
        if name in found:
            raise InputError(f"{table.where}.gpus has {name} twice")
        found[name] = None if count is None else whole_within(count, f"{table.where}.gpus.{text}", 0, 10**9)
    return tuple(found.get(kind.name, 0) for kind in kinds)
