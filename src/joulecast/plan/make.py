"""A plan from a demand, in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping

from joulecast.plan.demand import Demand, demand_of, read_demand
from joulecast.plan.milp import GAP, TIME_LIMIT_S
from joulecast.plan.solve import Plan, solve


def make_plan(
    demand: str | os.PathLike[str] | Mapping[str, object] | Demand,
    *,
    gap: float = GAP,
    time_limit_s: float = TIME_LIMIT_S,
) -> Plan:
    """Which configuration, GPU, region and hour makes each image of a demand, at the least cost or carbon.

    The keys of a demand::

        [plan]
        minimise = "carbon"          # or cost, energy
        hours = 24
        start = "2022-06-01T00:00Z"  # of the hourly series; their beginning by default
        utilisation = 0.8            # most of a GPU-hour that is filled
        currency = "USD"
        host_overhead = 0.4          # of every region that states none; packaged range by default
        pue = 1.2

        [today]                      # what runs now, over all hours, to compare with; may be left out
        carbon_kg = 7000             # of GPUs, hosts and PUE, idle hours too, and of the hardware
        energy_kwh = 20000           # of the same but for the hardware; cost: of electricity or rent

        [limits]                     # over all hours; each may be left out
        carbon_kg = 5000
        cost = 20000
        energy_kwh = 30000
        gpus = 500

        [[services]]
        name = "studio"
        images_per_day = 5000000     # evenly; or images_by_hour = [...], one for each hour
        deadline_hours = 6           # 0 by default: in the hour of arrival
        latency_s = 20               # most seconds of a batch
        max_g_per_image = 2.0        # mean, of the electricity
        min_quality = 0.7            # mean

        [[services.configurations]]
        model = "sdxl"
        size = "1024x1024"           # size, steps, precision, passes: the model's own by default
        steps = 30
        precision = "fp16"
        passes = 2                   # or guidance, true_cfg_scale, negative_prompt
        # of models that make videos: frames = 81, or seconds = 5 and fps = 16
        # how it runs: engine = "sglang" or a file, quantization = "fp8", gpus = 2 (for each image together)
        batch_sizes = [1, 4, 16]     # 1, 2, 4, 8 and 16 by default
        quality = 0.8                # any scale

        [[gpus]]
        name = "H100"                # or a GPU file, e.g. "mine.toml", beside this one
        price_per_hour = 2.5         # rent, electricity included; then regions have no price_per_kwh
        max_count = 300

        [[regions]]
        name = "FR"                  # packaged yearly intensity; or one of these three:
        hourly = "US-CAL-CISO"       # packaged hourly series
        file = "fr.csv"              # hourly file, beside the TOML
        intensity = 44               # g CO2e/kWh
        pue = 1.1
        host_overhead = 0.4
        price_per_kwh = 0.1
        max_power_kw = 2000
        gpus = { H100 = 100 }        # only these, at most so many; all by default

    Parameters
    ----------
    demand : a demand file (TOML), its content, or a demand that was read.
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
