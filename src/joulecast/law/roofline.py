"""The roofline law: each operator bound by arithmetic or memory, and the board by its power limit.

For one call of a component, over its operators i with FLOP F, bytes B and attention scores S:

    busy time     t0 = sum_i max(F_i / rate, S_i / exponentials, B_i / bandwidth) + launches * kernel_time
    dynamic E     E0 = m * sum_i (e_flop * F_i + e_score * S_i + e_byte * B_i)

Rates are fitted shares of the datasheet's peaks (`joulecast.law.work.rates`); an fp32 matrix product
runs on the CUDA cores, an fp32 convolution in TF32 (torch's defaults). Convolutions move
`convolution_traffic` times their tensors' bytes. A score is one query-key pair of one head; its
exponential is made by special function units, whose rate hardly grew over generations, and costs
energy that no FLOP count shows.

Energy to do one operation follows the chip: m = node^a * (clock / 1.41 GHz)^k * chip effect, where
node is the process's switching energy (hardware.process_nodes), because voltage rises with clock.

The board's power limit P binds (a saturated GPU runs at it): if E0 / t0 exceeds what the limit
leaves over static power, the clock falls by phi = s^(-1/(1+k)), s being the excess. Energy falls as
phi^k (not below the lowest voltage), time grows as 1/phi: time follows from energy. Where the host
cannot launch kernels fast enough, time is what it needs: launch_time for each operator, and
module_time more for those with FLOP, each of which is a call of a Python module. Then

    E = static_power * t + E0 * phi^k        t = busy or launch time, whichever is longer

What a runtime other than eager diffusers on one GPU makes of it: `joulecast.law.conduct`. All
parameters but the effects of chips and engines are shared by all GPUs: a GPU that nobody measured gets
its prediction from its datasheet. Parameters, units and sources: docs/methodology.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.evaluation import Case, CaseCosts, Evaluation, product
from joulecast.law import possible
from joulecast.law.conduct import Conduct, RuntimeEffects, conduct, facts_of
from joulecast.law.fitted import Decoded, FittedLaw, Gross, Parameters
from joulecast.law.law import Array, Breakdown, LawInput
from joulecast.law.remembered import remembered
from joulecast.law.traits import GpuTraits, assumed
from joulecast.law.work import Demand, Setup, Weighed, Work, demand, plain, rates, weigh
from joulecast.records import Record
from joulecast.runtime import Runtime

# How sharply two limits meet, as the power of a norm: operators of one call overlap a little.
HOST_SHARPNESS = 6.0
POWER_SHARPNESS = 12.0
LEAST_ROOM = 0.02  # of the board's power limit, that a lower limit leaves over static power
MOST_CASES = 4096  # whose constants a law keeps: more than twice those of all listed models
MOST_SETUPS = 1024  # sets of GPUs under a runtime, the same


def chip_factor(traits: GpuTraits, p: Mapping[str, float], effects: Mapping[str, float]) -> Array:
    """Energy of one operation at full clock relative to the reference chip's, shape (workloads,)."""
    log = p["node_exponent"] * traits.log_node + p["clock_exponent"] * traits.log_clock
    factor: Array = np.exp(log + by_chip(traits, effects))
    return factor


def by_chip(traits: GpuTraits, effects: Mapping[str, float]) -> Array:
    """Each workload's chip's effect, 0 of a chip that has none."""
    found: Array = np.array([effects.get(chip, 0.0) for chip in traits.chips])[traits.chip_index]
    return found


def settle(
    total: Demand, traits: GpuTraits, how: Conduct, p: Mapping[str, float]
) -> tuple[Array, Array, Array]:
    """Where boards settle: (duration [s], dynamic energy factor, static power [W]); (workloads,).

    `total.energy_j` includes the chip's factor. The dynamic energy is ``total.energy_j`` times the factor;
    static power is that of all boards together, with what they draw while they wait for each other. A board
    that waits asks the others over and over, at its clock: that counts to its power limit as operations do.
    """
    k, tdp = p["clock_exponent"], traits.tdp_w
    static = p["static_power_share"] * tdp
    limit = np.fmin(how.limit_w, tdp)  # fmin: nan is no limit of its own
    room = np.maximum(p["power_limit_share"] * limit - static, LEAST_ROOM * tdp)
    waiting_j = p["waiting_power_share"] * tdp * total.waiting_s  # of one board
    asked_w = (total.energy_j / how.gpus + waiting_j) / total.busy_s
    excess = smooth_maximum(asked_w / room, 1.0, POWER_SHARPNESS)
    lowest = p["lowest_clock"]
    clock = excess ** (-1 / (1 + k))
    factor = np.maximum(clock, lowest) ** k
    slowdown = np.maximum(1 / clock, excess * lowest**k)  # the latter where the clock would fall too low
    duration = smooth_maximum(total.busy_s * slowdown, total.host_s, HOST_SHARPNESS)
    return duration, factor, (static + waiting_j * factor / duration) * how.gpus


def host_share(total: Demand, duration_s: Array) -> Array:
    """How far the duration follows the host's time: d log(duration) / d log(host time), 0 to 1."""
    share: Array = (total.host_s / duration_s) ** HOST_SHARPNESS
    return np.minimum(share, 1.0)


class RooflineParameters(Parameters, Record):
    """What the law is fitted by.

    Attributes
    ----------
    shared : by name, see docs/methodology.md.
    chip_effects, chip_slowness : log factors of the dynamic energy and of times of arithmetic, by chip.
    engine_slowness : log factor of times of arithmetic, by engine.
    quantised_slowness : of times of quantised matrix products, by `conduct.quantised_name`.
    cache_shares : of the denoiser's calls after the first that a cache leaves, by cache.
    level : the mean energy level of the sources.
    host_spread : the spread (log) of host times between software stacks.
    """

    shared: Mapping[str, float]
    chip_effects: Mapping[str, float]
    chip_slowness: Mapping[str, float]
    engine_slowness: Mapping[str, float]
    quantised_slowness: Mapping[str, float]
    cache_shares: Mapping[str, float]
    level: float
    host_spread: float


class Settled(NamedTuple):
    """Where boards settle: energies of one image by component [J], (components, workloads), over all boards.

    Attributes
    ----------
    static_j : of static power and of waiting, shared by busy time.
    dynamic_j : of the operations.
    duration_s : time of one batch [s], shape (workloads,).
    host_share : how far that follows the host's time, 0 to 1.
    """

    static_j: Array
    dynamic_j: Array
    duration_s: Array
    host_share: Array


class RooflineLaw(FittedLaw):
    """See the module's docstring."""

    form = "roofline"
    knows_runtimes = True
    parameters: RooflineParameters

    @classmethod
    def parameters_of(cls, value: Decoded) -> RooflineParameters:
        """See `FittedLaw.parameters_of`."""
        return RooflineParameters(**value)

    def check(self) -> None:
        """See `FittedLaw.check`."""
        super().check()
        possible.check_roofline(self.parameters)

    def gross(self, asked: LawInput) -> Gross:
        """See `FittedLaw.gross`; wider where the host's launch time, which varies most, decides."""
        found = self.settled(asked)
        by_component = found.static_j + found.dynamic_j
        names = [component.name for component in asked.profile.components]
        host = self.parameters.host_spread * found.host_share
        static_j, dynamic_j = found.static_j.sum(axis=0), found.dynamic_j.sum(axis=0)
        return Gross(
            component_energy_j=dict(zip(names, by_component, strict=True)),
            duration_s=found.duration_s,
            energy_spread=host * (static_j / (static_j + dynamic_j)),
            duration_spread=host,
            host_share=found.host_share,
        )

    def settled(self, asked: LawInput) -> Settled:
        """Energies of one image and the time of a batch, where the boards settle."""
        p = self.parameters.shared
        profile, workloads, precision, _, _ = asked
        setup, scales = self.setup(asked)
        demanded = self.demands(profile.evaluation(workloads, precision), precision, setup)
        demanded *= scales
        total = Demand(*np.add.reduce(demanded, axis=1))
        duration, dynamic, static = settle(total, setup.traits, setup.how, p)
        return Settled(
            static_j=demanded[0] * (static * duration / (total.busy_s * workloads.batch_size)),
            dynamic_j=demanded[1] * (dynamic / workloads.batch_size),
            duration_s=duration,
            host_share=host_share(total, duration),
        )

    def demands(self, evaluation: Evaluation, precision: str, setup: Setup) -> Array:
        """What each component asks for one batch, as of `demand`; shape (4, components, workloads)."""
        return evaluation.gathered(self._asked(part, precision, setup) for part in evaluation.parts)

    def _asked(self, part: CaseCosts, precision: str, setup: Setup) -> Array:
        weighed = self._weighed(part.case, precision)
        here = setup if isinstance(part.rows, slice) else setup.take(part.rows)
        table = plain(weighed) if setup.how.is_plain else weighed.table
        one = demand(weighed, product(table, part.monomials), here, self.parameters.shared)
        one *= part.weights
        return np.asarray(part.case.by_component @ one)

    def _weighed(self, case: Case, precision: str) -> Weighed:
        """A case's work with this law's constants in it."""
        return remembered(
            self._cases, case, lambda: weigh(Work.of(case, precision), self.parameters.shared), MOST_CASES
        )

    def setup(self, asked: LawInput) -> tuple[Setup, Array]:
        """On what and how workloads run, and what the sources' level and the chip make of a `Demand`, shape
        (4, 1, workloads), or (4, 1, 1) of one GPU."""
        profile, workloads, _, gpus, runtime = asked
        traits = GpuTraits.of_distinct(gpus.gpus)
        setup, scales = remembered(
            self._setups, (traits, runtime), lambda: self._setup_of(traits, runtime), MOST_SETUPS
        )
        if len(gpus.gpus) > 1:
            setup, scales = setup.take(gpus.index), scales[:, :, gpus.index]
        if setup.how.depends_on_workload:
            how = setup.how.over(workloads.steps.astype(np.float64), profile.joined_text(workloads))
            setup = setup._replace(how=how)
        return setup, scales

    def conduct(self, runtime: Runtime) -> Conduct:
        """What a runtime makes of the reference's costs, but for what depends on the workload."""
        q, one_of = self.parameters, (runtime,)
        effects = RuntimeEffects.of(one_of, q.engine_slowness, q.quantised_slowness, q.cache_shares)
        return conduct(facts_of(one_of), q.shared, effects)

    def _setup_of(self, traits: GpuTraits, runtime: Runtime) -> tuple[Setup, Array]:
        q, how = self.parameters, self.conduct(runtime)
        rate = rates(traits, how, q.shared, by_chip(traits, q.chip_slowness))
        factor = chip_factor(traits, q.shared, q.chip_effects)
        one = np.ones_like(factor)
        scales = np.array([[q.level * one], [q.level * factor], [one], [q.level * one]])
        return Setup(traits, how, rate), scales

    @cached_property
    def _cases(self) -> dict[Case, Weighed]:
        return {}

    @cached_property
    def _setups(self) -> dict[tuple[GpuTraits, Runtime], tuple[Setup, Array]]:
        return {}

    def outside(self, asked: LawInput) -> Mapping[str, NDArray[np.bool_]]:
        """See `Law.outside`; and what is assumed of GPUs whose files do not say."""
        found = dict(super().outside(asked))
        for place, gpu in enumerate(asked.gpus.gpus):
            if words := assumed(gpu, asked.precision, asked.runtime):
                found[words] = asked.gpus.index == place
        return found

    def breakdown(self, asked: LawInput) -> Breakdown:
        """See `FittedLaw.breakdown` and `joulecast.law.breakdown`."""
        from joulecast.law.breakdown import breakdown  # which needs this module

        return breakdown(self, asked)


def smooth_maximum(a: Any, b: Any, sharpness: float) -> Array:
    """The larger of two, a little more where they are near each other."""
    high, low = np.maximum(a, b), np.minimum(a, b)
    result: Array = high * (1 + (low / high) ** sharpness) ** (1 / sharpness)
    return result
