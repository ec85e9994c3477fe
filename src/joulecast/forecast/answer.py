"""What a law answers to questions of one model and precision, in columns; an estimate is a column of one.

Energies become those of each question's boundary, intervals get their ends, and doubts their words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.boundary import BOUNDARIES
from joulecast.forecast import caveats
from joulecast.forecast.memory import memory_caveats, peak_bytes
from joulecast.forecast.offloading import Ends, Moving, moving
from joulecast.law.law import Law, LawInput, Prediction
from joulecast.runtime import NONE
from joulecast.uncertainty import Interval

# Of the board's power limit: rules of thumb are of one power for all, seven times the limit of small boards.
POWER_SHARES = (1e-3, 10.0)
PER_FLOP_J = (1e-17, 1.0)  # chips of today need 1e-12, and 1e-6 where next to nothing is computed
DYNAMIC = BOUNDARIES.index("dynamic")

Given = Interval | float  # of one, or of a column of them
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Answer(NamedTuple):
    """Arrays of shape (questions,). What few ask for is found when it is asked for.

    Attributes
    ----------
    law, asked : whose answer it is, and to what.
    energy_j, energy_low_j, energy_high_j : energy of all boards for one output in its boundary [J], 90 %
        interval.
    duration_s, duration_low_s, duration_high_s : time of one batch, of the slowest board [s], 90 % interval.
    flop : of one output [FLOP].
    idle_power_w : what the dynamic boundary subtracts, of all boards [W].
    component_energy_j, component_flop : of one output, by component name.
    power_w, limit_w : of a board, and what it may draw [W].
    host_share : how far the time follows the host, 0 to 1.
    is_usable : where energy and time are positive, finite and possible (`_is_possible`); elsewhere the law
        has no answer.
    """

    law: Law
    asked: LawInput
    energy_j: Floats
    energy_low_j: Floats
    energy_high_j: Floats
    duration_s: Floats
    duration_low_s: Floats
    duration_high_s: Floats
    flop: Floats
    idle_power_w: Floats
    component_energy_j: Mapping[str, Floats]
    component_flop: Mapping[str, Floats]
    power_w: Floats
    limit_w: Floats
    host_share: Floats
    is_usable: Mask

    @property
    def peak_memory_bytes(self) -> Floats:
        """The most that a batch holds of the GPU's memory [byte], nan where it is not known; of one GPU alone
        and weights that are not quantised."""
        profile, workloads, precision, _, runtime = self.asked
        return peak_bytes(profile, workloads, precision, runtime.offload)

    @property
    def doubts(self) -> Mapping[str, Mask]:
        """Words, and where they hold, in the order in which they are told."""
        return {
            **memory_caveats(self.asked),
            **caveats.workload_caveats(self.asked.profile, self.asked.workloads),
            **caveats.power_caveat(self.power_w, self.limit_w),
            **caveats.host_caveat(self.host_share),
            **self.law.outside(self.asked),
        }


def answer(law: Law, asked: LawInput, is_dynamic: Mask) -> Answer:
    """What a law says to what it is asked, each workload in its boundary."""
    profile, workloads, precision, gpus, runtime = asked
    gross = law.predict(asked)
    batch = workloads.batch_size
    found = _answered(asked, gross, is_dynamic)
    energy, seconds = found.energy_j, found.duration_s
    # A power that is no number is no answer.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        power = found.gross_j * batch / seconds.value
    by_component = profile.evaluation(workloads, precision).flop / batch
    flop = np.add.reduce(by_component, axis=0)
    limit = gpus.column(lambda gpu: runtime.power_limit_of(gpu.tdp_w))
    return Answer(
        law=law,
        asked=asked,
        energy_j=energy.value,
        energy_low_j=energy.low,
        energy_high_j=energy.high,
        duration_s=seconds.value,
        duration_low_s=seconds.low,
        duration_high_s=seconds.high,
        flop=flop,
        idle_power_w=gross.idle_power_w,
        component_energy_j=found.component_energy_j,
        component_flop=dict(zip(found.component_energy_j, by_component, strict=True)),
        power_w=power,
        limit_w=limit,
        host_share=gross.host_share,
        is_usable=(np.minimum(energy.value, seconds.value) > 0)
        & (np.maximum(energy.value, seconds.value) < math.inf)
        & _is_possible(power / limit, found.gross_j, flop),
    )


class _Answered(NamedTuple):
    """Energy of one output in its boundary and time of a batch, of the law and of what it does not know."""

    energy_j: Ends
    duration_s: Ends
    gross_j: Floats
    component_energy_j: Mapping[str, Floats]


def _answered(asked: LawInput, gross: Prediction, is_dynamic: Mask) -> _Answered:
    """A law's prediction with its ranges, and what moving the weights takes."""
    own = _within_boundary(gross, is_dynamic, asked.workloads.batch_size)
    # A width is infinite when nothing is known of the error.
    with np.errstate(invalid="ignore", over="ignore"):
        spread, seconds_spread = np.exp(own.log_half_width), np.exp(own.duration_log_half_width)
        found = _Answered(
            Ends(own.energy_j / spread, own.energy_j, own.energy_j * spread),
            Ends(own.duration_s / seconds_spread, own.duration_s, own.duration_s * seconds_spread),
            gross.energy_j,
            own.component_energy_j,
        )
    if asked.runtime.offload == NONE:
        return found
    return _with_moving(found, moving(asked, gross.idle_power_w), is_dynamic)


def _with_moving(found: _Answered, moved: Moving, is_dynamic: Mask) -> _Answered:
    """The same with what moving the weights takes, each workload in its boundary."""
    pairs = zip(moved.dynamic_j, moved.gross_j, strict=True)
    energy = Ends(*(np.where(is_dynamic, dynamic, gross) for dynamic, gross in pairs))
    return _Answered(
        found.energy_j + energy,
        found.duration_s + moved.duration_s,
        found.gross_j + moved.gross_j.value,
        {name: own + moved.shares[name] * energy.value for name, own in found.component_energy_j.items()},
    )


def gpu_seconds(duration_s: Interval, gpus: Given, batch_size: Given) -> Interval:
    """GPU time of one output [s], that of its batch on all the GPUs that share it; of one or of a column."""
    return duration_s * gpus / batch_size


def _is_possible(power_share: Floats, energy_j: Floats, flop: Floats) -> Mask:
    """Whether a board may draw such a share of its power limit, and arithmetic take such an energy."""
    (least, most), (least_j, most_j) = POWER_SHARES, PER_FLOP_J
    found: Mask = (least < power_share) & (power_share < most)
    return found & (energy_j > least_j * flop) & (energy_j < most_j * flop)


def no_answer(law: Law) -> str:
    """The error of a workload for which a law's equations have no finite result, or none that can be."""
    return f"the law {law.name} gives no finite energy and time, of a power a GPU may draw, for this workload"


def _within_boundary(gross: Prediction, is_dynamic: Mask, batch_size: NDArray[np.int64]) -> Prediction:
    """A prediction whose energies are each in its own boundary."""
    count = np.count_nonzero(is_dynamic)
    if count == 0:
        return gross
    dynamic = gross.dynamic(batch_size)
    if count == len(is_dynamic):
        return dynamic
    return gross._replace(
        energy_j=np.where(is_dynamic, dynamic.energy_j, gross.energy_j),
        component_energy_j={
            name: np.where(is_dynamic, dynamic.component_energy_j[name], energy)
            for name, energy in gross.component_energy_j.items()
        },
    )
