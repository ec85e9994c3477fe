"""What sets the time of a pipeline call, by the roofline law: arithmetic, memory, launches, exchanges, power.

How the duration follows each of them, ``d log(duration) / d log(time of one)``: an operator's time is the
longest of its arithmetic's and its memory's, and what is overlapped sets nothing. What remains of 1 follows
the energy of the operations, where the board runs at its power limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from joulecast.compute.evaluation import Evaluation
from joulecast.law.law import Array, LawInput
from joulecast.law.roofline import RooflineLaw, settle
from joulecast.law.work import Demand, Rates, Setup

ARITHMETIC, MEMORY, LAUNCHES, EXCHANGES, POWER = "arithmetic", "memory", "launches", "exchanges", "power"
# The law's constants that times of each are proportional to: of arithmetic, that is the rates themselves.
TIMES: Mapping[str, tuple[str, ...]] = {
    MEMORY: (),
    LAUNCHES: ("kernel_time_s", "launch_time_s", "module_time_s"),
    EXCHANGES: ("exchange_time_s", "exchange_host_s"),
}
SPEEDS: Mapping[str, tuple[str, ...]] = {MEMORY: ("bandwidth_efficiency",), EXCHANGES: ("link_efficiency",)}
DIFFERENCE = 1e-5  # relative, of a finite difference


def bounds(law: RooflineLaw, asked: LawInput) -> dict[str, Array]:
    """Shares of the time that each sets, which add up to 1; (workloads,) each."""
    profile, workloads, precision, _, _ = asked
    evaluation = profile.evaluation(workloads, precision)
    setup, scales = law.setup(asked)

    before = _log_duration(law, setup, scales, evaluation, precision)

    def followed(slower: RooflineLaw, on: Setup) -> Array:
        after = _log_duration(slower, on, scales, evaluation, precision)
        share: Array = (after - before) / np.log1p(DIFFERENCE)
        return share

    rate = setup.rate
    slower = Rates(
        rate.s_per_flop * (1 + DIFFERENCE), rate.s_per_score * (1 + DIFFERENCE), rate.quantised_energy
    )
    found = {ARITHMETIC: followed(law, setup._replace(rate=slower))}
    found |= {part: followed(_slower(law, part), setup) for part in TIMES}
    others: Array = sum(found.values(), np.zeros(len(workloads)))
    return {**found, POWER: np.maximum(1 - others, 0.0)}


def _log_duration(
    law: RooflineLaw, setup: Setup, scales: Array, evaluation: Evaluation, precision: str
) -> Array:
    asked = law.demands(evaluation, precision, setup) * scales
    total = Demand(*np.add.reduce(asked, axis=1))
    duration, _, _ = settle(total, setup.traits, setup.how, law.parameters.shared)
    logs: Array = np.log(duration)
    return logs


def _slower(law: RooflineLaw, part: str) -> RooflineLaw:
    shared = dict(law.parameters.shared)
    for name in TIMES[part]:
        shared[name] *= 1 + DIFFERENCE
    for name in SPEEDS.get(part, ()):
        shared[name] /= 1 + DIFFERENCE
    return dataclasses.replace(law, parameters=dataclasses.replace(law.parameters, shared=shared))
