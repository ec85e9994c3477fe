"""A plan from a demand, in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping

from joulecast.plan.demand import Demand, demand_of, read_demand
from joulecast.plan.solve import GAP, TIME_LIMIT_S, Plan, solve


def make_plan(
    demand: str | os.PathLike[str] | Mapping[str, object] | Demand,
    *,
    gap: float = GAP,
    time_limit_s: float = TIME_LIMIT_S,
) -> Plan:
    """Which configuration, GPU, region and hour makes each image of a demand, at the least cost or carbon.

    Parameters
    ----------
    demand : a demand file (TOML), its content, or a demand that was read; docs/planning.md has the keys.
    gap : how far from the best the plan may be, as a share.
    time_limit_s : most time for solving [s].

    Raises
    ------
    InputError
        A key or value of the demand cannot be used, or no plan keeps the limits.
    MissingExtraError
        scipy, the extra `plan`, is not installed.
    """
    if isinstance(demand, Mapping):
        demand = demand_of(demand)
    elif not isinstance(demand, Demand):
        demand = read_demand(demand)
    return solve(demand.problem, gap=gap, time_limit_s=time_limit_s, warnings=demand.warnings)
