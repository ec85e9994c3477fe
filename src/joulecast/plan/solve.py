"""The plan: solved, totalled with its ranges, with what binds and what that costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from joulecast.compute.output import IMAGE, together
from joulecast.errors import InputError
from joulecast.files.plain import Json, plain
from joulecast.plan.infeasible import explain_infeasible
from joulecast.plan.milp import GAP, TIME_LIMIT_S, Program, Solution
from joulecast.plan.problem import Array, Limit, Problem
from joulecast.presented import Presented
from joulecast.uncertainty import Interval
from joulecast.units import JOULES_PER_KILOWATT_HOUR, WATTS_PER_KILOWATT

BINDING = 0.999  # of a limit in use
RELAXED = 1.01
WORTH = 1e-6  # of the objective: a smaller saving is the solver's tolerance
PLANNING = 0.75  # of the time, for the plan; what is left of it is for what limits cost


@dataclass(frozen=True)
class Fleet:
    """GPUs of a type in a region, and how much of their time is used."""

    gpu: str
    region: str
    count: int
    utilisation: float


@dataclass(frozen=True)
class Assignment:
    """Images of a service made with a configuration in a region; `images` by hour, shape (hours,)."""

    service: str
    configuration: str
    batch_size: int
    gpu: str
    region: str
    images: Array
    energy_j: Interval
    latency_s: float


@dataclass(frozen=True)
class LimitUse:
    """A limit and how far it is used.

    It binds where it is in full use (no further GPU fits, where it is on GPUs) and the plan without it
    would save something of the objective: `cost`. `cost_per_unit` is what one unit looser would save,
    from a hundredth; None where the options make steps of it: the time of a batch. Both are None where
    the time did not suffice to find out.
    """

    limit: Limit
    amount: float
    used: float
    is_binding: bool = False
    cost_per_unit: float | None = None
    cost: float | None = None


@dataclass(frozen=True, repr=False)
class Plan(Presented):
    """The answer. Totals are over all hours: [g CO2e], [kWh], [currency], with ranges.

    `output` is what is made, images or clips of video; `images` counts them.
    """

    text_by = "decisions.plan_text:plan_text"

    minimise: str
    hours: int
    images: float
    fleet: tuple[Fleet, ...]
    assignments: tuple[Assignment, ...]
    carbon_g: Interval
    operational_carbon_g: Interval
    embodied_carbon_g: Interval
    energy_kwh: Interval
    cost: Interval
    currency: str
    limits: tuple[LimitUse, ...]
    objective: float
    gap: float
    seconds: float
    warnings: tuple[str, ...] = ()
    output: str = IMAGE

    @property
    def binding(self) -> tuple[LimitUse, ...]:
        """The limits that bind."""
        return tuple(use for use in self.limits if use.is_binding)

    @property
    def carbon_g_per_image(self) -> Interval:
        """Carbon of an image [g], hardware included; zero where no image is asked for."""
        return self.carbon_g / self.images if self.images else Interval.exact(0)

    def to_dict(self) -> dict[str, Json]:
        """The same as one JSON object."""
        totals = {
            name: a.ends()
            for name, a in (
                ("carbon_g", self.carbon_g), ("operational_carbon_g", self.operational_carbon_g),
                ("embodied_carbon_g", self.embodied_carbon_g), ("energy_kwh", self.energy_kwh),
                ("cost", self.cost),
            )
        }  # fmt: skip
        return plain({
            "minimise": self.minimise,
            "hours": self.hours,
            "output": self.output,
            "images": self.images,
            "totals": totals,
            "currency": self.currency,
            "g_per_image": self.carbon_g_per_image.value,
            "fleet": [vars(fleet) for fleet in self.fleet],
            "assignments": [
                {
                    **{k: v for k, v in vars(a).items() if k not in ("images", "energy_j")},
                    "images_by_hour": [round(float(x), 6) for x in a.images],
                    "images": float(a.images.sum()),
                    "energy_j": a.energy_j.value,
                }
                for a in self.assignments
            ],
            "limits": [{**vars(use), "limit": use.limit.name} for use in self.limits],
            "objective": self.objective,
            "gap": self.gap,
            "seconds": self.seconds,
            "warnings": self.warnings,
        })  # fmt: skip


def solve(
    problem: Problem, *, gap: float = GAP, time_limit_s: float = TIME_LIMIT_S, warnings: tuple[str, ...] = ()
) -> Plan:
    """The plan with the least of what the problem minimises, to within `gap`.

    All of it, finding out what limits cost included, takes at most about `time_limit_s`.
    Raises InfeasiblePlanError, which names the limits that conflict, or InputError when time runs out.
    """
    ends = time.perf_counter() + time_limit_s
    program = Program(problem)
    solution = program.solve(gap, PLANNING * time_limit_s)
    left = max(0.0, ends - time.perf_counter())
    if solution is None:
        raise explain_infeasible(problem, left)
    return _plan(program, solution, _limits(program, solution, left), warnings)


def _limits(program: Program, solution: Solution, time_limit_s: float) -> tuple[LimitUse, ...]:
    """Every limit, how far it is used, and what it costs: from solving again with divisible GPUs."""
    used_by = program.joined(solution.y, solution.n)
    costs = _Costs(program, time_limit_s)
    found = []
    for limit, coefficients, least, most in (*program.limits(), *program.count_limits()):
        is_most = bool(np.isfinite(most))
        amount = most if is_most else least
        used = float(coefficients @ used_by)
        left = most - used if is_most else used - least
        one_gpu = coefficients[program.fleet_index][coefficients[program.fleet_index] > 0].min(initial=np.inf)
        is_gpus_alone = not coefficients[: program.cells].any()
        room = float(one_gpu) * BINDING if is_gpus_alone else (1 - BINDING) * abs(amount)
        looser = 1 + (RELAXED - 1) * float(np.sign(amount)) * (1 if is_most else -1)
        use = LimitUse(limit, amount, used)
        found.append(costs.of(use, looser) if left <= room else use)
    return (*found, *_latencies(program, solution, costs))


def _latencies(program: Program, solution: Solution, costs: _Costs) -> Iterator[LimitUse]:
    """Limits on the time of a batch: they bind where they leave an option out that would save something."""
    busy = [o for k, o in enumerate(solution.options) if solution.y[k].sum() > 0]
    for s, service in enumerate(program.problem.services):
        if service.latency_s is None:
            continue
        slowest = max((o.latency_s for o in busy if o.service == s), default=0.0)
        use = LimitUse(Limit("latency_s", service=service.name), service.latency_s, slowest)
        too_slow = any(o.service == s and o.latency_s > service.latency_s for o in program.problem.options)
        yield costs.of(use, None) if too_slow else use


class _Costs:
    """What limits cost, against the plan with divisible GPUs, which is solved once and only when asked.

    All of them together take at most as long as the plan may; what is not known by then stays None.
    """

    def __init__(self, program: Program, time_limit_s: float) -> None:
        self.program = program
        self.ends = time.perf_counter() + time_limit_s

    def of(self, use: LimitUse, looser: float | None) -> LimitUse:
        """The limit with what it costs: one unit where it may be scaled by `looser`, and all of it."""
        without = self._saved(Program(self.program.problem, frozenset([use.limit])), {})
        if without is None:  # full, as far as anyone had time to find out
            return replace(use, is_binding=looser is not None)
        if without <= WORTH * abs(self.base or 0.0):
            return use
        per_unit = None
        if looser is not None and use.amount:
            freer = self._saved(self.program, {use.limit: looser})
            per_unit = None if freer is None else freer / abs(use.amount * (looser - 1))
        return replace(use, is_binding=True, cost_per_unit=per_unit, cost=without)

    @cached_property
    def base(self) -> float | None:
        """The best with divisible GPUs."""
        return self._best(self.program, {})

    def _saved(self, program: Program, scale: dict[Limit, float]) -> float | None:
        if self.base is None:
            return None
        best = self._best(program, scale)
        return None if best is None else max(0.0, self.base - best)

    def _best(self, program: Program, scale: dict[Limit, float]) -> float | None:
        left = self.ends - time.perf_counter()
        if left <= 0:
            return None
        try:
            found = program.solve(0.0, left, whole=False, scale=scale)
        except InputError:  # the time has passed
            return None
        return None if found is None else found.objective


def _plan(
    program: Program, solution: Solution, limits: tuple[LimitUse, ...], warnings: tuple[str, ...]
) -> Plan:
    p = program.problem
    assignments = _assignments(program, solution)
    energy, operational = _totals(program, solution)
    embodied = Interval.exact(0)
    rent = 0.0
    fleet = []
    for g, gpu in enumerate(p.gpus):
        mine = np.flatnonzero(program.on_gpu == g)
        for r, place in enumerate(p.places):
            count = int(solution.n[g, r])
            if count:
                busy = float(solution.y[mine, r].sum())
                fleet.append(Fleet(gpu.name, place.name, count, busy / (count * p.hours)))
                embodied = embodied + gpu.embodied_g_per_hour * (count * p.hours)
                rent += gpu.price_per_hour * count * p.hours
    money = Interval.exact(rent)
    for place, kwh in zip(p.places, energy, strict=True):
        money = money + kwh * place.price_per_kwh
    total = sum(energy[1:], energy[0])
    carbon = sum(operational[1:], operational[0])
    return Plan(
        minimise=p.minimise,
        hours=p.hours,
        images=float(sum(service.demand.sum() for service in p.services)),
        fleet=tuple(fleet),
        assignments=assignments,
        carbon_g=carbon + embodied,
        operational_carbon_g=carbon,
        embodied_carbon_g=embodied,
        energy_kwh=total,
        cost=money,
        currency=p.currency,
        limits=limits,
        objective=solution.objective,
        gap=solution.gap,
        seconds=solution.seconds,
        warnings=warnings,
        output=together(option.output for option in p.options),
    )


def _assignments(program: Program, solution: Solution) -> tuple[Assignment, ...]:
    p, found = program.problem, []
    for k, option in enumerate(solution.options):
        images = solution.y[k] * program.per_hour[k]
        for r, place in enumerate(p.places):
            if images[r].sum() > 1e-6 * p.services[option.service].demand.sum():
                found.append(
                    Assignment(
                        service=p.services[option.service].name,
                        configuration=option.label,
                        batch_size=option.batch_size,
                        gpu=p.gpus[option.gpu].name,
                        region=place.name,
                        images=images[r],
                        energy_j=option.energy_j,
                        latency_s=option.latency_s,
                    )
                )
    return tuple(found)


def _totals(program: Program, solution: Solution) -> tuple[list[Interval], list[Interval]]:
    """Facility energy [kWh] and its carbon [g] by region, with the ranges of energies and overheads."""
    p = program.problem
    energy, carbon = [], []
    idle_w = np.array([gpu.idle_w for gpu in p.gpus])
    for r, place in enumerate(p.places):
        by_end: dict[str, Array] = {}
        idle = np.full(p.hours, float(solution.n[:, r] @ idle_w) / WATTS_PER_KILOWATT)  # kWh in each hour
        for end in ("low", "value", "high"):
            gross = np.array([getattr(o.energy_j, end) for o in program.options])
            idle_j = np.array([p.gpus[o.gpu].idle_w * o.seconds for o in program.options])
            each = np.maximum(gross - idle_j, 0 if end != "value" else -np.inf) * program.per_hour
            busy = np.where(solution.y[:, r] > 0, each[:, None], 0.0) * solution.y[:, r]
            by_end[end] = (busy.sum(axis=0) / JOULES_PER_KILOWATT_HOUR + idle) * getattr(place.overhead, end)
        low, value, high = (by_end[end] for end in ("low", "value", "high"))
        low = np.minimum(low, value)
        energy.append(Interval(low.sum(), value.sum(), max(high.sum(), value.sum())))
        grams = [float(x @ place.intensity) for x in (low, value, high)]
        carbon.append(Interval(grams[0], grams[1], max(grams[2], grams[1])))
    return energy, carbon
