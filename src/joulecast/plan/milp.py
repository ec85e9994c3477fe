"""A problem as a mixed-integer linear program, solved by HiGHS through scipy.

Variables: GPU-hours y[option, region, hour] >= 0, whole GPUs n[type, region], and the images made[service,
hour] by the end of each hour, whose bounds are arrival and deadline. Rows: an hour's GPU-hours fit the
GPUs; the images made grow by what they make; every limit is a row of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import InputError, MissingExtraError, in_short
from joulecast.plan.problem import Array, Limit, Option, Problem, above_idle, useful
from joulecast.plan.quiet import quiet
from joulecast.units import GRAMS_PER_KILOGRAM, JOULES_PER_KILOWATT_HOUR, SECONDS_PER_HOUR, WATTS_PER_KILOWATT

Index = NDArray[np.integer[Any]]

# HiGHS keeps rows and whole numbers to within 1e-6, whatever their size. Up to so many images of a service,
# and GPU-hours in an hour, they are counted one by one, beyond in larger units.
EXACT_IMAGES = 1e8
EXACT_GPU_HOURS = 1e4
GAP = 0.001  # how far from the best a plan may be, as a share
TIME_LIMIT_S = 60.0  # for a plan, and for finding out why there is none
TIMED_OUT, INFEASIBLE = 1, 2  # of scipy's `milp`
SHORTEST_S = 0.1  # given to the solver, however late it is


class OutOfTimeError(InputError):
    """The time has passed and there is no plan yet."""


class LimitRow(NamedTuple):
    """A limit as a row: its use by column, shape (columns,), and the least and most of it."""

    limit: Limit
    coefficients: Array
    least: float
    most: float


@dataclass(frozen=True)
class Solution:
    """What the solver found: `y` of shape (options, regions, hours) [GPU-h], `n` of (types, regions)."""

    options: tuple[Option, ...]
    y: Array
    n: Array
    objective: float
    bound: float
    seconds: float

    @property
    def gap(self) -> float:
        """How far, at most, the objective is above the best there is, as a share."""
        return max(0.0, (self.objective - self.bound) / abs(self.objective)) if self.objective else 0.0


class Program:
    """The rows and columns of a problem. Limits in `skip` are left out."""

    def __init__(self, problem: Problem, skip: frozenset[Limit] = frozenset()) -> None:
        self.problem, self.skip = problem, skip
        self.options = useful(problem, skip)
        self.shape = (len(self.options), len(problem.places), problem.hours)
        self.cells = int(np.prod(self.shape))
        self.fleet = (len(problem.gpus), len(problem.places))
        self.gpus = int(np.prod(self.fleet))
        self.columns = self.cells + self.gpus + len(problem.services) * problem.hours
        self.index = np.arange(self.cells).reshape(self.shape)
        self.fleet_index = self.cells + np.arange(self.gpus).reshape(self.fleet)
        self.made_index = np.arange(self.cells + self.gpus, self.columns).reshape(-1, problem.hours)
        self.on_gpu = np.array([option.gpu for option in self.options], dtype=int)
        self.per_hour = np.array([SECONDS_PER_HOUR / option.seconds for option in self.options])
        self.units = self._units()

    def _units(self) -> Array:
        """What one of each column is, in GPU-hours, GPUs and images; shape (columns,)."""
        units = np.ones(self.columns)
        for s, service in enumerate(self.problem.services):
            mine = np.array([k for k, option in enumerate(self.options) if option.service == s], dtype=int)
            units[self.made_index[s]] = max(1.0, float(service.demand.sum()) / EXACT_IMAGES)
            if mine.size:
                hours = float(service.demand.max()) / float(self.per_hour[mine].max())
                units[self.index[mine]] = max(1.0, hours / EXACT_GPU_HOURS)
        return units

    # --- what a cell and a GPU cost: shape (columns,) -----------------------------------------------

    def energy_kwh(self) -> Array:
        """Facility energy of each column [kWh]: above idle for GPU-hours, idle for GPUs."""
        p = self.problem
        overhead = np.array([place.overhead.value for place in p.places])
        dynamic = np.array([above_idle(o, p.gpus[o.gpu].idle_w) for o in self.options])
        each = dynamic * self.per_hour / JOULES_PER_KILOWATT_HOUR
        busy = np.broadcast_to((each[:, None] * overhead)[:, :, None], self.shape)
        idle = np.array([gpu.idle_w / WATTS_PER_KILOWATT for gpu in p.gpus])[:, None] * overhead * p.hours
        return self.joined(busy, idle)

    def carbon_g(self) -> Array:
        """Carbon of each column [g], embodied carbon with the GPUs."""
        p = self.problem
        energy, intensity = self.energy_kwh(), self._intensity()
        busy = energy[: self.cells].reshape(self.shape) * intensity
        idle = energy[self.fleet_index] * intensity.mean(axis=1)
        embodied = np.array([gpu.embodied_g_per_hour.value for gpu in p.gpus])[:, None] * p.hours
        return self.joined(busy, idle + embodied)

    def cost(self) -> Array:
        """Money of each column: electricity at the region's price, and rent."""
        p = self.problem
        price = np.array([place.price_per_kwh for place in p.places])
        energy = self.energy_kwh()
        busy = energy[: self.cells].reshape(self.shape) * price[:, None]
        rent = np.array([gpu.price_per_hour for gpu in p.gpus])[:, None] * p.hours
        return self.joined(busy, energy[self.fleet_index] * price + rent)

    def objective(self) -> Array:
        """What is minimised, by column."""
        by_name = {"carbon": self.carbon_g, "cost": self.cost, "energy": self.energy_kwh}
        return by_name[self.problem.minimise]()

    # --- solving ------------------------------------------------------------------------------------

    def solve(
        self,
        gap: float,
        time_limit_s: float,
        whole: bool = True,
        scale: dict[Limit, float] | None = None,
        costs: Array | None = None,
    ) -> Solution | None:
        """The best solution within the gap, or None when there is none.

        `whole` asks for whole GPUs; `scale` multiplies the amounts of limits; `costs` by column are minimised
        in place of the objective. Raises InputError when the time limit passes without a solution.
        """
        try:
            from scipy.optimize import Bounds, LinearConstraint, milp
        except ImportError as error:
            raise MissingExtraError("plan", "solving a plan") from error
        begun = time.perf_counter()
        matrix, low, high = self._rows(scale or {})
        costs = (self.objective() if costs is None else costs) * self.units
        unit = float(np.abs(costs).max()) or 1.0
        least, most = self._bounds(scale or {})
        integral = self.joined(np.zeros(self.shape), np.full(self.fleet, int(whole))).astype(np.int64)
        left = max(time_limit_s - (time.perf_counter() - begun), SHORTEST_S)
        with quiet():  # where numbers lie far apart HiGHS prints lines of its own, though told not to
            result: Any = milp(
                costs / unit,
                integrality=integral,
                bounds=Bounds(least / self.units, most / self.units),
                constraints=LinearConstraint(matrix, low, high),
                options={"mip_rel_gap": gap, "time_limit": left},
            )
        if result.x is None:
            _check_infeasible(result)
            return None
        found = result.x * self.units
        n = found[self.fleet_index]
        bound = result.mip_dual_bound if whole and result.mip_dual_bound is not None else result.fun
        return Solution(
            options=self.options,
            y=np.maximum(found[: self.cells].reshape(self.shape), 0.0),
            n=np.round(n) if whole else n,
            objective=float(result.fun) * unit,
            bound=float(bound) * unit,
            seconds=time.perf_counter() - begun,
        )

    def _bounds(self, scale: dict[Limit, float]) -> tuple[Array, Array]:
        """The least and most of each column: images are made after they arrive and before they are due."""
        least, most = np.zeros(self.columns), np.full(self.columns, np.inf)
        for s, service in enumerate(self.problem.services):
            arrived = np.cumsum(service.demand)
            due = np.zeros_like(arrived)
            due[service.deadline_hours :] = arrived[: max(0, len(arrived) - service.deadline_hours)]
            due[-1] = arrived[-1]
            least[self.made_index[s]], most[self.made_index[s]] = due, arrived
        for r, place in enumerate(self.problem.places):
            for g, count in enumerate(place.counts):
                limit = Limit("gpus", gpu=self.problem.gpus[g].name, place=place.name)
                if count is not None and not (limit in self.skip and count):
                    most[self.fleet_index[g, r]] = count * scale.get(limit, 1.0)
        return least, most

    def _rows(self, scale: dict[Limit, float]) -> tuple[Any, Array, Array]:
        from scipy.sparse import coo_array, csr_array

        rows: list[Index] = []
        columns: list[Index] = []
        values: list[Array] = []
        low: list[float] = []
        high: list[float] = []
        for places, coefficients, least, most in (
            *self._capacity(),
            *self._demand(),
            *self._limit_rows(scale),
        ):
            coefficients = coefficients * self.units[places]
            size = float(np.abs(coefficients).max(initial=0.0)) or 1.0
            rows.append(np.full(len(places), len(low)))
            columns.append(places)
            values.append(coefficients / size)
            low.append(least / size)
            high.append(most / size)
        shape = (len(low), self.columns)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        matrix = csr_array(coo_array(entries, shape=shape))
        return matrix, np.array(low), np.array(high)

    def _capacity(self) -> Iterator[tuple[Index, Array, float, float]]:
        """An hour's GPU-hours of a type in a region are at most the GPUs there, times the utilisation."""
        for g in range(self.fleet[0]):
            mine = np.flatnonzero(self.on_gpu == g)
            for r in range(self.fleet[1]):
                for h in range(self.shape[2]):
                    places = np.append(self.index[mine, r, h], self.fleet_index[g, r])
                    coefficients = np.append(np.ones(len(mine)), -self.problem.utilisation)
                    yield places, coefficients, -np.inf, 0.0

    def _demand(self) -> Iterator[tuple[Index, Array, float, float]]:
        """The images made by the end of an hour are those by the hour before, and what its GPU-hours make."""
        for s in range(len(self.problem.services)):
            mine = np.array([k for k, option in enumerate(self.options) if option.service == s], dtype=int)
            for h in range(self.shape[2]):
                places = self.index[mine, :, h]
                per_hour = np.broadcast_to(self.per_hour[mine][:, None], places.shape)
                made = self.made_index[s, max(h - 1, 0) : h + 1]
                change = np.array([1.0, -1.0])[-len(made) :]
                yield np.append(places.ravel(), made), np.append(per_hour.ravel(), change), 0.0, 0.0

    def _limit_rows(self, scale: dict[Limit, float]) -> Iterator[tuple[Index, Array, float, float]]:
        for limit, coefficients, least, most in self.limits(self.skip):
            places = np.flatnonzero(coefficients)
            factor = scale.get(limit, 1.0)
            yield places, coefficients[places], least * factor, most * factor

    def limits(self, skip: frozenset[Limit] = frozenset()) -> Iterator[LimitRow]:
        """Every limit that is a row, but those in `skip`."""
        p = self.problem
        totals: dict[Limit, tuple[float | None, Callable[[], Array]]] = {
            Limit("carbon_kg"): (p.max_carbon_kg, lambda: self.carbon_g() / GRAMS_PER_KILOGRAM),
            Limit("cost"): (p.max_cost, self.cost),
            Limit("energy_kwh"): (p.max_energy_kwh, self.energy_kwh),
            Limit("gpus"): (p.max_gpus, lambda: self._fleet_row(np.ones(self.fleet))),
        }
        for limit, (amount, coefficients) in totals.items():
            if amount is not None and limit not in skip:
                yield LimitRow(limit, coefficients(), -np.inf, float(amount))
        for g, gpu in enumerate(p.gpus):
            limit = Limit("max_count", gpu=gpu.name)
            if gpu.max_count is not None and limit not in skip:
                of_type = np.zeros(self.fleet)
                of_type[g] = 1
                yield LimitRow(limit, self._fleet_row(of_type), -np.inf, float(gpu.max_count))
        for r, place in enumerate(p.places):
            limit = Limit("max_power_kw", place=place.name)
            if place.max_power_kw is not None and limit not in skip:
                power = np.zeros(self.fleet)
                power[:, r] = [gpu.tdp_w / WATTS_PER_KILOWATT * place.overhead.value for gpu in p.gpus]
                yield LimitRow(limit, self._fleet_row(power), -np.inf, place.max_power_kw)
        yield from self._service_limits(skip)

    def count_limits(self) -> Iterator[LimitRow]:
        """Limits on a type in a region, as rows: in the program they are bounds of its columns."""
        for r, place in enumerate(self.problem.places):
            for g, count in enumerate(place.counts):
                if count:
                    one = np.zeros(self.fleet)
                    one[g, r] = 1
                    limit = Limit("gpus", gpu=self.problem.gpus[g].name, place=place.name)
                    yield LimitRow(limit, self._fleet_row(one), -np.inf, float(count))

    def _service_limits(self, skip: frozenset[Limit]) -> Iterator[LimitRow]:
        p = self.problem
        images = np.broadcast_to(self.per_hour[:, None, None], self.shape)
        overhead = np.array([place.overhead.value for place in p.places])
        for s, service in enumerate(p.services):
            mine = np.array([option.service == s for option in self.options])[:, None, None]
            total = float(service.demand.sum())
            if total == 0:
                continue
            limit = Limit("max_g_per_image", service=service.name)
            if service.max_g_per_image is not None and limit not in skip:
                joules = np.array([o.energy_j.value for o in self.options])[:, None, None] * images
                grams = joules / JOULES_PER_KILOWATT_HOUR * overhead[:, None] * self._intensity()
                row = self._cell_row(np.where(mine, grams, 0.0) / total)
                yield LimitRow(limit, row, -np.inf, service.max_g_per_image)
            limit = Limit("min_quality", service=service.name)
            if service.min_quality is not None and limit not in skip:
                quality = np.array([o.quality or 0.0 for o in self.options])[:, None, None]
                row = self._cell_row(np.where(mine, quality * images, 0.0) / total)
                yield LimitRow(limit, row, service.min_quality, np.inf)

    def _intensity(self) -> Array:
        return np.array([place.intensity for place in self.problem.places])

    def _cell_row(self, cells: Array) -> Array:
        return self.joined(cells, np.zeros(self.fleet))

    def _fleet_row(self, fleet: Array) -> Array:
        return self.joined(np.zeros(self.shape), fleet)

    def joined(self, cells: Array, fleet: Array) -> Array:
        """One number a column: of the GPU-hours, of the GPUs, and nothing of the images made."""
        return np.concatenate([np.ravel(cells), np.ravel(fleet), np.zeros(self.made_index.size)])


def _check_infeasible(result: Any) -> None:
    """Raise InputError where it is not certain that there is no solution: the solver did not find out."""
    if result.status == TIMED_OUT:
        raise OutOfTimeError(
            "no plan was found in the time given; give more of it (--time-limit) or a wider --gap"
        )
    if result.status != INFEASIBLE and "infeasible" not in str(result.message):
        words = in_short(" ".join(result.message.split()))
        raise InputError(
            f"the solver gave up on this plan ({words}); its numbers may lie "
            "too far apart: plan for a share of the demand, or for services of one size together"
        )
