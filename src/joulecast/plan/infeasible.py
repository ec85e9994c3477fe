"""Why there is no plan: which limits conflict, and how far one of them would have to give way."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from joulecast.errors import InputError
from joulecast.plan.milp import GAP, TIME_LIMIT_S, OutOfTimeError, Program
from joulecast.plan.problem import Limit, Problem


class InfeasiblePlanError(InputError):
    """No plan is within the limits: `conflict` cannot be met together; without one of `relax` there is.

    `would_do` is an amount of a limit, all others as they are, with which there is a plan.
    """

    def __init__(
        self, conflict: tuple[str, ...], relax: tuple[str, ...], would_do: Mapping[str, float] | None = None
    ) -> None:
        self.conflict, self.relax, self.would_do = conflict, relax, would_do or {}
        if not conflict:
            message = (
                "no plan can make what is asked: some service has no configuration that any GPU on offer runs"
            )
        else:
            message = f"no plan meets these limits together: {', '.join(conflict)}"
            if relax:
                amounts = (
                    f"{name} ({self.would_do[name]:.15g} would do)" if name in self.would_do else name
                    for name in relax
                )
                message += f"; without {' or '.join(amounts)} there is one"
        super().__init__(message)


def explain_infeasible(problem: Problem, time_limit_s: float = TIME_LIMIT_S) -> InfeasiblePlanError:
    """Which limits conflict: a set of which each is needed for the conflict, and which one to relax.

    Raises InputError when the time does not suffice to tell.
    """
    ends = time.perf_counter() + time_limit_s

    def feasible(skip: frozenset[Limit]) -> bool:
        try:
            return Program(problem, skip).solve(1.0, max(0.0, ends - time.perf_counter())) is not None
        except OutOfTimeError as error:
            raise InputError(
                f"no plan meets all limits ({', '.join(limit.name for limit in limits)}); the time did not "
                "suffice to find out which of them conflict: give more with --time-limit"
            ) from error

    limits = list(problem.limits())
    if not feasible(frozenset(limits)):
        if _can_be_made(problem):
            raise InputError("the solver gave up on this plan: its numbers are too large or too far apart")
        return InfeasiblePlanError((), ())
    loose = [limit for limit in limits if feasible(frozenset([limit]))]
    dropped: frozenset[Limit] = frozenset()
    for limit in limits:  # a limit without which it is still infeasible is not part of the conflict
        if not feasible(dropped | {limit}):
            dropped |= {limit}
    conflict = tuple(limit.name for limit in limits if limit not in dropped)
    amounts = {limit.name: _needed(problem, limit, ends) for limit in loose}
    would_do = {name: amount for name, amount in amounts.items() if amount is not None}
    return InfeasiblePlanError(conflict, tuple(amounts), would_do)


def _needed(problem: Problem, limit: Limit, ends: float) -> float | None:
    """An amount of a limit, as tight as may be, with which there is a plan; None where there is no time
    left, which is up at `ends` of the performance counter."""
    if ends <= time.perf_counter():
        return None
    program = Program(problem, frozenset([limit]))
    try:
        if limit.kind == "latency_s":
            return _needed_latency(problem, limit, ends)
        rows = (*program.limits(), *program.count_limits())
        row = next(row for row in rows if row.limit == limit)
        sign = 1.0 if np.isfinite(row.most) else -1.0
        best = program.solve(GAP, ends - time.perf_counter(), costs=sign * row.coefficients)
    except InputError:  # the time has passed
        return None
    if best is None:
        return None
    used = float(row.coefficients @ program.joined(best.y, best.n))
    return _rounded(used, sign)


def _needed_latency(problem: Problem, limit: Limit, ends: float) -> float | None:
    """The least time of a batch with which there is a plan, found by halving the options' times."""
    place = next(s for s, service in enumerate(problem.services) if service.name == limit.service)
    times = sorted({option.latency_s for option in problem.options if option.service == place})

    def feasible(most: float) -> bool:
        services = list(problem.services)
        services[place] = replace(services[place], latency_s=most)
        trial = replace(problem, services=tuple(services))
        return Program(trial).solve(1.0, max(0.0, ends - time.perf_counter())) is not None

    found = bisect_left(times, True, key=feasible)
    return _rounded(times[found], 1.0) if found < len(times) else None


def _rounded(amount: float, sign: float) -> float:
    """An amount to four digits, up where it is a most (`sign` 1) and down where it is a least (-1)."""
    if amount == round(amount):
        return amount
    unit = 10.0 ** (math.floor(math.log10(abs(amount))) - 3)
    return sign * math.ceil(sign * amount / unit - 1e-9) * unit


def _can_be_made(problem: Problem) -> bool:
    """Whether every service that is asked for has an option on a GPU that some place has."""
    made = {
        option.service
        for option in problem.options
        if any(not place.counts or place.counts[option.gpu] != 0 for place in problem.places)
    }
    return all(s in made for s, service in enumerate(problem.services) if service.demand.any())
