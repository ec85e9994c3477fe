"""Plans against brute force in an independent formulation, hand-worked plans, and plans that cannot be."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from joulecast.errors import InputError
from joulecast.plan.infeasible import InfeasiblePlanError, explain_infeasible
from joulecast.plan.milp import OutOfTimeError, Program, Solution
from joulecast.plan.problem import GpuType, Option, Place, Problem, Service
from joulecast.plan.solve import Plan, solve
from joulecast.report.decisions.plan_text import plan_text
from joulecast.uncertainty import Interval

MOST_GPUS = 2  # of a type in a region, in brute force
EXACT_GAP = 1e-6
TOLERANCE = 1e-5  # of an objective: the solver's feasibility tolerance, relative to its scaled rows


def option(
    service: int, gpu: int, energy_j: float, seconds: float, quality: float | None = None, batch: int = 1
) -> Option:
    """An image takes `seconds` of a GPU; a batch of them takes `batch` times as long."""
    spread = Interval(0.9 * energy_j, energy_j, 1.2 * energy_j)
    label = f"{energy_j:g}J/{seconds:g}s"
    return Option(service, gpu, label, batch, spread, seconds, batch * seconds, quality)


def brute_force(p: Problem) -> float | None:
    """The least objective: all whole fleets tried, images moved from hour of arrival to hour of making.

    Written from the meaning, not from the program under test: every option is a variable for each pair
    of hours, energies are gross, and a GPU's idle time is what it does not work.
    """
    hours = p.hours
    best: float | None = None
    moves = [
        (o, r, d, h)
        for o in p.options
        for r in range(len(p.places))
        for d in range(hours)
        for h in range(hours)
        if d <= h <= d + p.services[o.service].deadline_hours
        and (p.services[o.service].latency_s is None or o.latency_s <= p.services[o.service].latency_s)  # type: ignore[operator]
    ]
    pairs = list(itertools.product(range(len(p.gpus)), range(len(p.places))))
    for counts in itertools.product(range(MOST_GPUS + 1), repeat=len(pairs)):
        n = dict(zip(pairs, counts, strict=True))
        if any(count > (p.places[r].counts[g] or 0) for (g, r), count in n.items()):
            continue
        if p.max_gpus is not None and sum(counts) > p.max_gpus:
            continue
        of_type = {g: sum(n[g, r] for r in range(len(p.places))) for g in range(len(p.gpus))}
        if any(of_type[g] > kind.max_count for g, kind in enumerate(p.gpus) if kind.max_count is not None):
            continue
        power = {
            r: sum(n[g, r] * p.gpus[g].tdp_w / 1000 for g in range(len(p.gpus))) * place.overhead.value
            for r, place in enumerate(p.places)
        }
        if any(power[r] > kw for r, kw in enumerate(x.max_power_kw for x in p.places) if kw is not None):
            continue

        def energy(o: Option, r: int) -> float:  # of an image, less the idle time it takes from its GPU [kWh]
            return (o.energy_j.value - p.gpus[o.gpu].idle_w * o.seconds) / 3.6e6 * p.places[r].overhead.value

        def grams(o: Option, r: int, h: int) -> float:
            return energy(o, r) * float(p.places[r].intensity[h])

        idle_kwh = sum(
            c * p.gpus[g].idle_w * hours / 1000 * p.places[r].overhead.value for (g, r), c in n.items()
        )
        idle_g = sum(
            c * p.gpus[g].idle_w / 1000 * p.places[r].overhead.value * float(p.places[r].intensity.sum())
            + c * p.gpus[g].embodied_g_per_hour.value * hours
            for (g, r), c in n.items()
        )
        idle_cost = sum(
            c * p.gpus[g].price_per_hour * hours
            + c * p.gpus[g].idle_w * hours / 1000 * p.places[r].overhead.value * p.places[r].price_per_kwh
            for (g, r), c in n.items()
        )
        of_move = {  # of one image, and whatever is made
            "carbon": ([grams(o, r, h) for o, r, _, h in moves], idle_g),
            "energy": ([energy(o, r) for o, r, _, h in moves], idle_kwh),
            "cost": ([energy(o, r) * p.places[r].price_per_kwh for o, r, _, h in moves], idle_cost),
        }
        costs, fixed = of_move[p.minimise]
        if best is not None and fixed + least_of(p, moves, costs) >= best:
            continue  # with as many GPUs as it likes this fleet is no better
        above, most = [], []
        for g, r in pairs:
            for h in range(hours):
                above.append([o.seconds if (o.gpu, r2, h2) == (g, r, h) else 0.0 for o, r2, _, h2 in moves])
                most.append(n[g, r] * 3600 * p.utilisation)
        if p.max_carbon_kg is not None:
            above.append([x / 1000 for x in of_move["carbon"][0]])
            most.append(p.max_carbon_kg - idle_g / 1000)
        for limit, (use, fixed_use) in ((p.max_cost, of_move["cost"]), (p.max_energy_kwh, of_move["energy"])):
            if limit is not None:
                above.append(use)
                most.append(limit - fixed_use)
        for s, service in enumerate(p.services):
            if service.max_g_per_image is not None:  # of the electricity, idle power of its own time included
                above.append(
                    [
                        o.energy_j.value
                        / 3.6e6
                        * p.places[r].overhead.value
                        * float(p.places[r].intensity[h])
                        if o.service == s
                        else 0.0
                        for o, r, _, h in moves
                    ]
                )
                most.append(service.max_g_per_image * float(service.demand.sum()))
            if service.min_quality is not None:
                above.append([-(o.quality or 0) if o.service == s else 0.0 for o, _, _, _ in moves])
                most.append(-service.min_quality * float(service.demand.sum()))
        equal = [
            [1.0 if (o.service, d2) == (s, d) else 0.0 for o, _, d2, _ in moves]
            for s in range(len(p.services))
            for d in range(hours)
        ]
        made = [float(service.demand[d]) for service in p.services for d in range(hours)]
        if not moves:
            is_met = not sum(made) and all(m >= 0 for m in most)
            best = min(fixed if best is None else best, fixed) if is_met else best
            continue
        done = linprog(costs, A_ub=above, b_ub=most, A_eq=equal, b_eq=made, bounds=(0, None))
        if done.status == 0 and done.fun is not None:
            total = float(done.fun) + fixed
            best = total if best is None else min(best, total)
    return best


Move = tuple[Option, int, int, int]  # a configuration in a region, an hour of arrival and one of making


def least_of(p: Problem, moves: list[Move], costs: list[float]) -> float:
    """What making all images costs at least, were each made in the best of all ways."""
    best: dict[tuple[int, int], float] = {}
    for (o, _, d, _), cost in zip(moves, costs, strict=True):
        best[o.service, d] = min(cost, best.get((o.service, d), np.inf))
    return sum(cost * float(p.services[s].demand[d]) for (s, d), cost in best.items())


def numbers(
    draw: st.DrawFn, least: int, most: int, count: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(
        draw(st.lists(st.integers(least, most), min_size=count, max_size=count)), dtype=np.float64
    )


@st.composite
def problems(draw: st.DrawFn, minimise: tuple[str, ...] = ("carbon", "cost", "energy")) -> Problem:
    hours = draw(st.integers(1, 3))
    kinds, places = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    quality = draw(st.booleans())
    services = tuple(
        Service(
            f"s{i}",
            numbers(draw, 0, 800, hours),
            deadline_hours=draw(st.integers(0, 2)),
            latency_s=draw(st.sampled_from([None, 6.0])),
            max_g_per_image=draw(st.sampled_from([None, None, 0.3])),
            min_quality=0.5 if quality else None,
        )
        for i in range(draw(st.integers(1, 2)))
    )
    options = tuple(
        option(
            s,
            g,
            draw(st.integers(400, 4000)),
            draw(st.integers(1, 9)),
            draw(st.sampled_from([0.2, 0.6, 0.9])),
            draw(st.sampled_from([1, 2, 4])),
        )
        for s in range(len(services))
        for g in range(kinds)
        for _ in range(draw(st.integers(1, 3)))
    )
    return Problem(
        services=services,
        options=options,
        gpus=tuple(
            GpuType(f"g{i}", 40.0 * (i + 1), 400, price_per_hour=draw(st.sampled_from([0.0, 2.0])),
                    embodied_g_per_hour=Interval(1, draw(st.sampled_from([1, 20])), 50),
                    max_count=draw(st.sampled_from([None, None, 1])))
            for i in range(kinds)
        ),
        places=tuple(
            Place(f"r{i}", numbers(draw, 20, 900, hours), Interval(1.3, 1.5, 2.0),
                  price_per_kwh=0.1 * (i + 1), max_power_kw=draw(st.sampled_from([None, None, 1.0])),
                  counts=(draw(st.integers(0, 2)),) * kinds)
            for i in range(places)
        ),
        minimise=draw(st.sampled_from(minimise)),
        utilisation=draw(st.sampled_from([1.0, 0.7])),
        max_carbon_kg=draw(st.sampled_from([None, 0.6])),
        max_gpus=draw(st.sampled_from([None, 3])),
        max_cost=draw(st.sampled_from([None, None, 6.0])),
        max_energy_kwh=draw(st.sampled_from([None, None, 1.0])),
    )  # fmt: skip


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_plans_are_as_good_as_brute_force(problem: Problem) -> None:
    expected = brute_force(problem)
    try:
        found = solve(problem, gap=EXACT_GAP)
    except InfeasiblePlanError:
        found = None
    assert (found is None) == (expected is None)
    if found is None or expected is None:
        return
    assert found.objective == pytest.approx(expected, rel=TOLERANCE, abs=1e-4)
    for s, service in enumerate(problem.services):
        made = sum(
            (a.images for a in found.assignments if a.service == service.name), np.zeros(problem.hours)
        )
        assert made.sum() == pytest.approx(service.demand.sum(), rel=1e-4, abs=1e-3), s
    total = {"carbon": found.carbon_g, "cost": found.cost, "energy": found.energy_kwh}[problem.minimise]
    assert total.value == pytest.approx(found.objective, rel=1e-4, abs=1e-3)
    assert total.low <= total.value <= total.high


def electricity_g(p: Problem, plan: Plan, s: int) -> float:
    """Carbon of the electricity of an image of a service [g], as its limit counts it."""
    grams = 0.0
    for a in plan.assignments:
        place = next(place for place in p.places if place.name == a.region)
        if a.service == p.services[s].name:
            each = a.energy_j.value / 3.6e6 * place.overhead.value
            grams += float(a.images @ place.intensity) * each
    return grams / float(p.services[s].demand.sum() or 1)


def tightened(p: Problem, limit: str) -> Problem | None:
    """The problem with a limit that its best plan breaks, or None where there is nothing to tighten."""
    try:
        with patch("joulecast.plan.solve.explain_infeasible", return_value=InfeasiblePlanError((), ())):
            free = solve(p, gap=EXACT_GAP)
            least = solve(replace(p, minimise=limit), gap=EXACT_GAP) if limit in ("cost", "energy") else free
    except InfeasiblePlanError:  # why does not matter here, and takes long to find out
        return None
    if limit in ("cost", "energy"):
        ends = [
            getattr(plan, {"cost": "cost", "energy": "energy_kwh"}[limit]).value for plan in (least, free)
        ]
        if ends[1] < ends[0] * 1.001 + 1e-6:
            return None
        key = {"cost": "max_cost", "energy": "max_energy_kwh"}[limit]
        return replace(p, **{key: sum(ends) / 2})
    if limit == "grams":
        grams = electricity_g(p, free, 0)
        service = replace(p.services[0], max_g_per_image=0.93 * grams)
        return replace(p, services=(service, *p.services[1:])) if grams else None
    count = sum(f.count for f in free.fleet if f.gpu == p.gpus[0].name)
    return replace(p, gpus=(replace(p.gpus[0], max_count=count - 1), *p.gpus[1:])) if count else None


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["cost", "energy", "grams", "count"])
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(data=st.data())
def test_plans_within_a_limit_that_binds(limit: str, data: st.DataObject) -> None:
    # what is minimised already cannot be limited further
    problem = data.draw(problems(tuple(what for what in ("carbon", "cost", "energy") if what != limit)))
    tight = tightened(problem, limit)
    assume(tight is not None)
    assert tight is not None
    expected = brute_force(tight)
    try:
        found = solve(tight, gap=EXACT_GAP).objective
    except InfeasiblePlanError:
        found = None
    assert (found is None) == (expected is None)
    assert found is None or found == pytest.approx(expected, rel=TOLERANCE, abs=1e-4)


def simple(**changed: object) -> Problem:
    """900 images an hour of 4 s each: exactly one GPU-hour in each of four hours."""
    base = Problem(
        services=(Service("svc", np.full(4, 900.0)),),
        options=(option(0, 0, 1000, 4),),
        gpus=(GpuType("gpu", 50, 400, embodied_g_per_hour=Interval.exact(10)),),
        places=(Place("here", np.array([100.0, 200, 300, 400]), Interval.exact(1.0)),),
    )
    return replace(base, **changed)  # type: ignore[arg-type]


def test_a_hand_worked_plan() -> None:
    plan = solve(simple(), gap=EXACT_GAP)
    assert [(f.gpu, f.region, f.count) for f in plan.fleet] == [("gpu", "here", 1)]
    assert plan.energy_kwh.value == pytest.approx(3600 * 1000 / 3.6e6)  # always busy: no idle energy
    assert plan.operational_carbon_g.value == pytest.approx(0.25 * (100 + 200 + 300 + 400))
    assert plan.embodied_carbon_g.value == 40
    assert plan.gap <= EXACT_GAP
    json.dumps(plan.to_dict(), allow_nan=False)


def test_work_moves_to_clean_hours_within_its_deadline() -> None:
    dirty_first = np.array([900.0, 900, 100, 100])
    place = Place("here", dirty_first, Interval.exact(1.0))
    services = (Service("svc", np.array([900.0, 0, 0, 0]), deadline_hours=2),)
    plan = solve(simple(services=services, places=(place,)), gap=EXACT_GAP)
    assert plan.assignments[0].images == pytest.approx([0, 0, 900, 0], abs=1e-3)
    at_once = solve(simple(services=(Service("svc", np.array([900.0, 0, 0, 0])),), places=(place,)))
    assert at_once.carbon_g.value > plan.carbon_g.value


def test_what_binds_and_what_it_costs() -> None:
    cheap_dirty, clean_dear = option(0, 0, 2000, 2), option(0, 0, 1000, 4)
    gpu = GpuType("gpu", 0, 400, price_per_hour=4)
    # all dirty: 100 GPUs and 100 kg; all clean: 200 GPUs and 50 kg; half and half: 150 and 75
    base = simple(
        services=(Service("svc", np.full(4, 180_000.0)),),
        options=(cheap_dirty, clean_dear),
        gpus=(gpu,),
        minimise="cost",
        max_carbon_kg=75.0,
    )
    plan = solve(base, gap=EXACT_GAP)
    limit = next(b for b in plan.binding if b.limit.name == "limits.carbon_kg")
    assert limit.used == pytest.approx(75, rel=1e-3)
    assert plan.fleet[0].count == 150
    assert limit.cost_per_unit == pytest.approx(2 * 4 * 4, rel=1e-3)  # 2 GPUs a kg, 4 h of 4 USD
    assert limit.cost == pytest.approx(50 * 4 * 4, rel=1e-3)  # without it, 100 GPUs would do
    assert solve(replace(base, max_carbon_kg=1000.0)).binding == ()


def test_a_limit_on_cost_by_hand() -> None:
    """Clean costs 1 a GPU-hour, dirty nothing: with half the money, half of the images are made clean."""
    places = (
        Place("clean", np.full(4, 100.0), Interval.exact(1.0), price_per_kwh=4),
        Place("dirty", np.full(4, 900.0), Interval.exact(1.0), price_per_kwh=1),
    )
    gpu = GpuType("gpu", 0, 400)  # no idle power: an image is 1/3600 kWh wherever it waits
    free = simple(places=places, gpus=(gpu,))
    assert solve(free, gap=EXACT_GAP).cost.value == pytest.approx(3600 / 3600 * 4)
    plan = solve(replace(free, max_cost=2.5), gap=EXACT_GAP)
    images = {a.region: float(a.images.sum()) for a in plan.assignments}
    assert images == pytest.approx({"clean": 1800, "dirty": 1800})  # 0.5 kWh at 4 and 0.5 kWh at 1
    assert plan.operational_carbon_g.value == pytest.approx(0.5 * 100 + 0.5 * 900)
    (limit,) = plan.binding
    assert (limit.limit.name, limit.amount) == ("limits.cost", 2.5)
    assert limit.used == pytest.approx(2.5)
    assert limit.cost_per_unit == pytest.approx(800 / 3)  # 3 USD move a kWh from 900 g to 100 g
    assert limit.cost == pytest.approx(400)
    with pytest.raises(InfeasiblePlanError, match=r"limits\.cost"):
        solve(replace(free, max_cost=0.9))


def test_gpus_that_no_longer_fit_bind() -> None:
    """2.5 GPUs' worth of power lets two in: the limit binds though a fifth of it is left."""
    places = (
        Place("clean", np.full(4, 100.0), Interval.exact(1.0), max_power_kw=1.0),
        Place("dirty", np.full(4, 900.0), Interval.exact(1.0)),
    )
    busy = (Service("svc", np.full(4, 3600.0)),)  # four GPUs
    plan = solve(simple(services=busy, places=places), gap=EXACT_GAP)
    assert {f.region: f.count for f in plan.fleet} == {"clean": 2, "dirty": 2}
    (limit,) = plan.binding
    assert limit.limit.name == "clean.max_power_kw"
    assert limit.used == pytest.approx(0.8)
    # divisible, 2.5 GPUs are clean; without the limit all four: 1.5 kWh an hour less than 900 g
    assert limit.cost == pytest.approx(1.5 * 4 * 0.25 * 800, rel=1e-3)


def test_a_count_in_a_region_and_a_time_of_a_batch_bind() -> None:
    places = (
        Place("clean", np.full(4, 100.0), Interval.exact(1.0), counts=(1,)),
        Place("dirty", np.full(4, 900.0), Interval.exact(1.0), counts=(5,)),
    )
    busy = (Service("svc", np.full(4, 1800.0), latency_s=6.0),)  # two GPUs
    options = (option(0, 0, 1000, 4), option(0, 0, 500, 4, batch=2))
    plan = solve(simple(services=busy, places=places, options=options), gap=EXACT_GAP)
    assert {a.batch_size for a in plan.assignments} == {1}
    found = {use.limit.name: use for use in plan.limits}
    assert found["clean.gpu"].is_binding
    assert not found["dirty.gpu"].is_binding
    assert found["dirty.gpu"].used == 1
    slow = found["svc.latency_s"]
    assert (slow.is_binding, slow.used, slow.cost_per_unit) == (True, 4.0, None)
    # half the energy above idle: 1000 J are 200 above idle, 500 J are 300 below, on a GPU of 50 W and 4 s
    assert slow.cost == pytest.approx(4 * 900 / 3.6e6 * 500 * (100 + 900), rel=1e-3)


def test_a_plan_is_there_though_the_costs_of_its_limits_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = (
        Place("clean", np.full(4, 100.0), Interval.exact(1.0), max_power_kw=1.0),
        Place("dirty", np.full(4, 900.0), Interval.exact(1.0)),
    )
    busy = (Service("svc", np.full(4, 3600.0)),)
    whole = Program.solve

    def slow(self: Program, gap: float, seconds: float, *, scale: object = None, **options: bool) -> object:
        if options.get("whole", True):
            return whole(self, gap, seconds)
        raise InputError("no plan was found within 1 s")

    monkeypatch.setattr(Program, "solve", slow)
    plan = solve(simple(services=busy, places=places))
    (limit,) = plan.binding
    assert (limit.limit.name, limit.cost, limit.cost_per_unit) == ("clean.max_power_kw", None, None)
    assert "Binds: clean.max_power_kw at 1 kW." in plan_text(plan)
    json.dumps(plan.to_dict(), allow_nan=False)


def test_no_images_no_plan() -> None:
    plan = solve(simple(services=(Service("svc", np.zeros(4)),)))
    assert plan.fleet == ()
    assert plan.to_dict()["g_per_image"] == 0


def test_quality_on_a_scale_below_zero() -> None:
    good, poor = option(0, 0, 3000, 4, -1.0), option(0, 0, 1000, 4, -9.0)
    services = (Service("svc", np.full(4, 900.0), min_quality=-5.0),)
    plan = solve(simple(services=services, options=(good, poor)), gap=EXACT_GAP)
    (limit,) = plan.binding
    assert limit.used == pytest.approx(-5.0)
    # poor where it is dirty: the next to turn are 900 images, 2000 J each, at 200 g, for 2 of mean quality
    assert limit.cost_per_unit == pytest.approx(900 * 2000 / 3.6e6 * 200 / 2, rel=1e-3)


def test_conflicts_are_named() -> None:
    clash = simple(max_carbon_kg=0.01, max_gpus=5)
    with pytest.raises(InfeasiblePlanError, match=r"limits\.carbon_kg") as error:
        solve(clash)
    assert error.value.conflict == ("limits.carbon_kg",)
    assert error.value.relax == ("limits.carbon_kg",)
    slow = simple(services=(Service("svc", np.full(4, 900.0), latency_s=1.0),))
    assert explain_infeasible(slow).conflict == ("svc.latency_s",)
    few = simple(gpus=(GpuType("gpu", 50, 400, max_count=0),), max_energy_kwh=10)
    assert explain_infeasible(few).conflict == ("gpu.max_count",)
    two = simple(options=(option(0, 0, 4000, 1), option(0, 0, 1000, 8)), max_gpus=1, max_energy_kwh=1.5)
    assert set(explain_infeasible(two).conflict) == {"limits.energy_kwh", "limits.gpus"}
    assert set(explain_infeasible(two).relax) == {"limits.energy_kwh", "limits.gpus"}
    with pytest.raises(InfeasiblePlanError, match="no configuration"):
        solve(simple(options=()))


@pytest.mark.parametrize(
    ("problem", "kind", "least"),
    [
        (simple(max_carbon_kg=0.01), "max_carbon_kg", None),
        (simple(max_energy_kwh=0.5), "max_energy_kwh", None),
        (simple(options=(option(0, 0, 4000, 40),), max_gpus=2), "max_gpus", 10),
        (simple(gpus=(GpuType("gpu", 50, 400, max_count=0),)), "max_count", 1),
        (simple(services=(Service("svc", np.full(4, 900.0), latency_s=1.0),)), "latency_s", 4.0),
        (simple(services=(Service("svc", np.full(4, 900.0), min_quality=9.0),),
                options=(option(0, 0, 4000, 4, 0.5), option(0, 0, 1000, 4, 0.2))), "min_quality", 0.5),
        (simple(places=(Place("here", np.full(4, 100.0), Interval.exact(1.25), max_power_kw=0.4),)),
         "max_power_kw", 0.5),
    ],
)  # fmt: skip
def test_what_amount_would_do_is_said_and_does(problem: Problem, kind: str, least: float | None) -> None:
    """The plan is there with the amount that is named, and not with a hundredth less of it."""
    found = explain_infeasible(problem)
    ((name, amount),) = found.would_do.items()
    assert f"without {name} ({amount:.15g} would do) there is one" in str(found)
    assert least is None or amount == pytest.approx(least)
    solve(with_limit(problem, kind, amount))
    tighter = amount * (1.01 if kind == "min_quality" else 0.99)
    with pytest.raises(InfeasiblePlanError):
        solve(with_limit(problem, kind, int(tighter) if kind in ("max_gpus", "max_count") else tighter))


def with_limit(problem: Problem, kind: str, amount: float) -> Problem:
    """The problem with another amount of a limit of its only service, GPU or place, or of all of it."""
    for field in ("services", "gpus", "places"):
        (first, *rest) = getattr(problem, field)
        if hasattr(first, kind):
            return replace(problem, **{field: (replace(first, **{kind: amount}), *rest)})  # type: ignore[arg-type]
    return replace(problem, **{kind: amount})  # type: ignore[arg-type]


def test_power_and_quality_limits() -> None:
    powered = Place("here", np.full(4, 100.0), Interval.exact(1.25), max_power_kw=0.4)
    assert explain_infeasible(simple(places=(powered,))).conflict == ("here.max_power_kw",)
    good, poor = option(0, 0, 3000, 4, 0.9), option(0, 0, 1000, 4, 0.1)
    services = (Service("svc", np.full(4, 900.0), min_quality=0.5),)
    plan = solve(simple(services=services, options=(good, poor)), gap=EXACT_GAP)
    share = {a.configuration: a.images.sum() / 3600 for a in plan.assignments}
    assert share == pytest.approx({"3000J/4s": 0.5, "1000J/4s": 0.5}, rel=1e-3)


def test_a_budget_for_an_image() -> None:
    places = tuple(
        Place(name, np.full(4, grams), Interval.exact(1.0))
        for name, grams in (("dirty", 900.0), ("clean", 100.0))
    )
    rented = (GpuType("gpu", 0, 400, price_per_hour=1),)
    strict = (Service("svc", np.full(4, 900.0), max_g_per_image=0.1),)
    # 1000 J is 1/3600 kWh: 0.25 g where it is dirty, 0.028 g where it is clean
    plan = solve(simple(services=strict, places=places, gpus=rented, minimise="cost"), gap=EXACT_GAP)
    assert plan.operational_carbon_g.value / plan.images <= 0.1 * (1 + 1e-6)
    impossible = (Service("svc", np.full(4, 900.0), max_g_per_image=0.02),)
    assert explain_infeasible(simple(services=impossible, places=places)).conflict == ("svc.max_g_per_image",)


# --- demands of any size, and time ----------------------------------------------------------------


@pytest.mark.parametrize("times", [1e4, 1e6, 1e8, 1e9])
def test_a_demand_many_times_as_large_takes_as_many_times_the_gpus(times: float) -> None:
    """Costs and rows are linear; only the rounding to whole GPUs is not."""
    shape = np.array([900.0, 1800.0, 3600.0, 900.0])
    small = solve(simple(services=(Service("svc", 100 * shape, deadline_hours=1),)), gap=EXACT_GAP)
    large = solve(simple(services=(Service("svc", 100 * times * shape, deadline_hours=1),)), gap=EXACT_GAP)
    assert large.carbon_g.value == pytest.approx(times * small.carbon_g.value, rel=0.01)
    gpus = [sum(fleet.count for fleet in plan.fleet) for plan in (small, large)]
    assert gpus[1] == pytest.approx(times * gpus[0], rel=0.01)
    assert sum(float(a.images.sum()) for a in large.assignments) == pytest.approx(100 * times * shape.sum())


def test_a_small_service_beside_a_huge_one_is_made() -> None:
    services = (Service("huge", np.full(4, 1e13)), Service("small", np.full(4, 5.0)))
    options = (option(0, 0, 1000, 4), option(1, 0, 1000, 4))
    plan = solve(simple(services=services, options=options))
    made = {a.service: float(a.images.sum()) for a in plan.assignments}
    assert made == {"huge": pytest.approx(4e13), "small": pytest.approx(20)}


def test_a_solver_that_gives_up_is_not_taken_for_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def gave_up(*arguments: object, **options: object) -> SimpleNamespace:
        return SimpleNamespace(x=None, status=4, message="A numerical\n difficulty.")

    monkeypatch.setattr("scipy.optimize.milp", gave_up)
    with pytest.raises(InputError, match=r"solver gave up on this plan .A numerical difficulty") as error:
        solve(simple())
    assert not isinstance(error.value, InfeasiblePlanError)


def test_numbers_beyond_any_solver_are_no_missing_configuration() -> None:
    with pytest.raises(InputError, match="solver gave up on this plan") as error:
        solve(simple(services=(Service("svc", np.array([9e16, 1.8e17, 3.6e17, 9e16]), deadline_hours=1),)))
    assert not isinstance(error.value, InfeasiblePlanError)


def test_the_time_limit_is_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    real = Program.solve

    def noted(self: Program, gap: float, seconds: float, **options: Any) -> Solution | None:
        given.append(seconds)
        return real(self, gap, seconds, **options)

    monkeypatch.setattr(Program, "solve", noted)
    solve(simple(max_energy_kwh=100), time_limit_s=8.0)
    assert given[0] == 6.0
    assert all(seconds <= 8.0 for seconds in given)
    given.clear()
    with pytest.raises(InfeasiblePlanError):
        solve(simple(max_carbon_kg=0.01), time_limit_s=8.0)
    assert len(given) > 2
    assert given[1:] == sorted(given[1:], reverse=True)  # each gets what the ones before it left


def test_no_time_left_to_explain_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_time(self: Program, gap: float, seconds: float) -> None:
        raise OutOfTimeError("no plan was found within 0 s")

    monkeypatch.setattr(Program, "solve", out_of_time)
    with pytest.raises(InputError, match=r"meets all limits .limits\.carbon_kg, limits\.gpus.; the time"):
        explain_infeasible(simple(max_carbon_kg=0.01, max_gpus=5))


def test_rows_grow_with_the_hours_and_not_with_their_square() -> None:
    def entries(hours: int) -> int:
        service = Service("svc", np.full(hours, 900.0), deadline_hours=6)
        place = Place("here", np.full(hours, 100.0), Interval.exact(1.0))
        return int(Program(simple(services=(service,), places=(place,)))._rows({})[0].nnz)

    assert entries(400) == pytest.approx(2 * entries(200), rel=0.01)
