"""What a plan decides, as numbers: demand, options, fleet, regions, limits. No names are looked up here.

Images are a fluid: an hour's demand may be split over options. A GPU in the plan is there in every hour
and draws idle power when it does not generate; its embodied carbon and its rent run on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.output import IMAGE
from joulecast.uncertainty import Interval

Array = NDArray[np.float64]
OBJECTIVES = ("carbon", "cost", "energy")


@dataclass(frozen=True)
class Option:
    """A configuration of a service on a GPU at a batch size: an image's gross energy [J] and GPU time [s]."""

    service: int
    gpu: int
    label: str
    batch_size: int
    energy_j: Interval
    seconds: float
    latency_s: float
    quality: float | None = None
    output: str = IMAGE  # what is made, where an image is spoken of


@dataclass(frozen=True)
class Service:
    """Images by hour of arrival; `deadline_hours` later they must be made. Limits are None where absent."""

    name: str
    demand: Array
    deadline_hours: int = 0
    latency_s: float | None = None
    max_g_per_image: float | None = None
    min_quality: float | None = None


@dataclass(frozen=True)
class GpuType:
    """A GPU on offer: idle and limit power [W], rent [currency/h], embodied carbon [g/h owned], how many."""

    name: str
    idle_w: float
    tdp_w: float
    price_per_hour: float = 0.0
    embodied_g_per_hour: Interval = field(default_factory=lambda: Interval.exact(0))
    max_count: int | None = None


@dataclass(frozen=True)
class Place:
    """A region: intensity by hour [g/kWh], facility energy per joule of GPU energy, price of a kWh."""

    name: str
    intensity: Array
    overhead: Interval
    price_per_kwh: float = 0.0
    max_power_kw: float | None = None
    counts: tuple[int | None, ...] = ()  # most of each GPU type; 0 where it is not on offer; empty: no limit


@dataclass(frozen=True)
class Limit:
    """One limit of a plan: its kind, a key of the demand file, and what it is on, the whole plan if nothing.

    A limit of the kind ``gpus`` on a GPU in a place is on how many of them may be there.
    """

    kind: str
    service: str = ""
    gpu: str = ""
    place: str = ""

    @property
    def name(self) -> str:
        """Where the demand file states it, e.g. ``studio.min_quality``, ``limits.gpus``, ``FR.H100``."""
        if self.place and self.gpu:
            return f"{self.place}.{self.gpu}"
        return f"{self.service or self.gpu or self.place or 'limits'}.{self.kind}"


@dataclass(frozen=True)
class Problem:
    """A whole plan to make. `utilisation` is the share of a GPU-hour that may be filled."""

    services: tuple[Service, ...]
    options: tuple[Option, ...]
    gpus: tuple[GpuType, ...]
    places: tuple[Place, ...]
    minimise: str = "carbon"
    utilisation: float = 1.0
    max_carbon_kg: float | None = None
    max_cost: float | None = None
    max_energy_kwh: float | None = None
    max_gpus: int | None = None
    currency: str = "USD"

    @property
    def hours(self) -> int:
        """Hours of the plan."""
        return len(self.services[0].demand)

    def limits(self) -> dict[Limit, float]:
        """Every limit, with its amount."""
        found: dict[Limit, float | None] = {
            Limit("carbon_kg"): self.max_carbon_kg,
            Limit("cost"): self.max_cost,
            Limit("energy_kwh"): self.max_energy_kwh,
            Limit("gpus"): self.max_gpus,
        }
        for service in self.services:
            for kind in ("latency_s", "max_g_per_image", "min_quality"):
                found[Limit(kind, service=service.name)] = getattr(service, kind)
        for gpu in self.gpus:
            found[Limit("max_count", gpu=gpu.name)] = gpu.max_count
        for place in self.places:
            found[Limit("max_power_kw", place=place.name)] = place.max_power_kw
            for gpu, count in zip(self.gpus, place.counts, strict=bool(place.counts)):
                # not on offer is no limit to relax
                found[Limit("gpus", gpu=gpu.name, place=place.name)] = count or None
        return {limit: float(amount) for limit, amount in found.items() if amount is not None}


def useful(problem: Problem, skip: frozenset[Limit] = frozenset()) -> tuple[Option, ...]:
    """The options that can be in a best plan: within the latency, and on the lower hull of their kind.

    For a service on a GPU every cost is linear in an image's energy above idle and in its GPU time, with
    weights that are never negative; so only the lower left hull of these two matters, exactly. Where a
    mean quality is asked for, options of different quality are kept apart.
    """
    kept: list[Option] = []
    for s, service in enumerate(problem.services):
        limit = None if Limit("latency_s", service=service.name) in skip else service.latency_s
        by_quality = service.min_quality is not None
        groups: dict[tuple[int, float | None], list[Option]] = {}
        for option in problem.options:
            if option.service == s and (limit is None or option.latency_s <= limit):
                groups.setdefault((option.gpu, option.quality if by_quality else None), []).append(option)
        hulls = {key: _hull(group, problem.gpus[key[0]].idle_w) for key, group in groups.items()}
        for (g, _), hull in hulls.items():
            rivals = [o for (other, _), found in hulls.items() if other == g for o in found]
            kept += [o for o in hull if not any(_beats(rival, o, problem.gpus[g].idle_w) for rival in rivals)]
    return tuple(kept)


def _beats(a: Option, b: Option, idle_w: float) -> bool:
    """Whether `a` is as good as `b` in energy and time, and of better quality."""
    if a.quality is None or b.quality is None or a.quality <= b.quality:
        return False
    return a.seconds <= b.seconds and above_idle(a, idle_w) <= above_idle(b, idle_w)


def above_idle(option: Option, idle_w: float) -> float:
    """Energy of an image above what the GPU would have drawn idle [J]."""
    return option.energy_j.value - idle_w * option.seconds


def _hull(options: list[Option], idle_w: float) -> list[Option]:
    """The lower left convex hull of (seconds, energy above idle)."""
    hull: list[Option] = []
    for option in sorted(options, key=lambda o: (o.seconds, above_idle(o, idle_w))):
        if hull and above_idle(option, idle_w) >= above_idle(hull[-1], idle_w):
            continue
        while len(hull) > 1 and _is_above(hull[-2], hull[-1], option, idle_w):
            hull.pop()
        hull.append(option)
    return hull


def _is_above(a: Option, b: Option, c: Option, idle_w: float) -> bool:
    """Whether `b` lies on or above the line from `a` to `c`."""
    ea, eb, ec = (above_idle(o, idle_w) for o in (a, b, c))
    return (eb - ea) * (c.seconds - a.seconds) >= (ec - ea) * (b.seconds - a.seconds)
